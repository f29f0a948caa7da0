"""Basic residual block: 3x3, linear 3x3, shortcut, activation (ResNet-18 and -34; the published resnet10)."""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block, branch
from space.graph import Builder, Ref


@block("basic", reads=("elastic", "squeeze"), projects=True)
def basic(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """act(x + 3x3(3x3(x)))."""

    def body(x: Ref, width: int, groups: int) -> Ref:
        y = g.conv(x, width, 3, stride=stride, name="conv1")
        return g.conv(y, width, 3, linear=True, name="conv2")

    return g.act(g.add(branch(g, x, stage, width, body), x))
