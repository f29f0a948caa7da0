"""Figures: the step line in all directions, keys, missing values, no WebGL."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard import candidates
from dashboard.candidates import pick
from dashboard.fields import FIELDS
from dashboard.figures import DARK, LIGHT, bottleneck, family_colors, layers, learning, scatter, step_line
from dashboard.references import entries_of, references
from dashboard.view import View
from evaluator.record import Deployment
from search.pareto import front, minimised
from space.cost import breakdown, cost
from space.lower import lower
from space.zoo import get
from tests.strategies import random_architectures

DIRECTIONS = list(itertools.product(("minimize", "maximize"), repeat=2))


@pytest.mark.parametrize(("x_direction", "y_direction"), DIRECTIONS)
def test_step_line_bounds_exactly_what_the_front_attains(x_direction: str, y_direction: str) -> None:
    points = np.random.default_rng(3).random((200, 2))
    signs = [1 if direction == "minimize" else -1 for direction in (x_direction, y_direction)]
    on = points[front(minimised(points, [x_direction, y_direction]))]
    worst = tuple((points * signs).max(axis=0) * signs)
    xs, ys = step_line(on[:, 0], on[:, 1], x_direction, y_direction, (worst[0], worst[1]))
    line = np.column_stack([xs, ys])
    moves = np.diff(line, axis=0)
    assert (np.isclose(moves, 0).any(axis=1)).all(), "only horizontal and vertical pieces"
    assert {tuple(p) for p in on} <= {tuple(p) for p in line}
    samples = np.concatenate([a + np.linspace(0, 1, 9)[:, None] * (b - a) for a, b in itertools.pairwise(line)])
    good = samples * signs
    best = on * signs
    attained = (best[None] <= good[:, None] + 1e-12).all(axis=2).any(axis=1)
    beyond = (best[None] < good[:, None] - 1e-9).all(axis=2).any(axis=1)
    assert attained.all(), "the line never promises what no candidate gives"
    assert not beyond.any(), "the line is the boundary, not inside the attained region"


def test_step_line_of_one_point_and_of_none() -> None:
    one = np.array([1.0])
    assert step_line(one, one, "minimize", "maximize") == ([1.0], [1.0])
    assert step_line(np.array([]), np.array([]), "minimize", "maximize", (1, 1)) == ([], [])


def figure_of(frame: pd.DataFrame, view: View, objectives: list[str] | None = None) -> go.Figure:
    picked = candidates.pick(frame, view, objectives or ["ap", "macs", "latency_ms"])
    return scatter(frame, view, picked, LIGHT, score="ap")


def keyed(figure: go.Figure) -> list[int]:
    return sorted(key[0] for trace in figure.data for key in trace.customdata or [])


VIEWS = [
    View(),
    View(x="macs", y="latency_ms", x_log=True, y_log=True),
    View(color="macs", size="params"),
    View(color="", front="all"),
    View(x="partial_ratio", color="partial_ratio"),
    View(ranges={"latency_ms": (None, 8.0)}, selected=(1, 2)),
    View(x="ap", y="flops", color="activation"),
    View(show=()),
]


@pytest.mark.parametrize("view", VIEWS)
def test_every_shown_candidate_is_drawn_once_with_plain_keys(frame: pd.DataFrame, view: View) -> None:
    figure = figure_of(frame, view)
    picked = candidates.pick(frame, view, ["ap", "macs", "latency_ms"])
    expected = picked.shown & np.isfinite(candidates.numbers(frame, view.x))
    assert keyed(figure) == sorted(frame["number"][expected])
    for trace in figure.data:
        assert trace.type == "scatter", "SVG only: WebGL fails in silence"
        assert trace.customdata is None or isinstance(trace.customdata, (list, tuple))


def test_missing_scores_stand_in_a_strip_never_at_zero(frame: pd.DataFrame) -> None:
    figure = figure_of(frame, View(show=("failed", "refused")))
    strip = [trace for trace in figure.data if trace.yaxis == "y2"]
    numbers = {key[0] for trace in strip for key in trace.customdata}
    refused = frame[(frame["state"] == "refused") & frame["latency_ms"].notna()]
    failed = frame[frame["state"] == "failed"]
    assert numbers == {*failed["number"], *refused["number"]}
    assert figure.layout.yaxis2.ticktext == ("no AP",)


def test_text_of_the_database_is_escaped(frame: pd.DataFrame) -> None:
    frame["block"] = "<img src=x>"
    figure = figure_of(frame, View(show=("failed", "dominated")))
    texts = [text for trace in figure.data for text in [trace.name or "", *(trace.text or [])]]
    assert not any("<img" in text for text in texts)
    assert any("&lt;b&gt;&amp;" in text for text in texts), "the reason of a failure"


def test_a_zoom_and_the_drag_mode_are_drawn_as_chosen(frame: pd.DataFrame) -> None:
    layout = figure_of(frame, View(zoom_x=(4.0, 9.0), drag="lasso")).layout
    assert (layout.xaxis.range, layout.xaxis.autorange, layout.dragmode) == ((4.0, 9.0), False, "lasso")
    assert layout.yaxis.autorange is True


def test_values_that_no_log_axis_holds_are_left_out(frame: pd.DataFrame) -> None:
    frame.loc[0, "ap"] = 0.0
    assert 0 not in keyed(figure_of(frame, View(y_log=True, show=("dominated",))))


def test_an_empty_selection_draws_an_empty_plot(frame: pd.DataFrame) -> None:
    assert keyed(figure_of(frame, View(kinds={"block": ()}))) == []
    assert keyed(figure_of(frame.head(0), View())) == []


def test_sixth_family_is_grey() -> None:
    colors = family_colors(["f", "a", "b", "c", "d", "e", "–"], DARK)
    assert list(colors) == ["a", "b", "c", "d", "e", "f", "–"]
    assert colors["f"] == colors["–"] == DARK.muted


def test_layer_bars_add_up_to_the_cost_of_the_network() -> None:
    parts = breakdown(lower(random_architectures(1)[0]))
    for quantity, scale in (("macs", 1e6), ("params", 1e3), ("activations", 1e3)):
        total = sum(value * scale for trace in layers(parts, quantity, LIGHT).data for value in trace.y)
        assert total == pytest.approx(sum(getattr(part.cost, quantity) for part in parts))
    ratio = bottleneck(parts)
    assert ratio is not None
    assert ratio >= 1
    assert bottleneck([]) is None


def test_learning_curve_shows_failed_and_unscored_trainings() -> None:
    point = {"image_visits": 16, "loss": 2.0}
    rows = [
        {"rung": 0, "seed": 1, "state": "failed", "curve": [point]},
        {"rung": 0, "seed": 2, "state": "complete", "curve": [point, {"image_visits": 32, "loss": 1.0, "ap": 0.2}]},
        {"rung": 0, "seed": 3, "state": "failed", "curve": []},
    ]
    names = [trace.name for trace in learning(rows, "ap", LIGHT).data]
    assert names == ["loss, rung 0, seed 1 (failed)", "loss, rung 0, seed 2", "AP, rung 0, seed 2"]


def test_a_reference_stands_at_its_cost_and_never_at_a_score(frame: pd.DataFrame) -> None:
    deployment = Deployment(height=128, width=128, num_classes=10)
    (reference,) = references(entries_of(["csppeleenet", "CSPPeleeNet"]), deployment)
    wanted = cost(get("CSPPeleeNet").graph(128, 128, num_classes=10))
    assert reference.costs["macs"] == wanted.macs
    assert reference.costs["peak_bytes"] == wanted.peak_bytes
    assert not {"ap", "latency_ms", "accuracy"} & set(reference.costs)
    for x, y, mode in (("macs", "ap", "lines"), ("latency_ms", "params", "lines"), ("macs", "params", "markers")):
        view = replace(View(), x=x, y=y)
        picked = pick(frame, view, ["ap", "macs", "latency_ms"])
        plain = scatter(frame, view, picked, LIGHT, score="ap")
        figure = scatter(frame, view, picked, LIGHT, score="ap", references=[reference])
        (trace,) = figure.data[len(plain.data) :]
        assert trace.mode == mode
        assert trace.name == "CSPPeleeNet 0.5 (counted)"
        at = trace.x if x == "macs" else trace.y
        metric = x if x == "macs" else y
        assert set(at) == {reference.costs[metric] * FIELDS[metric].scale}
    view = replace(View(), x="latency_ms", y="ap")
    picked = pick(frame, view, ["ap", "macs", "latency_ms"])
    both = [scatter(frame, view, picked, LIGHT, score="ap", references=given) for given in ([], [reference])]
    assert len(both[0].data) == len(both[1].data)
