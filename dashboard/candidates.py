"""A study's candidates as pages and figures ask for them: numbers, texts, states, fronts. Columns in, masks out.

The browser filters and answers by itself (assets/model.js); `dashboard.narrow` and `answer` are for what the server
makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.fields import FIELDS, VERIFIED
from dashboard.texts import isolated
from search.pareto import front, minimised

if TYPE_CHECKING:
    from search.columns import Columns

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def prepare(columns: Columns) -> Columns:
    """The columns of `Store.columns` as the page uses them: without duplicates, with derived columns."""
    kept = columns["state"] != "duplicate"
    columns = columns if kept.all() else columns.take(kept)
    derived = {"flops": 2.0 * columns["macs"]} if "macs" in columns else {}
    return replace(columns, numbers={**columns.numbers, **derived})


def numbers(frame: Columns, name: str) -> Numbers:
    """A numeric column in base units; NaN where missing, as in a column that there is not."""
    if name in frame.numbers:
        return frame.numbers[name]
    if name not in frame.texts:
        return np.full(len(frame), np.nan)
    return np.array([value if isinstance(value, int | float) else np.nan for value in frame[name]], dtype=float)


def categories(frame: Columns, name: str) -> list[str]:
    """A column as texts; an en dash where missing. Whole numbers lose their `.0`."""
    return [as_text(value) for value in frame[name].tolist()]


def as_text(value: Any) -> str:
    """A value as a person reads it; an en dash where missing. Whole numbers lose their `.0`."""
    if value is None or value != value or value == "":
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def complete(frame: Columns) -> Mask:
    """Candidates that were evaluated to the end: only these may be on a front."""
    return in_state(frame, "complete")


def in_state(frame: Columns, *names: str) -> Mask:
    """Rows in one of these states."""
    text = frame.texts["state"]
    wanted = [code for code, label in enumerate(text.labels) if label in names]
    return np.isin(text.codes, wanted)


def front_over(frame: Columns, names: Sequence[str], among: Mask) -> Mask:
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


def best(frame: Columns, objectives: Sequence[str], among: Mask) -> int | None:
    """Row with the best score; equal scores are told apart by the other objectives in turn."""
    rows = np.flatnonzero(among & ~np.isnan(numbers(frame, objectives[0])))
    if not len(rows):
        return None
    signs = [-1.0 if FIELDS[name].direction == "maximize" else 1.0 for name in objectives]
    keys = [sign * numbers(frame, name)[rows] for sign, name in zip(signs, objectives, strict=True)]
    return int(rows[np.lexsort(keys[::-1])[0]])


def without_score(frame: Columns, state: str, score: str) -> str:
    """Why no candidate has its score, in one or two sentences; `state` is the study's.

    The words of the first screen too: assets/answer.js `unscored`.
    """
    failed = in_state(frame, "failed")
    why = Counter(as_text(reason) for reason in frame["reason"][failed].tolist() if as_text(reason) != "–")
    (most, times), *_ = why.most_common(1) or [("", 0)]
    count = f"{int(failed.sum()):,} of {len(frame):,} failed" if failed.any() else ""
    if most:
        count += f", {'all' if times == failed.sum() else f'{times:,}'} for this reason: {isolated(most)}"
    if state == "running":
        tail = f" So far {count}." if count else ""
        return f"No candidate has {score} yet: the first ones are being trained. This page follows.{tail}"
    ended = {"complete": "is complete", "interrupted": "was interrupted; the same command goes on"}.get(
        state, f"was {state}"
    )
    return f"No candidate has {score}, and the search {ended}.{f' {count}.' if count else ''}"


def answer(frame: Columns, objectives: Sequence[str], among: Mask) -> int | None:
    """Row to recommend, by the rule of `search.pick`: the best verified score, where a verified candidate is `among`
    the rows at all, else the best score of the proxy."""
    judged = among & (verdicts(frame) != "unverified")
    found = best(frame, [f"{VERIFIED}{objectives[0]}", *objectives[1:]], judged) if judged.any() else None
    return best(frame, objectives, among) if found is None else found


def verdicts(frame: Columns) -> Any:
    """What the verification says of each row, as an array of texts."""
    return frame["verdict"]


def any_verified(frame: Columns) -> bool:
    """Whether the study has a verification with a result."""
    text = frame.texts["verdict"]
    return any(text.labels[code] != "unverified" for code in np.unique(text.codes))
