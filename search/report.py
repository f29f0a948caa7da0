"""What a person sees of a running search: a live bar on a terminal, plain lines elsewhere, a table at the end.

Progress goes to stderr, results to stdout.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from evaluator.metrics import METRICS

if TYPE_CHECKING:
    from search.progress import Summary
    from search.store import Proposal, Store, StudyRow
    from search.study import Study

LAST = 6
"""Candidates that the live display keeps."""


class Console:
    """The search's `Progress`. A context manager while the search runs."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._rich = RichConsole(stderr=True, highlight=False)
        self._live: Live | None = None
        self._lines: deque[str] = deque(maxlen=LAST)
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(bar_width=None),
                             TextColumn("{task.completed:.0f} of {task.total:.0f}"), TimeElapsedColumn(),
                             TextColumn("{task.fields[eta]}"), console=self._rich)  # fmt: skip
        self._task = self._bar.add_task(study.name, total=study.budget, eta="")
        self._phase = ""
        self._status = ""
        self._start = time.monotonic()
        self._first: int | None = None
        self._first_at = 0.0

    def __enter__(self) -> Console:
        self._start = time.monotonic()
        if self._rich.is_terminal:
            self._live = Live(self._draw(), console=self._rich, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """One line for the person watching."""
        self._rich.print(Text(text), soft_wrap=True)

    def phase(self, text: str) -> None:
        """A new step began."""
        self._phase = text
        if self._live is None:
            self.say(f"-- {text}")
        else:
            self._live.update(self._draw())

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
            f"about {_clock(rate * max(0, summary.budget - done))} left"
            if finished > (self._study.population if rungs else 2)
            else ""
        )
        volume = "–" if summary.hypervolume is None else f"{summary.hypervolume:.3f}"
        self._status = f"{len(summary.front)} on the front, hypervolume {volume}" + (
            f", {summary.failed} failed" if summary.failed else ""
        )
        self._bar.update(self._task, completed=done, eta=left)
        if self._live is None:
            self.say(f"{line}   ({', '.join(filter(None, (self._status, left)))})")
        else:
            self._lines.append(line)
            self._live.update(self._draw())

    def _draw(self) -> Group:
        return Group(*(Text(line) for line in self._lines), Text(f"{self._phase}; {self._status}", style="dim"),
                     self._bar)  # fmt: skip


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def farewell(study: Study, row: StudyRow, store: Store, summary: Summary, db: str) -> None:
    """The front as a table, where the time went, and what to type next; on stdout."""
    out = RichConsole(highlight=False, width=None if sys.stdout.isatty() else 160)
    frame = store.frame(row.name)
    best = frame[frame["id"].isin(summary.front)].sort_values(study.score.metric, ascending=False)
    names = list(dict.fromkeys([*(o.metric for o in study.objectives), "params", "peak_bytes"]))
    table = Table(title=f"Pareto front of '{row.name}': {len(best)} of {summary.admitted} candidates")
    table.add_column("candidate", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
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
    for text in _closing(study, summary):
        out.print(Text(text), soft_wrap=True)
    out.print(Text(f"next: python -m dashboard{'' if db == 'csp.db' else f' --db {db}'}"), soft_wrap=True)


def _closing(study: Study, s: Summary) -> list[str]:
    total = s.total_seconds or 1.0
    lines = [
        f"{_clock(s.total_seconds)}: {s.training_seconds / total:.0%} training, "
        f"{s.latency_seconds / total:.0%} measuring latency, {s.other_share:.0%} everything else",
        f"{s.admitted} trained, {s.failed} of them failed; {s.refused} refused by limits"
        + (f"; repeats skipped: {s.duplicates}" if s.duplicates else ""),
        f"latency: {study.deployment}, ONNX Runtime, this machine; {study.score.metric}: "
        f"{study.rungs[-1].image_visits} image visits of task '{study.task}', one seed (proxy, not verified)",
    ]
    if s.stopped:
        lines.insert(0, f"stopped early: {s.stopped}")
    return lines
