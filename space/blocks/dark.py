"""Darknet block: 1x1 to the inner width, 3x3 back, both activated, then the shortcut (YOLOv3, Darknet-53)."""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block, branch
from space.graph import Builder, Ref


@block("dark", reads=("bottleneck_ratio", "elastic", "squeeze"))
def dark(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """x + 3x3(1x1(x)); nothing follows the sum."""
    ratio = stage.bottleneck_ratio
    assert ratio is not None

    def body(x: Ref, width: int, groups: int) -> Ref:
        y = g.conv(x, max(1, round(width * ratio)), 1, name="conv1")
        return g.conv(y, width, 3, name="conv2")

    return g.add(branch(g, x, stage, width, body), x)
