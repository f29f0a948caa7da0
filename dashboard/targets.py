"""Devices that the first screen can be asked about, and latencies on those that nothing was measured on.

A choice is a place of `dashboard.places`, a latency table of the store, or a card that predicts by its roofline.
Predictions take a graph each: they are made while a page asks for them, in pieces, and kept.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.candidates import Mask, Numbers, complete, numbers
from dashboard.deployed import Where, deployment_of, graph_of, own_target
from dashboard.fields import FIELDS
from dashboard.places import Place, best_known, title_of
from dashboard.texts import isolated
from dashboard.view import objectives_of
from evaluator.devices import cards
from evaluator.record import environment
from evaluator.target import HOST, Target, target
from search.devices import advice, calibrated
from search.latencies import predictors_of

if TYPE_CHECKING:
    from dashboard.data import Database, Snapshot
    from search.columns import Columns
    from search.latencies import Predictor
    from search.store import Store
    from space.architecture import Architecture

Rows = np.ndarray[Any, np.dtype[np.intp]]
Way = tuple[str, int | None]
"""How something is predicted in words, and by which table: one of the same day has the same words."""
MOST = 5_000
"""Candidates of a study that are predicted on demand."""
EACH = 10
"""Of more candidates, how many of similar MACs are predicted: those with the best score."""
PIECE_SECONDS = 0.6
"""How long one request predicts."""
READ = 50
"""Architectures that are read at once."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A device, runtime and precision to ask about."""

    key: str
    """In the URL; empty for the study's own."""
    name: str
    """On a command line, such as `pi5/onnxruntime/int8`; empty where none names it."""
    title: str
    runtime: str
    target: Target
    place: Place | None = None
    """What is recorded there; None where only predictions can be had."""

    @property
    def label(self) -> str:
        return f"{self.title} · {self.runtime}"


def choices(database: Database, snapshot: Snapshot) -> list[Choice]:
    """The study's own device first, then where candidates are measured or predicted, then what only predicts."""
    assert snapshot.study is not None
    config = snapshot.study.config

    def find() -> list[Choice]:
        tables = database.ask(lambda store: calibrated(store, deployment_of(config)))
        return _choices(config, database.places(snapshot), tables)

    return database.kept(snapshot, "choices", find)


def _choices(config: Mapping[str, Any], found: Sequence[Place],
             tables: Mapping[str, tuple[Target, ...]]) -> list[Choice]:  # fmt: skip
    own, here = own_target(config), environment().host
    listed: list[tuple[Target, Place | None]] = [(own, next((place for place in found if place.host), None))]
    listed += [(place.target, place) for place in found if not place.host and place.target is not None]
    known = {where for where, _ in listed}
    listed += [(where, None) for places in tables.values() for where in places if where not in known]
    devices = {where.device for where, _ in listed}
    for name, card in cards().items():
        if (here if name == HOST else name) not in devices:
            listed.append((target(name, own.deployment, card.profile, backend=own.backend), None))
    result: list[Choice] = []
    for where, place in listed:
        device = HOST if where.device == here else where.device
        name = f"{device}/{where.backend}/{where.deployment.precision}"
        taken = any(choice.name == name for choice in result)
        key = f"{name}/{where.deployment.id}" if taken else name
        runtime = place.runtime if place else f"{where.backend} · {where.deployment.precision}"
        result.append(Choice(key=key if result else "", name="" if taken else name, title=title_of(where.device),
                             runtime=runtime, target=where, place=place))  # fmt: skip
    return result


def named(text: str, among: Sequence[Choice]) -> Choice | None:
    """The choice that a URL names, exactly or by its device, or device and runtime; else None.

    What is left open is as in the study, else as where most candidates are known.
    """
    exact = [choice for choice in among if text in (choice.key, choice.name)]
    short = [choice for choice in among if (choice.name or choice.key).startswith(f"{text}/")
             or choice.target.device == text]  # fmt: skip
    own = among[0].target if among else None
    alike = [choice for choice in short if own and (choice.target.backend, choice.target.deployment.precision)
             == (own.backend, own.deployment.precision)]  # fmt: skip
    return next(iter([*exact, *alike, *short]), None)


def where(database: Database, snapshot: Snapshot, dev: str) -> Where:
    """The place that `dev` of a URL names; the study's own where it names none, with the reason as its `problem`."""
    config = snapshot.study.config if snapshot.study else None
    if not dev or snapshot.columns is None:
        return Where.own(config)
    among = choices(database, snapshot)
    found = named(dev[:200], among)
    if found is None:
        return Where.own(config, unknown(dev, among))
    if not found.key:
        return Where.own(config)
    deployment = found.place.deployment if found.place else found.target.deployment.id
    return Where(config=config or {}, target=found.target, title=found.label, dev=found.key, deployment=deployment,
                 place=found.place)  # fmt: skip


def unknown(dev: str, among: Sequence[Choice]) -> str:
    """What to say of a device that no choice is."""
    near = ", ".join(dict.fromkeys(each.name.partition("/")[0] for each in among if each.name))
    return f"Nothing is known of a device \u201c{isolated(dev[:60])}\u201d. Known here: {near}"


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """What is known of a study on one choice. The arrays are over the rows of its columns, NaN where unknown."""

    measured: Numbers
    predicted: Numbers
    method: str = ""
    """How it was predicted."""
    error: float = math.nan
    """By how much predictions were off in the median, a share of what was measured."""
    done: int = 0
    wanted: int = 0
    """Predictions that were tried so far, and that will be."""
    problem: str = ""
    """Why there are no predictions, or not of all."""

    def origin(self) -> str:
        """Which column is used unless a person says otherwise."""
        return best_known(self.measured, self.predicted)


