"""Residual bottleneck: 1x1 to the inner width, 3x3, linear 1x1 back, shortcut, activation.

The published csresnet50 keeps this bottleneck with half the width (CrossStagePartialNetworks cfg).
"""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block, branch
from space.graph import Builder, Ref

READS = ("bottleneck_ratio", "elastic", "squeeze")


def bottleneck(g: Builder, x: Ref, stage: Stage, width: int, stride: int) -> Ref:
    """act(x + 1x1(3x3(1x1(x)))); the inner width is `bottleneck_ratio` x the width that comes out."""
    ratio = stage.bottleneck_ratio
    assert ratio is not None

    def body(x: Ref, width: int, groups: int) -> Ref:
        inner = max(1, round(width * ratio))
        y = g.conv(x, inner, 1, name="conv1")
        y = g.conv(y, inner, 3, groups=groups, stride=stride, name="conv2")
        return g.conv(y, width, 1, linear=True, name="conv3")

    return g.act(g.add(branch(g, x, stage, width, body), x))


@block("res", reads=READS, projects=True)
def res(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """Residual bottleneck."""
    return bottleneck(g, x, stage, width, stride)
