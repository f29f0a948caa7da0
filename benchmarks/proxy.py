"""python -m benchmarks.proxy: does the proxy tell architectures apart, and does it rank them as long training does?

Random architectures of a study's space are trained with several seeds at the proxy's length, with other seeds four
times longer, and once at the lengths between. Every training is in the database before the next one starts, so the
same command goes on where it stopped. The table (a row a training) and the report are written to `--out`; with
`--table-file FILE` the report is made of an earlier table and nothing is trained.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cyclopts import App
from rich.console import Console
from rich.progress import track

from benchmarks.plot import Chart, Series, draw
from evaluator.evaluate import evaluate, score_untrained
from evaluator.metrics import ZERO_COST
from evaluator.profile import latency, paper
from evaluator.recipe import recipe_for
from evaluator.record import Fidelity, Job, environment
from evaluator.tasks import TASKS
from search.agreement import Estimate, Separation, kendall, kendall_interval, paired_difference, separation
from search.engines.guard import CandidateError, guarded
from search.engines.process import ProcessEngine
from search.seeds import job_seed
from search.store import Store
from search.study import DEFAULT, Study, load
from space.architecture import Architecture

LONG = 4
"""Times the proxy's length that the reference is trained."""
SHARES = (0.25, 0.5)
"""Other lengths, trained once, as shares of the proxy's: the learning curves of `benchmarks.rungs`."""
SCORES = ("ap", "val_loss")
COSTS = ("macs", "params")
REFERENCE_SEED = 100
"""The first seed of the long trainings: none of the proxy's, so that no luck is shared."""

app = App(help=__doc__, version_flags=[])


def architectures(study: Study, count: int, seed: int = 0) -> list[Architecture]:
    """`count` different random architectures of a study's space."""
    rng, found = np.random.default_rng(seed), {}
    while len(found) < count:
        architecture = study.space.build(study.space.sample(rng))
        found[architecture.id] = architecture
    return list(found.values())


def jobs(study: Study, found: list[Architecture], seeds: int, long_seeds: int, more: list[Architecture]) -> list[Job]:
    """All trainings of the report, the proxy's first; `more` are trained once at the proxy's length."""
    visits = study.rungs[-1].image_visits

    def job(architecture: Architecture, length: float, repeat: int) -> Job:
        return Job(architecture=architecture, task=study.task, seed=job_seed(study.seed, repeat), recipe=study.recipe,
                   fidelity=Fidelity(image_visits=round(visits * length)))  # fmt: skip

    return [
        *(job(a, 1, repeat) for repeat in range(seeds) for a in found),
        *(job(a, LONG, REFERENCE_SEED + repeat) for repeat in range(long_seeds) for a in found),
        *(job(a, share, 0) for share in SHARES for a in found),
        *(job(a, 1, 0) for a in more),
    ]


def train_all(todo: list[Job], store: Store, recipe: str, workers: int) -> None:
    """Do what is not in the store yet. A failed training is reported and left out."""
    missing = [job for job in todo if store.evaluation(job, recipe) is None]
    engine, console = ProcessEngine(workers), Console(stderr=True)
    waiting: dict[Future[Any], Job] = {}

    def done() -> Iterator[Job]:
        queue = iter(missing)
        while True:
            while len(waiting) < workers and (job := next(queue, None)) is not None:
                waiting[engine.submit(evaluate, job)] = job
            if not waiting:
                return
            for future in wait(list(waiting), return_when=FIRST_COMPLETED).done:
                job = waiting.pop(future)
                try:
                    store.record_evaluation(job, recipe, future.result(), environment())
                except CandidateError as error:
                    console.print(f"{job.architecture.id}, {job.fidelity.image_visits} visits: {error}")
                yield job

    try:
        for _ in track(done(), "training", total=len(missing), console=console):
            pass
    finally:
        engine.kill()


