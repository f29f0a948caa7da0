"""What the page says about a study's candidates: filters, fronts, the answer. Frames in, frames and masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.fields import CHIPS, FIELDS, FILTERED
from dashboard.view import View
from search.pareto import front, minimised

if TYPE_CHECKING:
    import pandas as pd

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]

STATUS = {"complete": "dominated", "stopped": "stopped", "failed": "failed", "refused": "refused",
          "proposed": "waiting"}  # fmt: skip
"""What a proposal that is not on the front is called."""


def prepare(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame of `Store.frame` as the page uses it: without duplicates, with derived columns."""
    kept = frame[frame["state"] != "duplicate"].reset_index(drop=True)
    return kept.assign(flops=2.0 * kept["macs"].astype(float))


def numbers(frame: pd.DataFrame, name: str) -> Numbers:
    """A numeric column in base units as floats; what is missing or no number is NaN, and so is a column."""
    import pandas as pd

    if name not in frame:  # a verified score other than the study's
        return np.full(len(frame), np.nan)
    result: Numbers = np.array(pd.to_numeric(frame[name], errors="coerce"), dtype=float)
    return result


def categories(frame: pd.DataFrame, name: str) -> list[str]:
    """A column as texts; an en dash where missing. Whole numbers lose their `.0`."""
    return [as_text(value) for value in frame[name].tolist()]


def as_text(value: Any) -> str:
    """A value as a person reads it; an en dash where missing. Whole numbers lose their `.0`."""
    if value is None or value != value or value == "":
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def complete(frame: pd.DataFrame) -> Mask:
    """Candidates that were evaluated to the end: only these may be on a front."""
    return np.asarray(frame["state"] == "complete", dtype=bool)


def matching(frame: pd.DataFrame, view: View) -> Mask:
    """Rows inside every filter. A row without a value is outside a filter on that value."""
    mask = np.ones(len(frame), bool)
    for name, (low, high) in view.ranges.items():
        values = numbers(frame, name)
        tolerance = 1e-9 * np.abs(values)  # a bound that was typed or went through the URL
        with np.errstate(invalid="ignore"):
            if low is not None:
                mask &= values >= low - tolerance
            if high is not None:
                mask &= values <= high + tolerance
    for name, kept in view.kinds.items():
        mask &= np.isin(np.array(categories(frame, name), dtype=object), list(kept))
    return mask


def front_over(frame: pd.DataFrame, names: Sequence[str], among: Mask) -> Mask:
    """Rows of `among` that no other row of `among` dominates in the metrics `names`, each in its direction.

    No row at all if a metric has no direction.
    """
    mask = np.zeros(len(frame), bool)
    directions = [FIELDS[name].direction for name in names]
    rows = np.flatnonzero(among)
    if len(rows) and names and all(directions):
        values = np.column_stack([numbers(frame, name)[rows] for name in names])
        mask[rows] = front(minimised(values, [str(direction) for direction in directions]))
    return mask


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Which rows of a frame play which part under a view. All masks are over the whole frame."""

    matching: Mask
    """Inside every filter, whatever the state."""
    axes_front: Mask
    """Front of the two axes among the matching candidates."""
    all_front: Mask
    """Front of all objectives among the matching candidates."""
    free_front: Mask
    """Front of the two axes as if there were no filter."""
    highlighted: Mask
    """The front that the view asks for."""
    shown: Mask
    """Drawn and listed."""
    best: int | None
    """Row of the answer."""

    @property
    def filtered(self) -> bool:
        """Whether a filter hides anything."""
        return not bool(self.matching.all())


def pick(frame: pd.DataFrame, view: View, objectives: Sequence[str]) -> Picked:
    """Filters, fronts and the answer for one view; `objectives` are the study's, the score first."""
    inside, done = matching(frame, view), complete(frame)
    axes_front = front_over(frame, (view.x, view.y), inside & done)
    all_front = front_over(frame, objectives, inside & done)
    highlighted = all_front if view.front == "all" else axes_front
    states = frame["state"].tolist()
    wanted = np.array([STATUS.get(state, "waiting") in view.show for state in states], dtype=bool)
    return Picked(
        matching=inside,
        axes_front=axes_front,
        all_front=all_front,
        free_front=front_over(frame, (view.x, view.y), done),
        highlighted=highlighted,
        shown=inside & (highlighted | wanted),
        best=best(frame, objectives, inside & done),
    )


