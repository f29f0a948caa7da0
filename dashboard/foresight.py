"""What a network's latency would be at a place, from the device's latency table or its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dashboard.data import Database, Snapshot
from dashboard.deployed import Where
from dashboard.layers import Predicted
from search.latencies import predictors_of
from search.store import StoreError
from space.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A latency that nobody measured: where it is from, and how it parts among the layers where that is known."""

    latency_ms: float
    source: str
    layers: Predicted | None = None


Predict = Callable[[Graph, Snapshot, Where], Prediction | None]
"""Predicts the latency of a network, as it is deployed there; None where nothing is known of the device."""


def predictor(database: Database) -> Predict:
    """The `predict` of the pages; what predicts is read again only when something was recorded."""

    def predict(graph: Graph, snapshot: Snapshot, where: Where) -> Prediction | None:
        if not where.dev and not where.config.get("device"):
            return None
        try:
            ways = database.kept(snapshot, f"predictors of {where.dev}", lambda: database.ask(
                lambda store: predictors_of(store, where.target)))  # fmt: skip
        except StoreError:
            return None
        for way in ways:
            try:
                value, parts = way.predict(graph), way.layers(graph) if way.layers else None
            except ValueError:  # the next one's turn
                continue
            error = way.error.get("median")
            known = f", {error:.0%} off in the median" if isinstance(error, float) else ", of unknown error"
            return Prediction(latency_ms=value, source=f"{where.title}: {way.method}{known}", layers=parts)
        return None

    return predict
