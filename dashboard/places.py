"""Where a study's candidates were measured or predicted: one place a device, runtime and deployment. No figures.

Measured and predicted latencies are never mixed: a place has one column of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.candidates import Numbers, numbers
from dashboard.deployed import deployment_of
from dashboard.effects import drawn, measured
from dashboard.texts import isolated
from evaluator.devices import cards
from evaluator.record import Deployment
from evaluator.target import Target
from search.agreement import Estimate, kendall_interval

if TYPE_CHECKING:
    from search.columns import Columns

FEWEST = 10
"""Candidates with both values below which no rank correlation is given."""
SIMILAR = 1.05
"""Candidates whose MACs lie within this ratio have similar MACs."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One device, runtime and deployment. The arrays are over the rows of the study's frame, NaN where unknown."""

    key: str
    """Tells it from others in a URL."""
    device: str
    title: str
    """The device as a person calls it."""
    backend: str
    precision: str
    detail: str
    """Threads, batch and size."""
    deployment: str
    """Id of the deployment that its rows have."""
    host: bool
    """Whether the study timed its candidates there."""
    measured: Numbers
    predicted: Numbers
    error: float
    """Relative error that the predictions state, NaN where they state none."""
    method: str = ""
    """How it was predicted."""
    target: Target | None = None
    """What networks are predicted for, as far as the rows say it."""

    @property
    def runtime(self) -> str:
        """Backend and precision, and what else tells it from others."""
        return " · ".join(isolated(part) for part in (self.backend, self.precision, self.detail) if part)

    @property
    def label(self) -> str:
        """In one line."""
        return f"{self.title} · {self.runtime}"

    @property
    def best(self) -> tuple[Numbers, str]:
        """What is known best, and its origin."""
        origin = best_known(self.measured, self.predicted)
        return (self.measured if origin == "measured" else self.predicted), origin

    def by(self, origin: str) -> Numbers:
        """The column that a person chose: measured, predicted, or both, measured where known; else what is best."""
        if origin == "both":
            return np.where(np.isfinite(self.measured), self.measured, self.predicted)
        return {"measured": self.measured, "predicted": self.predicted}.get(origin, self.best[0])

    def share(self, among: Any) -> tuple[int, int]:
        """How many of the rows `among` are measured, and how many there are."""
        return int((np.isfinite(self.measured) & among).sum()), int(among.sum())


def best_known(measured: Numbers, predicted: Numbers) -> str:
    """`measured` where that column has `FEWEST` values, or as many as are predicted; else `predicted`."""
    few = np.isfinite(measured).sum() < min(FEWEST, max(1, np.isfinite(predicted).sum()))
    return "predicted" if few else "measured"


def places(frame: Columns, latencies: Iterable[Any], config: Mapping[str, Any]) -> list[Place]:
    """The places of `Store.latencies`, the study's own first, then those with most values."""
    rows = {identity: row for row, identity in reversed(list(enumerate(np.asarray(frame["id"]).tolist())))}
    chosen = {(kept["device"], kept["backend"]): kept["method"] for kept in config.get("predictors", {}).values()}
    found: dict[tuple[Any, ...], _Draft] = {}
    for fact in latencies:
        row, key = rows.get(fact.id), (fact.device, fact.backend, fact.deployment)
        if row is None or not fact.value > 0 or fact.origin not in ("measured", "predicted"):
            continue
        # A study's own predictor counts where it names one, else the newest.
        if fact.origin == "predicted" and chosen.get(key[:2], fact.method) != fact.method:
            continue
        if key not in found:
            found[key] = _Draft(fact, len(frame))
        found[key].add(row, fact)
    own, size = (
        (config.get("device"), config.get("backend", "onnxruntime"), config.get("deployment_id")),
        deployment_of(config),
    )
    result = [draft.place(size, host=key == own) for key, draft in found.items()]
    result.sort(key=lambda place: (not place.host, -int(np.isfinite(place.best[0]).sum()), place.key))
    return _shortened(result)


