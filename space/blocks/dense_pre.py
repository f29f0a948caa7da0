"""DenseNet-BC's layer with its own order: normalisation and activation before each convolution (Huang et al. 2017)."""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block
from space.blocks.dense import READS, inner_width
from space.graph import Builder, Ref


@block("dense_pre", reads=(*READS, "elastic"), grows=True, pre=True)
def dense_pre(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """[x, 3x3(1x1(x))], each convolution after its normalisation and activation.

    Elastic (Wang et al. 2019): after one normalisation the layer in two branches of half the inner width, the
    second pooled and upsampled, their sum concatenated.
    """
    assert stage.growth_rate is not None

    def layer(y: Ref, inner: int) -> Ref:
        y = g.conv(y, inner, 1, bias=False, name="conv1")
        return g.conv(y, stage.growth_rate or 1, 3, norm=False, bias=False, linear=True, name="conv2")

    y = g.norm(x, name="norm1")
    if not stage.elastic:
        return g.concat([x, layer(y, inner_width(stage))])
    inner = max(1, inner_width(stage) // 2)
    with g.scope("fine"):
        fine = layer(y, inner)
    with g.scope("coarse"):
        coarse = g.resize_like(layer(g.avg_pool(y), inner), fine, name="up")
    return g.concat([x, g.add(fine, coarse, name="halves")])
