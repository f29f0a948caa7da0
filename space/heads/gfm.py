"""GFM, global fusion model: all scales at every scale (CSPNet Fig. 6b)."""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import NECKS, fuse_near, mix
from space.registry import part


@part(NECKS, "gfm", reads=frozenset({"maxout"}))
def gfm(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """Concatenate every level at every scale."""
    return mix(g, features, head, lambda laterals, compress: fuse_near(g, laterals, compress, reach=len(laterals)))
