"""Filters, fronts and the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard import candidates
from dashboard.data import Database
from dashboard.fields import FIELDS
from search import pick
from search.columns import Columns
from tests.dashboard import oracle
from tests.dashboard.oracle import View
from tests.databases import build, verify

OBJECTIVES = ["ap", "macs", "latency_ms"]


def dominates(a: dict[str, float], b: dict[str, float], names: tuple[str, ...]) -> bool:
    """Definition, for comparison."""
    signs = [1 if FIELDS[name].direction == "minimize" else -1 for name in names]
    pairs = [(sign * a[name], sign * b[name]) for sign, name in zip(signs, names, strict=True)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


@pytest.mark.parametrize("names", [("latency_ms", "ap"), ("ap", "latency_ms"), ("macs", "params"), ("ap50", "ap")])
def test_front_is_what_nothing_dominates(columns: Columns, frame: pd.DataFrame, names: tuple[str, str]) -> None:
    done = candidates.complete(columns)
    on = candidates.front_over(columns, names, done)
    rows = frame[done].to_dict("records")
    expected = {r["number"] for r in rows if not any(dominates(other, r, names) for other in rows)}
    assert set(frame["number"][on]) == expected
    assert expected


def test_front_over_a_field_without_a_direction_is_nothing(columns: Columns, frame: pd.DataFrame) -> None:
    assert not candidates.front_over(columns, ("partial_ratio", "ap"), candidates.complete(columns)).any()


def test_failed_and_refused_are_never_on_a_front(columns: Columns, frame: pd.DataFrame) -> None:
    picked = oracle.pick(columns, View(x="macs", y="params"), OBJECTIVES)
    assert set(frame["state"][picked.axes_front | picked.all_front]) == {"complete"}


def test_a_filter_keeps_both_ends_and_drops_what_is_missing(columns: Columns, frame: pd.DataFrame) -> None:
    values = candidates.numbers(columns, "ap")
    low, high = np.nanquantile(values, [0.25, 0.75], method="nearest")
    inside = oracle.matching(columns, View(ranges={"ap": (low, high)}))
    assert set(values[inside]) == {v for v in values if low <= v <= high}
    assert not inside[np.isnan(values)].any()


def test_a_filter_on_a_category_keeps_the_values_chosen(columns: Columns, frame: pd.DataFrame) -> None:
    inside = oracle.matching(columns, View(kinds={"block": ("dense",)}))
    assert set(frame["block"][inside]) == {"dense"}
    assert not oracle.matching(columns, View(kinds={"block": ()})).any()


def test_toggles_hide_states_and_never_the_front(columns: Columns, frame: pd.DataFrame) -> None:
    picked = oracle.pick(columns, View(show=()), OBJECTIVES)
    assert (picked.shown == picked.highlighted).all()
    every = oracle.pick(columns, View(show=("dominated", "failed", "refused", "waiting")), OBJECTIVES)
    assert every.shown.all()
    for name in ("failed", "refused"):
        only = oracle.pick(columns, View(show=(name,)), OBJECTIVES)
        assert set(frame["state"][only.shown & ~only.highlighted]) == {name}


def test_the_answer_is_the_best_score_inside_the_filters(columns: Columns, frame: pd.DataFrame) -> None:
    limit = float(np.nanmedian(candidates.numbers(columns, "latency_ms")))
    picked = oracle.pick(columns, View(ranges={"latency_ms": (None, limit)}), OBJECTIVES)
    assert picked.best is not None
    fits = frame[(frame["latency_ms"] <= limit) & (frame["state"] == "complete")]
    assert frame["number"].iloc[picked.best] == fits.loc[fits["ap"].idxmax(), "number"]


def test_equal_scores_are_told_apart_by_cost(columns: Columns, frame: pd.DataFrame) -> None:
    equal = np.where(frame["state"] == "complete", 0.3, np.nan)
    columns = replace(columns, numbers={**columns.numbers, "ap": equal})
    row = candidates.best(columns, OBJECTIVES, candidates.complete(columns))
    assert row is not None
    assert frame["macs"].iloc[row] == frame["macs"][frame["state"] == "complete"].min()


def test_when_nothing_fits_the_nearest_is_named(columns: Columns, frame: pd.DataFrame) -> None:
    view = View(ranges={"latency_ms": (None, 0.01)})
    assert oracle.pick(columns, view, OBJECTIVES).best is None
    found = oracle.binding(columns, view, OBJECTIVES[0])
    assert found is not None
    done = frame[frame["state"] == "complete"]
    assert (frame["latency_ms"].iloc[found[0]], found[1]) == (done["latency_ms"].min(), [("latency_ms", "max")])


def test_one_candidate_is_its_own_front_and_none_is_no_corner(columns: Columns) -> None:
    one = columns.take(np.flatnonzero(candidates.complete(columns))[:1])
    picked = oracle.pick(one, View(), OBJECTIVES)
    assert picked.best == 0
    assert picked.axes_front.all()
    picked = oracle.pick(columns.take(np.zeros(0, int)), View(ranges={"ap": (0.1, None)}), OBJECTIVES)
    assert picked.best is None
    assert not picked.shown.any()


def test_the_recommendation_is_that_of_search_pick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 40)
    for judged in (False, True):
        if judged:
            verify(str(path))
        columns = Database(str(path)).snapshot().columns
        assert columns is not None
        done, answers = candidates.complete(columns), set()
        for bound in np.quantile(columns["macs"][done], [0.0, 0.2, 0.5, 1.0]):
            row = candidates.answer(columns, ["ap", "macs", "latency_ms"], done & (columns["macs"] <= bound))
            assert pick.main(["--db", str(path), "--max", f"macs={bound:.0f}", "--json"]) == 0
            found = json.loads(capsys.readouterr().out)["picks"][0]["answer"]["id"]
            assert row is not None
            assert columns.ids[row] == found
            answers.add((row, columns["verdict"][row] != "unverified"))
        assert len(answers) > 1
        assert judged == any(known for _, known in answers)
