"""References: published networks beside the candidates."""

from __future__ import annotations

from dashboard.references import entries_of, references
from evaluator.record import Deployment
from space.cost import cost
from space.zoo import get


def test_a_reference_stands_at_its_cost_and_never_at_a_score() -> None:
    deployment = Deployment(height=128, width=128, num_classes=10)
    (reference,) = references(entries_of(["csppeleenet", "CSPPeleeNet"]), deployment)
    wanted = cost(get("CSPPeleeNet").graph(128, 128, num_classes=10))
    assert reference.costs["macs"] == wanted.macs
    assert reference.costs["peak_bytes"] == wanted.peak_bytes
    assert not {"ap", "latency_ms", "accuracy"} & set(reference.costs)
