"""Candidates with all that paper says of them: exact costs, limits kept, and traits for a model to learn from.

A network is costed once, however many genomes spell it, in about a millisecond without torch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from evaluator.metrics import METRICS
from search.seeds import derive
from search.study import Study
from space.architecture import Architecture, ArchitectureError
from space.cost import breakdown, cost
from space.design import Genome
from space.graph import Graph
from space.lower import lower

ENUMERABLE = 2_000
"""Spaces of at most this many genomes are gone through completely, so that nothing in them is missed."""
SCATTERED = 500
"""Random networks that every generation chooses from besides the descendants of what was found."""
TRIES = 5
"""Genomes looked at for each new network wanted, before taking what there is."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network that may be proposed: `excess` is how far it lies outside the limits on paper, 0 within."""

    id: str
    genome: Genome
    costs: Mapping[str, float]
    traits: Mapping[str, float]
    excess: float


class Pool:
    """Candidates of a study's space, each costed once."""

    def __init__(self, study: Study) -> None:
        self.space, self._deployment = study.space, study.deployment
        self._predictors = study.predictors
        self._seed = derive(study.seed, "scattered")
        self._limits = [limit for limit in study.limits if METRICS[limit.metric].paper]
        self._seen: dict[tuple[Any, ...], str | None] = {}
        self._candidates: dict[str, Candidate] = {}
        self._vectors: dict[str, Array] = {}
        self.enumerable = self.space.num_genomes <= ENUMERABLE

    def candidate(self, genome: Genome) -> Candidate | None:
        """The candidate that a genome spells; None if it breaks a rule of the space."""
        spelling = tuple(genome[name] for name in self.space.genes)
        if spelling not in self._seen:
            try:
                architecture = self.space.build(genome)
            except ArchitectureError:
                self._seen[spelling] = None
                return None
            self._seen[spelling] = architecture.id
            if architecture.id not in self._candidates:
                self._candidates[architecture.id] = self.costed(architecture, genome)
        identity = self._seen[spelling]
        return None if identity is None else self._candidates[identity]

    def costed(self, architecture: Architecture, genome: Genome) -> Candidate:
        """The candidate of a canonical architecture, which `genome` spells."""
        d = self._deployment
        graph = lower(architecture, d.height, d.width, num_classes=d.num_classes)
        counted = cost(graph, batch=d.batch, precision=d.precision)
        costs = {name: float(getattr(counted, name)) for name, known in METRICS.items() if known.paper}
        costs |= {name: found(architecture) for name, found in self._predictors.items()}
        excess = sum(max(0.0, limit.violation(costs[limit.metric])) for limit in self._limits)
        return Candidate(id=architecture.id, genome=dict(genome), costs=costs,
                         traits=traits(architecture, graph, costs), excess=excess)  # fmt: skip

    @cached_property
    def scattered(self) -> list[Candidate]:
        """Random candidates, within the limits and beyond, or the whole space if it is small."""
        rng = np.random.default_rng(self._seed)
        if not self.enumerable:
            return self.random(SCATTERED, (), rng)
        return list({c.id: c for g in self.space.enumerate() if (c := self.candidate(g)) is not None}.values())

    def random(self, count: int, known: Collection[str], rng: np.random.Generator) -> list[Candidate]:
        """The networks of `count` random genomes that are not in `known`."""
        drawn = (self.candidate(self.space.sample(rng)) for _ in range(count))
        return list({c.id: c for c in drawn if c is not None and c.id not in known}.values())

    @cached_property
    def _encode(self) -> Encoder:
        return Encoder(self.scattered)

    def vectors(self, candidates: Sequence[Candidate]) -> Array:
        """(n, columns) of `candidates`, scaled by what is scattered over the space."""
        new = [c for c in candidates if c.id not in self._vectors]
        if new:
            self._vectors |= {c.id: row for c, row in zip(new, self._encode(new), strict=True)}
        return np.array([self._vectors[c.id] for c in candidates])

    def offspring(self, parents: Sequence[Genome], count: int, known: Collection[str],
                  rng: np.random.Generator) -> list[Candidate]:  # fmt: skip
        """Up to `count` networks not in `known`, mutants of `parents` and of crossings between them."""
        found: dict[str, Candidate] = {}
        genes = sum(len(choices) > 1 for choices in self.space.genes.values())
        for _ in range(count * TRIES if genes and parents else 0):
            genome = parents[int(rng.integers(len(parents)))]
            crossed = len(parents) > 1 and rng.random() < 0.5
            if crossed:
                genome = self.space.crossover(genome, parents[int(rng.integers(len(parents)))], rng)
            if not crossed or rng.random() < 0.5:
                genome = self.space.mutate(genome, rng, rate=float(rng.integers(1, 4)) / genes)
            candidate = self.candidate(genome)
            if candidate is not None and candidate.id not in known:
                found[candidate.id] = candidate
                if len(found) == count:
                    break
        return list(found.values())


