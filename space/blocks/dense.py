"""Dense layer: 1x1 to the inner width, 3x3 to `growth_rate` channels, concatenated to the input.

DenseNet-BC (Huang et al. 2017), post-activation as in PeleeNet's one way. Inner width is
`bottleneck_ratio` x `growth_rate` (DenseNet's 4k is 4).
"""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import BLOCKS
from space.graph import Builder, Ref
from space.registry import part


@part(BLOCKS, "dense", reads=frozenset({"growth_rate", "bottleneck_ratio"}), grows=True)
def dense(g: Builder, x: Ref, stage: Stage) -> Ref:
    """[x, 3x3(1x1(x))]: C -> C + growth_rate channels."""
    assert stage.growth_rate is not None
    assert stage.bottleneck_ratio is not None
    y = g.conv(x, round(stage.growth_rate * stage.bottleneck_ratio), 1, name="conv1")
    y = g.conv(y, stage.growth_rate, 3, name="conv2")
    return g.concat([x, y])
