"""Dense layer: 1x1 to the inner width, 3x3 to `growth_rate` channels, concatenated to the input.

DenseNet-BC (Huang et al. 2017), post-activation as in PeleeNet's one way. Inner width is
`bottleneck_ratio` x `growth_rate` (DenseNet's 4k is 4).
"""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block
from space.graph import Builder, Ref

READS = ("growth_rate", "bottleneck_ratio")


def inner_width(stage: Stage) -> int:
    """Channels between the convolutions of a dense layer."""
    assert stage.growth_rate is not None
    assert stage.bottleneck_ratio is not None
    return max(1, round(stage.growth_rate * stage.bottleneck_ratio))


@block("dense", reads=(*READS, "elastic"), grows=True)
def dense(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """[x, 3x3(1x1(x))]: C -> C + growth_rate channels.

    Elastic: a second such layer on the pooled input, upsampled and added, each of half the inner width.
    """
    assert stage.growth_rate is not None

    def layer(x: Ref, inner: int) -> Ref:
        return g.conv(g.conv(x, inner, 1, name="conv1"), stage.growth_rate or 1, 3, name="conv2")

    if not stage.elastic:
        return g.concat([x, layer(x, inner_width(stage))])
    inner = max(1, inner_width(stage) // 2)
    with g.scope("fine"):
        full = layer(x, inner)
    with g.scope("coarse"):
        half = g.resize_like(layer(g.max_pool(x), inner), full, name="up")
    return g.concat([x, g.add(full, half, name="halves")])