class _Draft:
    """A place while its rows are read."""

    def __init__(self, first: Any, size: int) -> None:
        self.first = first
        self.columns = {origin: np.full(size, np.nan) for origin in ("measured", "predicted")}
        self.method, self.errors = "", np.full(size, np.nan)

    def add(self, row: int, fact: Any) -> None:
        self.columns[fact.origin][row] = fact.value
        if fact.origin == "predicted":
            self.method = fact.method or ""
            self.errors[row] = math.nan if fact.error is None else fact.error

    def place(self, size: Deployment, *, host: bool) -> Place:
        """The place; what its rows leave open is as in `size`."""
        first, known = self.first, self.errors[np.isfinite(self.errors)]
        parts = {"precision": first.precision, "threads": first.threads, "batch": first.batch}
        if first.height not in (None, size.height):
            parts |= {"height": first.height, "width": first.height}  # the rows tell no width
        where = replace(size, **{name: value for name, value in parts.items() if value is not None})
        return Place(
            key=f"{first.device}/{first.backend}/{first.deployment}", device=first.device, title=title_of(first.device),
            backend=first.backend or "", precision=first.precision or "", detail=_detail(first), host=host,
            deployment=first.deployment,
            method=self.method, error=float(np.median(known)) if len(known) else math.nan, **self.columns,
            target=Target(device=first.device, backend=first.backend or "", deployment=where),
        )  # fmt: skip


def title_of(device: str) -> str:
    """A device as a person calls it."""
    card = cards().get(device)
    return isolated(card.title if card else device)


def _detail(row: Any) -> str:
    parts = [(row.threads, "{:g} threads"), (row.batch, "batch {:g}"), (row.height, "{:g} px")]
    texts = [form.format(value) for value, form in parts if value is not None and value == value]
    return ", ".join(texts).replace("1 threads", "1 thread")


def _shortened(found: Sequence[Place]) -> list[Place]:
    """Details only of places that would else have one name."""

    def name(place: Place) -> tuple[str, str, str]:
        return place.title, place.backend, place.precision

    names = [name(place) for place in found]
    return [place if names.count(name(place)) > 1 else replace(place, detail="") for place in found]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the rank correlation matrix."""

    title: str
    detail: str
    """Runtime, and whether it is predicted."""
    values: Numbers


def columns(frame: Columns, found: Sequence[Place]) -> list[Column]:
    """Every place as it is known best, then MACs and parameters."""
    result = []
    for place in found:
        values, origin = place.best
        detail = place.runtime + (", predicted" if origin == "predicted" else "")
        result.append(Column(title=place.title, detail=detail, values=values))
    return [*result, *(Column(title=title, detail="", values=numbers(frame, name))
                       for title, name in (("MACs", "macs"), ("Parameters", "params")))]  # fmt: skip


def agreement(a: Numbers, b: Numbers) -> Estimate:
    """Kendall's tau with its interval over the candidates that have both; `n` is how many those are."""
    both = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    if len(both) < FEWEST:
        return Estimate(math.nan, math.nan, math.nan, len(both))
    few = drawn(both)
    return kendall_interval(a[few], b[few], draws=500)._replace(n=len(both))


def matrix(found: Sequence[Column]) -> list[list[Estimate]]:
    """Kendall's tau of every column with every other; symmetric, 1 on the diagonal."""
    size = len(found)
    result = [[Estimate(1.0, 1.0, 1.0, int(np.isfinite(column.values).sum()))] * size for column in found]
    for row in range(size):
        for column in range(row):
            result[row][column] = result[column][row] = agreement(found[row].values, found[column].values)
    return result


def widest(macs: Numbers, latency: Numbers) -> tuple[int, int, float] | None:
    """Of all pairs with similar MACs the one whose latencies differ most: faster row, slower row, ratio."""
    rows = np.flatnonzero(np.isfinite(macs) & np.isfinite(latency) & (macs > 0))
    if len(rows) < 2:
        return None
    rows = rows[np.argsort(macs[rows], kind="stable")]
    cost, time = macs[rows], latency[rows]
    ends = np.searchsorted(cost, cost * SIMILAR, side="right")
    best: tuple[int, int, float] | None = None
    for start in drawn(np.arange(len(rows)), 2_000):
        window = time[start : ends[start]]
        low, high = int(np.argmin(window)), int(np.argmax(window))
        ratio = float(window[high] / window[low])
        if ratio > 1 and (best is None or ratio > best[2]):
            best = int(rows[start + low]), int(rows[start + high]), ratio
    return best


def sample(frame: Columns, found: Sequence[Place], on_front: Any, numbers_chosen: Sequence[int],
           most: int = 8) -> list[int]:  # fmt: skip
    """Rows to show on every place: the selected ones, else some along the front, the fastest first."""
    listed = np.asarray(frame["number"]).tolist()
    chosen = [listed.index(number) for number in numbers_chosen if number in listed]
    if chosen:
        return chosen[:most]
    rows = np.flatnonzero(on_front)
    if not len(rows):
        rows = np.flatnonzero(np.isfinite(measured(frame, "macs")))
    cost = found[0].best[0] if found else numbers(frame, "macs")
    rows = rows[np.argsort(np.nan_to_num(cost[rows], nan=np.inf), kind="stable")]
    if not len(rows):
        return []
    spread = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))
    return [int(row) for row in rows[spread]]
