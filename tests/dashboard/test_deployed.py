"""Every page gives one number for one thing: the first screen's, also where a study was measured in many places."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dashboard import peers
from dashboard.data import Database, Snapshot
from dashboard.deployed import COSTS, TIMED, Where, counted
from dashboard.foresight import Prediction
from dashboard.pages import candidate, compare
from dashboard.targets import choices, where
from evaluator.metrics import METRICS
from evaluator.record import Measurement
from search.store import Store
from tests.dashboard.test_detail import raws
from tests.dashboard.test_pages import text
from tests.databases import DEPLOYMENT, MACHINE, build, verify
from tests.places import spread


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, Snapshot]:
    """24 candidates, verified, measured on other devices, and on the study's own in another runtime, all later."""
    path = tmp_path_factory.mktemp("deployed") / "csp.db"
    build(str(path), 24)
    verify(str(path))
    spread(str(path))
    with Store.open(str(path)) as store:
        for identity in store.frame("default")["id"]:
            architecture = store.architecture(identity)
            assert architecture is not None
            rows = [Measurement(metric=name, value=777.0, unit="ms", device=MACHINE.host, backend=backend,
                                deployment=size.id, precision=size.precision, batch=size.batch, threads=size.threads,
                                detail={"deployment": size.to_dict()}, environment=MACHINE)
                    for name in ("latency_ms", "latency_median_ms", "images_per_second")
                    for backend, size in (("openvino", DEPLOYMENT),
                                          ("onnxruntime", replace(DEPLOYMENT, height=64, width=64)))]  # fmt: skip
            store.record(architecture, rows)
    database = Database(str(path))
    return database, database.snapshot()


def test_a_page_of_a_candidate_gives_the_numbers_of_the_first_screen(known: tuple[Database, Snapshot]) -> None:
    database, snapshot = known
    assert snapshot.study is not None
    assert snapshot.columns is not None
    own, checked = Where.own(snapshot.study.config), 0
    for row, identity in enumerate(snapshot.columns.ids):
        detail = database.detail(identity)
        assert detail is not None
        said = peers.Known(detail, snapshot, own)
        for name in set(METRICS) & set(snapshot.columns.numbers):
            expected = float(snapshot.columns.numbers[name][row])
            newest, value = own.newest(detail.measurements, name), said(name)[0]
            # What the page would show of an architecture that no study proposed is chosen by the same rule.
            for found in (newest["value"] if newest else None, value):
                assert (found is None) == math.isnan(expected), name
                assert found is None or found == expected, name
            checked += 1
    assert checked > 200


def test_a_device_in_the_link_gives_that_devices_latency_and_no_other(known: tuple[Database, Snapshot]) -> None:
    database, snapshot = known
    assert snapshot.columns is not None
    places = {choice.key: choice.place for choice in choices(database, snapshot) if choice.place and choice.key}
    assert any("openvino" in key for key in places)
    for key, place in places.items():
        there = where(database, snapshot, key)
        assert (there.dev, there.problem) == (key, "")
        for row, identity in enumerate(snapshot.columns.ids):
            detail = database.detail(identity)
            assert detail is not None
            value = peers.Known(detail, snapshot, there)("latency_ms")[0]
            expected = place.measured[row]  # type: ignore[union-attr]
            assert (value is None) == math.isnan(expected)
            assert value is None or value == expected
        np.testing.assert_array_equal(peers.column(snapshot.columns, "latency_ms", there), place.measured)  # type: ignore[union-attr]
        for name in COSTS:
            counts = [getattr(counted(database.detail(each).architecture, there.target.deployment), name)  # type: ignore[union-attr]
                      for each in snapshot.columns.ids]  # fmt: skip
            ours = peers.column(snapshot.columns, name, there)
            known = np.isfinite(snapshot.columns.numbers[name])
            if there.target.deployment.height == DEPLOYMENT.height:
                np.testing.assert_array_equal(ours[known], np.array(counts, dtype=float)[known])
            else:
                assert np.isnan(ours).all(), "another size is another graph"
        assert np.isnan(peers.column(snapshot.columns, "latency_median_ms", there)).all()


def test_a_device_that_nobody_knows_is_the_studys_own_and_says_so(known: tuple[Database, Snapshot]) -> None:
    database, snapshot = known
    assert snapshot.study is not None
    found = where(database, snapshot, "<b>moon</b>")
    assert found == Where.own(snapshot.study.config, found.problem)
    assert "<b>moon</b>" in found.problem
    assert "board5" in found.problem
    for name in ("", MACHINE.host):
        assert where(database, snapshot, name) == Where.own(snapshot.study.config)
    assert where(database, Snapshot(phase="missing"), "pi5").dev == ""


def test_pages_say_whose_latency_they_show_and_mark_what_is_predicted(known: tuple[Database, Snapshot]) -> None:
    database, snapshot = known
    assert snapshot.columns is not None
    there = where(database, snapshot, "board5/onnxruntime/fp32")
    assert there.place is not None
    done = snapshot.columns["state"] == "complete"
    measured = int(np.flatnonzero(np.isfinite(there.place.measured))[0])
    absent = int(np.flatnonzero(np.isnan(there.place.measured) & np.asarray(done))[0])
    ahead = Prediction(latency_ms=123.0, source="board5: <table>")
    for row, words in ((measured, "Latency on board5"), (absent, ", predicted ≈ 123 ms")):
        detail = database.detail(snapshot.columns.ids[row])
        assert detail is not None
        page = candidate.layout(detail, snapshot, f"dev={there.dev}", there, ahead=ahead,
                                devices={"": "own", there.dev: there.title})  # fmt: skip
        said = " ".join(text(page).split())
        assert words in said, said[:600]
        assert "<table>" not in raws(page)
        assert f"/explore?from={detail.architecture.id}&study=default&dev=" in str(page)
    ids = [snapshot.columns.ids[row] for row in (measured, absent)]
    details = {identity: database.detail(identity) for identity in ids}
    said = " ".join(text(compare.layout(details, [], snapshot, there, lambda *_: ahead)).split())
    assert f"Latency on {there.title}, predicted" in said
    # Of the measured row one cell is empty: it is not filled with a prediction.
    assert f"{there.place.measured[measured]:.3g} ms" in said
    assert not set(TIMED) & {"macs", "ap", "params"}
