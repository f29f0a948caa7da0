"""DenseNet-BC's layer with its own order: normalisation and activation before each convolution (Huang et al. 2017)."""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block
from space.blocks.dense import READS, inner_width
from space.graph import Builder, Ref


@block("dense_pre", reads=(*READS, "elastic"), grows=True, pre=True)
def dense_pre(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """[x, 3x3(1x1(x))], each convolution after its normalisation and activation.

    Elastic (Wang et al. 2019): the layer in two branches of half the inner width, the second on the pooled
    input and upsampled, their sum concatenated.
    """
    assert stage.growth_rate is not None

    def layer(x: Ref, inner: int) -> Ref:
        y = g.conv(g.norm(x, name="norm1"), inner, 1, bias=False, linear=False, name="conv1")
        return g.conv(y, stage.growth_rate or 1, 3, norm=False, bias=False, linear=True, name="conv2")

    if not stage.elastic:
        return g.concat([x, layer(x, inner_width(stage))])
    inner = max(1, inner_width(stage) // 2)
    with g.scope("fine"):
        full = layer(x, inner)
    with g.scope("coarse"):
        half = g.resize_like(layer(g.avg_pool(x), inner), full, name="up")
    return g.concat([x, g.add(full, half)])
