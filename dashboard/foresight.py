"""What a network's latency would be where the study's candidates are timed, from the device's table or its card."""

from __future__ import annotations

from dashboard.data import Database, Snapshot
from dashboard.pages.candidate import deployment_of
from dashboard.pages.explore import Predict, Prediction
from evaluator.target import DEFAULT_BACKEND, Target
from search.latencies import predictors_of
from search.store import StoreError
from space.graph import Graph


def predictor(database: Database) -> Predict:
    """The `predict` of the pages; what predicts is read again only when something was recorded."""

    def predict(graph: Graph, snapshot: Snapshot) -> Prediction | None:
        if snapshot.study is None or not snapshot.study.config.get("device"):
            return None
        config = snapshot.study.config
        place = Target(device=config["device"], backend=config.get("backend", DEFAULT_BACKEND),
                       deployment=deployment_of(config))  # fmt: skip
        try:
            ways = database.kept(
                snapshot, "predictors", lambda: database.ask(lambda store: predictors_of(store, place))
            )
        except StoreError:
            return None
        for way in ways:
            try:
                value, parts = way.predict(graph), way.layers(graph) if way.layers else None
            except ValueError:  # the next one's turn
                continue
            error = way.error.get("median")
            known = f", {error:.0%} off in the median" if isinstance(error, float) else ", of unknown error"
            return Prediction(latency_ms=value, source=f"{place.device}: {way.method}{known}", layers=parts)
        return None

    return predict
