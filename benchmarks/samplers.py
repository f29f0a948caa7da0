"""python -m benchmarks.samplers: which sampler finds the better front, at equal evaluations and at equal wall time?

Two problems. `synthetic`: the built-in task of that name, its noise, three objectives of which two are exact on paper.
`table`: a CSV of real trainings (`--table`, its format at `read_table`), turned into a function of any architecture.

What counts is the **true** hypervolume of the front that a user would be shown: the candidates chosen by their noisy
scores, valued without noise. Objectives are scaled so that the reference front runs from 0 to 1, costs as logarithms;
the reference point is 1.1 in each; the reference front is that of 40,000 random networks and all that any sampler
found; its hypervolume is 1. Samplers are told costs and noisy scores by generations, as `search.loop` does, of the size
that each has by default (`screen` 10, the others 20); GPSampler, which has no batches, one by one.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import App, CycloptsError, Parameter

from evaluator.metrics import METRICS
from evaluator.record import environment
from search import pareto
from search.samplers import Sampler, sampler
from search.samplers.bridge import OptunaSampler
from search.samplers.pool import Candidate, Encoder, Pool
from search.seeds import derive
from search.study import Study, load, population_of
from space.architecture import Architecture
from space.design import Genome

RANDOM = 40_000
"""Random networks of the reference front."""
EVALUATION_SECONDS = 10.0
"""What one evaluation is taken to cost, over the workers, at equal wall time."""
STUDIES = Path(__file__).parent.parent / "studies"
OURS = ("screen", "nsga2", "nsga3", "tpe", "random")
SLOW = {"gp": (3, 50)}
"""Most seeds and evaluations of samplers that take seconds a proposal."""
MOST_ASKED = 2_000
"""Proposals in a row of known networks after which a sampler counts as stuck."""

Array = np.ndarray[Any, Any]
app = App(name="python -m benchmarks.samplers", help="Compare samplers by the front that they find.", version_flags=[])


class Problem:
    """A study whose results cost nothing: exact costs, and a score with and without noise.

    `score(candidate)` is the true score in its natural direction; `noise` the standard deviation of a measured one.
    `modelled` gives other metrics that are not on paper.
    """

    def __init__(self, study: Study, score: Callable[[Candidate, Architecture], float], noise: float,
                 modelled: dict[str, Callable[[Candidate], float]] | None = None) -> None:  # fmt: skip
        self.study, self.noise = study, noise
        self._score, self._modelled = score, modelled or {}
        self._pool = Pool(study)
        self._known: dict[str, Array] = {}

    def truth(self, genome: Genome) -> tuple[str, Array] | None:
        """Id and true objectives, minimised, costs and times as logarithms; None if the genome breaks a rule."""
        candidate = self._pool.candidate(genome)
        if candidate is None:
            return None
        if candidate.id not in self._known:
            score = self._score(candidate, self.study.space.build(candidate.genome))
            rest = [candidate.costs[o.metric] if METRICS[o.metric].paper else self._modelled[o.metric](candidate)
                    for o in self.study.objectives[1:]]  # fmt: skip
            sign = -1.0 if self.study.score.direction == "maximize" else 1.0
            self._known[candidate.id] = np.array([sign * score, *np.log(rest)])
        return candidate.id, self._known[candidate.id]

    def measured(self, identity: str, seed: int) -> Array:
        """The objectives of a network as a training with this seed tells them."""
        noise = np.zeros(len(self.study.objectives))
        noise[0] = self.noise * np.random.default_rng(derive(seed, identity)).standard_normal()
        return self._known[identity] + noise

    @cached_property
    def random(self) -> Array:
        """True objectives of the front of RANDOM random networks."""
        rng = np.random.default_rng(derive("reference"))
        found = [known for _ in range(RANDOM) if (known := self.truth(self.study.space.sample(rng))) is not None]
        values = np.array([row for _, row in found])
        self._known.clear()
        self._pool = Pool(self.study)
        front: Array = values[pareto.front(values)]
        return front


@dataclass
class Trace:
    """What one sampler did with one seed."""

    sampler: str
    seed: int
    truth: list[Array] = field(default_factory=list)
    measured: list[Array] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Processor seconds of proposing (one core), up to each evaluation."""
    repeats: int = 0
    """Proposals of a network that was known already; they cost no evaluation."""

    def chosen(self, count: int) -> Array:
        """True objectives of the front by measured values, after `count` evaluations."""
        return np.array(self.truth[:count])[pareto.front(np.array(self.measured[:count]))]


