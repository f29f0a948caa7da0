"""Pages as data: what they say of a study, a candidate, and of nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboard.data import Database, Snapshot
from dashboard.pages import candidate, message
from evaluator.metrics import METRICS
from tests.places import own


def text(component: Any) -> str:
    """All text of a component, tags left out."""
    if component is None:
        return ""
    if isinstance(component, str | int | float):
        return str(component)
    if isinstance(component, list | tuple):
        return " ".join(text(child) for child in component)
    return text(getattr(component, "children", None))


def test_the_page_of_a_candidate_holds_every_measurement(path: Path, frame: pd.DataFrame) -> None:
    database = Database(str(path))
    snapshot = database.snapshot()
    detail = database.detail(frame["id"][frame["state"] == "complete"].iloc[0])
    assert detail is not None
    page = candidate.layout(detail, snapshot, "x=macs", own(snapshot))
    json.dumps(page, cls=PlotlyJSONEncoder, allow_nan=False)
    said = text(page)
    assert detail.architecture.words() in said
    for row in detail.measurements:
        assert METRICS[row["metric"]].show(row["value"]) in said
    assert "no small object in the validation set" in said
    assert "2.13.0+cpu" in said
    assert "FLOPs" in said


def test_the_page_of_a_failed_candidate_gives_the_reason_as_text(path: Path, frame: pd.DataFrame) -> None:
    database = Database(str(path))
    detail = database.detail(frame["id"][frame["state"] == "failed"].iloc[0])
    assert detail is not None
    said = text(candidate.layout(detail, database.snapshot(), "", own(database.snapshot())))
    assert "the loss became NaN after 320 visits <b>&</b>" in said
    assert "no learning curve" in said


@pytest.mark.parametrize(("phase", "title"), [("missing", "no database yet"), ("empty", "database is empty"),
                                             ("error", "cannot be read")])  # fmt: skip
def test_pages_without_data_say_what_to_do(phase: Any, title: str) -> None:
    said = message.state(Database("csp.db"), Snapshot(phase=phase, problem="disk on fire"))
    assert said is not None
    said = text(message.section(said, phase))
    assert title in said
    assert ("disk on fire" if phase == "error" else "python -m search.run --budget 200") in said
