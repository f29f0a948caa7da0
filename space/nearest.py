"""The genome of a design space that is nearest to a given architecture: how a published network starts a search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median_low, mode
from typing import Any

from space.architecture import Architecture, Stage, default_down
from space.axes import SpaceError
from space.blocks import BLOCKS
from space.design import DesignSpace, Genome
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
    stages, reached = _by_stride(architecture, space)
    wanted = {name: _wanted(name, architecture, stages, reached) for name in space.genes}
    genome: Genome = {
        name: choices[0] if wanted[name] is None else _closest(choices, wanted[name])
        for name, choices in space.genes.items()
    }
    near = next((found for found in _around(space, genome) if space.valid(found)), None)
    if near is None:
        raise SpaceError("no valid combination of this space is near enough; start from another network")
    # Rounding to whole channels hides genes: a share, or a ratio that stages share, may be nearer to another choice.
    hidden = (other for other in space.neighbours(near) if any(other[name] != near[name] for name in _rounded(space)))
    for same in (near, *hidden):
        if space.valid(same) and space.build(same).id == architecture.id:
            return same, []
    beyond = tuple(f"stage{index}." for index in range(near["num_stages"] + 1, len(stages) + 1))
    return near, [
        f"{name} {_short(wanted[name])} -> {_short(value)}"
        for name, value in near.items()
        if wanted[name] is not None and value != wanted[name] and not name.startswith(beyond)
    ]


def _rounded(space: DesignSpace) -> list[str]:
    """Genes whose value is not what is built, but the nearest one in whole channels."""
    return [name for name in space.genes if "partial_ratio" in name or "bottleneck_ratio" in name]


def _around(space: DesignSpace, genome: Genome) -> Iterator[Genome]:
    """The genome, those with one other gene, those with two."""
    yield genome
    yield from space.neighbours(genome)
    for neighbour in space.neighbours(genome):
        yield from space.neighbours(neighbour)


def _by_stride(architecture: Architecture, space: DesignSpace) -> tuple[list[Stage], int]:
    """The architecture's last stage at each stride from the space's stem on, the nearest where there is none;
    and how many different strides that are."""
    stride = STEM_STRIDE.get(architecture.stem.kind, architecture.stem.stride or 4)
    found: dict[int, Stage] = {}
    for index, stage in enumerate(architecture.stages):
        down = stage.down or default_down(architecture.stages, index)
        stride *= 1 if down in SAME_RESOLUTION else 2
        found[stride] = stage
    most = max(space._choices("num_stages"))
    wanted = [space.stem_stride * 2**index for index in range(most)]
    reached = [min(found, key=lambda have: abs(math.log2(have / stride))) for stride in wanted]
    return [found[stride] for stride in reached], len(set(reached))


def _wanted(gene: str, architecture: Architecture, stages: Sequence[Stage], reached: int) -> Any:
    """The architecture's value for a gene; None where it has none."""
    scope, _, rest = gene.partition(".")
    name, block = (rest.partition(".")[::2]) if scope.startswith("stage") else (scope, rest)
    head, stem = architecture.head, architecture.stem
    whole = {
        "num_stages": reached,
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
    if name in ("fusion", "split"):  # a stage without a cross path says nothing about how the others join theirs
        stages = [stage for stage in stages if stage.cross] or stages
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
