"""EFM, exact fusion model: scales s-1, s and s+1 at scale s (CSPNet Fig. 6c), bounded by the anchors."""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import NECKS, fuse_near, mix
from space.registry import part


@part(NECKS, "efm", reads=frozenset({"maxout"}))
def efm(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """Concatenate each level with its finer and coarser neighbour."""
    return mix(g, features, head, lambda laterals, compress: fuse_near(g, laterals, compress, reach=1))
