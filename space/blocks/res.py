"""Residual bottleneck: 1x1 to the inner width, 3x3, linear 1x1 back, shortcut, activation.

The published csresnet50 keeps this bottleneck with half the width (CrossStagePartialNetworks cfg).
"""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import BLOCKS
from space.graph import Builder, Ref
from space.registry import part


def bottleneck(g: Builder, x: Ref, inner: int, groups: int) -> Ref:
    """act(x + 1x1(3x3(1x1(x)))) with `inner` channels and `groups` in the 3x3; width is kept."""
    y = g.conv(x, inner, 1, name="conv1")
    y = g.conv(y, inner, 3, groups=groups, name="conv2")
    y = g.conv(y, g.channels(x), 1, linear=True, name="conv3")
    return g.act(g.add(y, x))


@part(BLOCKS, "res", reads=frozenset({"bottleneck_ratio"}), grows=False)
def res(g: Builder, x: Ref, stage: Stage) -> Ref:
    """Residual bottleneck; inner width is `bottleneck_ratio` x the width it sees."""
    assert stage.bottleneck_ratio is not None
    return bottleneck(g, x, round(g.channels(x) * stage.bottleneck_ratio), 1)
