"""FPN: scale s meets s+1, top down, so that coarse information reaches every finer level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from space.graph import Builder, Ref
from space.heads import PYRAMIDS
from space.registry import part


@part(PYRAMIDS, "fpn")
def fpn(g: Builder, laterals: Sequence[Ref], compress: Callable[[Ref], Ref]) -> list[Ref]:
    """Concatenate each level with the level above it, upsampled (YOLOv3's form: concatenation, not sum)."""
    maps = [compress(lateral) for lateral in laterals]
    fused = []
    for level, here in enumerate(maps):
        with g.scope(f"p{level}"):
            near = maps[level : level + 2]
            fused.append(g.concat([g.resize_like(x, here, name="up") for x in near]))
    return fused
