"""Filters, fronts and the answer."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from dashboard import candidates
from dashboard.fields import FIELDS
from dashboard.view import View

OBJECTIVES = ["ap", "macs", "latency_ms"]


def dominates(a: dict[str, float], b: dict[str, float], names: tuple[str, ...]) -> bool:
    """Definition, for comparison."""
    signs = [1 if FIELDS[name].direction == "minimize" else -1 for name in names]
    pairs = [(sign * a[name], sign * b[name]) for sign, name in zip(signs, names, strict=True)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


@pytest.mark.parametrize("names", [("latency_ms", "ap"), ("ap", "latency_ms"), ("macs", "params"), ("ap50", "ap")])
def test_front_is_what_nothing_dominates(frame: pd.DataFrame, names: tuple[str, str]) -> None:
    done = candidates.complete(frame)
    on = candidates.front_over(frame, names, done)
    rows = frame[done].to_dict("records")
    expected = {r["number"] for r in rows if not any(dominates(other, r, names) for other in rows)}
    assert set(frame["number"][on]) == expected
    assert expected


def test_front_over_a_field_without_a_direction_is_nothing(frame: pd.DataFrame) -> None:
    assert not candidates.front_over(frame, ("partial_ratio", "ap"), candidates.complete(frame)).any()


def test_failed_and_refused_are_never_on_a_front(frame: pd.DataFrame) -> None:
    picked = candidates.pick(frame, View(x="macs", y="params"), OBJECTIVES)
    assert set(frame["state"][picked.axes_front | picked.all_front]) == {"complete"}


def test_a_filter_keeps_both_ends_and_drops_what_is_missing(frame: pd.DataFrame) -> None:
    values = candidates.numbers(frame, "ap")
    low, high = np.nanquantile(values, [0.25, 0.75], method="nearest")
    inside = candidates.matching(frame, View(ranges={"ap": (low, high)}))
    assert set(values[inside]) == {v for v in values if low <= v <= high}
    assert not inside[np.isnan(values)].any()


def test_a_filter_on_a_category_keeps_the_values_chosen(frame: pd.DataFrame) -> None:
    inside = candidates.matching(frame, View(kinds={"block": ("dense",)}))
    assert set(frame["block"][inside]) == {"dense"}
    assert not candidates.matching(frame, View(kinds={"block": ()})).any()


def test_toggles_hide_states_and_never_the_front(frame: pd.DataFrame) -> None:
    picked = candidates.pick(frame, View(show=()), OBJECTIVES)
    assert (picked.shown == picked.highlighted).all()
    every = candidates.pick(frame, View(show=("dominated", "failed", "refused", "waiting")), OBJECTIVES)
    assert every.shown.all()
    for name in ("failed", "refused"):
        only = candidates.pick(frame, View(show=(name,)), OBJECTIVES)
        assert set(frame["state"][only.shown & ~only.highlighted]) == {name}


def test_the_answer_is_the_best_score_inside_the_filters(frame: pd.DataFrame) -> None:
    limit = float(np.nanmedian(candidates.numbers(frame, "latency_ms")))
    picked = candidates.pick(frame, View(ranges={"latency_ms": (None, limit)}), OBJECTIVES)
    assert picked.best is not None
    fits = frame[(frame["latency_ms"] <= limit) & (frame["state"] == "complete")]
    assert frame["number"].iloc[picked.best] == fits.loc[fits["ap"].idxmax(), "number"]


def test_equal_scores_are_told_apart_by_cost(frame: pd.DataFrame) -> None:
    frame["ap"] = np.where(frame["state"] == "complete", 0.3, np.nan)
    row = candidates.best(frame, OBJECTIVES, candidates.complete(frame))
    assert row is not None
    assert frame["macs"].iloc[row] == frame["macs"][frame["state"] == "complete"].min()


def test_when_nothing_fits_the_nearest_is_named(frame: pd.DataFrame) -> None:
    view = View(ranges={"latency_ms": (None, 0.01)})
    assert candidates.pick(frame, view, OBJECTIVES).best is None
    found = candidates.binding(frame, view)
    assert found is not None
    done = frame[frame["state"] == "complete"]
    assert (found[0], frame["latency_ms"].iloc[found[1]]) == ("latency_ms", done["latency_ms"].min())
    assert candidates.filter_texts(view) == ["latency ≤ 0.01 ms"]


@pytest.mark.parametrize("name", ["ap", "macs", "latency_ms", "peak_bytes", "depth", "partial_ratio"])
def test_slider_ends_hold_all_values_and_what_was_chosen(frame: pd.DataFrame, name: str) -> None:
    values = candidates.numbers(frame, name) * FIELDS[name].scale
    for chosen in itertools.product((None, 0.0), (None, 1e9)):
        ends = candidates.bounds(frame, name, chosen)
        assert ends is not None
        assert ends[0] <= np.nanmin(values) <= np.nanmax(values) <= ends[1]
        assert ends[0] <= (chosen[0] or ends[0]) <= (chosen[1] or 0) * FIELDS[name].scale <= ends[1] or None in chosen


def test_a_field_without_data_has_no_slider(frame: pd.DataFrame) -> None:
    assert candidates.bounds(frame, "accuracy", (None, None)) is None


def test_one_candidate_with_equal_values_is_no_corner(frame: pd.DataFrame) -> None:
    one = frame[frame["state"] == "complete"].head(1).reset_index(drop=True)
    picked = candidates.pick(one, View(), OBJECTIVES)
    assert picked.best == 0
    assert picked.axes_front.all()
    ends = candidates.bounds(one, "latency_ms", (None, None))
    assert ends is not None
    assert sum(candidates.histogram(one, "latency_ms", *ends)) == 1.0


def test_an_empty_frame_is_no_corner(frame: pd.DataFrame) -> None:
    picked = candidates.pick(frame.head(0), View(ranges={"ap": (0.1, None)}), OBJECTIVES)
    assert picked.best is None
    assert not picked.shown.any()
