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
from search.samplers import Exhausted
from search.samplers.pool import Candidate, Pool
from search.samplers.surrogate import DRAWS, Surrogate
from search.seeds import derive
from search.study import Study
from space.design import Genome

Array = np.ndarray[Any, Any]

ENOUGH = 8
"""Results from which a model is fitted; before, networks are spread over the space."""
OFFSPRING = 100
"""New networks costed a round; two rounds a generation."""
PARENTS = 10
ROUNDS = 10
"""Rounds of searching for networks within the limits before there are none."""
CELLS = 256
"""Budgets over which a hypervolume is averaged."""
AMONG = 25
"""Candidates of a share of which the first generation takes the one most unlike the others."""


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
        from threadpoolctl import threadpool_limits

        # One thread: sums in another order would be other proposals, and matrices this small gain nothing from more.
        with threadpool_limits(1):
            return self._propose(results, count, seed)

    def _propose(self, results: Sequence[Result], count: int, seed: int) -> list[Genome]:
        rng = np.random.default_rng(seed)
        told = [(c, r) for r in results if (c := self._pool.candidate(r.genome)) is not None]
        known = {c.id for c, _ in told}
        scattered = self._pool.scattered
        fresh = [c for c in scattered if c.id not in known and not c.excess]
        learnt = [(c, r) for c, r in told if r.objectives is not None and not c.excess]
        trained = sum(r.objectives[0] is not None for _, r in learnt if r.objectives is not None)
        if trained < ENOUGH:
            fresh += self._inside(known, count - len(fresh), rng)
            return [c.genome for c in self._spread(fresh, count, rng)]
        return self._chosen(learnt, fresh, known, count, seed, rng)

    def _inside(self, known: Collection[str], count: int, rng: np.random.Generator) -> list[Candidate]:
        """Networks where few are left or few keep the limits: more random ones, and the least excessive descend."""
        found: dict[str, Candidate] = {}
        parents = sorted(self._pool.scattered, key=lambda c: c.excess)[:PARENTS]
        for _ in range(ROUNDS if count > 0 and not self._pool.enumerable else 0):
            children = self._pool.offspring([c.genome for c in parents], OFFSPRING, known, rng)
            children += self._pool.random(OFFSPRING, known, rng)
            found |= {c.id: c for c in children if not c.excess}
            if len(found) >= count:
                break
            parents = sorted([*parents, *children], key=lambda c: c.excess)[:PARENTS]
        return list(found.values())

    def _chosen(self, learnt: Sequence[tuple[Candidate, Result]], fresh: list[Candidate], known: Collection[str],
                count: int, seed: int, rng: np.random.Generator) -> list[Genome]:  # fmt: skip
        """The generation of the greatest expected hypervolume improvement, from `fresh` and new offspring."""
        view = _View(self._study, self._pool, learnt, seed)
        values = view.observed()
        parents = [learnt[row][0] for row in pareto.best_first(values)[:PARENTS]]
        fresh = self._grown(fresh, parents, known, rng)
        if not fresh:
            fresh = self._inside(known, count, rng)
        scored = [c for (c, _), row in zip(learnt, values, strict=True) if row[0] == row[0]]
        gains = _Gains(view, scored, fresh, rng)
        gains.add(self._grown(fresh, gains.best(PARENTS), known, rng)[len(fresh) :])
        return [c.genome for c in gains.greedy(count)]

    def _grown(self, candidates: list[Candidate], parents: Sequence[Candidate], known: Collection[str],
               rng: np.random.Generator) -> list[Candidate]:  # fmt: skip
        """`candidates`, then offspring of `parents` within the limits."""
        if self._pool.enumerable:
            return candidates
        children = self._pool.offspring([c.genome for c in parents], OFFSPRING, known, rng)
        return list({c.id: c for c in [*candidates, *children] if not c.excess}.values())

    def _spread(self, candidates: Sequence[Candidate], count: int, rng: np.random.Generator) -> list[Candidate]:
        """`count` candidates, one from each of as many equal shares by MACs, each unlike those already taken."""
        if len(candidates) <= count:
            return list(candidates)
        ordered = sorted(candidates, key=lambda c: (c.costs["macs"], c.id))
        x = self._pool.vectors(ordered)
        shares = np.array_split(np.arange(len(ordered)), count)
        nearest = np.full(len(ordered), np.inf)
        chosen: dict[int, Candidate] = {}
        for turn in rng.permutation(count):
            some = rng.permutation(shares[turn])[:AMONG]
            row = int(some[np.argmax(nearest[some])])
            chosen[int(turn)] = ordered[row]
            nearest = np.minimum(nearest, ((x - x[row]) ** 2).sum(axis=1))
        return [chosen[turn] for turn in sorted(chosen)]


