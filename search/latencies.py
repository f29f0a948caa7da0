"""The best known value of every deployment metric of a study's candidates on one target, each with its origin.

In this order: what was measured on exactly this target; for `latency_ms`, what the newest latency table of the device
predicts, then what a roofline of the device's card predicts; what is counted on the graph at the target's size. What
is left is missing, with the reason. Nothing here writes, and nothing predicted passes for measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evaluator.devices import cards
from evaluator.latency_table import LatencyTable
from evaluator.metrics import METRICS, ZERO_COST
from evaluator.record import Deployment, environment
from evaluator.roofline import known_error, roofline_ms
from evaluator.target import DEFAULT_BACKEND, HOST, Target, target
from search.frame import TRAINED
from space.cost import BYTES, cost
from space.lower import lower
from space.registry import unknown

if TYPE_CHECKING:
    from search.store import Store, StudyRow
    from space.architecture import Architecture
    from space.graph import Graph

PREDICTED = "latency_ms"
"""The one metric that is predicted: the 25th percentile."""
DEPLOYED = tuple(name for name in METRICS if name not in TRAINED and name not in ZERO_COST)
"""Metrics that describe a deployment."""
COLUMNS = ("id", "metric", "value", "unit", "spread", "n", "origin", "method", "error", "error_p90", "noisy", "reason",
           "device", "backend", "deployment", "environment", "created_at")  # fmt: skip


class TargetError(ValueError):
    """A device or precision that is not known; the message names those that are."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that a study can be asked about, and what is known of it."""

    name: str
    """As on a command line: `host`, or the name in measurements and of cards."""
    device: str
    """As measurements name it."""
    title: str
    measured: Mapping[Target, int] = field(default_factory=dict)
    """Candidates with a measured latency, by what exactly they were measured on."""
    tables: tuple[Target, ...] = ()
    """What its latency tables are of, the newest first."""
    card: bool = False

    def __str__(self) -> str:
        known = [f"{n} measured on {t.backend}/{t.deployment.precision}" for t, n in self.measured.items()]
        known += [f"latency table of {t.backend}/{t.deployment.precision}" for t in self.tables] + ["card"] * self.card
        return f"{self.name} ({', '.join(known) or 'nothing known yet'})"


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A way to predict `latency_ms`, with its known error."""

    method: str
    predict: Callable[[Graph], float]
    """Milliseconds. Raises ValueError for a graph that it cannot predict."""
    error: Mapping[str, Any] = field(default_factory=dict)
    """`median` and `p90`, shares of the measured latency, and `n` networks, as far as they are known."""
    environment: str | None = None
    created_at: float | None = None


# -- which devices there are


def devices(store: Store, study: str) -> dict[str, Device]:
    """Every device that is known in a study, by its name on a command line, `host` first."""
    row, here = store.study(study), environment().host
    size = Deployment(**row.config.get("deployment", {})) if row else Deployment()
    measured = _measured(store.deployed(study), size)
    tables: dict[str, dict[Target, None]] = {}
    for table in store.latency_tables():
        deployment = replace(size, **{name: table[name] for name in ("precision", "batch", "threads")})
        place = Target(device=table["device"], backend=table["backend"], deployment=deployment)
        tables.setdefault(place.device, {})[place] = None
    own = row.config.get("device") if row else None
    names = dict.fromkeys([here, *([own] if own else []), *measured, *tables, *cards()])
    found = {}
    for device in names:
        name = HOST if device in (here, HOST) else device
        card = cards().get(name)
        title = f"this machine, {here}" if name == HOST else card.title if card else device
        real = here if name == HOST else device
        found[name] = Device(name=name, device=real, title=title, measured=measured.get(real, {}),
                             tables=tuple(tables.get(real, {})), card=card is not None)  # fmt: skip
    return found


def _measured(rows: pd.DataFrame, own: Deployment) -> dict[str, dict[Target, int]]:
    """By device and target how many candidates have a measured latency. `own` is the study's deployment."""
    rows = rows[rows["metric"].eq(PREDICTED) & rows["origin"].eq("measured") & rows["value"].notna()]
    found: dict[str, dict[Target, int]] = {}
    for key, group in rows.groupby(["device", "backend", "deployment"]):
        device, backend, deployment = map(str, key)
        spelt = group["detail"].iloc[-1].get("deployment")  # left out where rows were made small
        size = own if deployment == own.id else Deployment(**spelt) if spelt else None
        if size is not None:
            place = Target(device=device, backend=backend, deployment=size)
            found.setdefault(device, {})[place] = group["id"].nunique()
    return found


