"""Latencies on devices as objectives and limits: known before anything runs, kept with the study, never mixed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluator.devices import cards
from evaluator.latency_table import fit
from evaluator.record import environment
from evaluator.roofline import roofline_ms
from evaluator.target import target
from search import pareto
from search.loop import Search
from search.predictors import with_predictors
from search.store import Store
from search.study import Limit, Objective, StudyError
from space.cost import cost
from space.lower import lower
from tests.search.test_loop import STUDY, prepared
from tests.simulator import Silent, SimulatedEngine

CARD = "pi5"
ON = f"latency_ms@{CARD}"


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "a.db")) as opened:
        yield opened


def on_card(architecture) -> float:
    """The second way to the number: the card's roofline on the graph at its profile."""
    card = cards()[CARD]
    place = target(CARD, STUDY.deployment, card.profile).deployment
    graph = lower(architecture, place.height, place.width, num_classes=place.num_classes)
    return roofline_ms(graph, card, place)


def limited(bound: float):
    limit = Limit.parse(f"{ON} <= {bound}")
    return replace(STUDY, objectives=(*STUDY.objectives[:2], Objective(metric=ON)), limits=(limit,), budget=20)


def middle() -> float:
    rng = np.random.default_rng(0)
    return float(np.median([on_card(STUDY.space.build(STUDY.space.sample(rng))) for _ in range(30)]))


def test_a_limit_on_a_device_refuses_before_anything_is_timed_or_trained(store):
    engine, bound = SimulatedEngine(), middle()
    study = with_predictors(limited(bound), store)
    prepared(study, store, engine).run()
    assert engine.jobs
    assert all(on_card(job.architecture) <= bound for job in engine.jobs)
    frame = store.frame(study.name)
    refused = frame[frame["state"] == "refused"]
    assert (refused[ON] > bound).all()
    assert set(engine.timed).isdisjoint(refused["id"])


def test_predictions_are_rows_with_their_origin_and_not_the_hosts_latency(store):
    study = with_predictors(limited(1e9), store)
    prepared(study, store, SimulatedEngine()).run()
    frame = store.frame(study.name).set_index("id")
    rows = store.deployed(study.name)
    predicted = rows[rows["origin"] == "predicted"].set_index("id")
    assert set(predicted["device"]) == {CARD}
    for identity, row in predicted.iterrows():
        expected = on_card(store.architecture(identity))
        assert row["value"] == pytest.approx(expected)
        assert "roofline" in row["detail"]["method"]
        assert frame.at[identity, ON] == pytest.approx(expected)
        assert frame.at[identity, f"{ON}_origin"] == "predicted"
        assert frame.at[identity, "latency_ms_origin"] == "measured"
        assert frame.at[identity, "latency_ms"] != pytest.approx(expected)


def test_a_search_goes_on_with_the_predictor_that_it_began_with(store):
    study = with_predictors(limited(1e9), store)
    again = with_predictors(limited(1e9), store, study.identity()["predictors"])
    assert again.identity() == study.identity()
    lost = {ON: {**study.identity()["predictors"][ON], "table": 7}}
    with pytest.raises(StudyError, match="no latency table"):
        with_predictors(limited(1e9), store, lost)


@pytest.mark.parametrize(("text", "says"), [
    ("latency_ms@pi7 <= 3", "cards: .*pi5"),
    ("latency_ms@pi5/onnxruntime/fp32/2 <= 3", "not of the form"),
    ("latency_ms@gtx-1080-ti/cuda/bf16 <= 3", "cannot predict it"),
    ("latency_ms@pi5/onnxrutime <= 3", "no backend 'onnxrutime'; did you mean 'onnxruntime'"),
    ("latency_ms@pi5/onnxruntime/int9 <= 3", "no precision 'int9'"),
])  # fmt: skip
def test_a_device_that_nothing_is_known_of_is_refused(store, text, says):
    with pytest.raises(StudyError, match=says):
        with_predictors(replace(STUDY, limits=(Limit.parse(text),)), store)


@pytest.mark.parametrize("text", ["macs@pi5 <= 3", "latency_ms@ <= 3", "ap@pi5 >= 0.2"])
def test_only_a_latency_can_be_asked_for_on_a_device(text):
    with pytest.raises(StudyError):
        Limit.parse(text)


def test_a_limit_on_a_device_reads_back_as_it_was_written():
    for text in ("latency_ms@pi5 <= 40", "latency_ms@pi5/openvino/int8 <= 4.5", "latency_ms@AMD EPYC x4 <= 12"):
        assert str(Limit.parse(text)) == text


def calibrated(store, *, threads: int = 1, slower: float = 1.0) -> int:
    """A latency table of this machine, fitted to a made-up device; returns its row."""
    rng = np.random.default_rng(1)
    networks = [STUDY.space.build(STUDY.space.sample(rng)) for _ in range(16)]
    table = fit([(lower(a), slower * (1 + cost(lower(a)).macs / 1e8)) for a in networks])
    here = environment()
    store.add_latency_table(device=here.host, backend="onnxruntime", precision="fp32", batch=1, threads=threads,
                            data=table.to_dict(), environment=here)  # fmt: skip
    return store.latency_tables()[0]["id"]


def test_the_front_is_measured_where_the_device_is_this_machine(store):
    calibrated(store, threads=3)  # other than the study's own, which every candidate is timed at
    study = replace(STUDY, objectives=(*STUDY.objectives[:2], Objective(metric="latency_ms@host")), budget=20)
    study = with_predictors(study, store)
    assert study.predictors["latency_ms@host"].predictor.table is not None
    engine = SimulatedEngine()
    search = prepared(study, store, engine)
    summary = search.run()
    rows = store.deployed(study.name)
    measured = rows[(rows["metric"] == "latency_ms") & (rows["origin"] == "measured")]
    place = study.predictors["latency_ms@host"].target
    assert set(measured["id"][measured["deployment"] == place.deployment.id]) == set(summary.front)
    assert len(engine.timed) == 20 + len(summary.front)
    Search(study, search.row, store, engine, Silent()).run()
    assert len(engine.timed) == 20 + len(summary.front)  # what is known is not measured again
    # The front stays that of predicted values, which all candidates have.
    frame = store.frame(study.name)
    values = frame[["ap", "macs", "latency_ms@host"]].to_numpy() * [-1, 1, 1]
    assert set(frame["id"][pareto.front(values)]) == set(summary.front)


def test_a_newer_table_does_not_change_a_study_that_goes_on(store):
    first = calibrated(store)
    study = replace(STUDY, limits=(Limit.parse("latency_ms@host <= 1e9"),))
    began = with_predictors(study, store)
    second = calibrated(store, slower=2.0)
    assert with_predictors(study, store).predictors["latency_ms@host"].predictor.table == second
    kept = with_predictors(study, store, began.identity()["predictors"])
    assert kept.predictors["latency_ms@host"].predictor.table == first
    assert kept.identity() == began.identity()


def test_what_a_name_leaves_open_is_what_the_device_was_calibrated_for(store):
    calibrated(store, threads=3)
    study = with_predictors(replace(STUDY, limits=(Limit.parse("latency_ms@host <= 1e9"),)), store)
    assert study.predictors["latency_ms@host"].target.deployment.threads == 3
