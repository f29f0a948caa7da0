"""python -m benchmarks.rungs: do rungs reach a front with less training than one rung? Searches on learning curves.

The table has a row a training of random architectures (`benchmarks.proxy` makes one): id, spec, seed, image_visits,
the score, proxy_macs and cpu_seconds, and from_image_visits where a training was continued. The first seed's trainings
are the learning curves that a search sees; the truth is the mean of the other seeds at the greatest length.

A search proposes architectures that nobody trained, so their curves are modelled: a ridge regression on the
architecture for every length and for the truth, plus all residuals (left-one-out) of one of the eight real
architectures nearest in predicted truth, drawn anew for every architecture and search. How much an early rung tells of
the last is therefore that of the table: its residuals are joint over the lengths, seed noise included. Sampler, loop,
schedule and store are the product's own. Costs are processor seconds, fitted on the table: every evaluation pays its
validation, and a promotion continues from the end of the trunk.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cyclopts import App
from rich.progress import track
from scipy.optimize import nnls
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evaluator.metrics import METRICS
from evaluator.profile import latency
from evaluator.recipe import recipe_for
from evaluator.record import Deployment, Evaluation, Job, Measurement, environment
from evaluator.tasks import TASKS
from search import pareto
from search.agreement import Estimate, bootstrap, kendall_interval
from search.frame import axes
from search.loop import Search
from search.run import _study_row
from search.schedule import rungs
from search.seeds import derive
from search.store import Store
from search.study import DEFAULT, Study, load
from space.architecture import Architecture
from space.cost import Cost, cost
from space.lower import lower

Array = np.ndarray[Any, np.dtype[np.float64]]
SHARES = ((1.0,), (0.5,), (0.25,), (0.5, 1.0), (0.25, 1.0), (0.125, 1.0), (0.25, 0.5, 1.0), (0.125, 0.25, 1.0))
"""Ladders, as shares of the proxy's length; those of which the table lacks a length are left out."""
KEEPS = (0.25, 0.33, 0.5)
NEAREST = 8
OVERHEAD_SECONDS = 1.0
"""Of every candidate besides training: proposing it and measuring its latency."""
AT = (0.25, 0.5, 1.0)
"""Shares of the training of one rung at which hypervolumes are compared."""

app = App(help=__doc__, version_flags=[])


class Curves:
    """Learning curves, truth and cost of any architecture, by the table."""

    def __init__(self, frame: pd.DataFrame, study: Study, score: str) -> None:
        frame = frame.assign(spec=frame.groupby("id")["spec"].transform("first"))
        if "from_image_visits" not in frame:
            frame["from_image_visits"] = 0
        if METRICS[score].direction == "minimize":
            frame = frame.assign(**{score: -frame[score]})
        first, longest = frame["seed"].iloc[0], frame["image_visits"].max()
        curves = frame[frame["seed"] == first].pivot(index="id", columns="image_visits", values=score).dropna()
        truth = frame[(frame["image_visits"] == longest) & (frame["seed"] != first)].groupby("id")[score].mean()
        self.ids = [i for i in curves.index if i in truth.index]
        self.lengths = [int(visits) for visits in curves.columns]
        self.longest = int(longest)
        self.values: Array = np.column_stack([curves.loc[self.ids], truth.loc[self.ids]])
        """(architectures, lengths + 1); the last column is the truth. Higher is better."""
        specs = frame.drop_duplicates("id").set_index("id")["spec"]
        self.architectures = [Architecture.from_dict(json.loads(specs[i])) for i in self.ids]
        self.study = study
        self._features = [features(a) for a in self.architectures]
        self._model = self._fit(self.values, self._features)
        self._means: dict[str, Array] = {}
        out = [self._without(row) for row in range(len(self.ids))]
        self.residuals: Array = self.values - np.array(out)
        self.explained = 1 - (self.residuals**2).sum(0) / ((self.values - self.values.mean(0)) ** 2).sum(0)
        self._predicted_truth = np.array(out)[:, -1]
        self._fit_seconds(frame)

    def _fit(self, values: Array, known: list[dict[str, Any]]) -> Any:
        ridge = RidgeCV(alphas=np.logspace(0, 3, 13))
        return make_pipeline(DictVectorizer(sparse=False), StandardScaler(), ridge).fit(known, values)

    def _without(self, row: int) -> Array:
        """What the others say of one architecture of the table."""
        others = [known for index, known in enumerate(self._features) if index != row]
        predicted: Array = self._fit(np.delete(self.values, row, 0), others).predict([self._features[row]])[0]
        return predicted

    def _fit_seconds(self, frame: pd.DataFrame) -> None:
        """Seconds = a + visits x (b + c x MACs), none of them negative."""
        macs = {i: proxy_macs(a, self.study) for i, a in zip(self.ids, self.architectures, strict=True)}
        rows = frame[frame["id"].isin(self.ids)]
        visits = (rows["image_visits"] - rows["from_image_visits"]).to_numpy(float)
        design = np.column_stack([np.ones(len(rows)), visits, visits * rows["id"].map(macs).to_numpy(float) / 1e6])
        self._seconds, residual = nnls(design, rows["cpu_seconds"].to_numpy(float))
        self.seconds_error = residual / np.sqrt(len(rows))

    def curve(self, architecture: Architecture, seed: int) -> Array:
        """Score at each length, then the truth, in the search of this seed."""
        mean = self._means.get(architecture.id)
        if mean is None:
            mean = self._means[architecture.id] = self._model.predict([features(architecture)])[0]
        near = np.argsort(abs(self._predicted_truth - mean[-1]))[:NEAREST]
        drawn = near[derive(seed, architecture.id, "residual") % NEAREST]
        result: Array = np.maximum(mean + self.residuals[drawn], 0.0) if self.values.min() >= 0 else mean
        return result

    def seconds(self, architecture: Architecture, visits: float) -> float:
        """Processor seconds of one evaluation that trains for so many image visits."""
        a, b, c = self._seconds
        return float(a + visits * (b + c * proxy_macs(architecture, self.study) / 1e6))


