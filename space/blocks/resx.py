"""Residual block with a grouped 3x3 (ResNeXt): cardinality is the number of groups.

The published csresnext50 has inner width equal to outer width and 32 groups.
"""

from __future__ import annotations

from space.architecture import Stage
from space.blocks import BLOCKS
from space.blocks.res import bottleneck
from space.graph import Builder, Ref
from space.registry import part


@part(BLOCKS, "resx", reads=frozenset({"bottleneck_ratio", "cardinality"}), grows=False)
def resx(g: Builder, x: Ref, stage: Stage) -> Ref:
    """Residual bottleneck whose 3x3 has `cardinality` groups."""
    assert stage.bottleneck_ratio is not None
    assert stage.cardinality is not None
    return bottleneck(g, x, round(g.channels(x) * stage.bottleneck_ratio), stage.cardinality)
