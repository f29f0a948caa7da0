"""Studies beside each other: one summary each, and which of them share an axis. No figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard import candidates, effects
from dashboard.candidates import Numbers, complete
from dashboard.fields import FIELDS
from dashboard.view import objectives_of
from search.store import StudyRow

if TYPE_CHECKING:
    from search.columns import Columns

COSTS = ("macs", "latency_ms", "params", "peak_bytes")
"""What fronts may be drawn over."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A study in one line."""

    row: StudyRow
    score: str
    done: int
    """Candidates that are finished: complete, stopped at a lower rung, or failed."""
    budget: int | None
    complete: int
    failed: int
    refused: int
    best: int | None
    """Row of `frame` with the best score."""
    on_front: int
    history: effects.History | None
    frame: Columns


@dataclass(frozen=True, kw_only=True)
class Group:
    """Studies whose scores are of one task, recipe and length, so that they share an axis."""

    score: str
    title: str
    studies: list[Summary]


def summarise(row: StudyRow, frame: Columns) -> Summary:
    """A study and the frame that pages have of it."""
    objectives = objectives_of(row.config)
    states = np.asarray(frame["state"])
    budget = row.config.get("budget")
    return Summary(
        row=row, score=objectives[0], done=int(np.isin(states, ["complete", "stopped", "failed"]).sum()),
        budget=budget if isinstance(budget, int) else None, frame=frame, complete=int(complete(frame).sum()),
        failed=int((states == "failed").sum()), refused=int((states == "refused").sum()),
        best=candidates.best(frame, objectives, complete(frame)),
        on_front=int(candidates.front_over(frame, objectives, complete(frame)).sum()),
        history=effects.history(frame, objectives) if len(frame) else None,
    )  # fmt: skip


def grouped(studies: Sequence[Summary], cost: str) -> list[Group]:
    """Studies that may share a figure of score over `cost`: equal task, recipe and length, and equal place or size."""
    found: dict[tuple[object, ...], list[Summary]] = {}
    for study in studies:
        config = study.row.config
        visits = config.get("image_visits") or [None]
        place = (config.get("device"), config.get("backend", "onnxruntime")) if cost.startswith("latency") else ()
        key = (
            config.get("task"),
            config.get("recipe_id"),
            visits[-1],
            study.score,
            config.get("deployment_id"),
            *place,
        )
        if study.complete:
            found.setdefault(key, []).append(study)
    return [Group(score=members[0].score, title=_title(members[0], cost), studies=members)
            for members in found.values()]  # fmt: skip


def _title(study: Summary, cost: str) -> str:
    config = study.row.config
    visits = (config.get("image_visits") or [None])[-1]
    size = config.get("deployment", {})
    parts = [
        f"task {config.get('task', 'unknown')}",
        f"{visits:,} image visits" if isinstance(visits, int) else "",
        f"recipe {str(config.get('recipe_id', ''))[:6]}" if config.get("recipe_id") else "",
        f"deployed at {size['height']}×{size['width']}" if {"height", "width"} <= set(size) else "",
        f"on {config.get('device', 'this machine')}" if cost.startswith("latency") else "",
    ]
    return " · ".join(part for part in parts if part)


def front(study: Summary, cost: str) -> tuple[Numbers, Numbers, Any]:
    """Cost, score and row of a study's front over both, the lowest cost first."""
    mask = candidates.front_over(study.frame, (cost, study.score), complete(study.frame))
    rows = np.flatnonzero(mask)
    x, y = candidates.numbers(study.frame, cost)[rows], candidates.numbers(study.frame, study.score)[rows]
    order = np.argsort(x, kind="stable")
    return x[order], y[order], rows[order]


def known(studies: Sequence[Summary]) -> list[str]:
    """The costs that some study has."""
    return [name for name in COSTS
            if any(np.isfinite(candidates.numbers(study.frame, name)).any() for study in studies)]  # fmt: skip


def label(study: Summary) -> str:
    """The best score as a person reads it."""
    return FIELDS[study.score].label