def best(frame: pd.DataFrame, objectives: Sequence[str], among: Mask) -> int | None:
    """Row with the best score; equal scores are told apart by the other objectives in turn."""
    rows = np.flatnonzero(among & ~np.isnan(numbers(frame, objectives[0])))
    if not len(rows):
        return None
    signs = [-1.0 if FIELDS[name].direction == "maximize" else 1.0 for name in objectives]
    keys = [sign * numbers(frame, name)[rows] for sign, name in zip(signs, objectives, strict=True)]
    return int(rows[np.lexsort(keys[::-1])[0]])


def status(frame: pd.DataFrame, highlighted: Mask) -> list[str]:
    """What each row is called: `on front`, `dominated`, `stopped`, `failed`, `refused` or `waiting`."""
    return [
        "on front" if on else STATUS.get(state, "waiting")
        for on, state in zip(highlighted, frame["state"].tolist(), strict=True)
    ]


def verdicts(frame: pd.DataFrame) -> Any:
    """What the verification says of each row, as an array of texts."""
    return np.asarray(frame["verdict"], dtype=object)


def any_verified(frame: pd.DataFrame) -> bool:
    """Whether the study has a verification with a result."""
    return bool((verdicts(frame) != "unverified").any())


def filter_texts(view: View) -> list[str]:
    """Every filter in words, for example `latency ≤ 12 ms`."""
    texts = []
    for name in FILTERED:
        low, high = view.ranges.get(name, (None, None))
        field = FIELDS[name]
        label = field.label if field.label.isupper() or field.label == "MACs" else field.label.lower()
        if low is not None and high is not None:
            between = f"{field.show_scaled(low * field.scale)} – {field.show_scaled(high * field.scale)}"
            texts.append(f"{label} {between}")
        elif high is not None:
            texts.append(f"{label} ≤ {field.show_scaled(high * field.scale)}")
        elif low is not None:
            texts.append(f"{label} ≥ {field.show_scaled(low * field.scale)}")
    return texts + [
        f"{FIELDS[name].label.lower()} {' or '.join(view.kinds[name]) or 'none'}"
        for name in CHIPS
        if name in view.kinds
    ]


def binding(frame: pd.DataFrame, view: View) -> tuple[str, int] | None:
    """When no candidate fits because of one range: that field, and the row that comes nearest to fitting."""
    done = complete(frame)
    for name, (low, high) in view.ranges.items():
        without = View(ranges={k: v for k, v in view.ranges.items() if k != name}, kinds=view.kinds)
        values = numbers(frame, name)
        rows = np.flatnonzero(matching(frame, without) & done & ~np.isnan(values))
        if len(rows):
            bounded = values[rows]
            outside = np.zeros(len(rows))
            if low is not None:
                outside = np.maximum(outside, low - bounded)
            if high is not None:
                outside = np.maximum(outside, bounded - high)
            return name, int(rows[int(np.argmin(outside))])
    return None


def bounds(frame: pd.DataFrame, name: str, chosen: tuple[float | None, float | None]) -> tuple[float, float] | None:
    """Ends of a slider in the field's unit, rounded outwards, wide enough for `chosen`; None without data."""
    field = FIELDS[name]
    values = numbers(frame, name) if name in frame else np.array([])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    ends = [*(value for value in chosen if value is not None), float(values.min()), float(values.max())]
    low, high = min(ends) * field.scale, max(ends) * field.scale
    step = slider_step(low, high)
    return (float(f"{np.floor(low / step + 1e-9) * step:.10g}"), float(f"{np.ceil(high / step - 1e-9) * step:.10g}"))


def slider_step(low: float, high: float) -> float:
    """A round step, about a two-hundredth of the span."""
    span = (high - low) or abs(high) or 1.0
    return float(10.0 ** np.floor(np.log10(span / 50.0)))


def histogram(frame: pd.DataFrame, name: str, low: float, high: float, bins: int = 24) -> list[float]:
    """Share of the fullest bin for each of `bins` equal bins between `low` and `high` (in the field's unit)."""
    values = numbers(frame, name) * FIELDS[name].scale
    counts, _ = np.histogram(values[np.isfinite(values)], bins=bins, range=(low, high if high > low else low + 1))
    return [round(float(count) / max(1, counts.max()), 3) for count in counts]