def traits(architecture: Architecture, graph: Graph, costs: Mapping[str, float]) -> dict[str, float]:
    """What a model may learn from, by name: named choices as `key=choice`: 1, whole numbers and costs as logarithms.

    Of the canonical network, so that genes without an effect say nothing.
    """
    spec = architecture.to_dict()
    found: dict[str, float] = {"stages": float(len(spec["stages"])), f"activation={spec['activation']}": 1.0}
    _put(found, "stem", spec["stem"])
    _put(found, "head", spec["head"])
    share = 1 / len(spec["stages"])
    for index, stage in enumerate(spec["stages"], start=1):
        own: dict[str, float] = {}
        _put(own, "", stage)
        for key, value in own.items():
            found[f"stage{index}{key}"] = value
            found[f"mean{key}"] = found.get(f"mean{key}", 0.0) + share * value
    found |= {f"{name} {metric}": math.log(1 + getattr(part, metric))
              for name, _, _, part in breakdown(graph, by="stage") for metric in ("macs", "params")}  # fmt: skip
    return found | {name: math.log(max(value, 1.0)) for name, value in costs.items()}


def _put(found: dict[str, float], prefix: str, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is None or isinstance(value, str | bool):
            found[f"{prefix}.{key}={value}"] = 1.0
        elif isinstance(value, int):
            found[f"{prefix}.{key}"] = math.log2(max(value, 1))
        elif isinstance(value, float):
            found[f"{prefix}.{key}"] = value


class Encoder:
    """Traits as a matrix, each column scaled to mean 0 and standard deviation 1 over the `sample`.

    A number that a network does not have (the width of a fourth stage) is the mean of those that have it; a name
    that the sample does not have is left out.
    """

    def __init__(self, sample: Sequence[Candidate]) -> None:
        self._names = sorted({name for c in sample for name in c.traits})
        self._mean, self._scale = np.zeros(len(self._names)), np.ones(len(self._names))
        self._fill = np.zeros(len(self._names))
        raw = self._raw(sample)
        numbers = np.array(["=" not in name for name in self._names])
        present = ~np.isnan(raw)
        sums = np.where(present, raw, 0.0).sum(axis=0)
        self._fill = np.where(numbers, sums / np.maximum(1, present.sum(axis=0)), 0.0)
        filled = np.where(present, raw, self._fill)
        spread = filled.std(axis=0)
        self._varies = spread > 1e-9
        self._mean, self._scale = filled.mean(axis=0), np.where(self._varies, spread, 1.0)

    def _raw(self, candidates: Sequence[Candidate]) -> Array:
        return np.array([[c.traits.get(name, math.nan) for name in self._names] for c in candidates], float)

    def __call__(self, candidates: Sequence[Candidate]) -> Array:
        """(n, columns) of `candidates`."""
        raw = self._raw(candidates)
        filled = np.where(np.isnan(raw), self._fill, raw)
        result: Array = ((filled - self._mean) / self._scale)[:, self._varies]
        return result