class GaussianProcess(OptunaSampler):
    """Optuna's GPSampler, which keeps its kernel from proposal to proposal."""

    def __init__(self, study: Study) -> None:
        super().__init__(replace(study, sampler="random", population=1))
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            self._gp = self._optuna.samplers.GPSampler(seed=derive(study.seed, "gp"), n_startup_trials=20)

    def _sampler(self, generation: int) -> Any:
        return self._gp


class Pymoo:
    """pymoo's NSGA-II over the indices of the choices, with its own operators for whole numbers."""

    def __init__(self, study: Study) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem as PymooProblem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        self._genes = study.space.genes
        upper = [len(choices) - 1 for choices in self._genes.values()]
        self._algorithm = NSGA2(
            pop_size=study.population, sampling=IntegerRandomSampling(), eliminate_duplicates=True,
            crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        )  # fmt: skip
        self._algorithm.setup(
            PymooProblem(n_var=len(upper), n_obj=len(study.objectives), xl=0, xu=np.array(upper), vtype=int),
            termination=("n_gen", 10**6), seed=derive(study.seed, "pymoo"), verbose=False,
        )  # fmt: skip

    def generation(self) -> list[Genome]:
        """The next population."""
        self._asked = self._algorithm.ask()
        return [{name: choices[int(x)] for (name, choices), x in zip(self._genes.items(), row, strict=True)}
                for row in self._asked.get("X")]  # fmt: skip

    def learn(self, values: Sequence[Array]) -> None:
        """The objectives of that population, minimised."""
        self._asked.set("F", np.array(values))
        self._algorithm.tell(infills=self._asked)


def run(problem: Problem, name: str, seed: int, budget: int) -> Trace:
    """One search of `budget` evaluations."""
    known_name = name if name in OURS else "random"
    study = replace(problem.study, sampler=known_name, seed=seed, population=population_of(known_name))
    if name == "pymoo":
        return _run_pymoo(problem, study, seed, budget)
    own: Sampler = GaussianProcess(study) if name == "gp" else sampler(study)
    trace, known, spent, generation, stuck = Trace(name, seed), set(), 0.0, 0, 0
    size = 1 if name == "gp" else study.population
    while len(trace.truth) < budget and stuck < MOST_ASKED:
        members = []
        while len(members) < min(size, budget - len(trace.truth)) and stuck < MOST_ASKED:
            start = time.process_time()
            asked = own.ask(generation)
            spent += time.process_time() - start
            if asked is None:
                return trace
            found = problem.truth(asked[0])
            if found is None or found[0] in known:
                trace.repeats += found is not None
                stuck += 1
                own.tell(asked[1], None, [])
                continue
            stuck = 0
            known.add(found[0])
            members.append((asked[1], problem.measured(found[0], seed)))
            trace.truth.append(found[1])
            trace.measured.append(members[-1][1])
            trace.seconds.append(spent)
        for attributes, values in members:
            # Samplers are told of costs as they are; the logarithm is for the hypervolume.
            start = time.process_time()
            own.tell(attributes, [values[0], *np.exp(values[1:])], [0.0])
            spent += time.process_time() - start
        generation += 1
    return trace


def _run_pymoo(problem: Problem, study: Study, seed: int, budget: int) -> Trace:
    """Repeats are told what is known of them, for nothing; a genome that breaks a rule, the worst there is."""
    own, trace, known, spent, idle = Pymoo(study), Trace("pymoo", seed), set(), 0.0, 0
    while len(trace.truth) < budget and idle < MOST_ASKED:
        start = time.process_time()
        genomes = own.generation()
        spent += time.process_time() - start
        told = []
        for genome in genomes:
            found = problem.truth(genome)
            if found is None:
                told.append(np.full(len(study.objectives), 1e12))
                continue
            values = problem.measured(found[0], seed)
            told.append(np.array([values[0], *np.exp(values[1:])]))
            idle += 1
            if found[0] in known:
                trace.repeats += 1
            elif len(trace.truth) < budget:
                idle = 0
                known.add(found[0])
                trace.truth.append(found[1])
                trace.measured.append(values)
                trace.seconds.append(spent)
        start = time.process_time()
        own.learn(told)
        spent += time.process_time() - start
    return trace


class Scale:
    """Hypervolume relative to the reference front."""

    def __init__(self, fronts: Sequence[Array]) -> None:
        union = np.concatenate(list(fronts))
        union = union[pareto.front(union)]
        self._low = union.min(axis=0)
        self._span = np.maximum(union.max(axis=0) - self._low, 1e-12)
        self._whole = 1.0
        self._whole = self(union)

    def __call__(self, values: Array) -> float:
        scaled = (values - self._low) / self._span
        return pareto.hypervolume(scaled, np.full(values.shape[1], 1.1)) / self._whole


