"""The design space: axes with choices, rules with reasons, and what a search needs of them.

A proposal is a *genome*: one choice for every axis, always all of them, so that samplers see a fixed space.
`DesignSpace.build` turns it into the canonical `Architecture`; axes that turn out to be ignored (the growth
rate of a residual stage, the fourth stage of a three-stage network) simply have no effect, and the canonical
form makes such genomes one network with one id.

Channels of every stage's paths and inner widths are multiples of `channel_multiple` (16 by default; widths that are
not multiples of 16 ran two to four times slower per operation on the CPUs measured); the halves of elastic and
two-way blocks and the quarters of res2 are what they are of such a width. `round_channels` is the one rule, applied
here and nowhere else; a rounded partial ratio is kept as the share that results.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from space.architecture import (
    BLOCK_AXES,
    BLOCK_OPTIONS,
    Architecture,
    ArchitectureError,
    Head,
    Stage,
    Stem,
    canonical_stage,
    widest_cross,
)
from space.axes import (
    HEAD_AXES,
    NETWORK_AXES,
    OPTIONAL,
    STAGE_AXES,
    Axis,
    SpaceError,
    problem,
    read_axes,
    round_channels,
)
from space.blocks import BLOCKS
from space.heads import canonical_head
from space.registry import unknown
from space.stems import canonical_stem

Genome = dict[str, Any]
"""Choice by gene name, for example `{"block": "res", "stage2.width": 96, …}`."""

CONV_POOL = {"kernel": 7, "pool": 3}
"""The `conv_pool` stem that a space proposes: ResNet's."""
TWO_WAY = ("dense_two_way", "dense_sparse")
"""Blocks whose growth rate is shared by two ways."""
QUARTERS = 4
"""Parts into which a res2 block cuts its main path."""


