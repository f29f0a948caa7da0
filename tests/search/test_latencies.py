"""What is known of candidates on a target, and where every number comes from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluator.record import Deployment, Measurement, environment
from evaluator.target import Target
from search import latencies
from search.devices import TargetError, devices, find
from search.latencies import Predictor, known, predictors_of
from search.store import Store
from space.cost import cost
from space.lower import lower
from tests.databases import DEPLOYMENT, MACHINE, build

PI = Target(device="board5", backend="onnxruntime", deployment=DEPLOYMENT)


def macs_ms(graph) -> float:
    return cost(graph).macs / 1e7


BY_MACS = Predictor(method="1e7 MACs a millisecond", predict=macs_ms, error={"median": 0.2, "p90": 0.5, "n": 12})


def timed(value: float | None, **changes) -> Measurement:
    facts = {"unit": "ms", "device": "board5", "backend": "onnxruntime", "deployment": DEPLOYMENT.id, "batch": 1,
             "precision": "fp32", "threads": 1, "n": 100, "environment": MACHINE, **changes}  # fmt: skip
    return Measurement(metric="latency_ms", value=value, **facts)


@pytest.fixture
def store(tmp_path):
    build(str(tmp_path / "a.db"), 12)
    with Store.open(str(tmp_path / "a.db")) as opened:
        yield opened


def networks(store):
    return [p.architecture for p in store.proposals(store.study("default").id)]


def latency(frame, architecture):
    rows = frame[(frame["id"] == architecture.id) & (frame["metric"] == "latency_ms")]
    assert len(rows) == 1
    return rows.iloc[0]


def test_measured_comes_before_predicted_and_each_says_where_it_is_from(store):
    first, second = networks(store)[:2]
    store.record(first, [timed(41.0)])
    store.record(second, [timed(7.0, origin="predicted"), timed(8.0, backend="ncnn"), timed(9.0, deployment="x")])
    found = known(store, "default", PI, predictors=[BY_MACS])
    measured, predicted = latency(found, first), latency(found, second)
    assert (measured["value"], measured["origin"], measured["n"]) == (41.0, "measured", 100)
    assert measured["environment"] == MACHINE.id
    assert predicted["value"] == macs_ms(lower(second, 256, 256))
    assert (predicted["origin"], predicted["method"], predicted["error"], predicted["error_p90"], predicted["n"]) == (
        "predicted", BY_MACS.method, 0.2, 0.5, 12
    )  # fmt: skip
    other = found[(found["metric"] == "latency_median_ms") & (found["id"] == second.id)].iloc[0]
    assert np.isnan(other["value"])  # no table predicts a median
    assert other["reason"] == "not measured on board5/onnxruntime/fp32"


def test_the_next_predictor_has_its_turn_where_one_refuses_and_the_reasons_add_up(store):
    def refuse(_):
        raise ValueError("the rate of fp32 is not known")

    card = Predictor(method="a card", predict=refuse)
    first = networks(store)[0]
    row = latency(known(store, "default", PI, predictors=[card, BY_MACS]), first)
    assert (row["method"], row["reason"]) == (BY_MACS.method, "a card: the rate of fp32 is not known")
    store.record(first, [timed(None, reason="it does not fit in memory")])
    row = latency(known(store, "default", PI, predictors=[card]), first)
    assert np.isnan(row["value"])
    assert row["reason"] == "it does not fit in memory; a card: the rate of fp32 is not known"
    row = latency(known(store, "default", PI, predictors=[]), networks(store)[1])
    assert row["reason"] == "not measured on board5/onnxruntime/fp32; there is no latency table and no card of it"


def test_costs_are_counted_at_the_targets_own_size_and_precision(store):
    size = replace(DEPLOYMENT, height=128, width=192, batch=2, precision="fp16")
    found = known(store, "default", replace(PI, deployment=size), predictors=[])
    for architecture in networks(store):
        ours = cost(lower(architecture, 128, 192, num_classes=10), batch=2, precision="fp16")
        rows = found[found["id"] == architecture.id].set_index("metric")
        for name in ("macs", "params", "peak_bytes", "weight_bytes"):
            assert rows.at[name, "value"] == getattr(ours, name)
            assert rows.at[name, "origin"] == "counted"
    assert known(store, "default", PI, ids=[networks(store)[3].id], predictors=[])["id"].nunique() == 1


def test_the_newest_table_of_exactly_this_target_predicts_before_the_card(store, monkeypatch):
    place = {"device": "board5", "backend": "onnxruntime", "precision": "fp32", "batch": 1, "threads": 1}

    class Table:
        def __init__(self, data):
            self.error, self._ms = {"median": data["error"]}, data["ms"]

        def predict(self, graph):
            return self._ms

        def layers(self, graph):
            return []

        def coverage(self, graph):
            return 1.0

    for ms, changes in ((1.0, {}), (2.0, {}), (3.0, {"threads": 4}), (4.0, {"precision": "int8"})):
        store.add_latency_table(**{**place, **changes}, data={"ms": ms, "error": 0.1}, environment=environment())
    (found,) = predictors_of(store, PI, load=Table)
    assert (found.predict(None), found.error) == (2.0, {"median": 0.1})
    assert found.method.startswith("latency table of 20")
    assert found.environment == environment().id

    at = {"calibrated": {"deployment": PI.deployment.to_dict()}}
    store.add_latency_table(**place, data={"ms": 6.0, "error": 0.1, **at}, environment=None)
    larger = replace(PI, deployment=replace(PI.deployment, height=512, width=512))
    (same,), (other,) = (predictors_of(store, where, load=Table) for where in (PI, larger))
    assert (same.error, other.error) == ({"median": 0.1}, {})
    assert other.method == f"{same.method}, calibrated at 256x256"

    monkeypatch.setattr(latencies, "cards", lambda: {"board5": latencies.cards})
    monkeypatch.setattr(latencies, "known_error", lambda card: {"median": 0.6, "n": 3})

    def damaged(_):
        raise ValueError("this latency table is damaged")

    found = predictors_of(store, PI, load=damaged, estimate=lambda graph, card, size: 5.0)
    row = latency(known(store, "default", PI, predictors=found), networks(store)[0])
    assert (row["value"], row["method"], row["error"]) == (5.0, "roofline of the card 'board5'", 0.6)
    assert "damaged" in row["reason"]


def test_every_known_device_has_a_name_and_what_is_known_of_it(store):
    store.record(networks(store)[0], [timed(41.0)])
    store.add_latency_table(device="board5", backend="ncnn", precision="int8", batch=1, threads=4, data={},
                            environment=None)  # fmt: skip
    found = devices(store, "default")
    assert next(iter(found)) == "host"
    assert found["host"].device == environment().host
    assert found[MACHINE.host].measured == {replace(PI, device=MACHINE.host): 11}
    assert found["board5"].measured == {PI: 1}
    (table,) = found["board5"].tables
    assert (str(table), table.deployment.threads) == ("board5/ncnn/int8", 4)
    assert find("board5/ncnn", store.study("default"), found)[1] == table  # nothing was measured on ncnn
    said = "1 measured on onnxruntime/fp32 256x256, latency table of ncnn/int8 4 threads 256x256"
    assert said in str(found["board5"])


def test_a_target_is_found_by_name_and_defaults_to_where_the_study_was_timed(store):
    store.record(networks(store)[0], [timed(41.0)])
    row, there = store.study("default"), devices(store, "default")
    assert find(None, row, there)[1] == Target(device=MACHINE.host, backend="onnxruntime", deployment=DEPLOYMENT)
    assert find("host", row, there)[1].device == environment().host
    assert find("board5/openvino/int8", row, there)[1] == Target(
        device="board5", backend="openvino", deployment=Deployment(precision="int8")
    )
    for text, message in (("board6", "did you mean 'board5'"), ("board5/openvino/int4", "did you mean 'int8'"),
                          ("board5/openvnio", "did you mean 'openvino'"),
                          ("board5/a/b/c", "not of the form")):  # fmt: skip
        with pytest.raises(TargetError, match=message):
            find(text, row, there)


def test_what_a_target_leaves_open_is_what_was_measured_there(store):
    def at(**changes):
        size = replace(DEPLOYMENT, **changes)
        return {"deployment": size.id, "precision": size.precision, "threads": size.threads,
                "detail": {"deployment": size.to_dict()}}  # fmt: skip

    first, second = networks(store)[:2]
    store.record(first, [timed(4.0, backend="ncnn", **at(threads=4)), timed(1.0, backend="ncnn", **at(height=64))])
    store.record(first, [timed(3.0, backend="ncnn", **at(precision="int8", threads=2))])
    store.record(second, [timed(5.0, backend="ncnn", **at(threads=4))])
    row, there = store.study("default"), devices(store, "default")

    def found(text):
        where = find(text, row, there)[1]
        return where.backend, where.deployment.precision, where.deployment.threads, where.deployment.height

    assert found("board5") == found("board5/ncnn") == found("board5/ncnn/fp32") == ("ncnn", "fp32", 4, 256)
    assert found("board5/ncnn/int8") == ("ncnn", "int8", 2, 256)
    assert found("board5/openvino") == ("openvino", "fp32", 1, 256)  # nothing was measured on it: the study's own
    assert found("board5/ncnn/fp16") == ("ncnn", "fp16", 1, 256)
    store.record(second, [timed(6.0, backend="onnxruntime", **at(threads=8))])
    nearest = find("board5", row, devices(store, "default"))[1]  # less than ncnn, but the study's own runtime
    assert (nearest.backend, nearest.deployment.threads) == ("onnxruntime", 8)
    store.record(second, [timed(7.0, device="own", **at(height=96, batch=2))])  # bundled for a card of the user's own
    own = find("own", row, devices(store, "default"))[1]
    assert (own.deployment.height, own.deployment.batch) == (96, 2)
    assert latency(known(store, "default", own), second)["value"] == 7.0
    where = find("board5/ncnn", row, there)[1]
    assert latency(known(store, "default", where, predictors=[]), second)["value"] == 5.0
