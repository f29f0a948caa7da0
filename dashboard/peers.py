"""One candidate among the others of its study: percentiles, and the nearest by genes. Columns in, numbers out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.candidates import Mask, Numbers, categories, complete, numbers
from dashboard.deployed import COSTS, TIMED, Where
from search.frame import axes
from space.architecture import Architecture

if TYPE_CHECKING:
    from dashboard.data import Detail, Snapshot

AXES = ("block", "fusion", "split", "partial_ratio", "num_stages", "depths", "widths", "growth_rate",
        "bottleneck_ratio", "cardinality", "stem_width", "activation", "head", "head_width", "maxout")  # fmt: skip
"""Columns of a study that say what a candidate is."""


def percentile(values: Numbers, own: float | None, direction: str | None) -> float | None:
    """Share of `values` that are worse than `own`, equal ones counted half; None without a direction or values.

    Where `own` is one of the values it is no peer of itself.
    """
    known = values[np.isfinite(values)]
    if own is None or math.isnan(own) or direction is None or len(known) < 2:
        return None
    worse = known < own if direction == "maximize" else known > own
    equal = int((known == own).sum())
    others = len(known) - min(1, equal)
    return float((worse.sum() + max(0, equal - 1) / 2) / others)


def axis_distance(name: str, a: str, b: str) -> float:
    """From 0 (equal) to 1 for one axis: shares by difference, sizes by octaves, names by equality."""
    if a == b:
        return 0.0
    ours, theirs = _sizes(a), _sizes(b)
    if ours is None or theirs is None:
        return 1.0
    length = max(len(ours), len(theirs))
    if name == "partial_ratio":
        return min(1.0, abs(ours[0] - theirs[0]))
    steps = [min(1.0, abs(math.log2((x + 1e-9) / (y + 1e-9))) / 2) for x, y in zip(ours, theirs)]
    return (sum(steps) + length - len(steps)) / length


def _sizes(text: str) -> list[float] | None:
    parts = re.split(r"[-/]", text)
    return [float(part) for part in parts] if all(re.fullmatch(r"\d+(\.\d+)?", part) for part in parts) else None


class Places:
    """Where every candidate of a study stands in the design space; made once for a state of the study."""

    def __init__(self, frame: Any) -> None:
        self.ids = np.asarray(frame["id"], dtype=object)
        self._axes: dict[str, tuple[list[str], Any]] = {}
        for name in AXES:
            known: dict[str, int] = {}
            codes = np.array([known.setdefault(text, len(known)) for text in categories(frame, name)], dtype=np.intp)
            self._axes[name] = (list(known), codes)

    def distances(self, architecture: Architecture) -> Numbers:
        """Sum over all axes of how far each candidate is."""
        own = described(architecture)
        total = np.zeros(len(self.ids))
        for name, (labels, codes) in self._axes.items():
            if labels:
                total += np.array([axis_distance(name, own[name], label) for label in labels])[codes]
        return total

    def changes(self, architecture: Architecture, row: int) -> list[str]:
        """The axes in which a candidate differs, as `depths 2-2-3 → 2-2-2`."""
        own = described(architecture)
        theirs = {name: labels[codes[row]] for name, (labels, codes) in self._axes.items()}
        return [f"{AXIS_WORDS.get(name, name.replace('_', ' '))} {own[name]} → {theirs[name]}"
                for name in AXES if own[name] != theirs[name]]  # fmt: skip


AXIS_WORDS = {"partial_ratio": "γ", "num_stages": "stages"}


def described(architecture: Architecture) -> dict[str, str]:
    """The axes of an architecture as texts, as `categories` gives them."""
    values = axes(architecture.canonical().to_dict())
    return {name: _text(values[name]) for name in AXES}


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A candidate near another: its row of the study, how far it is, and what it has otherwise."""

    row: int
    id: str
    distance: float
    changes: Sequence[str]


def neighbours(frame: Any, places: Places, architecture: Architecture, count: int = 6) -> list[Neighbour]:
    """The nearest candidates that were evaluated to the end, nearest first; not the architecture itself."""
    distances = np.where(complete(frame) & (places.ids != architecture.id), places.distances(architecture), np.inf)
    nearest = np.argsort(distances, kind="stable")[:count]
    return [
        Neighbour(row=int(row), id=str(places.ids[row]), distance=float(distances[row]),
                  changes=places.changes(architecture, int(row)))
        for row in nearest
        if np.isfinite(distances[row])
    ]  # fmt: skip


def rows_of(frame: Any, architecture_id: str) -> list[int]:
    """Rows of a study that are this architecture, the last proposed first."""
    return [int(row) for row in np.flatnonzero(np.asarray(frame["id"], dtype=object) == architecture_id)[::-1]]


def column(frame: Any, name: str, where: Where) -> Numbers:
    """A metric of every candidate; what is timed is what was measured at `where`, and costs are those there."""
    if name not in TIMED or not where.dev:
        scale = where.scale(name)
        return np.full(len(frame), math.nan) if scale is None else scale * numbers(frame, name)
    measured = where.place.measured if where.place and name == "latency_ms" else None
    return np.full(len(frame), math.nan) if measured is None else measured


def peers(frame: Any, name: str, where: Where) -> Numbers:
    """A metric of all candidates that were evaluated to the end."""
    mask: Mask = complete(frame)
    return column(frame, name, where)[mask]


class Known:
    """The numbers of one architecture that speak for a study: a candidate's are those that the first screen shows."""

    def __init__(self, detail: Detail, snapshot: Snapshot, where: Where) -> None:
        self._rows, self._where, self._frame = detail.measurements, where, snapshot.columns
        found = rows_of(snapshot.columns, detail.architecture.id) if snapshot.columns is not None else []
        self._row = found[0] if found else None

    def __call__(self, name: str) -> tuple[float | None, float | None]:
        """Value and spread of a metric, None where nothing says it, as of a cost on another device: that is counted."""
        if self._where.dev and name in COSTS:
            return None, None
        if self._row is not None and self._frame is not None and not (self._where.dev and name in TIMED):
            value, spread = (_number(numbers(self._frame, each)[self._row]) for each in (name, f"{name}_spread"))
            if value is not None:
                return value, spread
        row = self._where.newest(self._rows, name)
        return (None, None) if row is None else (_number(row["value"]), _number(row["spread"]))


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
