"""The axes of a design space: their names, how a study file declares them, and what each may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from space.architecture import SPLITS
from space.blocks import BLOCKS
from space.heads import ATTENTIONS, NECKS
from space.ops import ACTIVATIONS
from space.registry import unknown
from space.stages import FUSIONS
from space.stems import STEMS

STAGE_AXES = ("block", "fusion", "partial_ratio", "split", "depth", "width", "bottleneck_ratio", "growth_rate",
              "cardinality", "elastic", "squeeze")  # fmt: skip
NETWORK_AXES = ("num_stages", "stem", "stem_width", "activation")
HEAD_AXES = ("head_fusion", "head_width", "maxout", "attention", "spp")
OPTIONAL: dict[str, Any] = {"elastic": False, "squeeze": 0.0, "stem": "double", "attention": "none", "spp": False}
"""Axes that a space may leave out, and what they are then."""
MAX_STAGES = 5


class SpaceError(ValueError):
    """A design space that is declared wrong; the message names the key and what is allowed."""


def round_channels(channels: float, multiple: int) -> int:
    """The nearest positive multiple; halves go up."""
    return max(multiple, math.floor(channels / multiple + 0.5) * multiple)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One dimension of the space.

    `choices` holds one tuple for each stage when `per_stage`, else exactly one. `block` restricts the axis to
    stages of one block, so that dense and residual blocks can have ratios of their own.
    """

    name: str
    choices: tuple[tuple[Any, ...], ...]
    per_stage: bool = False
    block: str | None = None

    def genes(self, stages: int) -> list[tuple[str, tuple[Any, ...]]]:
        """Names and choices of this axis' genes; `stage2.width`, or `width` when stages share it."""
        suffix = f".{self.block}" if self.block else ""
        if not self.per_stage:
            return [(f"{self.name}{suffix}", self.choices[0])]
        return [
            (f"stage{index + 1}.{self.name}{suffix}", self.choices[min(index, len(self.choices) - 1)])
            for index in range(stages)
        ]


def read_axes(name: str, choices: Any, per_stage: bool, spot: str) -> list[Axis]:
    """The axes that one key of a study file declares: one, or one for each block. Raises SpaceError at `spot`."""
    if isinstance(choices, Mapping):
        for block in choices:
            if block not in BLOCKS:
                raise SpaceError(f"{spot} axis '{name}': {unknown('block', block, BLOCKS.names())}")
        return [_axis(name, value, per_stage, spot, block) for block, value in choices.items()]
    return [_axis(name, choices, per_stage, spot, None)]


def _axis(name: str, choices: Any, per_stage: bool, spot: str, block: str | None) -> Axis:
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise SpaceError(f"{spot} axis '{name}' needs a list of choices, not {choices!r}")
    nested = [isinstance(choice, Sequence) and not isinstance(choice, str) for choice in choices]
    if any(nested):
        if not per_stage or not all(nested) or not all(choices):
            raise SpaceError(f"{spot} axis '{name}': lists of lists are for [space.per_stage], one a stage")
        rows = tuple(tuple(dict.fromkeys(row)) for row in choices)
    else:
        rows = (tuple(dict.fromkeys(choices)),)
    return Axis(name=name, choices=rows, per_stage=per_stage, block=block)


def problem(axis: str, value: Any) -> str | None:
    """Why `value` cannot be a choice of `axis`, or None."""
    named = {
        "block": BLOCKS.names,
        "fusion": FUSIONS.names,
        "split": lambda: [split for split in SPLITS if split != "early"],
        "stem": lambda: [kind for kind in STEMS if kind != "single"],
        "attention": lambda: ["none", *ATTENTIONS],
        "activation": lambda: list(ACTIVATIONS),
        "head_fusion": NECKS.names,
    }
    if axis in ("elastic", "spp"):
        return None if isinstance(value, bool) else f"{value!r} is not true or false"
    if axis in named:
        allowed = named[axis]()
        return None if value in allowed else unknown(axis, value, allowed)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{value!r} is not a number"
    if axis == "partial_ratio":
        return None if 0 <= value < 1 else f"{value} is not in [0, 1): it is the share that bypasses the blocks"
    if axis == "squeeze":
        return None if 0 <= value <= 1 else f"{value} is not in [0, 1]: it is inner over outer width, 0 for none"
    if axis == "bottleneck_ratio":
        return None if 0 < value <= 8 else f"{value} is not in (0, 8]"
    limits = {"depth": (1, 64), "num_stages": (1, MAX_STAGES), "maxout": (1, 16), "cardinality": (1, 256)}
    low, high = limits.get(axis, (1, 8192))
    if not isinstance(value, int) or not low <= value <= high:
        return f"{value!r} is not a whole number from {low} to {high}"
    return None
