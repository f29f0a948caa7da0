"""`screen`: model only what must be measured; count everything else.

Every other sampler here treats MACs, parameters and memory as unknown, though the graph tells them exactly in a
millisecond. This one knows them for every candidate before it proposes any, and so never proposes a known network or
one outside a limit on paper. The score is learnt by `search.samplers.surrogate` from what was trained; so is a
latency, as a logarithm, from what was measured (it is nearly a function of the graph; a table of the device's
layers will take the model's place).

A generation is chosen together, by expected hypervolume improvement. The hypervolume is written as an integral: over
budgets drawn evenly from the box of log costs, the best score within the budget. What a candidate adds to it is
averaged over draws of the models; the best is taken as if it were known to be what each draw says, then the next. So
a generation spreads by itself. (Monte Carlo batch improvement as in Daulton et al. 2020, greedy; our integral and our
models.) Everything derives from (study seed, generation) and the results so far.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, TrialState

from evaluator.metrics import METRICS
from search import pareto
from search.samplers import Exhausted, derive
from search.samplers.pool import Candidate, Encoder, Pool
from search.samplers.surrogate import DRAWS, Surrogate
from search.study import Study
from space.design import Genome

Array = np.ndarray[Any, Any]

ENOUGH = 8
"""Results from which a model is fitted; before, networks are spread over the space."""
OFFSPRING = 300
"""New networks costed a round; two rounds a generation."""
PARENTS = 30
CELLS = 256
"""Budgets over which a hypervolume is averaged."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A network that was proposed before, as the sampler was told of it; None is unknown.

    `objectives` are minimised; `limited` holds the metrics of the study's limits, in their order. A network that
    `failed` has no score, and counts as the worst: what fails is not proposed for ever.
    """

    genome: Genome
    objectives: Sequence[float | None] | None = None
    limited: Sequence[float | None] = ()
    failed: bool = False


class Screen:
    """Chooses generations for one study. Keeps what it counted, nothing that its choice depends on."""

    def __init__(self, study: Study) -> None:
        self._study, self._pool = study, Pool(study)

    def propose(self, results: Sequence[Result], count: int, seed: int) -> list[Genome]:
        """Up to `count` genomes of networks that are in no result and within the limits on paper; [] if none is left.

        The same results and the same seed give the same genomes.
        """
        rng = np.random.default_rng(seed)
        told = [(c, r) for r in results if (c := self._pool.candidate(r.genome)) is not None]
        known = {c.id for c, _ in told}
        scattered = self._pool.scattered(derive(self._study.seed, "scattered"))
        fresh = [c for c in scattered if c.id not in known and not c.excess]
        learnt = [(c, r) for c, r in told if r.objectives is not None and not c.excess]
        trained = sum(r.objectives[0] is not None for _, r in learnt if r.objectives is not None)
        if trained < ENOUGH:
            fresh += self._inside(scattered, known, count - len(fresh), rng)
            return [c.genome for c in spread(fresh, count, rng)]
        return self._chosen(learnt, scattered, fresh, known, count, seed, rng)

    def _inside(self, scattered: Sequence[Candidate], known: Collection[str], count: int,
                rng: np.random.Generator) -> list[Candidate]:  # fmt: skip
        """Networks within limits that few random ones meet: descend from those that break them least."""
        found: dict[str, Candidate] = {}
        parents = sorted(scattered, key=lambda c: c.excess)[:PARENTS]
        for _ in range(10 if count > 0 and not self._pool.enumerable else 0):
            children = self._pool.offspring([c.genome for c in parents], OFFSPRING, known, rng)
            found |= {c.id: c for c in children if not c.excess}
            if len(found) >= count:
                break
            parents = sorted([*parents, *children], key=lambda c: c.excess)[:PARENTS]
        return list(found.values())

    def _chosen(self, learnt: Sequence[tuple[Candidate, Result]], scattered: Sequence[Candidate],
                fresh: list[Candidate], known: Collection[str], count: int, seed: int,
                rng: np.random.Generator) -> list[Genome]:  # fmt: skip
        """The generation of the greatest expected hypervolume improvement, from `fresh` and new offspring."""
        view = _View(self._study, learnt, scattered, seed)
        values = view.observed()
        parents = [learnt[row][0] for row in pareto.best_first(values)[:PARENTS]]
        seen = [c for (c, _), row in zip(learnt, values, strict=True) if row[0] == row[0]]
        if not self._pool.enumerable:
            fresh = _union(fresh, self._pool.offspring([c.genome for c in parents], OFFSPRING, known, rng))
        gains = _Gains(view, seen, [*seen, *fresh], rng)
        if not self._pool.enumerable:
            first = gains.of(fresh)
            best = [fresh[row] for row in np.argsort(-first, kind="stable")[:PARENTS]]
            fresh = _union(fresh, self._pool.offspring([c.genome for c in best or parents], OFFSPRING, known, rng))
        inside = [c for c in fresh if not c.excess]
        if not inside:
            inside = self._inside(scattered, known, count, rng)
        return [inside[row].genome for row in gains.greedy(inside, count)]


def _union(*groups: Sequence[Candidate]) -> list[Candidate]:
    return list({c.id: c for group in groups for c in group if not c.excess}.values())


def spread(candidates: Sequence[Candidate], count: int, rng: np.random.Generator) -> list[Candidate]:
    """`count` candidates, one from each of as many equal shares by MACs, each unlike those already taken."""
    if len(candidates) <= count:
        return list(candidates)
    ordered = sorted(candidates, key=lambda c: (c.costs["macs"], c.id))
    x = Encoder(ordered)(ordered)
    shares = np.array_split(np.arange(len(ordered)), count)
    nearest = np.full(len(ordered), np.inf)
    chosen: dict[int, Candidate] = {}
    for turn in rng.permutation(count):
        some = rng.permutation(shares[turn])[:25]
        row = int(some[np.argmax(nearest[some])])
        chosen[int(turn)] = ordered[row]
        nearest = np.minimum(nearest, ((x - x[row]) ** 2).sum(axis=1))
    return [chosen[turn] for turn in sorted(chosen)]


class _View:
    """How a generation sees candidates: objectives minimised, costs and times as logarithms, draws where modelled."""

    def __init__(self, study: Study, learnt: Sequence[tuple[Candidate, Result]], scattered: Sequence[Candidate],
                 seed: int) -> None:  # fmt: skip
        self._study = study
        self._learnt = learnt
        seen = [c for c, _ in learnt]
        self._encode = Encoder([*scattered, *seen])
        x = self._encode(seen)
        self._models: dict[str, Surrogate] = {}
        for index, objective in enumerate(study.objectives):
            if not METRICS[objective.metric].paper:
                told = [r.objectives[index] if r.objectives is not None else None for _, r in learnt]
                if index == 0:
                    worst = max(value for value in told if value is not None)
                    told = [worst if r.failed else v for v, (_, r) in zip(told, learnt, strict=True)]
                self._fit(objective.metric, x, [None if v is None else _sign(objective.metric) * v for v in told], seed)
        for index, limit in enumerate(study.limits):
            if not METRICS[limit.metric].paper and limit.metric not in self._models:
                self._fit(limit.metric, x, [r.limited[index] for _, r in learnt], seed)

    def _fit(self, name: str, x: Array, values: Sequence[float | None], seed: int) -> None:
        rows = [row for row, value in enumerate(values) if value is not None]
        if len(rows) >= ENOUGH:
            y = _scaled(name, np.array([values[row] for row in rows], float))
            self._models[name] = Surrogate(x[rows], y, derive(seed, name))

    def _values(self, name: str, candidates: Sequence[Candidate], x: Array) -> Array:
        """(DRAWS or 1, n) of a metric; zero where nothing is known of it yet."""
        if METRICS[name].paper:
            return _scaled(name, np.array([[c.costs[name] for c in candidates]]))
        return self._models[name].draws(x) if name in self._models else np.zeros((1, len(candidates)))

    def __call__(self, candidates: Sequence[Candidate]) -> tuple[Array, list[Array], Array]:
        """The score (DRAWS, n), the other objectives (DRAWS or 1, n) each, and within limits (DRAWS or 1, n)."""
        x = self._encode(candidates)
        columns = [_sign(o.metric) * self._values(o.metric, candidates, x) for o in self._study.objectives]
        within = np.ones((1, len(candidates)), bool)
        for limit in self._study.limits:
            if limit.metric in self._models:
                bound = _scaled(limit.metric, np.array(limit.bound))
                values = self._values(limit.metric, candidates, x)
                within = within & (values <= bound if limit.relation == "<=" else values >= bound)
        return np.broadcast_to(columns[0], (DRAWS, len(candidates))), columns[1:], within

    def observed(self) -> Array:
        """(n, objectives) of what was measured, minimised and scaled; NaN where unknown."""
        raw = np.array([[np.nan if v is None else v for v in r.objectives or ()] for _, r in self._learnt], float)
        for column, objective in enumerate(self._study.objectives):
            sign = _sign(objective.metric)
            raw[:, column] = sign * _scaled(objective.metric, sign * raw[:, column])
        return raw


def _sign(name: str) -> float:
    return -1.0 if METRICS[name].direction == "maximize" else 1.0


def _scaled(name: str, values: Array) -> Array:
    """Costs and times as logarithms: twice the MACs is one step anywhere."""
    known = METRICS[name]
    return np.log(np.maximum(values, 1e-9)) if known.paper or known.unit in ("s", "ms") else values


class _Gains:
    """What candidates add to the hypervolume of what was seen, by draw of the models."""

    def __init__(self, view: _View, seen: Sequence[Candidate], everything: Sequence[Candidate],
                 rng: np.random.Generator) -> None:  # fmt: skip
        self._view = view
        score, costs, _ = view(everything)
        self._low = [column.min() for column in costs]
        self._span = [max(column.max() - column.min(), 1e-9) for column in costs]
        self._budgets = rng.random((CELLS if costs else 1, len(costs)))
        # Where nothing is within a budget: the worst score that was seen.
        self._best = np.repeat(score[:, : len(seen)].max(axis=1, keepdims=True), len(self._budgets), axis=1)
        score, reach, within = self._terms(seen)
        for row in range(len(seen)):
            self._take(score[:, row], reach(row), within[:, row])

    def _terms(self, candidates: Sequence[Candidate]) -> tuple[Array, Callable[[int], Array], Array]:
        """Scores (DRAWS, n); the budgets that candidate `row` fits, (DRAWS or 1, cells); within limits."""
        score, costs, within = self._view(candidates)
        scaled = [(column - low) / span for column, low, span in zip(costs, self._low, self._span, strict=True)]

        def reach(row: int) -> Array:
            fits = np.ones((1, len(self._budgets)), bool)
            for index, column in enumerate(scaled):
                fits = fits & (column[:, row, None] <= self._budgets[None, :, index])
            return fits

        return score, reach, within

    def _take(self, score: Array, fits: Array, within: Array) -> None:
        self._best = np.where(fits & within[:, None], np.minimum(self._best, score[:, None]), self._best)

    def _gain(self, score: Array, fits: Array, within: Array) -> float:
        better = np.maximum(self._best - score[:, None], 0.0)
        return float(np.mean(better * fits * within[:, None]))

    def of(self, candidates: Sequence[Candidate]) -> Array:
        """The expected improvement by each of `candidates` alone."""
        score, reach, within = self._terms(candidates)
        return np.array([self._gain(score[:, row], reach(row), within[:, row]) for row in range(len(candidates))])

    def greedy(self, candidates: Sequence[Candidate], count: int) -> list[int]:
        """Rows of a batch, each the best addition to those before it.

        What a candidate adds only falls as others are taken, so only those that lead are looked at again.
        """
        score, reach, within = self._terms(candidates)
        queue = [(-gain, row) for row, gain in enumerate(self.of(candidates))]
        heapq.heapify(queue)
        chosen: list[int] = []
        while queue and len(chosen) < count:
            _, row = heapq.heappop(queue)
            gain = self._gain(score[:, row], reach(row), within[:, row])
            if queue and -gain > queue[0][0]:
                heapq.heappush(queue, (-gain, row))
                continue
            chosen.append(row)
            self._take(score[:, row], reach(row), within[:, row])
        return chosen


class ScreenSampler(BaseSampler):
    """One generation of `screen` for Optuna: the first trial chooses, the others take their turn.

    `to_genome` and `to_params` translate between Optuna's parameters and genomes; all of a study's genes are
    parameters of every trial. Trials hold objectives minimised, with `unknown` for None, and constraints named
    `limit0`, `limit1`, … in the order of the study's limits, then one for failure. `sample_relative` raises Exhausted.
    """

    def __init__(self, screen: Screen, study: Study, distributions: dict[str, BaseDistribution], seed: int,
                 to_genome: Callable[[dict[str, Any]], Genome], to_params: Callable[[Genome], dict[str, Any]],
                 unknown: float) -> None:  # fmt: skip
        self._screen, self._study, self._distributions, self._seed = screen, study, distributions, seed
        self._to_genome, self._to_params, self._unknown = to_genome, to_params, unknown
        self._batches = 0
        self._batch: list[Genome] = []

    def infer_relative_search_space(self, study: OptunaStudy, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(self, study: OptunaStudy, trial: FrozenTrial,
                        search_space: dict[str, BaseDistribution]) -> dict[str, Any]:  # fmt: skip
        if "fixed_params" in trial.system_attrs:
            return {}
        if not self._batch:
            seed = derive(self._seed, "batch", self._batches)
            results = [found for t in study.get_trials(deepcopy=False) if (found := self._result(t)) is not None]
            self._batch = self._screen.propose(results, self._study.population, seed)
            self._batches += 1
            if not self._batch:
                raise Exhausted
        return self._to_params(self._batch.pop(0))

    def _result(self, trial: FrozenTrial) -> Result | None:
        params = {**trial.params, **trial.system_attrs.get("fixed_params", {})}
        if len(params) < len(self._distributions):
            return None  # the trial that is being asked for
        genome = self._to_genome(params)
        if trial.state != TrialState.COMPLETE:
            return Result(genome=genome)
        objectives = [None if value == self._unknown else value for value in trial.values]
        excess = [trial.constraints.get(f"limit{index}", 0.0) for index in range(len(self._study.limits))]
        limited = [limit.value(e) if e else None for limit, e in zip(self._study.limits, excess, strict=True)]
        failed = trial.constraints.get(f"limit{len(self._study.limits)}", 0.0) > 0
        return Result(genome=genome, objectives=objectives, limited=limited, failed=failed)

    def sample_independent(self, study: OptunaStudy, trial: FrozenTrial, param_name: str,
                           param_distribution: BaseDistribution) -> Any:  # fmt: skip
        raise AssertionError(f"'{param_name}' is no gene of the study")
