"""Plain 3x3 convolution: the Darknet reference network and YOLOv3-tiny, the baseline without any shortcut."""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block
from space.graph import Builder, Ref


@block("conv", projects=True)
def conv(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """One 3x3 convolution."""
    return g.conv(x, width, 3, stride=stride, name="conv1")