class _View:
    """How a generation sees candidates: objectives minimised, costs and times as logarithms, draws where modelled."""

    def __init__(self, study: Study, pool: Pool, learnt: Sequence[tuple[Candidate, Result]], seed: int) -> None:
        self._study, self._pool, self._learnt = study, pool, learnt
        x = pool.vectors([c for c, _ in learnt])
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
        x = self._pool.vectors(candidates)
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

    def __init__(self, view: _View, seen: Sequence[Candidate], candidates: Sequence[Candidate],
                 rng: np.random.Generator) -> None:  # fmt: skip
        self._view = view
        _, costs, _ = view([*seen, *candidates])
        self._low = [column.min() for column in costs]
        self._span = [max(column.max() - column.min(), 1e-9) for column in costs]
        self._budgets = rng.random((CELLS if costs else 1, len(costs)))
        score, fits, within = self._terms(seen)
        # Where nothing is within a budget: the worst score that was seen.
        self._best = np.repeat(score.max(axis=1, keepdims=True), len(self._budgets), axis=1)
        for row in range(len(seen)):
            self._take(score[:, row], fits[:, row], within[:, row])
        self._candidates: list[Candidate] = []
        self._rows: list[tuple[Array, Array, Array]] = []
        self._gains: list[float] = []
        self.add(candidates)

    def _terms(self, candidates: Sequence[Candidate]) -> tuple[Array, Array, Array]:
        """Scores (DRAWS, n), budgets that are kept (DRAWS or 1, n, cells), within limits (DRAWS or 1, n)."""
        score, costs, within = self._view(candidates)
        fits = np.ones((1, len(candidates), len(self._budgets)), bool)
        for index, column in enumerate(costs):
            scaled = (column - self._low[index]) / self._span[index]
            fits = fits & (scaled[:, :, None] <= self._budgets[:, index])
        return score, fits, within

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Consider these too."""
        if not candidates:
            return
        score, fits, within = self._terms(candidates)
        self._candidates += candidates
        for row in range(len(candidates)):
            self._rows.append((score[:, row], fits[:, row], within[:, row]))
            self._gains.append(self._gain(*self._rows[-1]))

    def _take(self, score: Array, fits: Array, within: Array) -> None:
        self._best = np.where(fits & within[:, None], np.minimum(self._best, score[:, None]), self._best)

    def _gain(self, score: Array, fits: Array, within: Array) -> float:
        return float(np.mean(np.maximum(self._best - score[:, None], 0.0) * (fits & within[:, None])))

    def best(self, count: int) -> list[Candidate]:
        """The candidates that would add most, each alone."""
        return [self._candidates[row] for row in np.argsort(-np.array(self._gains), kind="stable")[:count]]

    def greedy(self, count: int) -> list[Candidate]:
        """A batch, each the best addition to those before it.

        What a candidate adds only falls as others are taken, so only those that lead are looked at again.
        """
        queue = [(-gain, row) for row, gain in enumerate(self._gains)]
        heapq.heapify(queue)
        chosen: list[Candidate] = []
        while queue and len(chosen) < count:
            _, row = heapq.heappop(queue)
            gain = self._gain(*self._rows[row])
            if queue and -gain > queue[0][0]:
                heapq.heappush(queue, (-gain, row))
                continue
            chosen.append(self._candidates[row])
            self._take(*self._rows[row])
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
