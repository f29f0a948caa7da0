"""The filters that a person chose on the first screen, on pages that the server makes: which rows a query leaves.

The names and rules are those of assets/view.js, model.js and steps.js; a test in Chromium holds both to the same rows.
Nothing here raises: what cannot be read is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import numpy as np

from dashboard.candidates import Mask, Numbers, categories, numbers
from dashboard.deployed import COSTS
from dashboard.fields import CHIPS, FIELDS, FILTERED, MISSING
from dashboard.query import number, read
from dashboard.texts import isolated
from evaluator.record import digest

if TYPE_CHECKING:
    from dashboard.data import Snapshot
    from dashboard.deployed import Where
    from search.columns import Columns

CLOSE = 1e-7
"""Relative tolerance of a bound: it was typed, or went through the URL."""
MOST = 20
"""Steps that are read."""
KEYS = (*(f"{end}.{name}" for name in FILTERED for end in ("min", "max")), "lat", *CHIPS, "steps")
"""What of a query filters."""
Range = tuple[float | None, float | None]
Brush = Mapping[str, Range | tuple[str, ...]]
"""Field -> its ends in base units, None is open, or the labels that are kept."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Choices that leave rows out."""

    ranges: Mapping[str, Range] = field(default_factory=dict)
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    steps: Sequence[tuple[bool, Brush]] = ()
    """Only what a brush holds (True), or all but that."""

    def __bool__(self) -> bool:
        return bool(self.ranges or self.kinds or self.steps)

    def words(self) -> str:
        """In one line, as the answer of the first screen says it."""
        parts = [_range(name, ends) for name, ends in self.ranges.items()]
        parts += [f"{FIELDS[name].label.lower()} {_listed(kept)}" for name, kept in self.kinds.items()]
        for only, brush in self.steps:
            held = [_range(name, kept) if _is_range(kept) else f"{_label(name)} {_listed(kept)}"
                    for name, kept in brush.items()]  # fmt: skip
            parts.append(f"{'only' if only else 'without'} {', '.join(held)}")
        return ", ".join(parts)


def filters(query: str | None) -> Filters:
    """The filters of a query."""
    given = dict(parse_qsl((query or "").lstrip("?")[:20_000], keep_blank_values=True))
    if "lat" in given:
        given.setdefault("max.latency_ms", given["lat"])
    ranges = {name: (number(given.get(f"min.{name}")), number(given.get(f"max.{name}"))) for name in FILTERED}
    return Filters(
        ranges={name: ends for name, ends in ranges.items() if ends != (None, None)},
        kinds={name: tuple(filter(None, given[name].split(","))) for name in CHIPS if name in given},
        steps=_steps(given.get("steps", "")),
    )


def inside(columns: Columns, chosen: Filters, own: Mapping[str, Numbers] | None = None) -> Mask:
    """Rows inside every filter. A row without a value is outside a filter on that value.

    `own` are columns that stand for those of the study, as another device's latencies do.
    """
    values = _Values(columns, own or {})
    mask = np.ones(len(columns), bool)
    for name, ends in chosen.ranges.items():
        mask &= _between(values.number(name), ends)
    for name, kept in chosen.kinds.items():
        mask &= np.isin(values.text(name), list(kept))
    for only, brush in chosen.steps:
        held = _held(values, brush)
        if held is not None:
            mask &= held if only else ~held
    return mask