@dataclass(frozen=True, kw_only=True)
class DesignSpace:
    """Axes and the rules that hold between them."""

    axes: tuple[Axis, ...]
    stem_stride: int = 4
    channel_multiple: int = 16
    head: str = "detector"

    # -- reading

    @staticmethod
    def from_dict(data: Mapping[str, Any], *, head: str = "detector", where: str = "[space]") -> DesignSpace:
        """The space that a study file declares.

        `data` has `shared`, `per_stage`, `network` and `head` tables of axes, plus `stem_stride` and
        `channel_multiple`. An axis is a list of choices; per stage it may be a list of such lists; it may be a
        table of block -> choices. Raises SpaceError with `where`, the key, and what is allowed.
        """
        sections = {"shared": STAGE_AXES, "per_stage": STAGE_AXES, "network": NETWORK_AXES, "head": HEAD_AXES}
        scalars = ("stem_stride", "channel_multiple")
        for key in data:
            if key not in sections and key not in scalars:
                raise SpaceError(f"{where} {unknown('key', key, [*sections, *scalars])}")
        axes: list[Axis] = []
        for section, allowed in sections.items():
            if section == "head" and head != "detector":
                continue
            for name, choices in data.get(section, {}).items():
                spot = f"{where[:-1]}.{section}]"
                if name not in allowed:
                    raise SpaceError(f"{spot} {unknown('axis', name, list(allowed))}")
                if any(axis.name == name for axis in axes):
                    raise SpaceError(f"{spot} axis '{name}' is declared as shared and per stage; keep one")
                axes.extend(read_axes(name, choices, section == "per_stage", spot))
        space = DesignSpace(axes=tuple(axes), head=head, **{key: data[key] for key in scalars if key in data})
        space._validate(where)
        return space

    def _validate(self, where: str) -> None:
        needed = {*STAGE_AXES, *NETWORK_AXES} - set(OPTIONAL)
        if self.head == "detector":
            needed |= set(HEAD_AXES) - set(OPTIONAL)
        blocks = {value for axis in self.axes if axis.name == "block" for c in axis.choices for value in c}
        read = {axis for block in blocks if block in BLOCKS for axis in BLOCKS.get(block).reads}
        needed -= {"bottleneck_ratio", "growth_rate", "cardinality"} - read
        missing = sorted(needed - {axis.name for axis in self.axes})
        if missing:
            raise SpaceError(f"{where} lacks the axis {', '.join(repr(name) for name in missing)}")
        for axis in self.axes:
            for choices in axis.choices:
                for value in choices:
                    wrong = problem(axis.name, value)
                    if wrong:
                        raise SpaceError(f"{where} axis '{axis.name}': {wrong}")
        if self.stem_stride not in (2, 4):
            raise SpaceError(f"{where} stem_stride {self.stem_stride!r} is not 2 or 4")
        fixed = [name for name in self._choices("stem") if name != "double"]
        if fixed and self.stem_stride != 4:
            raise SpaceError(f"{where} stem '{fixed[0]}' has stride 4; set stem_stride = 4 or leave it out")
        if self.channel_multiple not in (1, 2, 4, 8, 16, 32):
            raise SpaceError(f"{where} channel_multiple {self.channel_multiple!r} is not 1, 2, 4, 8, 16 or 32")
        if self.head == "detector" and min(self._choices("num_stages")) < 3:
            raise SpaceError(f"{where} a detector reads three scales: num_stages must be at least 3")

    def _choices(self, name: str) -> tuple[Any, ...]:
        return next((axis.choices[0] for axis in self.axes if axis.name == name), (OPTIONAL.get(name),))

    # -- genes

    @cached_property
    def genes(self) -> dict[str, tuple[Any, ...]]:
        """Choices by gene name, in a fixed order."""
        stages = max(self._choices("num_stages"))
        return dict(gene for axis in self.axes for gene in axis.genes(stages))

    def build(self, genome: Mapping[str, Any]) -> Architecture:
        """The canonical architecture of a genome.

        Raises ArchitectureError with the rule that a combination breaks, KeyError for a missing gene.
        """
        stages = tuple(self._read_stage(genome, index) for index in range(1, genome["num_stages"] + 1))
        return Architecture(
            stem=self._stem(genome), stages=stages, head=self._head(genome), activation=genome["activation"]
        ).canonical()

    def _stem(self, genome: Mapping[str, Any]) -> Stem:
        kind = genome.get("stem", OPTIONAL["stem"])
        if kind == "double":
            return Stem(width=round_channels(genome["stem_width"], self.channel_multiple), stride=self.stem_stride)
        # The others give stage 1 its channels as they are.
        return Stem(kind=kind, width=None, stride=None, **(CONV_POOL if kind == "conv_pool" else {}))

    def _head(self, genome: Mapping[str, Any]) -> Head:
        if self.head != "detector":
            return Head(kind=self.head, fusion=None, width=None, maxout=None)
        attention = genome.get("attention", "none")
        width = round_channels(genome["head_width"], self.channel_multiple)
        return Head(
            kind=self.head,
            fusion=genome["head_fusion"],
            width=width,
            maxout=math.gcd(genome["maxout"], width),
            attention=None if attention == "none" else attention,
            spp=genome.get("spp", False),
        )

    def _read_stage(self, genome: Mapping[str, Any], index: int) -> Stage:
        def read(name: str, block: str | None = None) -> Any:
            for key in (f"stage{index}.{name}.{block}", f"stage{index}.{name}", f"{name}.{block}", name):
                if key in genome:
                    return genome[key]
            return OPTIONAL.get(name)

        block = read("block")
        return self.stage(block, {name: read(name, block) for name in STAGE_AXES if name != "block"})

    def stage(self, block: str, values: Mapping[str, Any]) -> Stage:
        """A stage whose paths are all multiples of `channel_multiple` wide; `values` are by axis."""
        part = BLOCKS.get(block)
        multiple = math.lcm(self.channel_multiple, QUARTERS) if block == "res2" else self.channel_multiple
        width = round_channels(values["width"], multiple)
        cross = 0
        if values["fusion"] != "none" and values["partial_ratio"] > 0:
            cross = min(round_channels(width * values["partial_ratio"], multiple), width - multiple)
        main = width - cross
        ratio, groups, growth = values["bottleneck_ratio"], values["cardinality"], values["growth_rate"]
        elastic = bool(values["elastic"]) and "elastic" in part.reads
        if "growth_rate" in part.reads:
            growth = max(round_channels(growth, multiple), 2 if block in TWO_WAY else 1)
        outer = growth if part.grows else main
        if "bottleneck_ratio" in part.reads:
            inner = round_channels(outer * ratio, multiple)
            ratio = inner / outer
        if "cardinality" in part.reads:
            groups = self._groups(block, main, ratio, groups, elastic=elastic)
        return Stage(
            block=block,
            depth=values["depth"],
            width=width,
            fusion=values["fusion"] if cross else "none",
            partial_ratio=cross / width,
            split=values["split"] if cross else "slice",
            bottleneck_ratio=ratio,
            growth_rate=growth,
            cardinality=groups,
            elastic=elastic,
            squeeze=values["squeeze"],
        )

    def _groups(self, block: str, main: int, ratio: float | None, wanted: int, *, elastic: bool) -> int:
        """The largest number of groups, at most `wanted`, that divides what the block groups."""
        if block == "res2":
            return math.gcd(wanted, main // QUARTERS)
        if not elastic:
            return math.gcd(wanted, round(main * (ratio or 1)))
        halves = [max(1, round(half * (ratio or 1))) for half in (main // 2, main - main // 2)]
        each = math.gcd(max(1, wanted // 2), *halves)
        return 2 * each if each > 1 else 1

    # -- proposals

    def sample(self, rng: np.random.Generator) -> Genome:
        """A uniform random genome among those that can be built."""
        while True:
            draws = rng.random(len(self.genes)).tolist()
            genome = {name: choices[int(draw * len(choices))]
                      for draw, (name, choices) in zip(draws, self.genes.items(), strict=True)}  # fmt: skip
            if self.valid(genome):
                return genome

    def valid(self, genome: Mapping[str, Any]) -> bool:
        """Whether a genome breaks no rule."""
        try:
            self.build(genome)
        except ArchitectureError:
            return False
        return True

    def mutate(self, genome: Mapping[str, Any], rng: np.random.Generator, *, rate: float | None = None) -> Genome:
        """A genome that differs in at least one gene; each changes with probability `rate` (default 1/n)."""
        names = [name for name, choices in self.genes.items() if len(choices) > 1]
        rate = 1 / len(names) if rate is None else rate
        chosen = [name for name in names if rng.random() < rate] or [names[int(rng.integers(len(names)))]]
        child = dict(genome)
        for name in chosen:
            others = [choice for choice in self.genes[name] if choice != genome[name]]
            child[name] = others[int(rng.integers(len(others)))]
        return child

    def crossover(self, a: Mapping[str, Any], b: Mapping[str, Any], rng: np.random.Generator) -> Genome:
        """Each gene from one of two parents (uniform crossover)."""
        return {name: (a if rng.random() < 0.5 else b)[name] for name in self.genes}

    def neighbours(self, genome: Mapping[str, Any]) -> Iterator[Genome]:
        """All genomes that differ in exactly one gene."""
        for name, choices in self.genes.items():
            for choice in choices:
                if choice != genome[name]:
                    yield {**genome, name: choice}

    def enumerate(self) -> Iterator[Genome]:
        """All genomes in a fixed order; for small spaces."""
        for values in itertools.product(*self.genes.values()):
            yield dict(zip(self.genes, values, strict=True))

    @cached_property
    def num_genomes(self) -> int:
        """Spellings: the product of all choices."""
        return math.prod(len(choices) for choices in self.genes.values())

    def extremes(self) -> list[Genome]:
        """The genomes of all first and of all last choices: with ascending choices, the ends of the space."""
        return [{name: choices[end] for name, choices in self.genes.items()} for end in (0, -1)]

    @cached_property
    def size(self) -> int:
        """Number of different networks that can be built: canonical forms counted once, exactly.

        For each choice of the shared genes a network is an element of a product of per-stage sets of canonical
        stages; the union of these products is counted by splitting on one stage at a time.
        """
        shared = {name: choices for name, choices in self.genes.items() if not name.startswith("stage")}
        staged = [name for name in shared if name.partition(".")[0] in STAGE_AXES]
        boxes: dict[int, set[tuple[frozenset[Stage], ...]]] = {}
        seen: dict[tuple[Any, ...], list[frozenset[Stage]]] = {}
        for values in itertools.product(*(shared[name] for name in staged)):
            base = dict(zip(staged, values, strict=True))
            key = tuple(base[name] for name in staged if _matters(name, base.get("block")))
            if key in seen:
                continue
            sets = [self._stage_set(base, index + 1) for index in range(max(self._choices("num_stages")))]
            seen[key] = sets
            for count in self._choices("num_stages"):
                boxes.setdefault(count, set()).add(tuple(sets[:count]))
        rest = len(self._parts(("stem", "stem_width"), self._stem, canonical_stem)) * len(self._choices("activation"))
        rest *= len(self._parts(HEAD_AXES, self._head, canonical_head))
        return rest * sum(_union_size(tuple(group), 0) for group in boxes.values())

    def _parts(self, names: Sequence[str], build: Callable[[Genome], Any], canonical: Callable[[Any], Any]) -> set[Any]:
        """All canonical stems or heads that can exist."""
        found = set()
        own = [name for name in names if name in self.genes]
        for values in itertools.product(*(self.genes[name] for name in own)):
            with contextlib.suppress(ArchitectureError):
                found.add(canonical(build(dict(zip(own, values, strict=True)))))
        return found

    def _stage_set(self, base: Genome, index: int) -> frozenset[Stage]:
        """All canonical stages at position `index`, given the shared genes."""
        own = {name: c for name, c in self.genes.items() if name.startswith(f"stage{index}.")}
        prefix = f"stage{index}."
        stages = set()
        for block in own.get(f"{prefix}block", (base.get("block"),)):
            # Genes that this block ignores have one effect, none.
            live = {name: choices if _matters(name.removeprefix(prefix), block) else choices[:1]
                    for name, choices in own.items() if name != f"{prefix}block"}  # fmt: skip
            for values in itertools.product(*live.values()):
                genome = {**base, f"{prefix}block": block, **dict(zip(live, values, strict=True))}
                stages.add(canonical_stage(self._read_stage(genome, index)))
        return frozenset(stages)

    def encode(self, genome: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """Features for a predictor: ordered genes scaled to 0…1 by rank, named ones one-hot."""
        features: list[float] = []
        for name, choices in self.genes.items():
            if isinstance(choices[0], str):
                features.extend(float(genome[name] == choice) for choice in choices)
            else:
                features.append(choices.index(genome[name]) / max(1, len(choices) - 1))
        return np.array(features)


def _matters(gene: str, block: str | None) -> bool:
    """Whether a shared stage gene has an effect in stages of `block` (None: the block differs by stage)."""
    name, _, only = gene.partition(".")
    if block is None or name not in (*BLOCK_AXES, *BLOCK_OPTIONS):
        return True
    return name in BLOCKS.get(block).reads and only in ("", block)


def _union_size(boxes: tuple[tuple[frozenset[Stage], ...], ...], above: int) -> int:
    """Number of valid tuples in the union of products of stage sets; the first stage is wider than `above`."""
    if not boxes:
        return 0
    if not boxes[0]:
        return 1
    groups: dict[tuple[tuple[int, ...], int], int] = {}
    for element in frozenset().union(*(box[0] for box in boxes)):
        if element.width > above:
            inside = tuple(index for index, box in enumerate(boxes) if element in box[0])
            key = (inside, widest_cross(element))
            groups[key] = groups.get(key, 0) + 1
    return sum(
        count * _union_size(tuple({boxes[index][1:] for index in inside}), needed)
        for (inside, needed), count in groups.items()
    )