def table(study: Study, todo: list[Job], store: Store, recipe: str) -> pd.DataFrame:
    """A row a training: the network, its costs at the deployment, the seed, the length, and what came out."""
    networks = list({job.architecture.id: job.architecture for job in todo}.values())
    costs: dict[str, dict[str, float]] = {
        a.id: {m.metric: m.value for m in paper(a, study.deployment) if m.value is not None} for a in networks
    }
    print(f"measuring the latency of {len(networks)} networks", file=sys.stderr)
    for first in range(0, len(networks), 20):
        some = networks[first : first + 20]
        for architecture, rows in zip(some, latency(some, study.deployment), strict=True):
            costs[architecture.id]["latency_ms"] = next(m.value for m in rows if m.metric == "latency_ms") or np.nan
    scored = guarded(score_untrained, (networks, study.task, study.recipe, study.seed), cpu_seconds=3600,
                     memory_bytes=None)  # fmt: skip
    for architecture, rows in zip(networks, scored, strict=True):
        costs[architecture.id] |= {m.metric: np.nan if m.value is None else m.value for m in rows}
    lines = []
    for job in todo:
        evaluation = store.evaluation(job, recipe)
        if evaluation is None:
            continue
        values = {m.metric: m.value for m in evaluation.measurements}
        lines.append({
            "id": job.architecture.id, "stages": len(job.architecture.stages), "seed": job.seed,
            "image_visits": job.fidelity.image_visits, **{name: values[name] for name in SCORES},
            "cpu_seconds": evaluation.cpu_seconds, **costs[job.architecture.id],
            "proxy_macs": proxy_macs(job.architecture, study), "spec": json.dumps(job.architecture.to_dict()),
        })  # fmt: skip
    frame = pd.DataFrame(lines)
    # The architecture is spelt once, in its first row.
    frame.loc[frame["id"].duplicated(), "spec"] = None
    return frame


def proxy_macs(architecture: Architecture, study: Study) -> int:
    """Multiply-accumulates of one image as the proxy trains it."""
    from space.cost import cost
    from space.lower import lower

    task = TASKS.get(study.task)
    return cost(lower(architecture, task.size, task.size, num_classes=task.num_classes)).macs


