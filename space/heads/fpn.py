"""FPN: scale s meets s+1, top down, so that coarse information reaches every finer level.

`fpn` is the paper's definition on the common laterals; `fpn_tiny` is the light form that the PRN report compares
with: PRN's layout with a concatenation where PRN adds (PartialResidualNetworks README, Pelee-FPN).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import NECKS, mix
from space.heads.prn import descend
from space.registry import part


@part(NECKS, "fpn", reads=frozenset({"maxout"}))
def fpn(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """Concatenate each level with the level above it, upsampled (YOLOv3's form: concatenation, not sum)."""

    def fuse(laterals: Sequence[Ref], compress: Callable[[Ref], Ref]) -> list[Ref]:
        maps = [compress(lateral) for lateral in laterals]
        fused = []
        for level, here in enumerate(maps):
            with g.scope(f"p{level}"):
                near = maps[level : level + 2]
                fused.append(g.concat([g.resize_like(x, here, name="up") for x in near]))
        return fused

    return mix(g, features, head, fuse)


@part(NECKS, "fpn_tiny", reads=frozenset[str]())
def fpn_tiny(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """PRN's layout with concatenations: 3x3 of the upsampled map beside all channels of the finer feature."""
    return descend(g, features, head, lambda up, feature: g.concat([up, feature]), shortcut=False)
