"""Prediction of latency: against a synthetic device whose law is known, and on networks that no table has seen."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings

from evaluator.backends.onnxruntime import session
from evaluator.calibration import Specimen, calibration_set, lowered, random_networks
from evaluator.kernels import Kernel, is_isolated, kernels, kind_of, work
from evaluator.latency_table import FEWEST_NETWORKS, LatencyTable, errors, fit
from evaluator.record import Deployment
from space.graph import Graph
from space.lower import lower
from space.ops import Add, Concat, Conv, Linear
from space.zoo import get
from tests.strategies import SPACE, sizes, wild_architectures

SMALL = Deployment(height=128, width=128)


def oracle(graph: Graph) -> float:
    """A device: a launch each, arithmetic with another rate by kind (channels in blocks of 16), memory, copies."""
    total = 0.02
    for kernel in kernels(graph):
        own = work(kernel)
        rate = 40.0 if isinstance(kernel.op, Conv) and kernel.op.groups > 1 else 90.0 / getattr(kernel.op, "kernel", 1)
        total += 0.003 + own.get("macs16", 0.0) / rate + (own["in"] + own["out"]) / 20
        total += own["out"] / 10 if isinstance(kernel.op, Concat | Add) else 0.0
        if getattr(kernel.op, "activation", None) == "silu":
            total += own["out"] / 5
    return total


@cache
def calibrated(noise: float = 0.0) -> LatencyTable:
    rng = np.random.default_rng(5)
    graphs = [s.graph(SMALL) for s in calibration_set(SPACE, SMALL, networks=60, num_kernels=150)]
    return fit([(graph, oracle(graph) * float(np.exp(noise * rng.standard_normal()))) for graph in graphs])


@cache
def unseen() -> tuple[Graph, ...]:
    seen = [s.architecture.id for s in calibration_set(SPACE, SMALL, networks=60, num_kernels=150) if s.architecture]
    return tuple(lowered(a, SMALL) for a in random_networks(SPACE, 60, np.random.default_rng(7), without=seen))


def test_the_law_of_a_device_without_noise_is_recovered():
    found = errors([calibrated().predict(graph) for graph in unseen()], [oracle(graph) for graph in unseen()])
    assert found["n"] == 60
    assert found["median"] < 0.002
    assert found["worst"] < 0.01
    assert found["kendall"] > 0.995


def test_noise_of_three_percent_is_averaged_out_not_learnt():
    table = calibrated(0.03)
    found = errors([table.predict(graph) for graph in unseen()], [oracle(graph) for graph in unseen()])
    assert found["median"] < 0.02
    assert found["kendall"] > 0.94


def test_the_known_error_is_what_unseen_networks_show():
    table = calibrated(0.03)
    rng = np.random.default_rng(9)
    measured = [oracle(graph) * float(np.exp(0.03 * rng.standard_normal())) for graph in unseen()]
    found = errors([table.predict(graph) for graph in unseen()], measured)
    assert 0.5 < table.error["median"] / found["median"] < 2
    assert table.error["n"] == 60
    assert table.error["median"] <= table.error["p90"] <= table.error["worst"]


def test_kernels_timed_alone_make_up_for_networks():
    graphs = [s.graph(SMALL) for s in calibration_set(SPACE, SMALL, networks=60, num_kernels=150)]
    networks = [graph for graph in graphs if not is_isolated(graph)][:15]
    alone = [graph for graph in graphs if is_isolated(graph)]
    truth = [oracle(graph) for graph in unseen()]
    rng = np.random.default_rng(3)
    noisy = {id(g): oracle(g) * float(np.exp(0.02 * rng.standard_normal())) for g in [*networks, *alone]}
    without = fit([(graph, noisy[id(graph)]) for graph in networks])
    both = fit([(graph, noisy[id(graph)]) for graph in [*networks, *alone]])
    wrong, right = (errors([t.predict(g) for g in unseen()], truth)["median"] for t in (without, both))
    assert right < wrong / 2


def test_a_table_survives_the_way_through_the_store_to_the_last_bit():
    table = calibrated(0.03)
    again = LatencyTable.from_dict(json.loads(json.dumps(table.to_dict(), allow_nan=False)))
    assert [again.predict(g) for g in unseen()] == [table.predict(g) for g in unseen()]
    assert [again.coverage(g) for g in unseen()] == [table.coverage(g) for g in unseen()]
    assert again.error == table.error
    assert again.calibrated == table.calibrated


@settings(max_examples=60)
@given(wild_architectures(), sizes)
def test_every_network_gets_a_positive_latency(architecture, size):
    graph = lower(architecture, *size)
    table = calibrated()
    assert 0 < table.predict(graph) < math.inf
    assert 0 <= table.coverage(graph) <= 1


@pytest.mark.parametrize("name", ["CSPPeleeNet", "CSPResNeXt-50", "mobilenetv2"])
def test_published_networks_of_other_kinds_get_one_too_and_it_says_so(name):
    graph = get(name).graph()
    assert 0 < calibrated().predict(graph) < math.inf
    assert calibrated().coverage(graph) < 0.9


def test_a_network_of_the_space_is_covered_at_the_calibrated_size_only():
    table = calibrated()
    architectures = random_networks(SPACE, 20, np.random.default_rng(7))
    at_home = [table.coverage(lowered(a, SMALL)) for a in architectures]
    elsewhere = [table.coverage(lower(a, 512, 512)) for a in architectures]
    assert min(at_home) > 0.8
    assert max(elsewhere) < 0.8


def test_predicted_latency_never_falls_when_the_image_grows():
    for architecture in random_networks(SPACE, 20, np.random.default_rng(2)):
        times = [calibrated(0.03).predict(lower(architecture, size, size)) for size in (96, 128, 192, 320)]
        assert times == sorted(times)
        assert times[0] < times[-1]


# -- what is timed


def test_a_calibration_set_is_the_same_every_time_and_made_of_plain_data():
    first, again = (calibration_set(SPACE, SMALL, seed=3, networks=20, num_kernels=40) for _ in range(2))
    other = calibration_set(SPACE, SMALL, seed=4, networks=20, num_kernels=40)
    assert first == again != other
    rebuilt = [Specimen.from_dict(json.loads(json.dumps(specimen.to_dict()))) for specimen in first]
    assert [s.graph(SMALL) for s in rebuilt] == [s.graph(SMALL) for s in first]
    assert sum(s.kernel is None for s in first) == 20
    assert len({s.kernel for s in first if s.kernel}) == len(first) - 20
    kinds = {kind_of(k) for s in first if s.architecture for k in kernels(s.graph(SMALL))}
    assert {kind_of(s.kernel) for s in first if s.kernel} >= kinds


@settings(max_examples=15)
@given(wild_architectures(), sizes)
def test_every_kernel_runs_alone_and_gives_the_shape_it_has_in_its_network(architecture, size):
    for kernel in {kind_of(k): k for k in kernels(lower(architecture, *size))}.values():
        graph = kernel.graph(copies=2)
        assert is_isolated(graph)
        assert kernels(graph).count(kernel) >= 2
        image = np.zeros((1, *graph.nodes[0].shape), np.float32)
        flat = (kernel.output[0],) if isinstance(kernel.op, Linear) else kernel.output
        assert [out.shape for out in session(graph).run(None, {"image": image})] == [(1, *flat)] * 2
        assert Kernel.from_dict(json.loads(json.dumps(kernel.to_dict()))) == kernel


def test_work_of_a_convolution_by_hand():
    kernel = Kernel(Conv(3, 1, 2, True, "relu", False, 1), ((32, 8, 8),), (48, 8, 8))
    assert kind_of(kernel) == "conv 3x3 s1 g2"
    assert work(kernel)["macs"] == pytest.approx(9 * 16 * 48 * 64 * 1e-6)
    assert work(kernel)["macs16"] == pytest.approx(9 * 16 * 64 * 64 * 1e-6)  # 24 channels a group fill two blocks
    assert work(kernel)["weights"] == pytest.approx(4 * 9 * 16 * 48 * 1e-6)
    assert work(kernel)["in"] == pytest.approx(4 * 32 * 64 * 1e-6)


# -- what is refused


@pytest.mark.parametrize(
    "data",
    [{}, {"op": "System", "arguments": [], "inputs": [[1, 1, 1]], "output": [1, 1, 1]},
     {"op": "Add", "arguments": [], "inputs": [[1, 1]], "output": [1, 1, 1]},
     {"op": "Conv", "arguments": [3], "inputs": [[1, 1, 1]], "output": [1, 1, 1]},
     {"op": "Add", "arguments": [], "inputs": [[0, 1, 1]], "output": [1, 1, 1]}],
)  # fmt: skip
def test_what_is_no_kernel_is_refused(data):
    with pytest.raises(ValueError, match="is not a kernel"):
        Kernel.from_dict(data)


def test_too_few_networks_and_times_that_are_none_are_refused():
    graphs = unseen()
    with pytest.raises(ValueError, match=f"{FEWEST_NETWORKS} at least"):
        fit([(graph, 1.0) for graph in graphs[: FEWEST_NETWORKS - 1]])
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="not a positive number"):
            fit([(graph, wrong) for graph in graphs])


def test_a_table_of_another_version_or_with_parts_missing_is_refused():
    data = calibrated().to_dict()
    with pytest.raises(ValueError, match="calibrate again"):
        LatencyTable.from_dict({**data, "version": 0})
    for key in set(data) - {"version"}:
        with pytest.raises(ValueError, match="damaged"):
            LatencyTable.from_dict({k: v for k, v in data.items() if k != key})
