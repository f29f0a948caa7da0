"""References: published networks beside the candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dashboard.app import create_app
from dashboard.data import Database
from dashboard.references import REACH, entries_of, pairs, references, usual
from evaluator.record import Deployment
from space.cost import cost
from space.zoo import get
from tests.dashboard.test_wire import decoded


def test_a_reference_stands_at_its_cost_and_never_at_a_score() -> None:
    deployment = Deployment(height=128, width=128, num_classes=10)
    (reference,) = references(entries_of(["csppeleenet", "CSPPeleeNet"]), deployment)
    wanted = cost(get("CSPPeleeNet").graph(128, 128, num_classes=10))
    assert reference.costs["macs"] == wanted.macs
    assert reference.costs["peak_bytes"] == wanted.peak_bytes
    assert not {"ap", "latency_ms", "accuracy"} & set(reference.costs)


def test_usual_networks_are_near_the_candidates_and_both_of_a_pair() -> None:
    deployment = Deployment(height=224, width=224, num_classes=1000)
    found = usual(deployment, np.array([np.nan, 3e8, 6e8]))
    names = [each.name for each in found]
    assert {"PeleeNet", "CSPPeleeNet 0.5", "MobileNetV2"} <= set(names)
    assert "CSPDarkNet-53" not in names
    assert len(pairs(names)) * 2 == len(names), "each base with its CSP version"
    for each in found[1::2]:
        assert 3e8 / REACH <= each.costs["macs"] <= 6e8 * REACH
    assert all("Counted here at 224×224" in each.about and "(" in each.about for each in found)
    assert usual(deployment, np.array([np.nan])) == []
    assert usual(Deployment(precision="of the future"), np.array([3e8])) == []


def test_the_browser_gets_them_and_what_was_published(path: Path) -> None:
    for shown in ([], ["ResNet-50"]):
        client = create_app(Database(str(path)), shown=entries_of(shown)).server.test_client()
        header = decoded(client.get("/data.bin").data)[0]
        assert header["marked"] == bool(shown)
        assert [each["name"] for each in header["references"]] == shown or not shown
        assert all(each["about"].startswith("Published: ") for each in header["references"])
        assert header["references"]
