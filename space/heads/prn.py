"""PRN, partial residual network (Wang et al. 2019): the upsampled map is added onto part of the finer feature.

Coarsest level: 1x1 to 2 x `width`, 3x3 with shortcut. Every finer one: 1x1 to `width`, upsampled, plus the first
`width` channels of the feature, 3x3 with shortcut. Two levels are PRN, three PRN-3l; with `width` 128 on
YOLOv3-tiny this is yolov3-tiny-prn (3.467 BFLOPs), on the CSPPeleeNet reference the paper's Table 2 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import NECKS, pyramid_pool, width_at
from space.registry import part


def descend(g: Builder, features: Sequence[Ref], head: Head, join: Callable[[Ref, Ref], Ref], *,
            shortcut: bool) -> list[Ref]:  # fmt: skip
    """Coarse to fine: `join(upsampled, feature)` at every level below the coarsest. Maps finest first."""
    width, maps = width_at(head, 0), []
    x = g.conv(features[-1], 2 * width, 1, name="lateral")
    if head.spp:
        x = g.conv(pyramid_pool(g, x), 2 * width, 1, name="spp_out")
    coarsest = len(features) - 1
    y = g.add(g.conv(x, 2 * width, 3, name=f"fuse{coarsest}"), x, name=f"add{coarsest}")
    maps.append(y)
    for level in range(coarsest - 1, -1, -1):
        x = g.resize_like(g.conv(y, width, 1, name=f"top{level}"), features[level], name=f"up{level}")
        x = join(x, features[level])
        y = g.conv(x, width, 3, name=f"fuse{level}")
        y = g.add(y, x, name=f"add{level}") if shortcut else y
        maps.append(y)
    return maps[::-1]


@part(NECKS, "prn", reads=frozenset[str]())
def prn(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """Partial residual additions from coarse to fine."""
    return descend(g, features, head, lambda up, feature: g.add(up, feature, name="partial"), shortcut=True)
