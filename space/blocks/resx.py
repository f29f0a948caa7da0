"""Residual block with a grouped 3x3 (ResNeXt): cardinality is the number of groups.

The published csresnext50 has inner width equal to outer width and 32 groups.
"""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import block
from space.blocks.res import READS, bottleneck
from space.graph import Builder, Ref


@block("resx", reads=(*READS, "cardinality"), projects=True)
def resx(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """Residual bottleneck whose 3x3 has `cardinality` groups."""
    return bottleneck(g, x, stage, width, stride)
