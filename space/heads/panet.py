"""PANet: coarse to fine, then fine to coarse again (Liu et al. 2018), in the form of the published -panet-spp files.

Going down: `five` convolutions at the finer levels on [1x1 of the feature, upsampled 1x1 of the coarser map].
Going up: 3x3 of stride 2, concatenation, `five` again. Widths double with every coarser level. Source:
CrossStagePartialNetworks, cfg/csresnext50-panet-spp.cfg.
"""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import NECKS, width_at
from space.heads.yolo import five
from space.registry import part


@part(NECKS, "panet", reads=frozenset[str]())
def panet(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """Both directions by concatenation."""
    coarsest = len(features) - 1
    with g.scope(f"down{coarsest}"):
        down = {coarsest: five(g, features[-1], width_at(head, coarsest), spp=head.spp)}
    for level in range(coarsest - 1, -1, -1):
        width, feature = width_at(head, level), features[level]
        with g.scope(f"down{level}"):
            up = g.resize_like(g.conv(down[level + 1], width, 1, name="top"), feature, name="up")
            down[level] = five(g, g.concat([g.conv(feature, width, 1, name="lateral"), up]), width)
    maps, y = [], down[0]
    for level in range(coarsest + 1):
        width = width_at(head, level)
        with g.scope(f"up{level}"):
            if level:
                y = g.concat([g.conv(y, width, 3, stride=2, name="stride"), down[level]])
                y = five(g, y, width)
            maps.append(g.conv(y, 2 * width, 3, name="out"))
    return maps