def gemm_rate() -> float:
    """The machine's single-thread fp32 matrix product, in FLOPs a second: the median of ten products of 1024 x 1024."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(2, 1024, 1024)
    seconds = []
    for _ in range(12):
        start = time.process_time()
        torch.mm(a, b)
        seconds.append(time.process_time() - start)
    return 2 * 1024**3 / float(np.median(seconds[2:]))


def interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


class Report:
    """What the table says. `proxy` and `long` are frames of the two lengths; a row of `means` is an architecture."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        repeated = frame.groupby("image_visits")["seed"].nunique()
        long = int(repeated[repeated > 1].index.max())
        self.visits = long // LONG
        self.proxy = frame[frame["image_visits"] == self.visits]
        self.long = frame[frame["image_visits"] == long]
        self.ids = [i for i in self.proxy["id"].unique() if i in set(self.long["id"])]
        self.costs = frame.drop_duplicates("id").set_index("id").loc[self.ids]
        self.truth = self.long.groupby("id")["ap"].mean().loc[self.ids].to_numpy()

    def seeds(self) -> list[int]:
        """Those of the proxy's length, in their order."""
        return [int(seed) for seed in self.proxy["seed"].unique()]

    def once(self, score: str, visits: int | None = None,
             seed: int | None = None) -> np.ndarray[Any, np.dtype[np.float64]]:  # fmt: skip
        """The score of one training of each architecture, higher better; of the first seed unless told otherwise."""
        rows = self.frame[self.frame["image_visits"] == (visits or self.visits)]
        rows = rows[rows["seed"] == (self.seeds()[0] if seed is None else seed)].set_index("id")[score]
        rows = rows.reindex(self.ids)
        return np.asarray(rows, float) * (-1 if score == "val_loss" else 1)

    def separation(self, score: str, stages: int | None = None) -> Separation:
        rows = self.proxy if stages is None else self.proxy[self.proxy["stages"] == stages]
        return separation([group[score].to_numpy() for _, group in rows.groupby("id") if len(group) > 1])

    def text(self, gemm: float | None, command: str, plot: str) -> str:
        here = environment()
        seconds = self.proxy["cpu_seconds"]
        flops = 6 * self.proxy["proxy_macs"] * self.visits / seconds
        lines = [
            "# Does the proxy tell architectures apart?",
            "",
            f"`{command}`; {here.cpu}, {here.cores} cores, torch {here.versions['torch']}, "
            f"Python {here.python}. {len(self.ids)} random architectures of the default space, "
            f"{self.proxy.groupby('id')['seed'].nunique().max()} seeds at the proxy's {self.visits:,} image visits, "
            f"{self.long.groupby('id')['seed'].nunique().max()} other seeds at {self.visits * LONG:,}. "
            "Intervals are 95 %, bootstrapped over architectures. The table, a row a training: `proxy.csv`.",
            "",
            f"- Processor time of a proxy training with its evaluation: mean {seconds.mean():.1f} s, "
            f"median {seconds.median():.1f} s, {(seconds <= 15).mean():.0%} within 15 s, "
            f"longest {seconds.max():.1f} s.",
        ]
        if gemm:
            lines.append(
                f"- Speed: {flops.mean() / 1e9:.1f} GFLOP/s on average (3 x forward FLOPs x training images over all "
                f"processor time, evaluation included), {flops.mean() / gemm:.0%} of this machine's single-thread fp32 "
                f"matrix product ({gemm / 1e9:.0f} GFLOP/s)."
            )
        lines += ["", "## Signal and noise", "",
                  "| score | architectures | std between | std within (seeds) | ratio | 95 % |",
                  "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
        for score in SCORES:
            for stages in (None, *sorted(self.proxy["stages"].unique())):
                s = self.separation(score, stages)
                which = "all" if stages is None else f"{stages} stages"
                lines.append(f"| {score} | {which}, {s.n} | {s.between:.4f} | {s.within:.4f} | {s.ratio:.1f} | "
                             f"{s.low:.1f} to {s.high:.1f} |")  # fmt: skip
        lines += ["", "## Rank agreement with the long training", "",
                  f"Kendall's tau against the mean AP of {self.visits * LONG:,} image visits. *Better than MACs* is "
                  "the difference of the two taus on the same architectures.", "",
                  "| one number | all | better than MACs | 3 stages | 4 stages |",
                  "| --- | --- | --- | --- | --- |"]  # fmt: skip
        macs = self.costs["macs"].to_numpy(float)
        columns = {f"{score} of one training": self.once(score) for score in SCORES}
        columns |= {name: self.costs[name].to_numpy(float) for name in (*COSTS, *self.zero_cost())}
        for name, values in columns.items():
            parts = [interval(kendall_interval(values, self.truth))]
            parts.append("–" if name == "macs" else interval(paired_difference(values, macs, self.truth)))
            for stages in (3, 4):
                inside = (self.costs["stages"] == stages).to_numpy()
                parts.append(interval(kendall_interval(values[inside], self.truth[inside])))
            lines.append(f"| {name} | {' | '.join(parts)} |")
        others = [f"{kendall(self.once('ap', seed=seed), self.truth):.2f}" for seed in self.seeds()[1:]]
        lines += ["", f"The first seed is shown; with each other seed AP has {', '.join(others)}.",
                  "", "## Shorter and longer trainings", "",
                  "| image visits | seconds | tau of AP with the long training | tau of validation loss |",
                  "| --- | --- | --- | --- |"]  # fmt: skip
        for visits, ap, loss, cost in self.lengths():
            lines.append(f"| {visits:,} | {cost:.1f} | {interval(ap)} | {interval(loss)} |")
        best = self.truth >= np.median(self.truth)
        upper = kendall_interval(self.once("ap")[best], self.truth[best])
        lines += ["", f"Within the better half alone the proxy's tau is {interval(upper)}: the closer the candidates, "
                  "the less one training tells, and the more a verification is worth.", "",
                  f"![Proxy and long training]({plot})", ""]  # fmt: skip
        return "\n".join(lines)

    def zero_cost(self) -> list[str]:
        return [name for name in ZERO_COST if name in self.frame]

    def lengths(self) -> list[tuple[int, Estimate, Estimate, float]]:
        """Every length that was trained with the proxy's first seed: its agreement and its mean seconds."""
        found = []
        for visits in sorted(self.frame["image_visits"].unique()):
            rows = self.frame[self.frame["image_visits"] == visits]
            if (rows["seed"] == self.seeds()[0]).any():
                taus = [kendall_interval(self.once(score, visits), self.truth) for score in SCORES]
                found.append((int(visits), taus[0], taus[1], float(rows["cpu_seconds"].mean())))
        return found

    def plot(self) -> str:
        """Proxy against long training, and agreement by length, as SVG."""
        stages = self.costs["stages"].to_numpy()
        once = self.once("ap")
        points = [Series(name=f"{n} stages", x=once[stages == n], y=self.truth[stages == n], line=False)
                  for n in sorted(set(stages))]  # fmt: skip
        visits = [row[0] for row in self.lengths()]
        curves = [
            Series(name=score, x=visits, y=[row[at].value for row in self.lengths()],
                   low=[row[at].low for row in self.lengths()], high=[row[at].high for row in self.lengths()])
            for at, score in ((1, "AP"), (2, "validation loss"))
        ]  # fmt: skip
        return draw(
            [Chart(title="AP of one proxy training and of long training", x="AP, proxy", y="AP, long", series=points),
             Chart(title="Agreement by length", x="image visits", y="Kendall's tau", series=curves)],
            title="The proxy against long training", description="Scatter of AP and rank agreement by length",
        )  # fmt: skip


@app.default
def run(*, study: Path = DEFAULT, candidates: int = 48, seeds: int = 3, long_seeds: int = 2, more: int = 0,
        workers: int | None = None, db: str = "proxy.db", out: Path = Path("."),
        table_file: Path | None = None) -> None:  # fmt: skip
    """Train, tabulate, report.

    Parameters
    ----------
    study
        Study file whose space, task and recipe are used.
    candidates
        Random architectures that get everything.
    seeds, long_seeds
        Trainings at the proxy's length, and at four times it.
    more
        Further architectures that are trained once, for the comparison of samplers.
    workers
        Trainings at a time, one thread each; one a core by default.
    db
        Database that keeps every training.
    out
        Folder for proxy.csv, proxy.md and proxy.svg.
    table_file
        Report on this earlier table and train nothing.
    """
    gemm = None
    if table_file is not None:
        frame = pd.read_csv(table_file)
    else:
        chosen = load(study)
        task = TASKS.get(chosen.task)
        task.prepare()
        recipe = recipe_for(task, chosen.recipe).id(task)
        gemm = guarded(gemm_rate, (), cpu_seconds=60, memory_bytes=4 * 2**30)
        found = architectures(chosen, candidates + more)
        todo = jobs(chosen, found[:candidates], seeds, long_seeds, found[candidates:])
        with Store.open(db) as store, store.lock():
            train_all(todo, store, recipe, workers or os.cpu_count() or 1)
            frame = table(chosen, todo, store, recipe)
        frame.to_csv(out / "proxy.csv", index=False, float_format="%.6g")
    report = Report(frame)
    (out / "proxy.svg").write_text(report.plot())
    words = " ".join(["python -m benchmarks.proxy", *sys.argv[1:]])
    text = report.text(gemm, words, "proxy.svg")
    (out / "proxy.md").write_text(text)
    print(text)


if __name__ == "__main__":
    app()
