"""Latencies that a search knows before anything runs: `latency_ms@pi5`, from a device's latency table or its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evaluator.devices import cards
from evaluator.latency_table import LatencyTable
from evaluator.record import Deployment, Environment, Measurement
from evaluator.roofline import known_error, roofline_ms
from evaluator.target import HOST, Target, target
from search.store import Store
from search.study import Study, StudyError
from space.architecture import Architecture
from space.graph import Graph
from space.lower import lower


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """What predicts one metric on one target."""

    metric: str
    """As the study writes it: `latency_ms@pi5`."""
    target: Target
    method: Literal["table", "roofline"]
    error: Mapping[str, float | str]
    """What is known of its error; `median` is a share."""
    function: Callable[[Graph], float]
    table: int | None = None
    """Row of the latency table in the store."""
    environment: Environment | None = field(default=None, repr=False)
    """Where the table was measured."""

    def graph(self, architecture: Architecture) -> Graph:
        """The architecture as it is deployed on the target."""
        d = self.target.deployment
        return lower(architecture, d.height, d.width, num_classes=d.num_classes)

    def __call__(self, architecture: Architecture) -> float:
        return self.function(self.graph(architecture))

    def measurement(self, value: float) -> Measurement:
        """A predicted value as the store keeps it."""
        d = self.target.deployment
        detail = {"deployment": d.to_dict(), "method": self.method, "error": dict(self.error), "table": self.table}
        return Measurement(
            metric=self.metric.partition("@")[0], value=value, unit="ms", origin="predicted", device=self.target.device,
            backend=self.target.backend, deployment=d.id, batch=d.batch, precision=d.precision, threads=d.threads,
            detail=detail, environment=self.environment,
        )  # fmt: skip

    def identity(self) -> dict[str, Any]:
        """What a study keeps of it: on another table's numbers it may not go on."""
        return {"device": self.target.device, "backend": self.target.backend, "method": self.method,
                "deployment": self.target.deployment.to_dict(), "table": self.table}  # fmt: skip

    def words(self) -> str:
        """One sentence on where its numbers come from."""
        how = "its latency table" if self.method == "table" else "its card's roofline, a rough estimate"
        error = self.error.get("median")
        known = f"known error {error:.1%} (median)" if isinstance(error, float) else "of unknown error"
        return f"{self.metric}: predicted for {self.target} by {how}, {known}"


def find(store: Store, metric: str, deployment: Deployment, *, backend: str,
         kept: Mapping[str, Any] | None = None) -> Predictor:  # fmt: skip
    """The predictor of `metric`, such as `latency_ms@pi5/openvino`; `kept` insists on that of an earlier run.

    Raises StudyError where there is neither a table nor a card.
    """
    text = metric.partition("@")[2]
    name = text.partition("/")[0]
    card = cards().get(name)
    try:
        wanted = target(text, deployment, card.profile if card else None, backend=backend)
    except ValueError as error:
        raise StudyError(f"'{metric}': {error}") from error
    d = wanted.deployment
    tables = store.latency_tables(device=wanted.device, backend=wanted.backend)
    fitting = [
        row for row in tables
        if (row["precision"], row["batch"], row["threads"]) == (d.precision, d.batch, d.threads)
        and (kept is None or kept["table"] == row["id"])
    ]  # fmt: skip
    if fitting:
        row = fitting[0]
        fitted = LatencyTable.from_dict(row["data"])
        return Predictor(metric=metric, target=wanted, method="table", error=fitted.error, function=fitted.predict,
                         table=row["id"],
                         environment=Environment(**row["environment"]) if row["environment"] else None)  # fmt: skip
    if card is not None and (kept is None or kept["method"] == "roofline"):
        return Predictor(metric=metric, target=wanted, method="roofline", error=known_error(card),
                         function=lambda graph: roofline_ms(graph, card, d))  # fmt: skip
    raise StudyError(_missing(store, metric, wanted))


def _missing(store: Store, metric: str, wanted: Target) -> str:
    known = [f"{row['device']}/{row['backend']}/{row['precision']}" for row in store.latency_tables()]
    calibrate = (
        f"calibrate it: python -m evaluator.calibrate --backend {wanted.backend}"
        if metric.partition("@")[2].partition("/")[0] == HOST
        else "calibrate it through `python -m search.bundle --calibrate`"
    )
    return (
        f"'{metric}': there is no latency table of {wanted} at {wanted.deployment}; {calibrate}. Calibrated: "
        f"{', '.join(dict.fromkeys(known)) or 'nothing yet'}; cards: {', '.join(cards()) or 'none'}"
    )


def with_predictors(study: Study, store: Store, kept: Mapping[str, Any] | None = None) -> Study:
    """The study with a predictor for each of its metrics on a device.

    `kept` is what an earlier run of it stored (`Predictor.identity` by metric): its tables are used again, so that a
    search goes on with the numbers that it began with. Raises StudyError where a device is unknown.
    """
    return replace(
        study,
        predictors={
            metric: find(store, metric, study.deployment, backend=study.backend, kept=(kept or {}).get(metric))
            for metric in study.targeted
        },
    )


def predicted(predictors: Mapping[str, Predictor], architecture: Architecture) -> list[tuple[str, Measurement]]:
    """Each targeted metric's name with its measurement."""
    return [(name, found.measurement(found(architecture))) for name, found in predictors.items()]
