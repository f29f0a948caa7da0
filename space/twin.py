"""The γ = 0 twin of a network: the same blocks at the same widths, without a cross-stage path.

What a stage's base channels were parted into goes through the blocks together, so the difference of the two is what
the cross-stage path saves, its own transitions included. Source: the comparison of CSPNet (Wang et al. 2020), Table 1.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from space.architecture import Architecture, Stage
from space.axes import round_channels
from space.blocks import BLOCKS


def twin(architecture: Architecture) -> Architecture:
    """The canonical network with fusion `none` and γ = 0 in every stage; the same one where it has no cross path.

    Ratios and groups stay; an inner width is rounded to a multiple of its groups. Raises ArchitectureError where a
    plain stage cannot stand.
    """
    stages = tuple(_plain(stage) for stage in architecture.canonical().stages)
    return replace(architecture, stages=stages).canonical()


def _plain(stage: Stage) -> Stage:
    if not stage.cross:
        return stage
    reads = BLOCKS.get(stage.block).reads
    changes: dict[str, Any] = {"fusion": "none", "partial_ratio": 0.0, "split": "slice", "entry": None}
    groups = stage.cardinality or 1
    if stage.elastic and groups > 1:
        halves = [max(1, round(half * (stage.bottleneck_ratio or 1))) for half in _halves(stage.width)]
        changes["cardinality"] = 2 * math.gcd(groups // 2, *halves)
    elif "bottleneck_ratio" in reads and not BLOCKS.get(stage.block).grows and stage.bottleneck_ratio:
        changes["bottleneck_ratio"] = round_channels(stage.width * stage.bottleneck_ratio, groups) / stage.width
    return replace(stage, **changes)


def _halves(width: int) -> tuple[int, int]:
    return width // 2, width - width // 2
