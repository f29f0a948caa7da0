"""Pages as data: what they say of a study, a candidate, and of nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboard import candidates
from dashboard.data import Database, Snapshot
from dashboard.pages import candidate, message, overview
from dashboard.view import View, default_view
from evaluator.metrics import METRICS
from tests.databases import config

OBJECTIVES = ["ap", "macs", "latency_ms"]


def text(component: Any) -> str:
    """All text of a component, tags left out."""
    if component is None:
        return ""
    if isinstance(component, str | int | float):
        return str(component)
    if isinstance(component, list | tuple):
        return " ".join(text(child) for child in component)
    return text(getattr(component, "children", None))


def test_the_page_of_a_study_is_plain_json(path: Path) -> None:
    snapshot = Database(str(path)).snapshot()
    page = overview.layout(snapshot, View(), default_view(config()))
    json.dumps(page, cls=PlotlyJSONEncoder, allow_nan=False)


def test_rows_show_numbers_as_the_metrics_do_and_missing_as_a_dash(frame: pd.DataFrame) -> None:
    view = View(show=("dominated", "failed", "refused"))
    rows = overview.rows(frame, candidates.pick(frame, view, OBJECTIVES), view)
    assert [row["number"] for row in rows] == frame["number"].tolist()
    for row, macs, ap in zip(rows, frame["macs"], frame["ap"], strict=True):
        assert row["macs_shown"] == METRICS["macs"].show(macs)
        assert (row["ap"] is None) == (ap != ap)
        assert row["ap_shown"] == METRICS["ap"].show(ap)
    json.dumps(rows, allow_nan=False)


def test_the_answer_names_candidate_filters_and_numbers(frame: pd.DataFrame) -> None:
    view = View(ranges={"latency_ms": (None, 9.0)})
    picked = candidates.pick(frame, view, OBJECTIVES)
    assert picked.best is not None
    said = text(overview.answer(frame, view, picked, OBJECTIVES))
    assert "Best AP under latency ≤ 9 ms" in said
    assert str(frame["id"].iloc[picked.best]) in said
    assert METRICS["ap"].show(frame["ap"].iloc[picked.best]) in said


def test_the_answer_says_what_comes_nearest_when_nothing_fits(frame: pd.DataFrame) -> None:
    view = View(ranges={"macs": (None, 1e6)})
    said = text(overview.answer(frame, view, candidates.pick(frame, view, OBJECTIVES), OBJECTIVES))
    assert said.startswith("No candidate fits MACs ≤ 1 M. The nearest has MACs ")
    waiting = frame.assign(state="proposed", ap=float("nan"))
    said = text(overview.answer(waiting, View(), candidates.pick(waiting, View(), OBJECTIVES), OBJECTIVES))
    assert "No candidate has AP yet" in said


def test_the_page_of_a_candidate_holds_every_measurement(path: Path, frame: pd.DataFrame) -> None:
    database = Database(str(path))
    snapshot = database.snapshot()
    detail = database.detail(frame["id"][frame["state"] == "complete"].iloc[0])
    assert detail is not None
    page = candidate.layout(detail, snapshot, "x=macs")
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
    said = text(candidate.layout(detail, database.snapshot(), ""))
    assert "the loss became NaN after 320 visits <b>&</b>" in said
    assert "no learning curve" in said


@pytest.mark.parametrize(("phase", "title"), [("missing", "no database yet"), ("empty", "database is empty"),
                                             ("error", "cannot be read")])  # fmt: skip
def test_pages_without_data_say_what_to_do(phase: Any, title: str) -> None:
    said = text(message.state(Database("csp.db"), Snapshot(phase=phase, problem="disk on fire")))
    assert title in said
    assert ("disk on fire" if phase == "error" else "python -m search.run --budget 200") in said
