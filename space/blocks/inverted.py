"""Inverted residual of MobileNetV2 (Sandler et al. 2018): 1x1 out, depthwise 3x3, linear 1x1 in, shortcut.

`bottleneck_ratio` is the expansion: inner width over the width that comes in. The first 1x1 stands at expansion 1
too, as in the published darknet file; Sandler et al. leave it out there.
"""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block, gated
from space.graph import Builder, Ref


@block("inverted", reads=("bottleneck_ratio", "squeeze"), projects=True)
def inverted(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """x + 1x1(3x3(1x1(x))), the 3x3 depthwise; no shortcut where width or resolution change."""
    ratio = stage.bottleneck_ratio
    assert ratio is not None
    inner = max(1, round(g.channels(x) * ratio))
    y = g.conv(x, inner, 1, name="conv1")
    y = g.conv(y, inner, 3, groups=inner, stride=stride, name="conv2")
    y = gated(g, g.conv(y, width, 1, linear=True, name="conv3"), stage)
    return g.add(y, x) if g.shape(x) == g.shape(y) else y
