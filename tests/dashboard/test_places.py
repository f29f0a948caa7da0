"""Places: what is measured and predicted where, and how places agree."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import plotly.graph_objects as go
import pytest
from scipy import stats

from dashboard import places
from dashboard.candidates import complete, numbers
from dashboard.data import Database, Snapshot
from dashboard.figures import LIGHT
from dashboard.figures_devices import COMMON, SHOWN, columns_for, fronts, height_for, not_latency
from tests.databases import MACHINE, build
from tests.places import spread

Known = tuple[Snapshot, list[places.Place]]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """A study of 40 with three devices besides its own."""
    path = tmp_path_factory.mktemp("places") / "csp.db"
    build(str(path), 40)
    spread(str(path))
    database = Database(str(path))
    snapshot = database.snapshot()
    return snapshot, database.places(snapshot)


def called(found: list[places.Place], label: str) -> places.Place:
    return next(place for place in found if place.label == label)


def test_each_device_runtime_and_precision_is_a_place_and_the_studys_own_is_first(known: Known) -> None:
    _, found = known
    assert found[0].host
    assert found[0].device == MACHINE.host
    assert {place.label for place in found[1:]} == {
        "board5 · onnxruntime · fp32", "board5 · ncnn · int8", "nano · tensorrt · fp32"
    }  # fmt: skip


def test_measured_and_predicted_stay_apart(known: Known) -> None:
    snapshot, found = known
    assert snapshot.columns is not None
    both = called(found, "board5 · onnxruntime · fp32")
    timed = int(np.isfinite(numbers(snapshot.columns, "latency_ms")).sum())
    assert np.isfinite(both.predicted).sum() == timed
    assert 0 < np.isfinite(both.measured).sum() < timed
    assert both.best[1] == "measured"
    assert (both.method, both.error) == ("table", pytest.approx(0.08))
    assert np.isnan(called(found, "board5 · ncnn · int8").predicted).all()
    few = called(found, "nano · tensorrt · fp32")
    assert few.share(complete(snapshot.columns))[0] <= 5


def test_the_matrix_is_scipys_kendall_and_silent_where_too_few_are_known(known: Known) -> None:
    snapshot, found = known
    assert snapshot.columns is not None
    columns = places.columns(snapshot.columns, found)
    assert [column.title for column in columns[-2:]] == ["MACs", "Parameters"]
    values = places.matrix(columns)
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            both = np.isfinite(a.values) & np.isfinite(b.values)
            assert values[i][j].value == pytest.approx(values[j][i].value, nan_ok=True)
            if i == j:
                assert values[i][j].value == 1
            elif both.sum() < places.FEWEST:
                assert np.isnan(values[i][j].value)
            else:
                tau = stats.kendalltau(a.values[both], b.values[both]).statistic
                assert values[i][j].value == pytest.approx(tau)


def test_the_widest_pair_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    macs, latency = rng.random(60) * 1e8 + 1e7, rng.random(60) + 0.5
    latency[3] = np.nan
    pairs = [(latency[b] / latency[a], a, b) for a in range(60) for b in range(60)
             if max(macs[a], macs[b]) <= places.SIMILAR * min(macs[a], macs[b])
             and np.isfinite(latency[[a, b]]).all()]  # fmt: skip
    ratio, fast, slow = max(pairs)
    assert places.widest(macs, latency) == (fast, slow, pytest.approx(ratio))
    assert places.widest(macs[:1], latency[:1]) is None
    assert places.widest(macs, np.ones(60)) is None


def test_networks_to_compare_are_the_selected_ones_else_along_the_front(known: Known) -> None:
    snapshot, found = known
    frame = snapshot.columns
    assert frame is not None
    assert places.sample(frame, found, complete(frame), (3, 1, 999)) == [3, 1]
    rows = places.sample(frame, found, complete(frame), ())
    assert len(rows) == 8
    times = numbers(frame, "latency_ms")[rows]
    assert (np.diff(times) >= 0).all()


def test_panels_are_svg_with_measured_filled_and_predicted_hollow(known: Known) -> None:
    snapshot, found = known
    assert snapshot.columns is not None
    drawn = fronts(snapshot.columns, found, "ap", LIGHT)
    assert {trace.type for trace in drawn.data} == {"scatter"}
    points: list[go.Scatter] = [trace for trace in drawn.data if trace.mode == "markers"]
    assert {(trace.name, trace.marker.symbol) for trace in points} == {
        ("measured", "circle"), ("predicted", "circle-open")
    }  # fmt: skip
    scored = complete(snapshot.columns) & np.isfinite(numbers(snapshot.columns, "ap"))
    expected = sum(int((np.isfinite(values) & scored).sum()) for place in found
                   for values in (place.measured, place.predicted))  # fmt: skip
    assert sum(len(trace.x) for trace in points) == expected
    assert sum(bool(trace.showlegend) for trace in points) == 2
    pair = places.widest(numbers(snapshot.columns, "macs"), found[0].measured)
    assert not_latency(snapshot.columns, found[0], pair, LIGHT).data[-1].marker.symbol == "circle-open"


def test_the_line_of_a_front_promises_nothing_that_no_candidate_gives(known: Known) -> None:
    snapshot, found = known
    assert snapshot.columns is not None
    lines = [trace for trace in fronts(snapshot.columns, found, "ap", LIGHT).data if trace.mode == "lines"]
    points = [trace for trace in fronts(snapshot.columns, found, "ap", LIGHT).data if trace.mode == "markers"]
    for line in lines:
        assert line.line.shape == "hv", "holds a score until the next latency"
        assert list(line.x) == sorted(line.x)
        assert list(line.y) == sorted(line.y)
        panel = [trace for trace in points if trace.xaxis == line.xaxis]
        assert set(zip(line.x, line.y)) <= {pair for trace in panel for pair in zip(trace.x, trace.y)}


@pytest.mark.parametrize("count", range(1, SHOWN + 1))
def test_panels_stand_in_full_rows_and_none_alone(count: int) -> None:
    across = columns_for(count)
    last = count % across or across
    assert across <= min(4, count)
    assert last == across or last > 1
    assert across - last <= 1 or count == 10, "two gaps only where neither three nor four beside each other do better"
    assert height_for(count) > 250 * math.ceil(count / across)


def test_panels_share_a_latency_axis_where_their_values_allow_it(known: Known) -> None:
    snapshot, found = known
    assert snapshot.columns is not None
    host = found[0]
    near = dataclasses.replace(host, key="near", measured=host.measured * COMMON * 0.99)
    far = dataclasses.replace(host, key="far", measured=host.measured * COMMON * 1.01)

    def ranges(*shown: places.Place) -> set[tuple[float, ...] | None]:
        axes = fronts(snapshot.columns, shown, "ap", LIGHT).select_xaxes()  # type: ignore[arg-type]
        return {axis.range for axis in axes}

    (both,) = ranges(host, near)
    assert both is not None
    scored = np.isfinite(numbers(snapshot.columns, "ap")) & complete(snapshot.columns)
    assert both[1] >= near.measured[scored & np.isfinite(near.measured)].max(), "all points are inside"
    assert ranges(host, far) == {None}, "each has its own"


def test_the_axis_title_stands_once_and_names_of_places_are_text(known: Known) -> None:
    snapshot, found = known
    assert snapshot.columns is not None
    named = [dataclasses.replace(found[0], key=str(each), title="<b>" + "x" * 60) for each in range(4)]
    drawn = fronts(snapshot.columns, named, "ap", LIGHT)
    texts = [note.text for note in drawn.layout.annotations]
    assert texts.count("latency (ms)") == texts.count("AP") == 1
    assert all(not axis.title.text for axis in (*drawn.select_xaxes(), *drawn.select_yaxes()))
    assert sum(text.startswith("&lt;b&gt;xx") and len(text.partition("<br>")[0]) < 50 for text in texts) == 4