def features(architecture: Architecture) -> dict[str, Any]:
    """What a regression sees: the axes that a person filters by, and the logarithms of the costs."""
    counted = _counted(architecture, 256, 256, 10)
    known = axes(architecture.to_dict())
    known = {name: value for name, value in known.items() if value is not None and name not in ("widths", "depths")}
    paper = {name: float(np.log(getattr(counted, name))) for name in ("macs", "params", "activations", "cio")}
    return {**known, **paper, "four_stages_macs": paper["macs"] * (known["num_stages"] > 3)}


def proxy_macs(architecture: Architecture, study: Study) -> int:
    """Multiply-accumulates of one image as the proxy trains it."""
    task = TASKS.get(study.task)
    return _counted(architecture, task.size, task.size, task.num_classes).macs


@cache
def _counted(architecture: Architecture, height: int, width: int, num_classes: int) -> Cost:
    return cost(lower(architecture, height, width, num_classes=num_classes))


def costs(architecture: Architecture, deployment: Deployment) -> tuple[float, float]:
    """MACs, and a latency in ms that is about the default machine's."""
    counted = _counted(architecture, deployment.height, deployment.width, deployment.num_classes)
    return float(counted.macs), 0.5 + counted.macs / 6e7 + counted.activations / 2e6


class CurveEngine:
    """Answers from the curves at once, and keeps the bill."""

    workers = 1

    def __init__(self, curves: Curves, study: Study) -> None:
        self.curves, self.study = curves, study
        self.recipe = recipe_for(TASKS.get(study.task)).id(TASKS.get(study.task))
        self.seconds: dict[str, float] = {}
        """Of each architecture, for all its rungs."""

    def submit(self, function: Any, /, *args: Any, patience: float = 1.0) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(self._time(*args) if function is latency else self._train(*args))
        return future

    def _time(self, architectures: list[Architecture], deployment: Deployment) -> list[list[Measurement]]:
        return [
            [Measurement(metric="latency_ms", value=costs(architecture, deployment)[1], device=environment().host,
                         backend="onnxruntime", deployment=deployment.id)]
            for architecture in architectures
        ]  # fmt: skip

    def _train(self, job: Job) -> Evaluation:
        curve = self.curves.curve(job.architecture, self.study.seed)
        value = float(curve[self.curves.lengths.index(job.fidelity.image_visits)])
        before = self.study.rungs[job.fidelity.rung - 1].image_visits if job.fidelity.rung else 0
        spared = before * (1 - recipe_for(TASKS.get(job.task)).cool_down)
        spent = self.curves.seconds(job.architecture, job.fidelity.image_visits - spared)
        identity = job.architecture.id
        self.seconds[identity] = self.seconds.get(identity, OVERHEAD_SECONDS) + spent
        score = self.study.score
        row = Measurement(metric=score.metric, value=value if score.direction == "maximize" else -value, task=job.task,
                          recipe=self.recipe, rung=job.fidelity.rung, image_visits=job.fidelity.image_visits,
                          seed=job.seed)  # fmt: skip
        return Evaluation(state="complete", measurements=[row])

    def kill(self) -> None:
        return


