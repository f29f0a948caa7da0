"""CEM, context enhancement module (ThunderNet, Qin et al. 2019): features and global context summed.

Each level: 1x1 of its feature, plus the 1x1 of the coarsest feature and that of its global average, brought to
its size. ThunderNet sums at one scale; predicting on every scale, as the paper's Table 2 must, is our reading: the
authors' file was never published.
"""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import NECKS, bring, pyramid_pool
from space.registry import part


@part(NECKS, "cem", reads=frozenset[str]())
def cem(g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
    """Sum of the level, the coarsest level and the global context."""
    assert head.width is not None
    width, maps = head.width, []
    laterals = [g.conv(x, width, 1, name=f"lateral{level}") for level, x in enumerate(features)]
    if head.spp:
        laterals[-1] = g.conv(pyramid_pool(g, laterals[-1]), width, 1, name="spp_out")
    context = g.conv(g.global_pool(features[-1], name="context_pool"), width, 1, name="context")
    for level, x in enumerate(laterals):
        with g.scope(f"p{level}"):
            if level < len(laterals) - 1:
                x = g.add(x, bring(g, laterals, len(laterals) - 1, level), name="coarsest")
            maps.append(g.add(x, g.resize_like(context, x, name="context_up"), name="context"))
    return maps
