"""A study as columns: what `Store.frame` says, without pandas and without an object for each number.

For readers of big studies: seconds and some 100 MB for 100,000 candidates, where the frame takes minutes. A test
holds both to the same values.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.engine import Connection

from evaluator.metrics import METRICS, ZERO_COST
from evaluator.record import Deployment
from search import verification
from search.database import DAMAGE, StoreError, reason_of
from search.frame import AXES, TRAINED, axes_reader
from search.schema import architectures, measurements, proposals
from search.seeds import job_seed

Array = np.ndarray[Any, Any]
CHUNK = 20_000
"""Rows of a result that are in memory at once."""
NUMBERS = ("partial_ratio", "num_stages", "depth", "width", "stem_width", "head_width", "maxout")
"""Axes of an architecture that are numbers; all others are texts, as `bottleneck_ratio` of several stages is."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """A column of texts: `labels[codes]`. Label 0 is None, what is missing."""

    codes: Array
    labels: list[Any]

    def values(self) -> Array:
        """The texts themselves, as an array of objects."""
        return np.array(self.labels, dtype=object)[self.codes]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A study, one row a proposal, by number. `columns["macs"]` is an array; a name without data raises KeyError."""

    numbers: Mapping[str, Array]
    """Floats, NaN where missing. A metric without any value has no column, nor has a spread without any."""
    texts: Mapping[str, Texts]
    ids: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: object) -> bool:
        return name in self.numbers or name in self.texts or name == "id"

    def __getitem__(self, name: str) -> Array:
        if name in self.numbers:
            return self.numbers[name]
        if name == "id":
            return np.array(self.ids, dtype=object)
        return self.texts[name].values()

    def take(self, rows: Array) -> Columns:
        """Some of the rows, by index or mask."""
        return Columns(
            numbers={name: column[rows] for name, column in self.numbers.items()},
            texts={name: Texts(codes=text.codes[rows], labels=text.labels) for name, text in self.texts.items()},
            ids=np.array(self.ids, dtype=object)[rows].tolist(),
        )

    def row(self, index: int) -> dict[str, Any]:
        """One row by column name; texts as texts, what is missing None or NaN."""
        values: dict[str, Any] = {name: float(column[index]) for name, column in self.numbers.items()}
        values |= {name: column.labels[column.codes[index]] for name, column in self.texts.items()}
        return values | {"id": self.ids[index], "number": int(values["number"])}


def read(connection: Connection, study_id: int, config: Mapping[str, Any], long: verification.Scores) -> Columns:
    """The columns of a study. `long` holds the scores of its verification."""
    with _uncollected():
        return _read(connection, study_id, config, long)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which looks through millions of rows for cycles: 40 % of the time at 100,000."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _read(connection: Connection, study_id: int, config: Mapping[str, Any], long: verification.Scores) -> Columns:
    numbers, texts, ids = _proposals(connection, study_id)
    index = {identity: row for row, identity in enumerate(dict.fromkeys(ids))}
    at = np.fromiter((index[identity] for identity in ids), dtype=np.intp, count=len(ids))
    facts = {**_trained(connection, config, index), **_deployed(connection, config, index)}
    facts |= _predicted(connection, config, index)
    numbers |= {name: values[at] for name, values in facts.items() if np.isfinite(values).any()}
    known: dict[str, Any] = {"id": ids, "state": texts["state"].values(), **numbers}
    objectives = [str(objective["metric"]) for objective in config.get("objectives", [])]
    known |= {name: np.full(len(ids), np.nan) for name in objectives if name in METRICS and name not in known}
    judged = verification.columns(known, config, long)
    texts["verdict"] = _coded([None, *verification.VERDICTS], judged.pop("verdict"))
    numbers |= {name: np.asarray(values, dtype=float) for name, values in judged.items()}
    return Columns(numbers=numbers, texts=texts, ids=ids)


def _chunks(connection: Connection, query: sa.Select[Any]) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """The result of a query, some thousand rows at a time, as one tuple a column, as the driver gives them."""
    result = connection.execute(query)
    try:
        while rows := result.cursor.fetchmany(CHUNK):  # SQLAlchemy's rows take as long again
            yield tuple(zip(*rows))
    finally:
        result.close()


def _coded(labels: list[Any], values: Sequence[Any]) -> Texts:
    """Codes of `values`; `labels` grows by those that are new."""
    known = {label: code for code, label in enumerate(labels)}
    codes = np.fromiter((known.setdefault(value, len(known)) for value in values), np.uint32, len(values))
    labels = list(known)
    return Texts(codes=codes.astype(np.min_scalar_type(len(labels))), labels=labels)


