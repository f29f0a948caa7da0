"""EFM, exact fusion model: scales s-1, s and s+1 at scale s (CSPNet Fig. 6c), bounded by the anchors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from space.graph import Builder, Ref
from space.heads import PYRAMIDS, fuse_near
from space.registry import part


@part(PYRAMIDS, "efm")
def efm(g: Builder, laterals: Sequence[Ref], compress: Callable[[Ref], Ref]) -> list[Ref]:
    """Concatenate each level with its finer and coarser neighbour."""
    return fuse_near(g, laterals, compress, reach=1)
