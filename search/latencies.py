"""The best known value of every deployment metric of a study's candidates on one target, each with its origin.

In this order: what was measured on exactly this target; for `latency_ms`, what the newest latency table of the device
predicts, then what a roofline of the device's card predicts; what is counted on the graph at the target's size. What
is left is missing, with the reason. Nothing here writes, and nothing predicted passes for measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluator.devices import Card, cards
from evaluator.latency_table import LatencyTable
from evaluator.metrics import METRICS, ZERO_COST
from evaluator.record import Deployment, environment
from evaluator.roofline import known_error, layers, roofline_ms
from evaluator.target import HOST, Target
from search.devices import PREDICTED
from search.frame import TRAINED
from space.cost import cost
from space.lower import lower

if TYPE_CHECKING:
    import pandas as pd

    from search.store import Store
    from space.architecture import Architecture
    from space.graph import Graph

DEPLOYED = tuple(name for name in METRICS if name not in TRAINED and name not in ZERO_COST)
"""Metrics that describe a deployment."""
COVERED = 0.9
"""Share of a prediction from calibrated kernels below which the table's error is not claimed of it."""
COLUMNS = ("id", "metric", "value", "unit", "spread", "n", "origin", "method", "error", "error_p90", "noisy", "reason",
           "device", "backend", "deployment", "environment", "created_at")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A way to predict `latency_ms`, with its known error."""

    method: str
    """In words; `table` is the row of the latency table in the store, None where a card predicts."""
    predict: Callable[[Graph], float]
    """Milliseconds. Raises ValueError for a graph that it cannot predict."""
    error: Mapping[str, Any] = field(default_factory=dict)
    """`median` and `p90`, shares of the measured latency, and `n` networks, as far as they are known."""
    table: int | None = None
    environment: str | None = None
    created_at: float | None = None
    layers: Callable[[Graph], list[tuple[str, float]]] | None = None
    """How the prediction parts among the nodes of a graph, in milliseconds."""
    coverage: Callable[[Graph], float] | None = None
    """Share of a prediction that comes from what was calibrated."""

    def trusted(self, graph: Graph) -> Mapping[str, Any]:
        """The known error where it holds of this graph: empty for one that is much unlike what was calibrated."""
        return self.error if self.coverage is None or self.coverage(graph) >= COVERED else {}


def known(store: Store, study: str, where: Target, *, ids: Sequence[str] | None = None,
          predictors: Sequence[Predictor] | None = None) -> pd.DataFrame:  # fmt: skip
    """One row a candidate and metric of `DEPLOYED`: its best known value on the target `where`, with its origin.

    Columns: `COLUMNS`. `value` is NaN where nothing is known, and `reason` says why. `origin` is measured, predicted or
    counted; of a prediction `method` says by what, `error` and `error_p90` how far it was off on networks that were
    measured (median and 90th percentile, shares; NaN if unknown) and `n` on how many. `ids` are the candidates, all of
    the study by default; `predictors` are those of the device by default, tried in turn.
    """
    row = store.study(study)
    networks = {p.architecture.id: p.architecture for p in store.proposals(row.id)} if row else {}
    wanted = list(networks) if ids is None else list(ids)
    measured, counted, failed = _stored(store.deployed(study), where)
    tried = predictors_of(store, where) if predictors is None else predictors
    facts = []
    for identity in wanted:
        network = _Network(networks[identity], where, tried)
        for metric in DEPLOYED:
            fact = measured.get((identity, metric)) or counted.get((identity, metric))
            if fact is None and METRICS[metric].paper:
                fact = network.counted(metric)
            elif fact is None and metric == PREDICTED:
                fact = network.predicted()
            if fact is None:
                why = failed.get((identity, metric)) or f"not measured on {where}"
                fact = {"value": np.nan, "reason": "; ".join([why, *(network.reasons if metric == PREDICTED else [])])}
            facts.append({"id": identity, "metric": metric, "unit": METRICS[metric].unit, **fact})
    import pandas as pd  # half a second, and the dashboard imports this module without it

    return pd.DataFrame(facts, columns=list(COLUMNS))


def predictors_of(store: Store, where: Target, *, load: Callable[[Mapping[str, Any]], Any] = LatencyTable.from_dict,
                  estimate: Callable[..., float] = roofline_ms, newest: bool = True) -> list[Predictor]:  # fmt: skip
    """What predicts latency on a target, the most trusted first: its newest latency table, then its card.

    Without `newest` all its latency tables. A table's error holds at the image size that it was calibrated at.
    """
    size, found = where.deployment, []
    for row in store.latency_tables(device=where.device, backend=where.backend):
        if (row["precision"], row["batch"], row["threads"]) == (size.precision, size.batch, size.threads):
            method = f"latency table of {time.strftime('%Y-%m-%d', time.localtime(row['created_at']))}"
            try:
                table = load(row["data"])
            except ValueError as error:  # damaged, or of a version that this one cannot read: then the card's turn
                found.append(Predictor(method=method, predict=_refusing(error)))
                break
            other = _other_size(row["data"], size)
            if other:  # at a quarter of the resolution a table was off by 200 %, where it claimed 2 %
                method += f", calibrated at {other}"
            found.append(Predictor(method=method, predict=table.predict, error={} if other else table.error,
                                   table=row["id"], environment=row["environment_id"],
                                   created_at=row["created_at"], layers=table.layers,
                                   coverage=table.coverage))  # fmt: skip
            if newest:
                break
    name = HOST if where.device == environment().host else where.device
    card = cards().get(name)
    if card is not None:
        found.append(
            Predictor(method=f"roofline of the card '{name}'", error=_error_of(name, card, size),
                      predict=lambda graph: estimate(graph, card, size),
                      layers=lambda graph: [(part.name, part.ms) for part in layers(graph, card, size)])
        )  # fmt: skip
    return found


def _error_of(name: str, card: Card, size: Deployment) -> Mapping[str, Any]:
    """What is known of the error of a card's roofline; that of this machine is of one thread and one image."""
    return known_error(card) if name != HOST or (size.threads, size.batch) == (1, 1) else {}