def _proposals(connection: Connection, study_id: int) -> tuple[dict[str, Array], dict[str, Texts], list[str]]:
    p = proposals.c
    query = (
        select(p.number, p.generation, p.state, p.reason, p.created_at, p.finished_at, p.architecture_id,
               sa.cast(architectures.c.spec, sa.Text))
        .join(architectures, architectures.c.id == p.architecture_id)
        .where(p.study_id == study_id)
        .order_by(p.number)
    )  # fmt: skip
    plain = ("number", "generation", "created_at", "finished_at")
    numbers: dict[str, list[Array]] = {name: [] for name in (*plain, *NUMBERS)}
    worded = ("state", "reason", *(name for name in AXES if name not in NUMBERS))
    codes: dict[str, list[Array]] = {name: [] for name in worded}
    labels: dict[str, dict[Any, int]] = {name: {None: 0} for name in worded}
    ids: list[str] = []
    read_axes = axes_reader()
    for number, generation, state, reason, created, finished, identity, spec in _chunks(connection, query):
        ids += identity
        described = dict(zip(AXES, zip(*_axes(read_axes, identity, spec)), strict=True))
        found = {"number": number, "generation": generation, "created_at": created, "finished_at": finished,
                 "state": state, "reason": reason, **described}  # fmt: skip
        for name, parts in numbers.items():
            parts.append(np.array(found[name], dtype=float))
        for name, pieces in codes.items():
            known = labels[name]
            pieces.append(np.fromiter((known.setdefault(v, len(known)) for v in found[name]), np.uint32, len(number)))
    joined = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in numbers.items()}
    texts = {
        name: Texts(
            codes=(np.concatenate(codes[name]) if ids else np.zeros(0)).astype(np.min_scalar_type(len(labels[name]))),
            labels=list(labels[name]),
        )
        for name in worded
    }
    return joined, texts, ids


def _axes(read_axes: Callable[[str], tuple[Any, ...]], ids: Sequence[str], specs: Sequence[str]) -> list[Any]:
    """The axes of architectures. Raises StoreError that names the first one whose description is damaged."""
    found: list[Any] = []
    try:
        for spec in specs:
            found.append(read_axes(spec))  # noqa: PERF401 - its length names the row that failed
    except DAMAGE as error:
        raise StoreError(f"the description of architecture {ids[len(found)]}: {reason_of(error)}") from error
    return found


def _facts(connection: Connection, query: sa.Select[Any], index: Mapping[str, int]
           ) -> dict[str, tuple[Array, Array, Array]]:  # fmt: skip
    """metric -> value, spread and n of each architecture, from rows (id, metric, value, spread, n), the last counts."""
    found: dict[str, tuple[Array, Array, Array]] = {}
    for identity, metric, value, spread, n in _chunks(connection, query):
        rows = np.fromiter((index.get(key, -1) for key in identity), np.intp, len(identity))
        names = np.array(metric)
        columns = [np.array(column, dtype=float) for column in (value, spread, n)]
        for name in dict.fromkeys(metric):
            mine = (names == name) & (rows >= 0)
            _write(found, name, len(index), rows[mine], [column[mine] for column in columns])
    return found


def _write(found: dict[str, tuple[Array, Array, Array]], name: str, size: int, rows: Array,
           columns: Sequence[Array]) -> None:  # fmt: skip
    if name not in found:
        found[name] = (np.full(size, np.nan), np.full(size, np.nan), np.zeros(size))
    for array, column in zip(found[name], columns, strict=True):
        array[rows] = column  # in order: the newest is written last


def _shaped(found: Mapping[str, tuple[Array, Array, Array]]) -> dict[str, Array]:
    return {
        name: array
        for metric, arrays in found.items()
        for name, array in zip((metric, f"{metric}_spread", f"{metric}_n"), arrays, strict=True)
    }


def _deployed(connection: Connection, config: Mapping[str, Any], index: Mapping[str, int]) -> dict[str, Array]:
    """Metrics of the study's deployment, machine and runtime. The rules are those of `search.frame.build`."""
    m, device = measurements.c, config.get("device")
    names = [name for name in METRICS if name not in TRAINED and name not in ZERO_COST]
    query = select(m.architecture_id, m.metric, m.value, m.spread, m.n).where(
        m.deployment == config.get("deployment_id"), m.value.is_not(None), m.metric.in_(names),
        m.origin.in_(("counted", "measured")),
        sa.or_(m.backend.is_(None), m.backend == config.get("backend", "onnxruntime")),
        *([sa.or_(m.device.is_(None), m.device == device)] if device else []),
    ).order_by(m.id)  # fmt: skip
    return _shaped(_facts(connection, query, index))