def narrowed(snapshot: Snapshot, query: str, where: Where) -> tuple[Snapshot, str]:
    """The snapshot with the rows that a query leaves, and what to say of it; as it was where nothing filters."""
    chosen, columns = filters(query), snapshot.columns
    if not chosen or columns is None:
        return snapshot, ""
    # Of a device that takes other images the costs stay the study's own, as on the first screen.
    scales = {name: where.scale(name) for name in COSTS if name in columns}
    own = {name: scale * numbers(columns, name) for name, scale in scales.items() if scale not in (None, 1.0)}
    if where.dev and where.place is not None:
        own["latency_ms"] = where.place.by(read(query).get("by", ""))
    elif where.dev and "latency_ms" in chosen.ranges:
        chosen = replace(chosen, ranges={name: ends for name, ends in chosen.ranges.items() if name != "latency_ms"})
    by_tags = [step for step in chosen.steps if "tags" in step[1]]
    if by_tags:
        chosen = replace(chosen, steps=[step for step in chosen.steps if step not in by_tags])
    mask = inside(columns, chosen, own)
    said = f"Only the {int(mask.sum()):,} of {len(mask):,} candidates with {chosen.words()}." if chosen else ""
    if by_tags:
        said = f"{said} Tags filter the first screen, tables and Parallel alone: here they leave nothing out.".strip()
    if where.dev and where.place is None:
        said += f" A latency on {where.title} is predicted on the first screen alone: here it filters nothing."
    token = f"{snapshot.token} {digest([chosen.words(), where.dev])}"
    return replace(snapshot, columns=columns.take(mask), token=token), said


class _Values:
    """Columns as the filters read them."""

    def __init__(self, columns: Columns, own: Mapping[str, Numbers]) -> None:
        self._columns, self._own = columns, own

    def __contains__(self, name: str) -> bool:
        return name in self._own or name in self._columns

    def number(self, name: str) -> Numbers:
        return self._own[name] if name in self._own else numbers(self._columns, name)

    def text(self, name: str) -> Any:
        return np.array(categories(self._columns, name) if name in self._columns else [MISSING] * len(self._columns),
                        dtype=object)  # fmt: skip


def _between(values: Numbers, ends: Range) -> Mask:
    low, high = (None if end is None else end + sign * CLOSE * abs(end) for end, sign in zip(ends, (-1, 1)))
    with np.errstate(invalid="ignore"):
        found: Mask = values >= (-math.inf if low is None else low)
        found &= values <= (math.inf if high is None else high)
    return found


def _held(values: _Values, brush: Brush) -> Mask | None:
    """Rows that a brush holds; None if it names a column that is not here."""
    mask: Mask | None = None
    for name, kept in brush.items():
        if name not in values:
            return None
        if _is_range(kept):
            held = _between(values.number(name), kept)  # type: ignore[arg-type]
        elif FIELDS[name].kind == "category" if name in FIELDS else False:
            held = np.isin(values.text(name), [str(label) for label in kept])
        else:  # of numbers only those that are missing have a label
            held = np.isnan(values.number(name)) if MISSING in kept else np.zeros(len(values.number(name)), bool)
        mask = held if mask is None else mask & held
    return mask


def _steps(text: str) -> list[tuple[bool, Brush]]:
    found = []
    for part in text[:8000].split(";")[:MOST]:
        kind, colon, rest = part.partition(":")
        brush = _brush(rest) if colon and kind in ("only", "not") else {}
        if brush:
            found.append((kind == "only", brush))
    return found


def _brush(text: str) -> Brush:
    brush: dict[str, Range | tuple[str, ...]] = {}
    for part in text[:4000].split(",")[:60]:
        coded, tilde, given = part.partition("~")
        name = unquote(coded)
        if not tilde or not name or name.startswith("__"):
            continue
        if given.startswith("="):
            brush[name] = tuple(unquote(label) for label in given[1:].split("|"))
        elif ".." in given:
            low, high = (number(end) for end in unquote(given).split("..")[:2])
            if (low, high) != (None, None):
                brush[name] = (low, high)
    return brush


def _is_range(kept: Range | tuple[str, ...]) -> bool:
    return len(kept) == 2 and not any(isinstance(end, str) for end in kept)


def _label(name: str) -> str:
    return FIELDS[name].label if name in FIELDS else isolated(name)


def _listed(kept: Sequence[object]) -> str:
    return " or ".join(isolated(str(label)) for label in kept) or "none"


def _range(name: str, ends: Any) -> str:
    known = FIELDS.get(name)
    scale, unit = (known.scale, f" {known.unit}" if known.unit else "") if known else (1.0, "")
    low, high = (None if end is None else f"{end * scale:.4g}" for end in ends)
    if low is None:
        return f"{_label(name)} ≤ {high}{unit}"
    return f"{_label(name)} ≥ {low}{unit}" if high is None else f"{_label(name)} {low} to {high}{unit}"