def curves(traces: Sequence[Trace], scale: Scale, counts: Sequence[int]) -> Array:
    """(traces, counts) relative hypervolume of the chosen set; NaN beyond what a trace evaluated."""
    return np.array([[scale(t.chosen(n)) if n <= len(t.truth) else np.nan for n in counts] for t in traces])


# -- the table of real trainings


@dataclass(frozen=True, kw_only=True)
class Training:
    """One row of a table of trainings."""

    architecture: Architecture
    seed: int
    image_visits: int
    values: dict[str, float]


def read_table(path: Path, study: Study) -> list[Training]:
    """The trainings of a CSV file in long format, one row a training.

    Columns: `id` (of the architecture), `genome` (JSON of the study's genes) or `spec` (JSON of
    `Architecture.to_dict`; only the first row of an architecture needs it), `seed`, `image_visits`, then any metrics by
    name (`ap`, `val_loss`, `macs`, `params`, `latency_ms`, …; empty where missing).

    Raises ValueError with the line that is wrong.
    """
    rows: list[Training] = []
    known: dict[str, Architecture] = {}
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        missing = [name for name in ("id", "seed", "image_visits") if name not in columns]
        if missing or not {"genome", "spec"} & set(columns):
            raise ValueError(f"{path} lacks the column {' and '.join(missing) or 'genome (or spec)'}")
        for line in reader:
            where = f"{path}, line {reader.line_num}"
            try:
                if line.get("genome"):
                    architecture = study.space.build(json.loads(line["genome"]))
                elif not line["spec"] and line["id"] in known:
                    architecture = known[line["id"]]
                else:
                    architecture = Architecture.from_dict(json.loads(line["spec"])).canonical()
                if architecture.id != line["id"]:
                    raise ValueError(f"the id is {line['id']}, its architecture's is {architecture.id}")
                known[line["id"]] = architecture
                values = {name: float(line[name]) for name in columns if name in METRICS and line[name]}
                rows.append(Training(architecture=architecture, seed=int(line["seed"]),
                                     image_visits=int(line["image_visits"]), values=values))  # fmt: skip
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{where}: {error}") from error
    return rows


