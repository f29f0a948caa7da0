"""The URL is the view."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dashboard.fields import CHIPS, FIELDS, FILTERED, METRICS, NUMERIC
from dashboard.query import read, selected, study_of
from dashboard.view import objectives_of
from evaluator.metrics import METRICS as KNOWN
from tests.dashboard.oracle import DRAGS, ORIGINS, SHOWN, View, default_view

bounds = st.none() | st.floats(-1e9, 1e9).map(lambda value: float(f"{value:.10g}"))


def any_end(pair: tuple[float | None, float | None]) -> bool:
    return pair != (None, None)


zooms = st.tuples(st.integers(-9999, 0), st.integers(1, 9999)).map(lambda ends: (ends[0] / 8, ends[1] / 8))
views = st.builds(
    View,
    x=st.sampled_from(NUMERIC),
    y=st.sampled_from(NUMERIC),
    x_log=st.booleans(),
    y_log=st.booleans(),
    color=st.sampled_from(["", *FIELDS]),
    size=st.sampled_from(["", *NUMERIC]),
    show=st.sets(st.sampled_from(SHOWN)).map(lambda chosen: tuple(name for name in SHOWN if name in chosen)),
    front=st.sampled_from(["axes", "all"]),
    ranges=st.dictionaries(st.sampled_from(FILTERED), st.tuples(bounds, bounds).filter(any_end)),
    kinds=st.dictionaries(st.sampled_from(CHIPS), st.lists(st.sampled_from(["res", "dense/res", "a b&c=d"]),
                                                          unique=True).map(tuple)),
    selected=st.lists(st.integers(0, 10**8), max_size=20).map(tuple),
    pinned=st.lists(st.integers(0, 10**8), max_size=6).map(tuple),
    zoom_x=st.none() | zooms,
    zoom_y=st.none() | zooms,
    drag=st.sampled_from(DRAGS),
    study=st.text(max_size=20).map(str.strip),
    database=st.text(max_size=20),
    device=st.text(max_size=20).map(str.strip),
    by=st.sampled_from(["", *ORIGINS]),
)  # fmt: skip


@given(views)
def test_a_copied_link_gives_the_same_view(view: View) -> None:
    assert View.from_query("?" + view.to_query(View()), View()) == view


@given(st.text(max_size=80))
def test_no_query_raises(text: str) -> None:
    for query in (text, f"x={text}&min.ap={text}&sel={text}&show={text}&study={text}"):
        assert isinstance(study_of(query), str)
        assert all(number >= 0 for number in selected(query))
        read(query)
        View.from_query(query, View())


def test_the_server_reads_study_and_selection_as_the_view_says_them() -> None:
    chosen = View(study="a&b=<c>", selected=tuple(range(5, 95)), kinds={"block": ("x" * 3_000,)})
    query = "?" + chosen.to_query(View())
    assert (study_of(query), selected(query)) == (chosen.study, chosen.selected)
    assert (study_of(None), selected("sel=1,-2,x,٣,,7")) == ("", (1, 7))


def test_default_view_has_an_empty_query_and_follows_the_objectives() -> None:
    config = {"objectives": [{"metric": "accuracy"}, {"metric": "params"}]}
    view = default_view(config)
    assert (view.x, view.y, view.to_query(view)) == ("params", "accuracy", "")
    assert objectives_of({"objectives": [{"metric": "from the future"}]}) == ["ap"]
    assert default_view({}).x == "latency_ms"


def test_a_typed_link_may_be_short() -> None:
    assert View.from_query("lat=12", View()).ranges == {"latency_ms": (None, 12.0)}
    assert View.from_query("lat=12&max.latency_ms=9", View()).ranges == {"latency_ms": (None, 9.0)}


def test_every_metric_is_a_field_with_its_direction() -> None:
    assert METRICS is KNOWN
    for name, metric in KNOWN.items():
        assert FIELDS[name].direction == metric.direction
        assert FIELDS[name].show(None) == "–"
        assert FIELDS[name].show(1234567.0) == metric.show(1234567.0)


def test_a_latency_on_a_device_is_an_axis_like_any_other():
    config = {"objectives": [{"metric": "ap"}, {"metric": "latency_ms@board5"}]}
    default = default_view(config)
    assert (default.x, default.y) == ("latency_ms@board5", "ap")
    view = replace(default, x="macs", size="latency_ms@board5/openvino")
    assert View.from_query(view.to_query(default), default) == view
    assert View.from_query("x=latency_ms@&size=macs@board5", default) == default
    assert FIELDS["latency_ms@board5"].label == "Latency on board5"
    assert "latency_ms@board5_origin" not in FIELDS
