"""The memory of all studies: record, frame, resume. The driver process is the only writer, but for annotations.

Every method that writes is one transaction, committed when it returns. SQLite runs in WAL mode, so the
dashboard reads while a search writes; any other SQLAlchemy URL works too (PostgreSQL is tested).

StoreError is the one exception of this module: a database that cannot be opened, read or written, with what
was given and what to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.engine import Connection, Engine

from evaluator.record import Environment, Evaluation, Job, Measurement, digest
from search import migrations
from search.annotations import Annotations
from search.database import DAMAGE, StoreEmpty, StoreError, StoreOld, check_path, make_engine, reason_of, url_of
from search.schema import (
    VERSION_TABLE,
    architectures,
    environments,
    evaluations,
    latency_tables,
    measurements,
    metadata,
    proposals,
    studies,
)
from search.verification import in_effect
from space.architecture import Architecture

if TYPE_CHECKING:
    from search.columns import Columns

__all__ = ["DEFAULT_PATH", "Proposal", "Store", "StoreEmpty", "StoreError", "StoreOld", "StudyRow", "Version", "url_of"]

DEFAULT_PATH = "csp.db"
_LOCK_KEY = 0x435350  # "CSP"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A sampler's proposal as the store keeps it."""

    number: int
    generation: int
    architecture: Architecture
    genes: dict[str, Any]
    sampler: dict[str, Any]
    """What the sampler needs to go on as if never interrupted."""
    state: str = "proposed"
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A study as the store keeps it."""

    id: int
    name: str
    config: dict[str, Any]
    seed: int
    state: str
    message: str | None
    timing: dict[str, Any] | None
    created_at: float
    updated_at: float

    @property
    def device(self) -> str:
        """`cpu` or `cuda`: what the study's candidates are trained on."""
        return str(self.config.get("trained_on", {}).get("kind", "cpu"))


class Version(NamedTuple):
    """What is in a database, as `Store.data_version` tells it: highest ids, and newest times in microseconds."""

    proposals: int
    evaluations: int
    measurements: int
    studies: int
    latency_tables: int
    closed: int
    """When a proposal was last finished."""
    updated: int
    """When a study was last updated."""


