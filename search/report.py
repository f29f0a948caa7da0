"""What a person sees of a search: a line a candidate while it runs (stderr), the front at the end (stdout)."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from evaluator.metrics import METRICS
from evaluator.tasks import TASKS, Analytic
from search.display import Display, clock
from search.evidence import closing

if TYPE_CHECKING:
    from search.progress import Summary
    from search.store import Proposal, Store, StudyRow
    from search.study import Study


class Console(Display):
    """The search's `Progress`. A context manager while the search runs."""

    def __init__(self, study: Study) -> None:
        super().__init__(study.name, study.budget)
        self._study = study
        self._first: int | None = None
        self._first_at = 0.0

    def candidate(self, summary: Summary, proposal: Proposal, values: dict[str, float], note: str) -> None:
        """A candidate is finished: one line."""
        done = summary.admitted
        now = time.monotonic()
        if self._first is None:
            self._first, self._first_at = done - 1, now
        numbers = "  ".join(
            f"{METRICS[o.metric].show(values.get(o.metric))}" if METRICS[o.metric].unit else
            f"{o.metric.upper()} {METRICS[o.metric].show(values.get(o.metric))}"
            for o in self._study.objectives
        )  # fmt: skip
        label = proposal.state if proposal.state != "complete" else ""
        line = f"[{done:3d}/{summary.budget}] {proposal.architecture.id}  {numbers}  {label} {note}".rstrip()
        finished = done - self._first
        rungs = len(self._study.rungs) > 1  # then candidates are closed in bunches: only whole generations tell
        if finished > self._study.population or rungs:
            rate = (now - self._start) / finished
        else:
            # The first generation's latencies were all measured before its first candidate was finished.
            rate = (now - self._first_at) / max(1, finished - 1)
        left = (
            f"about {clock(rate * max(0, summary.budget - done))} left"
            if finished > (self._study.population if rungs else 2)
            else ""
        )
        volume = "–" if summary.hypervolume is None else f"{summary.hypervolume:.3f}"
        status = f"{len(summary.front)} on the front, hypervolume {volume}" + (
            f", {summary.failed} failed" if summary.failed else ""
        )
        self.advance(done, line, status, left)


def farewell(study: Study, row: StudyRow, store: Store, summary: Summary, db: str) -> None:
    """The front as a table, where the time went, and what to type next; on stdout."""
    out = RichConsole(highlight=False, width=None if sys.stdout.isatty() else 160)
    frame = store.frame(row.name)
    best = frame[frame["id"].isin(summary.front)].sort_values(study.score.metric, ascending=False)
    names = list(dict.fromkeys([*(o.metric for o in study.objectives), "params", "peak_bytes"]))
    table = Table(title=f"Pareto front of '{row.name}': {len(best)} of {summary.admitted} candidates")
    table.add_column("candidate", no_wrap=True)
    for name in names:
        table.add_column(f"{name}\npredicted" if "@" in name else name, justify="right", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for _, line in best.iterrows():
        architecture = store.architecture(line["id"])
        assert architecture is not None
        table.add_row(line["id"], *(METRICS[name].show(line[name]) for name in names), architecture.words())
    out.print(table)
    reached = frame["image_visits"].value_counts()
    if len(study.rungs) > 1:
        ends = ", ".join(f"{reached.get(f.image_visits, 0)} to {f.image_visits}" for f in study.rungs)
        out.print(Text(f"trained, in image visits: {ends}; the front is of the last"), soft_wrap=True)
    for text in [*_closing(study, summary), *_foresight(study, store, row, summary), *closing(store, row, frame, db)]:
        out.print(Text(text), soft_wrap=True)
    options = "" if db == "csp.db" else f" --db {shlex.quote(db)}"
    unverified = int((best["verdict"] == "unverified").sum())
    if unverified:
        named = f" --name {shlex.quote(row.name)}" if len(store.studies()) > 1 else ""
        count = "all" if unverified == len(best) else f"{unverified} of the"
        out.print(Text(f"{count} {len(best)} on this front are unverified; before you deploy one: "
                       f"python -m search.verify{options}{named}"), soft_wrap=True)  # fmt: skip
    out.print(Text(f"next: python -m dashboard{options}"), soft_wrap=True)


def _foresight(study: Study, store: Store, row: StudyRow, s: Summary) -> list[str]:
    """How each latency on a device was predicted, and how far that was off where the front was measured too."""
    if not study.predictors:
        return []
    lines, rows = [found.words() for found in study.predictors.values()], store.deployed(row.name)
    for found in study.predictors.values():
        place = found.target
        here = rows[(rows["metric"] == found.metric.partition("@")[0]) & rows["id"].isin(s.front)
                    & (rows["device"] == place.device) & (rows["backend"] == place.backend)
                    & (rows["deployment"] == place.deployment.id)]  # fmt: skip
        table = here.pivot_table(index="id", columns="origin", values="value")
        if {"measured", "predicted"} <= set(table):
            off = (table["predicted"] / table["measured"] - 1).abs().dropna()
            lines.append(f"{found.metric}: measured on {len(off)} of {len(s.front)} of the front; predicted within "
                         f"{off.median():.1%} (median), {off.max():.1%} at worst")  # fmt: skip
    return lines


def _closing(study: Study, s: Summary) -> list[str]:
    total = s.total_seconds or 1.0
    lines = [
        f"{clock(s.total_seconds)}: {s.training_seconds / total:.0%} training, "
        f"{s.latency_seconds / total:.0%} measuring latency, {s.other_share:.0%} everything else",
        f"{s.admitted} trained, {s.failed} of them failed; {s.refused} refused by limits"
        + (f"; repeats skipped: {s.duplicates}" if s.duplicates else ""),
        f"latency: {study.deployment}, {study.backend}, this machine; {study.score.metric}: "
        f"{study.rungs[-1].image_visits} image visits of task '{study.task}', one seed (proxy, not verified)",
    ]
    if isinstance(TASKS.get(study.task), Analytic):
        lines[-1] = f"{study.score.metric}: a formula with the noise of a seed; nothing was trained" + (
            "" if study.timed or study.targeted else ", and no latency was measured"
        )
    if s.stopped:
        lines.insert(0, f"stopped early: {s.stopped}")
    return lines
