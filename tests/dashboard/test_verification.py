"""What the dashboard says of a study that was verified, and of one that was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboard import candidates
from dashboard.data import Database, Snapshot
from dashboard.figures import CROSSED, LIGHT, scatter
from dashboard.pages import candidate, overview
from dashboard.view import View, default_view
from search.store import Store
from search.verification import VERDICTS
from search.verify import take_effect
from tests.dashboard.test_pages import OBJECTIVES, text
from tests.databases import VERIFY_VISITS, build, config, verify


@pytest.fixture(scope="session")
def verified_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 40 proposals whose front was verified all but one, with every verdict."""
    file = tmp_path_factory.mktemp("verified") / "csp.db"
    build(str(file), 40)
    assert set(verify(str(file)).values()) == set(VERDICTS)
    return file


@pytest.fixture
def snapshot(verified_path: Path) -> Snapshot:
    return Database(str(verified_path)).snapshot()


def frame_of(snapshot: Snapshot) -> pd.DataFrame:
    assert snapshot.frame is not None
    return snapshot.frame


def one(frame: pd.DataFrame, verdict: str) -> str:
    return str(frame["id"][(frame["verdict"] == verdict) & (frame["state"] == "complete")].iloc[0])


def test_squares_are_verified_and_crosses_overturned(snapshot: Snapshot) -> None:
    frame = frame_of(snapshot)
    for view in (View(), View(color="macs"), View(x="macs", y="verified_ap", color="verdict", size="params")):
        picked = candidates.pick(frame, view, OBJECTIVES)
        figure = scatter(frame, view, picked, LIGHT, score="ap")
        symbols = {
            key[0]: symbol
            for trace in figure.data
            if trace.customdata and not isinstance(trace.marker.symbol, str)
            for key, symbol in zip(trace.customdata, trace.marker.symbol, strict=True)
        }
        said = dict(zip(frame["number"], frame["verdict"], strict=True))
        assert {said[number] for number, symbol in symbols.items() if symbol == "square"} == {"verified"}
        assert {said[number] for number, symbol in symbols.items() if symbol == "circle"} <= {
            "unverified",
            "overturned",
        }
        crossed = [x for t in figure.data if t.marker.symbol == CROSSED and t.hoverinfo == "skip" for x in t.x]
        assert len(crossed) == (frame["verdict"] == "overturned").sum() > 0
        legend = {trace.name for trace in figure.data if trace.showlegend is not False}
        assert {"verified", "overturned"} <= legend


def test_a_verified_score_is_drawn_with_its_spread(snapshot: Snapshot) -> None:
    frame = frame_of(snapshot)
    view = View(y="verified_ap")
    figure = scatter(frame, view, candidates.pick(frame, view, OBJECTIVES), LIGHT, score="ap")
    bars = {
        key[0]: length
        for trace in figure.data
        if trace.customdata and trace.error_y.array is not None
        for key, length in zip(trace.customdata, trace.error_y.array, strict=True)
    }
    expected = frame.set_index("number")["verified_ap_spread"].dropna()
    assert bars == pytest.approx(expected.to_dict())
    proxy = scatter(frame, View(), candidates.pick(frame, View(), OBJECTIVES), LIGHT, score="ap")
    assert all(trace.error_y.array is None for trace in proxy.data)


def test_without_a_verification_nothing_speaks_of_verdicts(frame: pd.DataFrame) -> None:
    default = default_view(config())
    figure = scatter(frame, View(), candidates.pick(frame, View(), OBJECTIVES), LIGHT, score="ap")
    assert not {"verified", "overturned"} & {trace.name for trace in figure.data}
    assert "verification" not in [column["field"] for column in overview.columns(frame, default)]
    assert not {"front_share", "verified_ap"} & set(overview.known_fields(frame))
    said = text(overview.answer(frame, View(), candidates.pick(frame, View(), OBJECTIVES), OBJECTIVES))
    assert "? unverified" in said
    # A link from a study that was verified still shows something.
    empty = View(x="verified_accuracy", y="verified_ap", color="verdict", kinds={"verdict": ("verified",)})
    assert not candidates.pick(frame, empty, OBJECTIVES).matching.any()
    json.dumps(scatter(frame, empty, candidates.pick(frame, empty, OBJECTIVES), LIGHT, score="ap").to_plotly_json(),
               cls=PlotlyJSONEncoder)  # fmt: skip