class Quiet:
    """Progress that nobody watches."""

    def phase(self, text: str) -> None:
        return

    def candidate(self, *_: Any) -> None:
        return


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One schedule to compare."""

    visits: tuple[int, ...]
    keep: float = 1.0

    def __str__(self) -> str:
        steps = " → ".join(f"{visits:,}" for visits in self.visits)
        return steps + (f", keep {self.keep:g}" if len(self.visits) > 1 else "")

    def seconds(self, curves: Curves, architectures: list[Architecture], cool_down: float) -> float:
        """Mean cost of a candidate."""
        total, share = OVERHEAD_SECONDS, 1.0
        for before, visits in pairwise((0, *self.visits)):
            spent = [curves.seconds(a, visits - (1 - cool_down) * before) for a in architectures]
            total += share * float(np.mean(spent))
            share *= self.keep
        return total


def bounds(curves: Curves, study: Study) -> tuple[Array, Array]:
    """Best and worst of the minimised (truth, log MACs, log latency) over 1,000 random architectures."""
    rng = np.random.default_rng(12345)
    found = [study.space.build(study.space.sample(rng)) for _ in range(1000)]
    values = np.array([truth_of(curves, a, study, 12345) for a in found])
    return values.min(0), values.max(0)


def truth_of(curves: Curves, architecture: Architecture, study: Study, seed: int) -> list[float]:
    macs, latency_ms = costs(architecture, study.deployment)
    return [-float(curves.curve(architecture, seed)[-1]), float(np.log(macs)), float(np.log(latency_ms))]


def race(ladder: Ladder, seed: int, per_candidate: float, *, curves: Curves, study: Study, budget_seconds: float,
         limits: tuple[Array, Array]) -> tuple[Array, Array]:  # fmt: skip
    """Seconds and true hypervolume of the front shown, after each generation of one search."""
    budget = int(1.15 * budget_seconds / per_candidate) + study.population
    mine = replace(study, seed=seed, rungs=tuple(rungs(list(ladder.visits))), keep=ladder.keep, budget=budget)
    engine = CurveEngine(curves, mine)
    low, high = limits
    with Store.open(":memory:") as store:
        Search(mine, _study_row(mine, store, resume=False, new=False), store, engine, Quiet()).run()
        frame = store.frame(mine.name)
        done = frame[frame["state"].isin(["complete", "stopped"])].reset_index(drop=True)
        spent = done["id"].map(engine.seconds).to_numpy(float)
        top = (done["state"] == "complete").to_numpy()
        measured = pareto.minimised(
            done[[o.metric for o in mine.objectives]].to_numpy(float), [o.direction for o in mine.objectives]
        )
        truth = np.full((len(done), 3), np.nan)
        for row in np.flatnonzero(top):
            architecture = store.architecture(done["id"][row])
            assert architecture is not None
            truth[row] = (np.array(truth_of(curves, architecture, mine, seed)) - low) / (high - low)
    seconds, volumes = [], []
    for generation in sorted(done["generation"].unique()):
        so_far = (done["generation"] <= generation).to_numpy()
        shown = np.flatnonzero(so_far & top)
        shown = shown[pareto.front(measured[shown])]
        seconds.append(spent[so_far].sum())
        volumes.append(pareto.hypervolume(truth[shown], np.full(3, 1.1)) / 1.1**3)
    return np.array(seconds), np.array(volumes)


def at(cost_so_far: Array, volume: Array, budget: float) -> float:
    """Hypervolume after `budget` seconds: of the last generation that was paid for, interpolated to the next."""
    return float(np.interp(budget, np.concatenate([[0.0], cost_so_far]), np.concatenate([[0.0], volume])))


def until(cost_so_far: Array, volume: Array, wanted: float) -> float:
    """Seconds until the hypervolume is `wanted`; infinite if never."""
    there = np.flatnonzero(volume >= wanted)
    if not len(there):
        return float("inf")
    last = there[0]
    before = (cost_so_far[last - 1], volume[last - 1]) if last else (0.0, 0.0)
    share = (wanted - before[1]) / max(volume[last] - before[1], 1e-12)
    return float(before[0] + share * (cost_so_far[last] - before[0]))


def mean_interval(values: Array) -> Estimate:
    return Estimate(float(values.mean()), *bootstrap(lambda v: float(v.mean()), values), len(values))


def show(estimate: Estimate, digits: int = 3) -> str:
    return f"{estimate.value:+.{digits}f} ({estimate.low:+.{digits}f} to {estimate.high:+.{digits}f})"


@app.default
def run(*, table: Path, study: Path = DEFAULT, score: str = "ap", length: int | None = None, searches: int = 20,
        candidates: int = 200, workers: int = 1, out: Path | None = None) -> None:  # fmt: skip
    """Race ladders against one rung, and report.

    Parameters
    ----------
    table
        CSV with a row a training, such as studies/proxy.csv.
    study
        Study file whose space, objectives and sampler are used.
    score
        The column that is searched by.
    length
        Image visits of the last rung; by default the study's.
    searches
        Searches of each ladder, with different seeds.
    candidates
        Candidates that one rung trains; every ladder has the seconds of that.
    workers
        Searches at a time.
    out
        Write the report to this file too.
    """
    if searches < 2:
        raise SystemExit(f"error: --searches is {searches}; a spread needs at least 2")
    chosen = load(study)
    chosen = replace(chosen, objectives=tuple(o if n else replace(o, metric=score)
                                              for n, o in enumerate(chosen.objectives)))  # fmt: skip
    curves = Curves(pd.read_csv(table), chosen, score)
    length = length or chosen.rungs[-1].image_visits
    if length not in curves.lengths:
        raise SystemExit(f"error: {table} has no trainings of {length} image visits; --length is one of "
                         f"{', '.join(map(str, curves.lengths))}")  # fmt: skip
    rng = np.random.default_rng(1)
    sample = [chosen.space.build(chosen.space.sample(rng)) for _ in range(200)]
    cool_down = recipe_for(TASKS.get(chosen.task), chosen.recipe).cool_down
    ladders = []
    for shares in SHARES:
        visits = tuple(round(share * length) for share in shares)
        if set(visits) <= set(curves.lengths):
            ladders += [Ladder(visits=visits, keep=keep) for keep in (KEEPS if len(visits) > 1 else (1.0,))]
    prices = {ladder: ladder.seconds(curves, sample, cool_down) for ladder in ladders}
    budget = candidates * prices[ladders[0]]
    limits = bounds(curves, chosen)
    todo = [(ladder, seed) for ladder in ladders for seed in range(searches)]
    one = partial(race, curves=curves, study=chosen, budget_seconds=budget, limits=limits)
    with ProcessPoolExecutor(workers, initializer=logging.disable, initargs=(logging.WARNING,)) as pool:
        given = [(ladder, seed, prices[ladder]) for ladder, seed in todo]
        results = track(pool.map(partial(_star, one), given), "searching", total=len(todo), console=_stderr())
        runs = dict(zip(todo, results, strict=True))
    text = report(table, curves, chosen, ladders, prices, budget, runs, searches, candidates, length)
    print(text)
    if out is not None:
        out.write_text(text)


def _star(function: Any, arguments: tuple[Any, ...]) -> Any:
    return function(*arguments)


def _stderr() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def report(table: Path, curves: Curves, study: Study, ladders: list[Ladder], prices: dict[Ladder, float],
           budget: float, runs: dict[tuple[Ladder, int], tuple[Array, Array]], searches: int, candidates: int,
           length: int) -> str:  # fmt: skip
    """The findings in words and tables."""
    here, base = environment(), ladders[0]
    name = study.score.metric
    lines = [
        "# Do rungs pay?",
        "",
        f"`{' '.join(['python -m benchmarks.rungs', *sys.argv[1:]])}`; {here.cpu}, {here.cores} cores, torch "
        f"{here.versions['torch']}, Python {here.python}.",
        f"{len(curves.ids)} random architectures of the study's space trained to {', '.join(map(str, curves.lengths))} "
        f"image visits (`{table.name}`); truth: {name} of other seeds at {curves.longest:,}.",
        "Intervals are 95 %, bootstrapped over architectures or searches.",
        "",
        "## What an early rung tells",
        "",
        f"| image visits | seconds | tau with {length:,}, same seed | tau with the truth | tau in the better half |",
        "| --- | --- | --- | --- | --- |",
    ]
    final, truth = curves.values[:, curves.lengths.index(length)], curves.values[:, -1]
    better = final >= np.median(final)
    for column, visits in enumerate(curves.lengths):
        here_values = curves.values[:, column]
        seconds = np.mean([curves.seconds(a, visits) for a in curves.architectures])
        taus = [kendall_interval(here_values, final), kendall_interval(here_values, truth),
                kendall_interval(here_values[better], final[better])]  # fmt: skip
        shown = ["–" if visits == length and index != 1 else f"{t.value:.2f} ({t.low:.2f} to {t.high:.2f})"
                 for index, t in enumerate(taus)]  # fmt: skip
        lines.append(f"| {visits:,} | {seconds:.1f} | {' | '.join(shown)} |")
    a, b, c = curves._seconds
    lines += [
        "",
        f"An evaluation costs {a:.1f} s and for every thousand image visits {1000 * b:.1f} s and "
        f"{1000 * c:.2f} s per million MACs (std of what this misses: {curves.seconds_error:.1f} s). The regression "
        f"explains {', '.join(f'{r:.0%}' for r in curves.explained[:-1])} of the variance at these lengths and "
        f"{curves.explained[-1]:.0%} of the truth's, left one out; the rest is drawn from real residuals.",
        "",
        "## Searches",
        "",
        f"{searches} searches of each ladder with {study.sampler}, population {study.population}, objectives {name}, "
        f"MACs and latency; all have the training of {candidates} candidates of one rung ({budget:,.0f} s). "
        "Hypervolume is that of the front *shown*, by its true scores, over costs as logarithms; differences are to "
        "one rung of the same seed and seconds. *Seconds to the same*: share of the budget after which the mean "
        "hypervolume is what one rung has at the end.",
        "",
        f"| ladder | seconds a candidate | {' | '.join(f'at {share:.0%}' for share in AT)} | seconds to the same |",
        f"| --- | --- | {' | '.join('---' for _ in AT)} | --- |",
    ]
    grid = np.linspace(0, 1, 101)
    volumes = {
        ladder: np.array([[at(*runs[ladder, seed], share * budget) for share in grid] for seed in range(searches)])
        for ladder in ladders
    }
    ends, sooner = {}, {}
    for ladder in ladders:
        cells = []
        for share in AT:
            column = round(share * 100)
            mine, theirs = volumes[ladder][:, column], volumes[base][:, column]
            if ladder is base:
                cells.append(f"{mine.mean():.3f} ±{mine.std(ddof=1):.3f}")
            else:
                ends[ladder] = mean_interval(mine - theirs)
                cells.append(show(ends[ladder]))
        reached = until(grid, volumes[ladder].mean(0), float(volumes[base].mean(0)[-1]))
        sooner[ladder] = "never" if np.isinf(reached) else f"{reached:.0%}"
        lines.append(f"| {ladder} | {prices[ladder]:.1f} | {' | '.join(cells)} | {sooner[ladder]} |")
    return "\n".join([*lines, "", *verdict(length, ends, sooner), ""])


def verdict(length: int, ends: dict[Ladder, Estimate], sooner: dict[Ladder, str]) -> list[str]:
    """What wins at the end of the budget, in words: a ladder to the study's length, and what is shorter."""
    found = []
    several = {ladder: end for ladder, end in ends.items() if len(ladder.visits) > 1}
    if several:
        best = max(several, key=lambda ladder: several[ladder].value)
        if several[best].low > 0:
            found.append(f"**{best} wins over one rung of {length:,}**: {show(several[best])} at equal training; it is "
                         f"where one rung ends after {sooner[best]} of the training.")  # fmt: skip
        else:
            found.append(f"**One rung of {length:,} stays**: the best ladder, {best}, is {show(several[best])} at "
                         "equal training, which is not surely better.")  # fmt: skip
    for ladder, end in ends.items():
        if len(ladder.visits) == 1:
            word = "better" if end.low > 0 else "worse" if end.high < 0 else "not surely different"
            found.append(f"One shorter rung of {ladder} is {word}: {show(end)}.")
    return found


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    app()