def _trained(connection: Connection, config: Mapping[str, Any], index: Mapping[str, int]) -> dict[str, Array]:
    """Metrics of the study's own trainings at the highest rung reached, and scores of the untrained network.

    The value is that of the search's own seed, else the mean; spread and n are over all seeds.
    """
    m = measurements.c
    query = (
        select(m.architecture_id, m.metric, m.value, m.spread, m.n, m.rung, m.image_visits, m.seed)
        .where(m.metric.in_([*TRAINED, *ZERO_COST]), m.task == config.get("task"),
               m.recipe == config.get("recipe_id"))
        .order_by(m.id)
    )  # fmt: skip
    rung_of = cache(
        lambda *where: verification.rung_of(
            config, dict(zip(("rung", "image_visits", "seed", "task", "recipe"),
                             (*where, config.get("task"), config.get("recipe_id")), strict=True))
        )
    )  # fmt: skip
    codes = {name: code for code, name in enumerate((*METRICS, *ZERO_COST))}
    parts: list[tuple[Array, ...]] = []
    untrained: dict[str, tuple[Array, Array, Array]] = {}
    for identity, metric, value, spread, n, *where in _chunks(connection, query):
        rows = np.fromiter((index.get(key, -1) for key in identity), np.int32, len(identity))
        code = np.fromiter((codes[name] for name in metric), np.uint8, len(identity))
        rung = np.fromiter((-1 if (r := rung_of(*w)) is None else r for w in zip(*where)), np.int8, len(identity))
        seed, values = np.array(where[2], dtype=float), np.array(value, dtype=float)
        for name in set(metric) & set(ZERO_COST):
            mine = (code == codes[name]) & (rows >= 0) & (seed == config.get("seed")) & ~np.isnan(values)
            _write(
                untrained, name, len(index), rows[mine], [np.array(c, dtype=float)[mine] for c in (value, spread, n)]
            )
        keep = (rows >= 0) & (rung >= 0) & ~np.isin(code, [codes[name] for name in ZERO_COST])
        visits = np.array([visits or 0 for visits in where[1]], dtype=float)
        parts.append(tuple(column[keep] for column in (code, rows, rung, seed, values, visits)))
    return _best_rung(parts, list(codes), len(index), job_seed(config.get("seed", 0), 0)) | _shaped(untrained)


def _best_rung(parts: Sequence[tuple[Array, ...]], names: list[str], size: int, own: int) -> dict[str, Array]:
    """Value, spread and n of each metric at its highest rung; `image_visits` of the highest rung at all."""
    visits = np.full(size, np.nan)
    found: dict[str, tuple[Array, Array, Array]] = {}
    if not parts:
        return {"image_visits": visits}
    codes, rows, rungs, seeds, values, lengths = (np.concatenate(column) for column in zip(*parts))
    reached = np.full(size, -1.0)
    np.maximum.at(reached, rows, rungs.astype(float))
    last = rungs == reached[rows]
    np.fmax.at(visits, rows[last], lengths[last])
    for code in np.unique(codes):
        mine = np.flatnonzero(codes == code)
        top = np.full(size, -1)
        np.maximum.at(top, rows[mine], rungs[mine])
        mine = mine[rungs[mine] == top[rows[mine]]]
        # A repeated job counts once, with its newest value.
        newest = np.unique(np.column_stack([rows[mine], seeds[mine]])[::-1], axis=0, return_index=True)[1]
        mine = mine[::-1][newest]
        mine = mine[~np.isnan(values[mine])]
        at, value = rows[mine], values[mine]
        n = np.bincount(at, minlength=size).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(at, value, size) / n
            spread = np.sqrt(np.bincount(at, (value - mean[at]) ** 2, size) / (n - 1))
        spread[n < 2] = np.nan
        mean[at[seeds[mine] == own]] = value[seeds[mine] == own]
        found[names[code]] = mean, spread, n
    return {**_shaped(found), "image_visits": visits}


def _predicted(connection: Connection, config: Mapping[str, Any], index: Mapping[str, int]) -> dict[str, Array]:
    """The study's metrics on devices, such as `latency_ms@pi5`: what was predicted, for all candidates alike."""
    m, result = measurements.c, {}
    for metric, kept in config.get("predictors", {}).items():
        query = select(m.architecture_id, m.value, sa.cast(m.detail, sa.Text)).where(
            m.metric == metric.partition("@")[0], m.origin == "predicted", m.device == kept["device"],
            m.backend == kept["backend"], m.deployment == Deployment(**kept["deployment"]).id,
        ).order_by(m.id)  # fmt: skip
        values = np.full(len(index), np.nan)
        for chunk in _chunks(connection, query):
            for identity, value, text in zip(*chunk):
                try:
                    detail = json.loads(text)
                except ValueError as error:
                    raise StoreError(f"a prediction for architecture {identity}: {reason_of(error)}") from error
                ours = (detail.get("method"), detail.get("table")) == (kept["method"], kept["table"])
                if ours and identity in index:
                    values[index[identity]] = np.nan if value is None else value
        result[metric] = values
    return result