def find(text: str | None, row: StudyRow, known_devices: Mapping[str, Device]) -> tuple[Device, Target]:
    """The device and target that `text` names (`pi5`, `host/openvino`), or the study's own for None.

    Where nothing was measured on it and no latency table is of it, what `text` leaves open (backend, precision, threads)
    is that of what was measured most at the same size and batch, or of the newest table. Raises TargetError for a device that nothing is known of.
    """
    own = Deployment(**row.config.get("deployment", {}))
    backend = str(row.config.get("backend", DEFAULT_BACKEND))
    if text is None:
        here = next((d for d in known_devices.values() if d.device == row.config.get("device")), known_devices[HOST])
        return here, Target(device=here.device, backend=backend, deployment=own)
    name = text.partition("/")[0]
    found_device = next((d for d in known_devices.values() if name in (d.name, d.device)), None)
    if found_device is None:
        near = unknown("device", name, list(known_devices)).partition(" Allowed:")[0]
        raise TargetError(f"{near} Known here: {'; '.join(map(str, known_devices.values()))}. Another one comes with "
                          "`python -m search.bundle` and `python -m search.ingest`")  # fmt: skip
    card = cards().get(found_device.name)
    try:
        found = target(found_device.device + text[len(name) :], own, card.profile if card else None, backend=backend)
    except ValueError as error:
        raise TargetError(str(error)) from error
    if found.deployment.precision not in BYTES:
        raise TargetError(f"target '{text}': {unknown('precision', found.deployment.precision, list(BYTES))}")
    return found_device, _filled(found_device, found, text.split("/")[1:])


def _filled(device: Device, where: Target, named: Sequence[str]) -> Target:
    """`where`, or what is known best of the device at its size and batch, with the backend and precision `named`."""
    most = sorted(device.measured, key=lambda place: -device.measured[place])
    if where in (*most, *device.tables):
        return where
    for place in (*most, *device.tables):
        alike = replace(place.deployment, precision="", threads=0) == replace(where.deployment, precision="", threads=0)
        if alike and (place.backend, place.deployment.precision)[: len(named)] == tuple(named):
            return place
    return where


# -- what is known


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
    return pd.DataFrame(facts, columns=list(COLUMNS))


def predictors_of(store: Store, where: Target, *, load: Callable[[Mapping[str, Any]], Any] = LatencyTable.from_dict,
                  estimate: Callable[..., float] = roofline_ms) -> list[Predictor]:  # fmt: skip
    """What predicts latency on a target, the most trusted first: the newest latency table of it, then its card."""
    size, found = where.deployment, []
    for row in store.latency_tables(device=where.device, backend=where.backend):
        if (row["precision"], row["batch"], row["threads"]) == (size.precision, size.batch, size.threads):
            method = f"latency table of {time.strftime('%Y-%m-%d', time.localtime(row['created_at']))}"
            try:
                table = load(row["data"])
            except ValueError as error:  # damaged, or of a version that this one cannot read: then the card's turn
                found.append(Predictor(method=method, predict=_refusing(error)))
                break
            found.append(Predictor(method=method, predict=table.predict, error=table.error,
                                   environment=row["environment_id"], created_at=row["created_at"]))  # fmt: skip
            break
    name = HOST if where.device == environment().host else where.device
    card = cards().get(name)
    if card is not None:
        found.append(Predictor(method=f"roofline of the card '{name}'", error=known_error(card),
                               predict=lambda graph: estimate(graph, card, size)))  # fmt: skip
    return found


def _refusing(error: ValueError) -> Callable[[Graph], float]:
    def refuse(_: Graph) -> float:
        raise error

    return refuse


def advice(where: Target) -> str:
    """How a latency on `where` could be known."""
    if where.device == environment().host:
        return (f"`python -m search.measure --device host/{where.backend}/{where.deployment.precision}` measures, "
                "`python -m evaluator.calibrate` makes a latency table")  # fmt: skip
    return (f"`python -m search.bundle --front -o bundle.zip` makes what measures on {where.device}, "
            "`python -m search.ingest` takes its results")  # fmt: skip


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
        if pd.isna(row["value"]):
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
            known = predictor.error
            return {
                "value": float(value), "n": int(known.get("n", 0)), "origin": "predicted", "method": predictor.method,
                "error": float(known.get("median", np.nan)), "error_p90": float(known.get("p90", np.nan)),
                "device": self._where.device, "backend": self._where.backend, "deployment": self._where.deployment.id,
                "environment": predictor.environment, "created_at": predictor.created_at,
                "reason": "; ".join(self.reasons) or None,
            }  # fmt: skip
        return None