class Predictions:
    """Latencies of studies on choices; predictions are made piece by piece and kept. Safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database, self._lock = database, threading.Lock()
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    def known(self, snapshot: Snapshot, choice: Choice, *, seconds: float = PIECE_SECONDS) -> Latencies:
        """What is recorded, and what could be predicted within about `seconds`; the next call goes on."""
        assert snapshot.study is not None
        assert snapshot.columns is not None
        place, columns, done = choice.place, snapshot.columns, complete(snapshot.columns)
        nothing = np.full(len(columns), math.nan)
        measured = place.measured if place else nothing
        if place is not None and np.isfinite(place.predicted).any():
            return Latencies(measured=measured, predicted=place.predicted, method=place.method, error=place.error)
        if (np.isfinite(measured) | ~done).all():
            return Latencies(measured=measured, predicted=nothing)
        ways = self._database.kept(snapshot, f"predictors of {choice.key}", lambda: self._database.ask(
            lambda store: predictors_of(store, choice.target)))  # fmt: skip
        wanted = representative(columns, objectives_of(snapshot.study.config)[0], done)
        with self._lock:
            where_of = (snapshot.database or "", snapshot.study.name, choice.key)
            kept = self._of(where_of, tuple((way.method, way.table) for way in ways))
            self._predict(kept, ways, [columns.ids[row] for row in wanted], choice, time.monotonic() + seconds)
            predicted = nothing.copy()
            predicted[wanted] = [kept.values.get(columns.ids[row], math.nan) for row in wanted]
            tried = sum(columns.ids[row] in kept.values for row in wanted)
        return self._told(kept, ways, choice, measured, predicted, tried, len(wanted), int(done.sum()))

    def _of(self, key: tuple[str, str, str], methods: tuple[Way, ...]) -> _Kept:
        kept = self._kept.get(key)
        if kept is None or kept.methods != methods:
            while len(self._kept) >= 20:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[key] = _Kept(methods=methods)
        return kept

    def _predict(self, kept: _Kept, ways: Sequence[Predictor], ids: Sequence[str], choice: Choice,
                 end: float) -> None:  # fmt: skip
        missing = [identity for identity in ids if identity not in kept.values]
        for start in range(0, len(missing), READ):
            piece = missing[start : start + READ]
            read = self._database.ask(partial(_architectures, ids=piece))
            for identity, architecture in zip(piece, read, strict=True):
                if time.monotonic() > end:
                    return
                kept.values[identity] = math.nan
                if architecture is not None:
                    try:
                        graph = graph_of(architecture, choice.target.deployment)
                        kept.values[identity] = kept.predict(ways, graph)
                    except ValueError as error:
                        kept.problem = str(error)

    @staticmethod
    def _told(kept: _Kept, ways: Sequence[Predictor], choice: Choice, measured: Numbers, predicted: Numbers, tried: int,
              wanted: int, all_complete: int) -> Latencies:  # fmt: skip
        problem = ""
        if not ways:
            problem = "Nothing predicts it."
            if not np.isfinite(measured).any():
                problem = f"There is no latency table and no card of it. {advice(choice.target)}"
        elif tried and not np.isfinite(predicted).any():
            problem = kept.problem
        elif wanted < all_complete:
            problem = f"{wanted:,} of {all_complete:,} are predicted: of similar MACs those with the best score"
        error = (kept.way.error if kept.way else {}).get("median")
        return Latencies(measured=measured, predicted=predicted, method=kept.way.method if kept.way else "",
                         error=float(error) if error is not None else math.nan, done=tried,
                         wanted=wanted if ways else 0, problem=problem)  # fmt: skip


@dataclass(kw_only=True)
class _Kept:
    """The predictions of one study on one choice."""

    methods: tuple[Way, ...]
    values: dict[str, float] = field(default_factory=dict)
    way: Predictor | None = None
    problem: str = ""

    def predict(self, ways: Sequence[Predictor], graph: Any) -> float:
        """By the first way that could predict anything, and from then on by no other. Raises ValueError."""
        for way in [self.way] if self.way else ways:
            try:
                value = way.predict(graph)
            except ValueError as error:
                problem = error
                continue
            self.way = way
            return value
        raise problem if ways else ValueError("nothing predicts")


def _architectures(store: Store, ids: Sequence[str]) -> list[Architecture | None]:
    return [store.architecture(identity) for identity in ids]


def representative(columns: Columns, score: str, among: Mask) -> Rows:
    """Rows of `among`, the best score first; of more than `MOST` the best ones of each span of MACs."""
    sign = -1.0 if FIELDS[score].direction == "maximize" else 1.0
    gain = np.nan_to_num(sign * numbers(columns, score), nan=np.inf)
    rows = np.flatnonzero(among)
    if len(rows) > MOST:
        spans = np.array_split(rows[np.argsort(numbers(columns, "macs")[rows], kind="stable")], MOST // EACH)
        rows = np.concatenate([span[np.argsort(gain[span], kind="stable")[:EACH]] for span in spans])
    return rows[np.argsort(gain[rows], kind="stable")]
