"""Devices to choose on the first screen: which there are, what is known and predicted there, how they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboard.app import create_app
from dashboard.candidates import complete, numbers
from dashboard.data import Database, Snapshot
from dashboard.references import pairs
from dashboard.targets import EACH, MOST, Choice, Predictions, choices, named, representative
from evaluator.latency_table import fit
from search.columns import Columns, Texts
from search.devices import devices, find
from search.latencies import known as best_known
from search.store import Store
from space.cost import cost
from space.lower import lower
from tests.dashboard.test_wire import decoded
from tests.databases import DEPLOYMENT, MACHINE, build
from tests.places import spread
from tests.strategies import random_architectures

Known = tuple[Path, Database, Snapshot, list[Choice]]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """A study of 24 that was measured and predicted on made-up devices too."""
    path = tmp_path_factory.mktemp("targets") / "csp.db"
    build(str(path), 24)
    spread(str(path))
    database = Database(str(path))
    snapshot = database.snapshot()
    return path, database, snapshot, choices(database, snapshot)


def test_the_studys_own_device_is_first_then_places_then_what_only_predicts(known: Known) -> None:
    found = known[3]
    assert (found[0].key, found[0].target.device) == ("", MACHINE.host)
    recorded = [choice.key for choice in found[1:] if choice.place]
    assert set(recorded) == {"board5/onnxruntime/fp32", "board5/ncnn/int8", "nano/tensorrt/fp32"}
    assert [choice.place is None for choice in found[1:]] == sorted(choice.place is None for choice in found[1:])
    assert any(choice.target.device == "pi5" for choice in found)
    assert len({choice.key for choice in found}) == len(found)


def test_a_name_means_to_search_pick_what_it_means_here(known: Known) -> None:
    path, _, _, found = known
    with Store.open(str(path)) as store:
        row, there = store.study("default"), devices(store, "default")
        assert row is not None
        for choice in found:
            assert choice.name
            assert find(choice.name, row, there)[1] == choice.target
            for part in (choice.name.partition("/")[0], choice.name.rpartition("/")[0]):
                short = named(part, found)
                assert short is not None
                assert short.target == find(part, row, there)[1], part


def test_a_short_name_means_the_first_that_it_fits(known: Known) -> None:
    found = known[3]
    for text, key in (("", ""), ("board5", "board5/onnxruntime/fp32"), ("board5/ncnn/int8", "board5/ncnn/int8"),
                      ("board5/ncnn", "board5/ncnn/int8"), ("pi5", "pi5/onnxruntime/fp32"),
                      (MACHINE.host, "")):  # fmt: skip
        choice = named(text, found)
        assert choice is not None
        assert choice.key.startswith(key)
    for text in ("boar", "board5/", "pi5/x", "<b>", "../../etc/passwd", "'; DROP TABLE studies"):
        assert named(text, found) is None


def test_recorded_latencies_are_taken_as_they_are(known: Known) -> None:
    _, database, snapshot, found = known
    choice = named("board5/onnxruntime", found)
    assert choice is not None
    assert choice.place is not None
    told = Predictions(database).known(snapshot, choice)
    assert told.measured is choice.place.measured
    assert told.predicted is choice.place.predicted
    assert (told.origin(), told.method, told.error, told.wanted) == ("measured", "table", pytest.approx(0.08), 0)


@pytest.mark.parametrize("text", ["pi5", "jetson-tx2"])
def test_predictions_on_demand_are_those_of_search_pick(known: Known, text: str) -> None:
    path, database, snapshot, found = known
    assert snapshot.columns is not None
    choice, predictions = named(text, found), Predictions(database)
    assert choice is not None
    with Store.open(str(path)) as store:
        rows = best_known(store, "default", choice.target)
    expected = rows[rows["metric"] == "latency_ms"].set_index("id")["value"]
    done = complete(snapshot.columns)
    told = predictions.known(snapshot, choice, seconds=0)
    assert told.done < told.wanted == done.sum()
    while told.done < told.wanted:
        before, told = told, predictions.known(snapshot, choice, seconds=0.02)
        assert told.done >= before.done
    np.testing.assert_array_equal(told.predicted[done], expected[np.array(snapshot.columns.ids)[done]].to_numpy())
    assert np.isnan(told.predicted[~done]).all()
    assert np.isnan(told.measured).all()
    assert told.origin() == "predicted"
    assert told.method.startswith("roofline of the card")


def test_few_measurements_do_not_stand_for_a_device(known: Known) -> None:
    _, database, snapshot, found = known
    choice = named("nano", found)
    assert choice is not None
    told = Predictions(database).known(snapshot, choice, seconds=5)
    assert 0 < np.isfinite(told.measured).sum() <= 5
    assert told.origin() == "measured", "nothing predicts for nano, so what was measured is all there is"
    assert told.problem == "Nothing predicts it."


def test_of_very_many_candidates_the_best_of_every_cost_are_predicted() -> None:
    rng, rows = np.random.default_rng(2), 3 * MOST
    columns = Columns(numbers={"ap": rng.random(rows), "macs": rng.random(rows) * 1e9}, ids=["x"] * rows,
                      texts={"state": Texts(codes=np.ones(rows, int), labels=[None, "complete"])})  # fmt: skip
    among = rng.random(rows) < 0.9
    chosen = representative(columns, "ap", among)
    score, macs = numbers(columns, "ap"), numbers(columns, "macs")
    assert len(set(chosen.tolist())) == len(chosen) == MOST
    assert among[chosen].all()
    assert (np.diff(score[chosen]) <= 0).all(), "the best come first"
    spans = np.array_split(np.flatnonzero(among)[np.argsort(macs[among])], MOST // EACH)
    for span in spans[::50]:
        best = score[span][np.argsort(-score[span])[:EACH]].min()
        assert set(span[score[span] >= best]) <= set(chosen.tolist())
    few = np.zeros(rows, bool)
    few[[5, 9]] = True
    assert sorted(representative(columns, "ap", few).tolist()) == [5, 9]


def test_the_browser_gets_a_place_as_two_columns(known: Known) -> None:
    client = create_app(known[1]).server.test_client()
    listed = client.get("/places").json["places"]
    assert [place["key"] for place in listed] == [choice.key for choice in known[3]]
    header, found = decoded(client.get("/place.bin?dev=board5/onnxruntime").data)
    assert (header["place"]["key"], header["place"]["origin"]) == ("board5/onnxruntime/fp32", "measured")
    assert header["place"]["error"] == pytest.approx(0.08)
    place = named("board5/onnxruntime", known[3])
    assert place is not None
    assert place.place is not None
    for name in ("measured", "predicted"):
        np.testing.assert_allclose(found[name], getattr(place.place, name), rtol=1e-6)
    own, columns = decoded(client.get("/place.bin").data)
    assert (own["place"], own["problem"], columns) == (None, "", {})


@pytest.mark.parametrize("text", ["no-such", "%3Cscript%3E", "..%2F..%2Fetc%2Fpasswd", "x" * 5000, "%00", "/", "'--"])
def test_a_device_that_is_not_known_is_said_and_nothing_else_happens(known: Known, text: str) -> None:
    answer = create_app(known[1]).server.test_client().get(f"/place.bin?dev={text}")
    assert answer.status_code == 200
    header, columns = decoded(answer.data)
    assert header["place"] is None
    assert "Nothing is known of a device" in header["problem"]
    assert "Known here: " in header["problem"]
    assert "pi5" in header["problem"]
    assert len(header["problem"]) < 400
    assert columns == {}


def test_an_empty_or_missing_database_has_no_devices(tmp_path: Path) -> None:
    client = create_app(Database(str(tmp_path / "none.db"))).server.test_client()
    assert client.get("/places").json == {"places": []}
    assert decoded(client.get("/place.bin?dev=pi5").data)[0]["rows"] == 0


def test_every_dashboard_is_told_what_is_pinned(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 5)
    clients = [create_app(Database(str(path))).server.test_client() for _ in range(2)]
    database = Database(str(path))
    columns = database.snapshot().columns
    assert columns is not None
    ids: list[str] = columns.ids

    def write(client: Any, identity: str, on: bool) -> int:
        status: int = client.post("/write/pin", json={"id": identity, "study": "default", "on": on}).status_code
        return status

    assert write(clients[0], ids[3], True) == write(clients[1], ids[1], True) == 200
    for client in clients:
        assert client.get("/status").json["pins"] == [ids[3], ids[1]]
    assert write(clients[1], ids[3], False) == 200
    assert clients[0].get("/status").json["pins"] == [ids[1]]
    path.unlink()
    assert clients[0].get("/status").json["pins"] is None


def test_a_network_and_its_csp_version_are_a_pair() -> None:
    names = ["CSPResNet-50", "PeleeNet", "CSPPeleeNet 0.5", "ResNet-50", "CSPDarkNet-53", "CSPPeleeNet 0.25"]
    assert pairs(names) == [(3, 0), (1, 2), (1, 5)]
    assert pairs([]) == []


def test_a_table_of_the_same_day_makes_the_predictions_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.data.SHARE", 0)
    path = str(tmp_path / "csp.db")
    build(path, 8)
    database = Database(path)
    predictions = Predictions(database)

    def told(slower: float) -> Any:
        table = fit([(graph, slower * (1 + cost(graph).macs / 1e8)) for graph in graphs])
        with Store.open(path) as store:
            store.add_latency_table(device="board9", backend="onnxruntime", precision="fp32", batch=1, threads=1,
                                    data=table.to_dict(), environment=None)  # fmt: skip
        snapshot = database.snapshot()
        choice = named("board9", choices(database, snapshot))
        assert choice is not None
        return predictions.known(snapshot, choice, seconds=30.0)

    graphs = [lower(each, DEPLOYMENT.height, DEPLOYMENT.width) for each in random_architectures(16, seed=3)]
    before, after = told(1.0), told(3.0)
    assert before.method == after.method, "of one day"
    known = np.isfinite(before.predicted)
    assert known.any()
    np.testing.assert_allclose(after.predicted[known] / before.predicted[known], 3.0, rtol=0.05)
