"""Figures of a candidate, references, and the palette."""

from __future__ import annotations

import pytest

from dashboard.figures import LIGHT, bottleneck, layers, learning
from dashboard.references import entries_of, references
from evaluator.record import Deployment
from space.cost import breakdown, cost
from space.lower import lower
from space.zoo import get
from tests.strategies import random_architectures


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


def test_a_reference_stands_at_its_cost_and_never_at_a_score() -> None:
    deployment = Deployment(height=128, width=128, num_classes=10)
    (reference,) = references(entries_of(["csppeleenet", "CSPPeleeNet"]), deployment)
    wanted = cost(get("CSPPeleeNet").graph(128, 128, num_classes=10))
    assert reference.costs["macs"] == wanted.macs
    assert reference.costs["peak_bytes"] == wanted.peak_bytes
    assert not {"ap", "latency_ms", "accuracy"} & set(reference.costs)