def _other_size(table: Mapping[str, Any], size: Deployment) -> str | None:
    """The image size that a table was calibrated at, where that is another: then its error is not known."""
    at = table.get("calibrated", {}).get("deployment", {})
    known = at.get("height", size.height), at.get("width", size.width)
    return None if known == (size.height, size.width) else "{}x{}".format(*known)


def _refusing(error: ValueError) -> Callable[[Graph], float]:
    def refuse(_: Graph) -> float:
        raise error

    return refuse


Facts = dict[tuple[str, str], dict[str, Any]]


def _stored(rows: pd.DataFrame, where: Target) -> tuple[Facts, Facts, dict[tuple[str, str], str]]:
    """By candidate and metric: what was measured on the target, counted at its deployment, and why what failed did."""
    rows = rows[rows["deployment"] == where.deployment.id]
    measured: Facts = {}
    counted: Facts = {}
    failed: dict[tuple[str, str], str] = {}
    for row in rows.to_dict("records"):
        key = row["id"], row["metric"]
        here = (row["device"], row["backend"]) == (where.device, where.backend)
        if row["value"] is None or math.isnan(row["value"]):
            if here and row["reason"]:
                failed[key] = str(row["reason"])
        elif row["origin"] == "measured" and here:
            measured[key] = _fact(row)
        elif row["origin"] == "counted":
            counted[key] = {**_fact(row), "device": None, "backend": None}
    return measured, counted, failed


def _fact(row: Mapping[Any, Any]) -> dict[str, Any]:
    fields = ("value", "spread", "n", "origin", "device", "backend", "deployment", "environment", "created_at")
    noisy = bool(row["detail"].get("noisy", False))
    return {**{name: row[name] for name in fields}, "method": row["detail"].get("method"), "noisy": noisy}


class _Network:
    """One candidate at the target's size; its graph is lowered when it is asked for, and once."""

    def __init__(self, architecture: Architecture, where: Target, predictors: Sequence[Predictor]) -> None:
        self._architecture, self._where, self._predictors = architecture, where, predictors
        self._graph: Graph | None = None
        self._cost: Any = None
        self.reasons: list[str] = [] if predictors else ["there is no latency table and no card of it"]

    @property
    def graph(self) -> Graph:
        if self._graph is None:
            size = self._where.deployment
            self._graph = lower(self._architecture, size.height, size.width, num_classes=size.num_classes)
        return self._graph

    def counted(self, metric: str) -> dict[str, Any]:
        size = self._where.deployment
        if self._cost is None:
            self._cost = cost(self.graph, batch=size.batch, precision=size.precision)
        return {"value": float(getattr(self._cost, metric)), "n": 1, "origin": "counted", "deployment": size.id}

    def predicted(self) -> dict[str, Any] | None:
        for predictor in self._predictors:
            try:
                value = predictor.predict(self.graph)
            except ValueError as error:
                self.reasons.append(f"{predictor.method}: {error}")
                continue
            known = predictor.trusted(self.graph)
            return {
                "value": float(value), "n": int(known.get("n", 0)), "origin": "predicted", "method": predictor.method,
                "error": float(known.get("median", np.nan)), "error_p90": float(known.get("p90", np.nan)),
                "device": self._where.device, "backend": self._where.backend, "deployment": self._where.deployment.id,
                "environment": predictor.environment, "created_at": predictor.created_at,
                "reason": "; ".join(self.reasons) or None,
            }  # fmt: skip
        return None
