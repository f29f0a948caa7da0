"""GFM, global fusion model: all scales at every scale (CSPNet Fig. 6b)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from space.graph import Builder, Ref
from space.heads import PYRAMIDS, fuse_near
from space.registry import part


@part(PYRAMIDS, "gfm")
def gfm(g: Builder, laterals: Sequence[Ref], compress: Callable[[Ref], Ref]) -> list[Ref]:
    """Concatenate every level at every scale."""
    return fuse_near(g, laterals, compress, reach=len(laterals))