def test_the_answer_says_whether_the_best_is_verified_and_who_is_best_among_the_verified(snapshot: Snapshot) -> None:
    frame = frame_of(snapshot)
    picked = candidates.pick(frame, View(), OBJECTIVES)
    said = text(overview.answer(frame, View(), picked, OBJECTIVES))
    assert "✗ overturned" in said  # the example overturns the best
    best = frame[frame["verdict"] == "verified"].sort_values("verified_ap").iloc[-1]
    assert f"best verified: #{best['number']} with {best['verified_ap']:.3f}" in said
    only = replace(View(), kinds={"verdict": ("verified",)})
    picked = candidates.pick(frame, only, OBJECTIVES)
    assert set(frame["verdict"][picked.matching]) == {"verified"}
    assert "✓ verified" in text(overview.answer(frame, only, picked, OBJECTIVES))
    assert "verification verified" in text(overview.answer(frame, only, picked, OBJECTIVES))


def test_the_table_has_a_column_and_the_header_counts(snapshot: Snapshot) -> None:
    frame, default = frame_of(snapshot), default_view(config())
    fields = [column["field"] for column in overview.columns(frame, default)]
    assert {"verification", "verified_ap"} <= set(fields)
    rows = overview.rows(frame, candidates.pick(frame, View(), OBJECTIVES), default)
    json.dumps(rows, allow_nan=False)
    said = {row["number"]: row["verification"] for row in rows}
    for number, verdict, share in zip(frame["number"], frame["verdict"], frame["front_share"], strict=True):
        if number in said:
            assert said[number] == (verdict if np.isnan(share) else f"{verdict} ({share:.0%})")
    counts = frame["verdict"].value_counts()
    assert f"{counts['verified']} verified · {counts['overturned']} overturned" in text(overview.status_line(snapshot))


def test_the_page_of_a_candidate_shows_every_seed_beside_the_proxy(verified_path: Path, snapshot: Snapshot) -> None:
    frame, database = frame_of(snapshot), Database(str(verified_path))
    for verdict in ("verified", "overturned"):
        identity = one(frame, verdict)
        row = frame.set_index("id").loc[identity]
        detail = database.detail(identity)
        assert detail is not None
        said = text(candidate.verification(detail, snapshot))
        long = [e for e in detail.evaluations if e["image_visits"] == VERIFY_VISITS]
        assert len(long) == 3
        for value in (row["ap"], row["verified_ap"], *(m["value"] for m in detail.measurements if m["metric"] == "ap")):
            assert f"{value:.3f}" in said
        assert f"on the front in {row['front_share']:.0%} of the draws" in said
        # The headline stays the proxy's: it is what the search compared.
        newest = candidate.newest(detail.measurements, "ap", snapshot.study.config)  # type: ignore[union-attr]
        assert newest is not None
        assert newest["value"] == row["ap"]
        json.dumps(candidate.layout(detail, snapshot, ""), cls=PlotlyJSONEncoder, allow_nan=False)


def test_a_verification_of_another_length_is_not_taken_for_the_proxy(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 20)
    verify(str(path))
    with Store.open(str(path)) as store:
        row = store.study("default")
        assert row is not None
        take_effect(store, row, 2 * VERIFY_VISITS, 3)
    database = Database(str(path))
    snapshot = database.snapshot()
    frame = frame_of(snapshot)
    assert set(frame["verdict"]) == {"unverified"}
    assert snapshot.study is not None
    for identity, ap in zip(frame["id"], frame["ap"], strict=True):
        detail = database.detail(identity)
        assert detail is not None
        found = candidate.newest(detail.measurements, "ap", snapshot.study.config)
        assert (found["value"] if found else None) == (None if np.isnan(ap) else ap)


def test_the_page_of_an_unverified_candidate_gives_the_command(verified_path: Path, snapshot: Snapshot) -> None:
    identity = one(frame_of(snapshot), "unverified")
    detail = Database(str(verified_path)).detail(identity)
    assert detail is not None
    command = f"python -m search.verify --ids {identity}"
    assert f"{command} --db {verified_path}" in text(candidate.verification(detail, snapshot))
    # Nobody can verify a demo that is gone when the page is closed.
    assert command not in text(candidate.verification(detail, replace(snapshot, database=None)))
