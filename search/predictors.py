"""Latencies that a search knows before anything runs: `latency_ms@pi5`, from a device's latency table or its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluator.devices import cards
from evaluator.record import Deployment, Measurement
from evaluator.target import Target, target
from search.devices import advice, calibrated, check_named, filled
from search.latencies import Predictor, predictors_of
from search.seeds import derive
from search.store import Store
from search.study import Study, StudyError
from space.architecture import Architecture
from space.graph import Graph
from space.lower import lower


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """One metric on one target, and what predicts it."""

    metric: str
    """As the study writes it: `latency_ms@pi5`."""
    target: Target
    predictor: Predictor

    def __call__(self, architecture: Architecture) -> float:
        """Raises ValueError for a network that cannot be predicted."""
        return self.predictor.predict(self.graph(architecture))

    def graph(self, architecture: Architecture) -> Graph:
        """The network as it is deployed on the target."""
        size = self.target.deployment
        return lower(architecture, size.height, size.width, num_classes=size.num_classes)

    def measurement(self, architecture: Architecture) -> Measurement:
        """What is predicted of an architecture, as the store keeps it."""
        size, by = self.target.deployment, self.predictor
        graph = self.graph(architecture)
        detail = {"deployment": size.to_dict(), "method": by.method, "table": by.table,
                  "error": dict(by.trusted(graph))}  # fmt: skip
        return Measurement(
            metric=self.metric.partition("@")[0], value=by.predict(graph), unit="ms", origin="predicted",
            device=self.target.device, backend=self.target.backend, deployment=size.id, batch=size.batch,
            precision=size.precision, threads=size.threads, detail=detail,
        )  # fmt: skip

    def identity(self) -> dict[str, Any]:
        """What a study keeps of it: with another table's numbers it may not go on."""
        return {"device": self.target.device, "backend": self.target.backend, "method": self.predictor.method,
                "deployment": self.target.deployment.to_dict(), "table": self.predictor.table}  # fmt: skip

    def words(self) -> str:
        """One sentence on where its numbers come from."""
        error = self.predictor.error.get("median")
        known = f"its known error is {error:.1%} (median)" if isinstance(error, float) else "its error is not known"
        return f"{self.metric}: predicted for {self.target} by the {self.predictor.method}; {known}"


def with_predictors(study: Study, store: Store, kept: Mapping[str, Any] | None = None) -> Study:
    """The study with a predictor for each of its metrics on a device.

    `kept` is what an earlier run of it stored (`Foresight.identity` by metric): its tables are used again, so that a
    search goes on with the numbers that it began with. Raises StudyError where nothing predicts a metric.
    """
    found = {metric: _find(study, store, metric, (kept or {}).get(metric)) for metric in study.targeted}
    probe = study.space.build(study.space.sample(np.random.default_rng(derive(study.seed, "probe"))))
    for one in found.values():
        try:
            one(probe)
        except ValueError as error:
            raise StudyError(f"'{one.metric}': the {one.predictor.method} cannot predict it: {error}") from error
    return replace(study, predictors=found)


def _find(study: Study, store: Store, metric: str, kept: Mapping[str, Any] | None) -> Foresight:
    if kept is not None:
        place = Target(device=kept["device"], backend=kept["backend"], deployment=Deployment(**kept["deployment"]))
    else:
        place = _target(study, store, metric)
    for found in predictors_of(store, place, newest=kept is None):
        if kept is None or found.table == kept["table"]:
            return Foresight(metric=metric, target=place, predictor=found)
    known = [f"{name} ({', '.join(map(str, places))})" for name, places in calibrated(store, study.deployment).items()]
    raise StudyError(f"'{metric}': there is no latency table and no card of {place}; {advice(place)}. "
                     f"Calibrated: {', '.join(known) or 'nothing yet'}; cards: {', '.join(cards())}")  # fmt: skip


def _target(study: Study, store: Store, metric: str) -> Target:
    text = metric.partition("@")[2]
    name = text.partition("/")[0]
    card = cards().get(name)
    try:
        place = target(text, study.deployment, card.profile if card else None, backend=study.backend)
        tables = calibrated(store, study.deployment).get(place.device, ())
        check_named(text, tables)
    except ValueError as error:
        raise StudyError(f"'{metric}': {error}") from error
    return filled(tables, place, text.split("/")[1:])


def predicted(study: Study, architecture: Architecture) -> dict[str, Measurement]:
    """Each of the study's metrics on devices with what is predicted of an architecture."""
    return {name: found.measurement(architecture) for name, found in study.predictors.items()}