class Store(Annotations):
    """One database. Use `Store.open`, and `close` it (or use it as a context manager)."""

    def __init__(self, engine: Engine, shown: str = "the database") -> None:
        self._engine, self._shown = engine, shown

    # -- opening

    @staticmethod
    def open(database: str = DEFAULT_PATH, *, create: bool = True, read_only: bool = False) -> Store:
        """Open the database at a path or URL, bring its schema up to date, and return the store.

        With `read_only` nothing is created or upgraded. Raises StoreError when the file is missing (without
        `create`), its folder is missing, it belongs to another program or a newer version, or cannot be written.
        """
        url = url_of(database)
        if url.get_backend_name() == "sqlite":
            check_path(url.database or "", create=create and not read_only, write=not read_only)
        shown = str(url.render_as_string(hide_password=True))
        try:
            store = Store(make_engine(url, read_only), shown)
            store._prepare(shown, read_only)
        except (sa.exc.DBAPIError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise StoreError(f"cannot open '{shown}': {reason_of(error)}") from error
        return store

    def _prepare(self, shown: str, read_only: bool) -> None:
        with self._engine.connect() as connection:
            tables = set(sa.inspect(connection).get_table_names())
            version = None
            if VERSION_TABLE in tables:
                version = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))
        if version is None and tables & set(metadata.tables):
            raise StoreError(f"'{shown}' belongs to another program; give another path with --db")
        if version is None and tables and self._engine.dialect.name == "sqlite":
            raise StoreError(f"'{shown}' belongs to another program; give another path with --db")
        if version is not None and version > migrations.HEAD:
            raise StoreError(
                f"'{shown}' has schema {version}, newer than this version's {migrations.HEAD}; upgrade csp-explorer"
            )
        if version != migrations.HEAD:
            if read_only and version is None:
                raise StoreEmpty(f"'{shown}' is empty; run `python -m search.run` on it first")
            if read_only:
                raise StoreOld(f"'{shown}' has the older schema {version}; run `python -m search.run` on it first")
            with self._engine.begin() as connection:
                migrations.upgrade(connection)
        elif not read_only:
            with self._engine.begin() as connection:
                # Fails here, before any work, where the disk is read-only.
                connection.execute(sa.update(studies).where(studies.c.id < 0).values(message=None))

    @property
    def key(self) -> str:
        """12 hex digits that tell this database from others, by its place."""
        url = self._engine.url
        is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        return digest(str(Path(str(url.database)).resolve()) if is_file else url.render_as_string(hide_password=True))

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise StoreError(f"cannot write the database: {error.orig}; everything before is kept") from error

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Let damaged rows be a StoreError that names `what` was read."""
        driver: Any = self._engine.dialect.loaded_dbapi
        try:
            yield
        except StoreError as error:
            raise StoreError(f"cannot read '{self._shown}', {what}: {error}") from error
        except (sa.exc.SQLAlchemyError, driver.Error, *DAMAGE) as error:
            raise StoreError(f"cannot read '{self._shown}', {what}: {reason_of(error)}") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the database as its only writer. Raises StoreError if another search holds it.

        The lock dies with the process, however that ends: a file lock beside a SQLite file, an advisory lock
        on PostgreSQL.
        """
        url = self._engine.url
        if url.get_backend_name() == "postgresql":
            with self._engine.connect() as connection:
                if not connection.scalar(sa.text(f"SELECT pg_try_advisory_lock({_LOCK_KEY})")):
                    raise StoreError("another search is writing this database; wait for it or use another --db")
                connection.rollback()
                yield
            return
        if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
            yield
            return
        import fcntl

        with Path(f"{url.database}.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise StoreError(
                    f"another search (process {holder}) is writing '{url.database}'; "
                    "wait for it, stop it, or use another --db"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield  # the file stays: to remove it would let two processes lock two files of one name

    # -- studies

    def studies(self) -> list[StudyRow]:
        """All studies, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(studies).order_by(studies.c.updated_at.desc())).mappings()
            return [StudyRow(**row) for row in rows]

    def study(self, name: str) -> StudyRow | None:
        """The study called `name`, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(select(studies).where(studies.c.name == name)).mappings().first()
            return StudyRow(**row) if row else None

    def create_study(self, name: str, config: dict[str, Any], seed: int) -> StudyRow:
        """A new study. Raises StoreError if the name is taken."""
        now = time.time()
        values = {"name": name, "config": config, "seed": seed, "state": "running", "created_at": now,
                  "updated_at": now}  # fmt: skip
        try:
            with self._write() as connection:
                connection.execute(studies.insert().values(**values))
        except sa.exc.IntegrityError as error:
            raise StoreError(f"study '{name}' exists already") from error
        row = self.study(name)
        assert row is not None
        return row

    def update_study(self, study_id: int, **values: Any) -> None:
        """Set columns of a study (state, message, timing, config)."""
        with self._write() as connection:
            values["updated_at"] = time.time()
            connection.execute(studies.update().where(studies.c.id == study_id).values(**values))

    # -- proposals

    def propose(self, study_id: int, batch: Sequence[Proposal]) -> None:
        """Record a batch of proposals, all or none."""
        now = time.time()
        with self._write() as connection:
            for proposal in batch:
                self._add_architecture(connection, proposal.architecture)
            if batch:
                connection.execute(
                    proposals.insert(),
                    [
                        {
                            "study_id": study_id,
                            "number": p.number,
                            "generation": p.generation,
                            "architecture_id": p.architecture.id,
                            "state": p.state,
                            "reason": p.reason,
                            "genes": p.genes,
                            "sampler": p.sampler,
                            "created_at": now,
                            "finished_at": None if p.state == "proposed" else now,
                        }
                        for p in batch
                    ],
                )

    def finish(self, study_id: int, number: int, state: str, reason: str | None = None) -> None:
        """Close a proposal as refused, failed, stopped (at a lower rung) or complete."""
        with self._write() as connection:
            connection.execute(
                proposals.update()
                .where(proposals.c.study_id == study_id, proposals.c.number == number)
                .values(state=state, reason=reason, finished_at=time.time())
            )

    def proposals(self, study_id: int) -> list[Proposal]:
        """All proposals of a study, by number."""
        query = (
            select(proposals, architectures.c.spec)
            .join(architectures, architectures.c.id == proposals.c.architecture_id)
            .where(proposals.c.study_id == study_id)
            .order_by(proposals.c.number)
        )
        with self._engine.connect() as connection:
            return [
                Proposal(
                    number=row.number,
                    generation=row.generation,
                    architecture=Architecture.from_dict(row.spec),
                    genes=row.genes,
                    sampler=row.sampler,
                    state=row.state,
                    reason=row.reason,
                )
                for row in connection.execute(query)
            ]

    # -- facts

    def _add_architecture(self, connection: Connection, architecture: Architecture) -> None:
        canonical = architecture.canonical()
        found = connection.scalar(select(architectures.c.id).where(architectures.c.id == canonical.id))
        if found is None:
            values = {"id": canonical.id, "spec": canonical.to_dict(), "created_at": time.time()}
            connection.execute(architectures.insert().values(**values))

    def _add_environment(self, connection: Connection, environment: Environment | None) -> str | None:
        if environment is None:
            return None
        found = connection.scalar(select(environments.c.id).where(environments.c.id == environment.id))
        if found is None:
            connection.execute(environments.insert().values(id=environment.id, data=environment.to_dict()))
        return environment.id

    def record(self, architecture: Architecture, rows: Sequence[Measurement]) -> None:
        """Record measurements of one architecture."""
        with self._write() as connection:
            self._add_architecture(connection, architecture)
            self._insert(connection, architecture.id, rows, None)

    def _insert(self, connection: Connection, architecture_id: str, rows: Sequence[Measurement],
                evaluation_id: int | None) -> None:  # fmt: skip
        values = []
        ids: dict[int, str | None] = {}  # a batch of rows shares one environment object
        for row in rows:
            if id(row.environment) not in ids:
                ids[id(row.environment)] = self._add_environment(connection, row.environment)
            fields = {key: value for key, value in vars(row).items() if key != "environment"}
            fields |= {
                "architecture_id": architecture_id,
                "evaluation_id": evaluation_id,
                "environment_id": ids[id(row.environment)],
                "created_at": time.time(),
            }
            values.append(fields)
        if values:
            connection.execute(measurements.insert(), values)

    def record_evaluation(self, job: Job, recipe: str, evaluation: Evaluation,
                          environment: Environment | None = None) -> None:  # fmt: skip
        """Record what a job gave, with its measurements and its learning curve. `recipe` is the recipe's hash."""
        with self._write() as connection:
            self._add_architecture(connection, job.architecture)
            result = connection.execute(
                evaluations.insert().values(
                    architecture_id=job.architecture.id,
                    task=job.task,
                    recipe=recipe,
                    rung=job.fidelity.rung,
                    image_visits=job.fidelity.image_visits,
                    seed=job.seed,
                    state=evaluation.state,
                    reason=evaluation.reason,
                    seconds=evaluation.seconds,
                    cpu_seconds=evaluation.cpu_seconds,
                    curve=evaluation.curve,
                    environment_id=self._add_environment(connection, environment),
                    created_at=time.time(),
                )
            )
            assert result.inserted_primary_key is not None
            self._insert(connection, job.architecture.id, evaluation.measurements, result.inserted_primary_key[0])

    def evaluation(self, job: Job, recipe: str) -> Evaluation | None:
        """The complete evaluation of exactly this job, if there is one: nothing is ever trained twice."""
        c = evaluations.c
        query = (
            select(evaluations)
            .where(c.architecture_id == job.architecture.id, c.task == job.task, c.recipe == recipe,
                   c.image_visits == job.fidelity.image_visits, c.seed == job.seed, c.state == "complete")
            .order_by(c.id.desc())
        )  # fmt: skip
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            rows = connection.execute(select(measurements).where(measurements.c.evaluation_id == row.id)).mappings()
            keep = set(Measurement.__dataclass_fields__) - {"environment"}
            found = [Measurement(**{key: value for key, value in r.items() if key in keep}) for r in rows]
        return Evaluation(state="complete", measurements=found, curve=row.curve, seconds=row.seconds,
                          cpu_seconds=row.cpu_seconds)  # fmt: skip

    # -- reading

    def data_version(self) -> Version:
        """A value that changes whenever anything was recorded: cheap to ask, good as a cache key."""
        with self._engine.connect() as connection:
            counts = [
                connection.scalar(select(sa.func.coalesce(sa.func.max(table.c.id), 0)))
                for table in (proposals, evaluations, measurements, studies, latency_tables)
            ]
            closed = connection.scalar(select(sa.func.max(proposals.c.finished_at))) or 0.0
            updated = connection.scalar(select(sa.func.max(studies.c.updated_at))) or 0.0
        return Version._make([*(int(count or 0) for count in counts), int(closed * 1e6), int(updated * 1e6)])

    def changed(self, study_id: int, since: Version, now: Version, ids: Iterable[str]) -> bool:
        """Whether what was recorded between two versions concerns the candidates of a study.

        Measurements are of architectures, which studies share: `ids` are those that the study had proposed at `since`.
        A new study or latency table concerns all. Only new rows are read, but for what was finished.
        """
        if any(new < old for new, old in zip(now, since, strict=True)):  # an older copy was put in its place
            return True
        if (now.studies, now.latency_tables) != (since.studies, since.latency_tables):
            return True
        p = proposals.c
        new = sa.or_(p.id > since.proposals, p.finished_at >= (since.closed + 1) / 1e6)
        with self._engine.connect() as connection:
            # No `distinct` and no condition on the study here: SQLite would walk an index of the whole table for it.
            if study_id in set(connection.scalars(select(p.study_id).where(new))):
                return True
            found: set[str] = set()
            for table, start in ((evaluations, since.evaluations), (measurements, since.measurements)):
                found |= set(connection.scalars(select(table.c.architecture_id).where(table.c.id > start)))
        return bool(found) and not found.isdisjoint(ids)

    def architecture(self, architecture_id: str) -> Architecture | None:
        """The architecture with this id, or None."""
        query = select(architectures.c.spec).where(architectures.c.id == architecture_id)
        with self._engine.connect() as connection:
            spec = connection.scalar(query)
        return Architecture.from_dict(spec) if spec else None

    def measurements(self, architecture_id: str) -> list[dict[str, Any]]:
        """Every measurement of an architecture, newest first, each with its `environment` as a dict or None."""
        query = (
            select(measurements, environments.c.data.label("environment"))
            .outerjoin(environments, environments.c.id == measurements.c.environment_id)
            .where(measurements.c.architecture_id == architecture_id)
            .order_by(measurements.c.id.desc())
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def evaluations(self, architecture_id: str) -> list[dict[str, Any]]:
        """Every evaluation of an architecture with its learning curve, newest first."""
        query = (
            select(evaluations)
            .where(evaluations.c.architecture_id == architecture_id)
            .order_by(evaluations.c.id.desc())
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _no_study(self, name: str) -> StoreError:
        names = ", ".join(row.name for row in self.studies()) or "none yet"
        return StoreError(f"no study '{name}'; studies here: {names}")

    def frame(self, study_name: str) -> Any:
        """One row a proposal of a study, as a pandas DataFrame ordered by number.

        Columns: number, id, generation, state, reason, created_at, finished_at; the axes of `axes`; image_visits, the
        training that the trained metrics are of; and for each metric of `evaluator.metrics.METRICS` its value,
        `<metric>_spread`, `<metric>_n` and `<metric>_origin`. A trained metric is that of the study's own seed at the
        highest rung reached under its task and recipe (the mean, where that seed is missing), its spread and n are over
        all seeds; a deployment metric is the newest value for the study's deployment, runtime and machine; one on a
        device (`latency_ms@pi5`) is as predicted. Of the verification (`search.verification`): `verified_<score>` (mean
        over its seeds), `verified_<score>_spread` (of one training, pooled), `verified_<score>_n`,
        `front_share` and `verdict`. Missing is NaN, also in text columns that have other values.
        Raises StoreError if there is no such study.
        """
        from search.frame import build

        study = self.study(study_name)
        if study is None:
            raise self._no_study(study_name)
        p, m = proposals.c, measurements.c
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(p.number, p.architecture_id, p.generation, p.state, p.reason, p.created_at, p.finished_at,
                       architectures.c.spec)
                .join(architectures, architectures.c.id == p.architecture_id)
                .where(p.study_id == study.id)
                .order_by(p.number)
            ).all()  # fmt: skip
            ids = select(p.architecture_id).where(p.study_id == study.id)
            facts = connection.execute(
                select(m.architecture_id, m.metric, m.value, m.spread, m.n, m.origin, m.task, m.recipe, m.rung,
                       m.seed, m.deployment, m.device, m.backend, m.image_visits)
                .where(m.architecture_id.in_(ids))
                .order_by(m.id)
            ).all()  # fmt: skip
            predictions = connection.execute(
                select(m.architecture_id, m.metric, m.value, m.device, m.backend, m.deployment, m.detail)
                .where(m.architecture_id.in_(ids), m.origin == "predicted")
                .order_by(m.id)
            ).all() if study.config.get("predictors") else []  # fmt: skip
        return build(study.config, rows, facts, self.long_scores(study), predictions)

    def columns(self, study_name: str) -> Columns:
        """What `frame` says, as a `search.columns.Columns`: for studies too big for an object a number.

        Raises StoreError if there is no such study, or if its rows are damaged.
        """
        from search.columns import read

        with self._reading(f"study '{study_name}'"):
            study = self.study(study_name)
        if study is None:
            raise self._no_study(study_name)
        with self._reading(f"study '{study_name}'"), self._engine.connect() as connection:
            return read(connection, study.id, study.config, self.long_scores(study))

    def long_scores(self, study: StudyRow) -> dict[str, dict[int, float]]:
        """Architecture id -> seed -> score of the study's verification; empty before the first."""
        chosen, m = in_effect(study.config), measurements.c
        if chosen is None:
            return {}
        query = (
            select(m.architecture_id, m.seed, m.value)
            .where(m.metric == study.config["objectives"][0]["metric"], m.value.is_not(None),
                   m.task == study.config["task"], m.recipe == study.config["recipe_id"],
                   m.image_visits == chosen[0], m.seed.in_(chosen[1]))
            .order_by(m.id)
        )  # fmt: skip
        result: dict[str, dict[int, float]] = {}
        with self._engine.connect() as connection:
            for identity, seed, value in connection.execute(query):
                result.setdefault(identity, {})[seed] = value
        return result

    def deployed(self, study_name: str) -> Any:
        """What is known of a study's candidates on every device, as a tidy pandas DataFrame: one row a fact.

        Columns: id, metric, value, spread, n, unit, origin, reason, device, backend, deployment, batch, precision,
        threads, height, width, num_classes, detail, environment (its id), created_at. Of rows that agree in id,
        metric, origin, device, backend, deployment and `detail["method"]` only the newest is there; a row without a
        value only where none has one. Rows of a training are not here. Raises StoreError if there is no such study.
        """
        from search.frame import deployed

        study, m = self.study(study_name), measurements.c
        if study is None:
            raise self._no_study(study_name)
        ids = select(proposals.c.architecture_id).where(proposals.c.study_id == study.id)
        query = (
            select(m.architecture_id.label("id"), m.metric, m.value, m.spread, m.n, m.unit, m.origin, m.reason,
                   m.device, m.backend, m.deployment, m.batch, m.precision, m.threads, m.detail,
                   m.environment_id.label("environment"), m.created_at)
            .where(m.architecture_id.in_(ids), m.deployment.is_not(None))
            .order_by(m.id)
        )  # fmt: skip
        with self._engine.connect() as connection:
            return deployed([dict(row) for row in connection.execute(query).mappings()])

    def latencies(self, study_name: str) -> Iterator[Any]:
        """Every known latency of a study's candidates, oldest first, one row at a time: there may be very many.

        A row has id, value, origin, device, backend, deployment, precision, threads, batch, height, and of a prediction
        method and error (median, a share). Raises StoreError if there is no such study.
        """
        study, m = self.study(study_name), measurements.c
        if study is None:
            raise self._no_study(study_name)
        ids = select(proposals.c.architecture_id).where(proposals.c.study_id == study.id)
        query = (
            select(m.architecture_id.label("id"), m.value, m.origin, m.device, m.backend, m.deployment, m.precision,
                   m.threads, m.batch, m.detail["deployment"]["height"].as_integer().label("height"),
                   m.detail["method"].as_string().label("method"),
                   m.detail["error"]["median"].as_float().label("error"))
            .where(m.architecture_id.in_(ids), m.metric == "latency_ms", m.value.is_not(None), m.device.is_not(None))
            .order_by(m.id)
        )  # fmt: skip
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=10_000).execute(query)

    # -- latency tables

    def add_latency_table(self, *, device: str, backend: str, precision: str, batch: int, threads: int,
                          data: dict[str, Any], environment: Environment | None) -> None:  # fmt: skip
        """Record what a calibration found. Earlier ones stay: the newest counts."""
        with self._write() as connection:
            connection.execute(
                latency_tables.insert().values(
                    device=device, backend=backend, precision=precision, batch=batch, threads=threads, data=data,
                    environment_id=self._add_environment(connection, environment), created_at=time.time(),
                )
            )  # fmt: skip

    def latency_tables(self, *, device: str | None = None, backend: str | None = None) -> list[dict[str, Any]]:
        """Every latency table as a dict of its columns, newest first, each with its `environment` as a dict or None."""
        t = latency_tables.c
        query = (
            select(latency_tables, environments.c.data.label("environment"))
            .outerjoin(environments, environments.c.id == t.environment_id)
            .order_by(t.id.desc())
        )
        if device is not None:
            query = query.where(t.device == device)
        if backend is not None:
            query = query.where(t.backend == backend)
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]