def table_problem(rows: Sequence[Training], study: Study) -> tuple[Problem, list[str]]:
    """A function of any architecture with the noise and the roughness of a table, and what was found about it.

    Samplers propose out of 10¹⁰ networks and the table holds some hundred: the nearest of those would have other
    costs than what was proposed, and a pool of them would be gone through by any sampler. So the score is a Gaussian
    process (a kind of model that `screen` does not use) fitted to the table's trainings of the length that most
    architectures have (the proxy's), over genes and costs; what it cannot tell of a network that was left out, beyond
    the noise of seeds, is added to each network as a fixed random part, so that the function is not smoother than the
    table. Seeds of one network give the noise.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    networks = {visits: {row.architecture.id for row in rows if row.image_visits == visits}
                for visits in {row.image_visits for row in rows}}  # fmt: skip
    length = max(networks, key=lambda visits: (len(networks[visits]), visits))
    by_id: dict[str, list[Training]] = {}
    for row in rows:
        if row.image_visits == length:
            by_id.setdefault(row.architecture.id, []).append(row)
    pool, groups = Pool(study), list(by_id.values())
    candidates = [pool.costed(group[0].architecture, {}) for group in groups]
    encode = Encoder(candidates)
    x = encode(candidates)
    fitted: dict[str, Callable[[Candidate], float]] = {}
    notes = [f"{len(candidates)} architectures at {length} image visits"]
    score = study.score.metric
    seeds = [[row.values[score] for row in group if score in row.values] for group in groups]
    repeated = [values for values in seeds if len(values) > 1]
    if not repeated:
        raise ValueError(f"no architecture of the table has {score} of two seeds: the noise is unknown")
    noise = math.sqrt(float(np.mean([np.var(values, ddof=1) for values in repeated])))
    for name in [o.metric for o in study.objectives if not METRICS[o.metric].paper]:
        rows_known = [i for i, group in enumerate(groups) if any(name in row.values for row in group)]
        y = np.array([np.mean([r.values[name] for r in groups[i] if name in r.values]) for i in rows_known])
        logarithm = METRICS[name].unit in ("s", "ms")
        y = np.log(y) if logarithm else y
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(math.sqrt(x.shape[1]), (1.0, 1e3), nu=2.5) + WhiteKernel(
            0.1, (1e-4, 1.0)
        )
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x[rows_known], y)
        left_out = _left_out(process, x[rows_known], y)
        correlation = float(np.corrcoef(left_out, y)[0, 1])
        mean_noise = noise**2 / np.mean([len(s) for s in seeds]) if name == score else 0.0
        rough = math.sqrt(max(0.0, float(np.mean((left_out - y) ** 2)) - mean_noise))
        notes.append(f"{name}: std {y.std():.4f} between architectures, {rough:.4f} that the model cannot tell; "
                     f"left-out correlation {correlation:.2f}")  # fmt: skip
        fitted[name] = _fitted(process, encode, rough, name, logarithm=logarithm)
    notes.append(f"{score}: noise {noise:.4f} between seeds, from {len(repeated)} architectures")
    truth = fitted.pop(score)
    return Problem(study, lambda candidate, _: truth(candidate), noise, fitted), notes


def _left_out(process: Any, x: Array, y: Array) -> Array:
    """Predictions at each row by the others, kernel as fitted (Rasmussen and Williams 2006, 5.4.2)."""
    inverse = np.linalg.inv(process.kernel_(x))
    scaled = (y - y.mean()) / y.std()
    return y.mean() + y.std() * (scaled - inverse @ scaled / np.diag(inverse))


def _fitted(process: Any, encode: Encoder, rough: float, name: str, *, logarithm: bool) -> Callable[[Candidate], float]:
    def value(candidate: Candidate) -> float:
        own = np.random.default_rng(derive("rough", name, candidate.id)).standard_normal()
        found = float(process.predict(encode([candidate]))[0]) + rough * float(own)
        return math.exp(found) if logarithm else found

    return value


# -- the command


@app.default
def compare(
    *,
    table: Path | None = None,
    study: Path | None = None,
    seeds: int = 10,
    budget: int = 200,
    samplers: Annotated[list[str] | None, Parameter(negative="")] = None,
    noise: float | None = None,
    plot: Path | None = None,
) -> int:
    """Print hypervolumes by sampler, and write a plot.

    Parameters
    ----------
    table
        CSV of real trainings instead of the synthetic task.
    study
        Study file of the problem; studies/synthetic.toml, or studies/default.toml with --table.
    seeds
        Searches of each sampler (fewer of gp).
    budget
        Evaluations of each search (fewer of gp).
    samplers
        screen, nsga2, nsga3, tpe, random, pymoo, gp; may be repeated; all by default.
    noise
        Standard deviation of the score between seeds; the problem's own by default.
    plot
        SVG file of the curves, with quartiles.
    """
    names = samplers or [*OURS, "pymoo", "gp"]
    wrong = [name for name in names if name not in (*OURS, "pymoo", "gp")]
    if wrong or seeds < 1 or budget < 20:
        raise ValueError(
            f"no sampler '{wrong[0]}' here" if wrong else "--seeds must be at least 1, --budget at least 20"
        )
    if table is not None and not table.is_file():
        raise ValueError(f"--table is '{table}'; there is no such file")
    if plot is not None and (plot.suffix != ".svg" or not plot.absolute().parent.is_dir()):
        raise ValueError(f"--plot is '{plot}'; it must be an .svg file in a folder that exists")
    chosen = load(study or STUDIES / ("default.toml" if table else "synthetic.toml"))
    problem, notes = table_problem(read_table(table, chosen), chosen) if table else _synthetic(chosen)
    problem.noise = problem.noise if noise is None else noise
    here = environment()
    print(f"{here.cpu}, {here.cores} cores, Python {here.python}, optuna {here.versions['optuna']}, one process")
    for note in [*notes, f"noise {problem.noise:g}, objectives {', '.join(o.metric for o in chosen.objectives)}"]:
        print(note)
    traces: list[Trace] = []
    reference = problem.random
    for name in names:
        most, longest = SLOW.get(name, (seeds, budget))
        for seed in range(min(seeds, most)):
            traces.append(run(problem, name, seed, min(budget, longest)))
            print(f"\r{name} seed {seed} done   ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    scale = Scale([reference, *(np.array(t.truth) for t in traces)])
    _report(traces, scale, names, budget)
    print(f"40,000 random networks together: {scale(reference):.3f}")
    if plot is not None:
        counts = list(range(10, budget + 1, 10))
        plot.write_text(
            _drawn({n: curves([t for t in traces if t.sampler == n], scale, counts) for n in names}, counts)
        )
    return 0


def _synthetic(study: Study) -> tuple[Problem, list[str]]:
    from evaluator.tasks.synthetic import NOISE, true_score

    visits = study.rungs[-1].image_visits
    return Problem(study, lambda _, architecture: true_score(architecture, visits), NOISE), ["the synthetic task"]


def _report(traces: Sequence[Trace], scale: Scale, names: Sequence[str], budget: int) -> None:
    counts = [n for n in (20, 40, 50, 60, 80, 100, 150, 200) if n <= budget]
    print("\nrelative hypervolume after n evaluations: median (quartiles)")
    print("sampler".ljust(9), *(f"{n:>19}" for n in counts), "   ms a proposal   repeats")
    for name in names:
        own = [t for t in traces if t.sampler == name]
        values = curves(own, scale, counts)
        cells = [f"{'–':>19}" if np.isnan(column).all() else
                 "{1:.3f} ({0:.3f}–{2:.3f})".format(*np.nanpercentile(column, [25, 50, 75])).rjust(19)
                 for column in values.T]  # fmt: skip
        each = 1e3 * sum(t.seconds[-1] for t in own) / sum(len(t.truth) for t in own)
        repeats = sum(t.repeats for t in own) / sum(len(t.truth) + t.repeats for t in own)
        print(name.ljust(9), *cells, f"{each:13.1f} {repeats:11.1%}", f"  {len(own)} seeds")
    target = [t for t in traces if t.sampler == "nsga2" and len(t.truth) >= budget]
    if target:
        goal = float(np.median(curves(target, scale, [budget])))
        print(f"\nevaluations until the median reaches NSGA-II's {goal:.3f} after {budget}, and the same in minutes at "
              f"{EVALUATION_SECONDS:g} s an evaluation with the time of proposing")  # fmt: skip
        for name in names:
            own = [t for t in traces if t.sampler == name]
            most = min(len(t.truth) for t in own)
            steps = list(range(5, most + 1, 5))
            median = np.median(curves(own, scale, steps), axis=0)
            there = [n for n, value in zip(steps, median, strict=True) if value >= goal]
            if not there:
                print(f"{name.ljust(9)} not within {most}")
                continue
            spent = float(np.median([t.seconds[there[0] - 1] for t in own]))
            print(f"{name.ljust(9)} {there[0]:4d}   {(there[0] * EVALUATION_SECONDS + spent) / 60:6.1f} min")


def _drawn(found: dict[str, Array], counts: Sequence[int]) -> str:
    """Curves with bands as an SVG."""
    colours = ["#1f5fbf", "#d1495b", "#e09f3e", "#5c8001", "#7a7a7a", "#8e44ad", "#0b8a8f"]
    width, height, left, bottom = 760, 440, 60, 50
    floor = min(0.5, *(math.floor(10 * float(np.nanmin(v))) / 10 for v in found.values()))

    def point(n: int, value: float) -> str:
        x = left + (width - left - 130) * n / counts[-1]
        return f"{x:.1f},{height - bottom - (height - bottom - 20) * (value - floor) / (1 - floor):.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
             f'font-size="13"><rect width="{width}" height="{height}" fill="white"/>']  # fmt: skip
    for tick in np.arange(floor, 1.001, 0.1):
        x, y = point(0, float(tick)).split(",")
        parts.append(f'<path d="M{x} {y}H{width - 130}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:.1f}</text>')  # fmt: skip
    for n in range(0, counts[-1] + 1, 20):
        x = point(n, floor).split(",")[0]
        parts.append(f'<text x="{x}" y="{height - bottom + 18}" text-anchor="middle">{n}</text>')
    parts.append(f'<text x="{(left + width - 130) / 2}" y="{height - 12}" text-anchor="middle">evaluations</text>')
    middle = (height - bottom) / 2
    parts.append(f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
                 "relative hypervolume: median and quartiles</text>")  # fmt: skip
    for row, (name, values) in enumerate(found.items()):
        colour = colours[row % len(colours)]
        kept = [i for i in range(len(counts)) if not np.isnan(values[:, i]).all()]
        low, median, high = np.nanpercentile(values[:, kept], [25, 50, 75], axis=0)
        at = [counts[i] for i in kept]
        band = [point(n, v) for n, v in zip(at, low, strict=True)]
        band += [point(n, v) for n, v in zip(at[::-1], high[::-1], strict=True)]
        line = " ".join(point(n, v) for n, v in zip(at, median, strict=True))
        y = 36 + 22 * row
        parts.append(f'<polygon points="{" ".join(band)}" fill="{colour}" opacity="0.15"/>'
                     f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
                     f'<path d="M{width - 118} {y - 4}h22" stroke="{colour}" stroke-width="3"/>'
                     f'<text x="{width - 90}" y="{y}">{name}</text>')  # fmt: skip
    return "\n".join([*parts, "</svg>", ""])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; bad input is one line on stderr and code 2."""
    try:
        return int(app(arguments, exit_on_error=False, print_error=False) or 0)
    except (CycloptsError, ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
