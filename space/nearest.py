"""The genome of a design space that is nearest to a given architecture: how a published network starts a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median_low, mode
from typing import Any

from space.architecture import Architecture, Stage, default_down
from space.blocks import BLOCKS
from space.design import DesignSpace, Genome, SpaceError
from space.lower import SAME_RESOLUTION

FAMILIES = (
    ("dense", "dense_two_way", "dense_sparse", "dense_pre"),
    ("res", "resx", "basic", "dark", "res2", "inverted", "conv"),
)
"""Blocks that stand in for each other where a space lacks one, in the order of preference."""
STEM_STRIDE = {"conv_pool": 4, "pelee": 4}


def nearest(space: DesignSpace, architecture: Architecture) -> tuple[Genome, list[str]]:
    """The nearest valid genome, and what had to change, gene by gene (`stage3.width 256 -> 128`).

    Every gene takes the choice nearest to the architecture's value: numbers on a logarithmic scale, blocks within
    their family; a stage of the space looks at the architecture's last stage of the same stride. A head of another
    task changes nothing. Raises SpaceError if neither that genome nor a neighbour can be built.
    """
    architecture = architecture.canonical()
    genome: Genome = {}
    changes: list[str] = []
    stages = _by_stride(architecture, space)
    for name, choices in space.genes.items():
        wanted = _wanted(name, architecture, stages)
        genome[name] = choices[0] if wanted is None else _closest(choices, wanted)
        if wanted is not None and genome[name] != wanted and len(choices) > 1:
            changes.append(f"{name} {_short(wanted)} -> {_short(genome[name])}")
    if space.valid(genome):
        return genome, changes
    for neighbour in space.neighbours(genome):
        if space.valid(neighbour):
            return neighbour, changes
    raise SpaceError("no valid combination of this space is near enough; start from another network")


def _by_stride(architecture: Architecture, space: DesignSpace) -> list[Stage]:
    """The architecture's last stage at each stride from the space's stem on; the nearest where there is none."""
    stride = STEM_STRIDE.get(architecture.stem.kind, architecture.stem.stride or 4)
    found: dict[int, Stage] = {}
    for index, stage in enumerate(architecture.stages):
        down = stage.down or default_down(architecture.stages, index)
        stride *= 1 if down in SAME_RESOLUTION else 2
        found[stride] = stage
    most = max(space._choices("num_stages"))
    wanted = [space.stem_stride * 2**index for index in range(most)]
    reached = [min(found, key=lambda have: abs(math.log2(have / stride))) for stride in wanted]
    return [found[stride] for stride in reached]


def _wanted(gene: str, architecture: Architecture, stages: Sequence[Stage]) -> Any:
    """The architecture's value for a gene; None where it has none."""
    scope, _, rest = gene.partition(".")
    name, block = (rest.partition(".")[::2]) if scope.startswith("stage") else (scope, rest)
    head, stem = architecture.head, architecture.stem
    whole = {
        "num_stages": len({id(stage) for stage in stages}),
        "stem": stem.kind,
        "stem_width": stem.width,
        "activation": architecture.activation,
        "head_fusion": head.fusion,
        "head_width": head.width,
        "maxout": head.maxout,
        "attention": head.attention or "none",
        "spp": head.spp,
    }
    if name in whole:
        return whole[name]
    if scope.startswith("stage"):
        return getattr(stages[int(scope.removeprefix("stage")) - 1], name)
    values = [getattr(stage, name) for stage in stages if not block or _family(stage.block) == _family(block)]
    values = [value for value in values if value is not None]
    if not values:
        return None
    return median_low(values) if isinstance(values[0], int | float) else mode(values)


def _family(block: str) -> int:
    return int(not BLOCKS.get(block).grows)


def _closest(choices: Sequence[Any], wanted: Any) -> Any:
    if wanted in choices:
        return wanted
    if isinstance(wanted, str):
        family = next((family for family in FAMILIES if wanted in family), ())
        return next((name for name in family if name in choices), choices[0])
    if isinstance(wanted, bool) or isinstance(choices[0], bool):
        return choices[0]
    return min(choices, key=lambda choice: abs(_scale(choice) - _scale(wanted)))


def _scale(value: float) -> float:
    """Logarithm for sizes; shares between 0 and 1 as they are."""
    return math.log(value) if value >= 1 else float(value) - 1


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
