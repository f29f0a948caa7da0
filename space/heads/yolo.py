"""YOLOv3's neck, its SPP form, and the tiny one.

`yolo` (Redmon and Farhadi 2018; the published -yolo-spp files): five convolutions a level, 1x1 and 3x3 in turn,
widths doubling with every coarser level; a 1x1 of the result, upsampled, is concatenated with the next finer
feature; a last 3x3 doubles the width before the prediction. `tiny` is YOLOv3-tiny's: one 1x1 and one 3x3.
"""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import NECKS, pyramid_pool, width_at
from space.registry import part


def five(g: Builder, x: Ref, width: int, *, spp: bool = False) -> Ref:
    """1x1, 3x3, 1x1, 3x3, 1x1, the 3x3 of twice the width; `spp` stands after the third, which follows it again."""
    x = g.conv(x, width, 1, name="conv1")
    x = g.conv(x, 2 * width, 3, name="conv2")
    x = g.conv(x, width, 1, name="conv3")
    if spp:
        x = g.conv(pyramid_pool(g, x), width, 1, name="conv_spp")
    x = g.conv(x, 2 * width, 3, name="conv4")
    return g.conv(x, width, 1, name="conv5")


@part(NECKS, "yolo", reads=frozenset[str]())
def yolo(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """Coarse to fine by concatenation with the features as they are."""
    maps: list[Ref] = []
    y: Ref | None = None
    for level in range(len(features) - 1, -1, -1):
        width, x = width_at(head, level), features[level]
        with g.scope(f"p{level}"):
            if y is not None:
                up = g.resize_like(g.conv(y, width, 1, name="top"), x, name="up")
                x = g.concat([up, x])
            y = five(g, x, width, spp=head.spp and level == len(features) - 1)
            maps.append(g.conv(y, 2 * width, 3, name="out"))
    return maps[::-1]


@part(NECKS, "tiny", reads=frozenset[str]())
def tiny(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """YOLOv3-tiny: 1x1 and a 3x3 of twice its width at the coarsest level, 1x1, upsampling and 3x3 at finer ones."""
    coarsest, width = len(features) - 1, width_at(head, 0)
    y = g.conv(features[-1], 2 * width, 1, name="lateral")
    if head.spp:
        y = g.conv(pyramid_pool(g, y), 2 * width, 1, name="spp_out")
    maps = [g.conv(y, 4 * width, 3, name=f"fuse{coarsest}")]
    for level in range(coarsest - 1, -1, -1):
        up = g.resize_like(g.conv(y, width, 1, name=f"top{level}"), features[level], name=f"up{level}")
        y = g.conv(g.concat([up, features[level]]), 2 * width, 3, name=f"fuse{level}")
        maps.append(y)
    return maps[::-1]
