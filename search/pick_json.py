"""A pick as one JSON object; the README lists its keys."""

from __future__ import annotations

import json
import math
from typing import Any

from search.answer import Answer, Pick
from search.choice import TOLERANCE
from search.latencies import DEPLOYED
from search.pick_words import commands, warnings
from search.verification import statement

FACT = ("value", "unit", "origin", "method", "error", "error_p90", "spread", "n", "noisy", "environment", "created_at",
        "reason")  # fmt: skip
"""What is said of every number."""


def to_json(found: Answer, db: str) -> str:
    """The answer; what is not known is null."""
    listed, row = found.shortlist, found.compromise
    chosen = None if row is None else {
        "id": listed.ids[row],
        "architecture": listed.architecture(row).words(),
        "score": found.scores.value[row],
        "verdict": listed.verdict(row),
        "regrets": found.losses[row].tolist(),
    }  # fmt: skip
    data = {
        "study": listed.study.name,
        "score": listed.metric,
        "by": found.scores.by,
        "noise": found.scores.noise,
        "prefer": found.prefer,
        "candidates": len(listed.ids),
        "fits": found.fits,
        "picks": [_pick(found, pick) for pick in found.picks],
        "compromise": chosen,
        "next": commands(found, db),
    }
    return json.dumps(_plain(data), ensure_ascii=False, indent=1)


def _pick(found: Answer, pick: Pick) -> dict[str, Any]:
    listed = found.shortlist
    device, target = listed.targets[pick.place]
    rows = {"answer": pick.answer, "best": pick.top, "nearest": pick.nearest, "together": pick.together,
            "rival": pick.rival}  # fmt: skip
    return {
        "device": device.name,
        "backend": target.backend,
        "deployment": target.deployment.to_dict(),
        "fit": int(pick.among.sum()),
        "budgets": [_budget(found, pick, index) for index in range(len(pick.budgets))],
        **{key: None if row is None else _candidate(found, pick.place, row) for key, row in rows.items()},
        "equals": [listed.ids[row] for row in pick.equals],
        "ladder": {name: _candidate(found, pick.place, row) for name, row in pick.ladder},
        "warnings": [] if pick.answer is None else list(warnings(found, pick, pick.answer)),
    }


def _budget(found: Answer, pick: Pick, index: int) -> dict[str, Any]:
    """A budget, the value of the answer (of the nearest where nothing fits), and what the budget's next step buys."""
    budget, listed = pick.budgets[index], found.shortlist
    values = listed.bounded(budget, pick.place, found.scores.by)
    step = pick.steps[index] if pick.steps else None
    row = pick.answer if pick.answer is not None else pick.nearest
    other = step.row if step else pick.loosened[index] if pick.loosened else None
    beyond = {} if other is None or pick.outside[other, index] <= TOLERANCE else {
        "id": listed.ids[other],
        "value": values[other],
        "excess": pick.outside[other, index],
        "score": found.scores.value[other],
    }  # fmt: skip
    return {
        "metric": budget.metric,
        "device": budget.device,
        "relation": budget.relation,
        "bound": budget.bound,
        "given": budget.given,
        "value": None if row is None else values[row],
        "binds": bool(beyond),
        "next": beyond or None,
    }


def _candidate(found: Answer, place: int, row: int) -> dict[str, Any]:
    listed = found.shortlist
    facts = {name: listed.fact(row, name, place) for name in DEPLOYED}
    return {
        "id": listed.ids[row],
        "architecture": listed.architecture(row).words(),
        "score": found.scores.value[row],
        "proxy_score": listed.scores("proxy").value[row],
        "verdict": listed.verdict(row),
        "verification": statement(listed.frame.iloc[row], listed.metric),
        "metrics": {name: {key: fact[key] for key in FACT} for name, fact in facts.items()},
    }


def _plain(data: Any) -> Any:
    """Numbers as JSON has them."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    plain = data.item() if hasattr(data, "item") else data
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
