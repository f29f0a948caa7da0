"""What the header says of a study: state, progress, and how old the data are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard import candidates
from dashboard.view import objectives_of

if TYPE_CHECKING:
    from dashboard.data import Snapshot
    from search.columns import Columns
    from search.store import StudyRow

WORDS = {"running": "searching", "interrupted": "interrupted", "complete": "complete", "stopped": "stopped"}


def status(snapshot: Snapshot) -> dict[str, Any]:
    """What the browser asks for every few seconds. Ages are in seconds and change with every call."""
    study, now = snapshot.study, time.time()
    return {
        "phase": snapshot.phase,
        "token": snapshot.token,
        "problem": snapshot.problem,
        "database": snapshot.database,
        "study": study.name if study else "",
        "studies": [row.name for row in snapshot.studies],
        "state": study.state if study else "",
        "word": WORDS.get(study.state, study.state) if study else "",
        "message": (study.message or "") if study else "",
        "progress": snapshot.progress,
        "changed": max(0.0, now - changed(snapshot)),
        "read": max(0.0, now - snapshot.read_at),
    }


def progress(study: StudyRow, columns: Columns) -> str:
    """For example `152 of 200 · 6 on the front · 1 failed`."""
    budget = study.config.get("budget")
    done = int(candidates.in_state(columns, "complete", "stopped", "failed").sum())
    objectives = objectives_of(study.config)
    on_front = int(candidates.front_over(columns, objectives, candidates.complete(columns)).sum())
    parts = [f"{done:,} of {budget:,}" if isinstance(budget, int) else f"{done:,} candidates"]
    parts.append(f"{on_front:,} on the front")
    if failed := int(candidates.in_state(columns, "failed").sum()):
        parts.append(f"{failed:,} failed")
    if candidates.any_verified(columns):
        said = candidates.verdicts(columns)
        counts = {name: int((said == name).sum()) for name in ("verified", "overturned")}
        parts += [f"{number} {name}" for name, number in counts.items() if number]
    return " · ".join(parts)


def changed(snapshot: Snapshot) -> float:
    """When the study last changed, in UTC seconds."""
    times = [snapshot.study.updated_at if snapshot.study else snapshot.read_at]
    if snapshot.columns is not None and len(snapshot.columns):
        for name in ("created_at", "finished_at"):
            known = snapshot.columns[name]
            known = known[~np.isnan(known)]
            times += [float(known.max())] if len(known) else []
    return max(times)
