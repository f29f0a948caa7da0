"""Reading the store for pages: one cached snapshot a study, read again only when the database changed.

A file that is missing, empty or without candidates is a state of the page, not an error. Nothing here writes but
`Database.annotate`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError

from dashboard.candidates import prepare
from dashboard.places import Place, places
from dashboard.status import progress
from search.database import DAMAGE, reason_of
from search.store import Store, StoreEmpty, StoreError, StudyRow, Version, url_of

if TYPE_CHECKING:
    from search.annotations import Note
    from search.columns import Columns
    from space.architecture import Architecture

Phase = Literal["missing", "empty", "waiting", "ready", "error"]
"""missing: no file; empty: no table or no study yet; waiting: a study without candidates."""

SHARE = 8
"""After a study was read, nothing is read for this many times as long."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A study as it was at `read_at`."""

    phase: Phase
    token: str = ""
    """Changes whenever anything that concerns the study was recorded."""
    study: StudyRow | None = None
    studies: list[StudyRow] = field(default_factory=list)
    columns: Columns | None = None
    progress: str = ""
    """How far the study is, in words."""
    read_at: float = 0.0
    problem: str | None = None
    """Why the newest data could not be read; what else is here is then older."""
    database: str | None = None
    """The database for `--db`, as `Database.shown`; None for one that no command may write."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One architecture with everything known of it."""

    architecture: Architecture
    measurements: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    note: Note | None = None
    tags: list[str] = field(default_factory=list)
    pinned: bool = False
    """In the study that the page is of."""


@dataclass(kw_only=True)
class _Known:
    """What was read of a study, and the version up to which nothing that concerns it was recorded since."""

    snapshot: Snapshot
    version: Version
    read_at: float = 0.0
    """When the database last answered about it."""


class Database:
    """A database to look at: a path or SQLAlchemy URL. Safe for threads.

    `shown` is what to call one that is not the user's own.
    """

    several = False
    """Whether it stands for several, of which a request names one."""

    def __init__(self, database: str, *, shown: str | None = None) -> None:
        self.url = url_of(database)
        self.database = database
        self._own = shown is None
        place = str(self.url.database) if self._is_file else self.url.render_as_string(hide_password=True)
        self.shown = place if shown is None else shown
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._studies: list[StudyRow] = []
        self._cache: dict[str, _Known] = {}
        self._newest = ""
        self._rest: dict[str, float] = {}
        self._kept: dict[tuple[str, str], tuple[str, Any]] = {}

    @property
    def _is_file(self) -> bool:
        return self.url.get_backend_name() == "sqlite" and self.url.database not in (None, "", ":memory:")

    def listed(self) -> list[dict[str, Any]]:
        """The databases to choose from; none where there is only this one."""
        return []

    def check(self) -> None:
        """Raise StoreError unless the database can be shown, now or once a search has written to it."""
        snapshot = self.snapshot()
        if snapshot.phase == "error":
            raise StoreError(snapshot.problem or f"cannot read '{self.shown}'")

    def snapshot(self, study: str = "") -> Snapshot:
        """The newest state of a study, or of the one that changed last if `study` is empty or unknown."""
        with self._lock:
            try:
                return self._read(study)
            except (SQLAlchemyError, OSError, *DAMAGE) as error:
                self._close()
                return self._failed(study, error)

    def detail(self, architecture_id: str, study_id: int | None = None) -> Detail | None:
        """Everything known of an architecture, and whether a study has it pinned; None if the database lacks it."""

        def read(store: Store) -> Detail | None:
            architecture = store.architecture(architecture_id)
            if architecture is None:
                return None
            return Detail(
                architecture=architecture,
                measurements=store.measurements(architecture_id),
                evaluations=store.evaluations(architecture_id),
                note=store.note(architecture_id),
                tags=store.tags(architecture_id),
                pinned=study_id is not None and architecture_id in store.pins(study_id),
            )

        return self._with_store(read)

    def places(self, snapshot: Snapshot) -> list[Place]:
        """Where the study's candidates were measured or predicted."""
        assert snapshot.study is not None
        assert snapshot.columns is not None
        name, config, frame = snapshot.study.name, snapshot.study.config, snapshot.columns
        read = partial(self._with_store, lambda store: places(frame, store.latencies(name), config))
        return self.kept(snapshot, "places", read)

    def pins(self, snapshot: Snapshot) -> list[str] | None:
        """Ids of what is pinned in the study, the first pinned first; None where it cannot be read."""
        if snapshot.study is None:
            return None
        study_id = snapshot.study.id
        try:
            return self._with_store(lambda store: store.pins(study_id))
        except StoreError:
            return None

    def kept(self, snapshot: Snapshot, key: str, compute: Callable[[], T]) -> T:
        """What `compute` gives for a study, kept under `key` until something is recorded."""
        place = (snapshot.study.name if snapshot.study else "", key)
        token, value = self._kept.get(place, ("", None))
        if token != snapshot.token or not token:
            value = compute()
            self._kept[place] = snapshot.token, value
        return cast("T", value)

    def ask(self, read: Callable[[Store], T]) -> T:
        """What `read` finds in the store. Raises StoreError where it cannot be read."""
        return self._with_store(read)

    def annotate(self, change: Callable[[Store], T]) -> T:
        """Let `change` write notes, tags, pins or a queue: the only things that a dashboard writes.

        Raises StoreError where the database cannot be written, or is of another schema: that is not ours to upgrade.
        """
        self._with_store(lambda store: store)
        with self._writing, Store.open(self.database, create=False) as store:
            try:
                return change(store)
            except SQLAlchemyError as error:
                raise StoreError(f"cannot write '{self.shown}': {reason_of(error)}") from error

    def _with_store(self, read: Callable[[Store], T]) -> T:
        with self._lock:
            try:
                return read(self._opened())
            except StoreError:
                raise
            except (SQLAlchemyError, OSError, *DAMAGE) as error:
                self._close()
                raise StoreError(f"cannot read '{self.shown}': {reason_of(error)}") from error

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = None

    def _forget(self) -> None:
        self._close()
        self._studies = []
        for kept in (self._cache, self._kept, self._rest):
            kept.clear()

    def _identity(self) -> tuple[int, int] | None:
        """What tells a replaced file from the one that is open."""
        if not self._is_file:
            return None
        try:
            status = Path(str(self.url.database)).stat()
        except FileNotFoundError:
            return None  # opening says why
        return status.st_dev, status.st_ino

    def _opened(self) -> Store:
        identity = self._identity()
        if self._store is not None and identity != self._file:
            self._forget()
        if self._store is None:
            self._store = Store.open(self.database, create=False, read_only=True)
            self._file = identity
        return self._store

    def _read(self, name: str) -> Snapshot:
        if self._is_file:
            path = Path(str(self.url.database))
            if path.parent.is_dir() and not path.exists():
                self._forget()
                return Snapshot(phase="missing", read_at=time.time())
        store = self._opened()
        version = store.data_version()
        self._studies = studies = store.studies()
        if not studies:
            return Snapshot(phase="empty", token=_token(version), read_at=time.time())
        study = next((row for row in studies if row.name == name), studies[0])
        found = self._unchanged(store, study, version) or self._anew(store, study, version)
        if study.name != name:
            self._newest = study.name
        self._cache[study.name].read_at = now = time.time()
        return replace(found, studies=studies, read_at=now)

    def _anew(self, store: Store, study: StudyRow, version: Version) -> Snapshot:
        began = time.monotonic()
        columns = prepare(store.columns(study.name))
        self._rest[study.name] = time.monotonic() + SHARE * (time.monotonic() - began)
        found = Snapshot(
            phase="ready" if len(columns) else "waiting",
            token=_token(version),
            study=study,
            columns=columns,
            progress=progress(study, columns) if len(columns) else "",
            database=self.shown if self._own else None,
        )
        self._cache[study.name] = _Known(snapshot=found, version=version)
        return found

    def _unchanged(self, store: Store, study: StudyRow, version: Version) -> Snapshot | None:
        """What was read of a study, if nothing that concerns it was recorded since."""
        known = self._cache.get(study.name)
        if known is None:
            return None
        found = known.snapshot
        # A big study takes seconds to read: most of the time is left to the search.
        resting = found.phase == "ready" and time.monotonic() < self._rest.get(study.name, 0.0)
        if known.version != version and not resting:
            ids = found.columns.ids if found.columns is not None else []
            if found.study != study or store.changed(study.id, known.version, version, ids):
                return None
            known.version = version
        return found

    def _failed(self, name: str, error: Exception) -> Snapshot:
        text = str(error) if isinstance(error, StoreError) else f"cannot read '{self.shown}': {reason_of(error)}"
        known = self._cache.get(name if any(row.name == name for row in self._studies) else self._newest)
        if known is not None and known.snapshot.phase == "ready":
            return replace(known.snapshot, studies=self._studies, read_at=known.read_at, problem=text)
        if isinstance(error, StoreEmpty):
            return Snapshot(phase="empty", read_at=time.time())
        return Snapshot(phase="error", studies=self._studies, problem=text, read_at=time.time())


def _token(version: Version) -> str:
    return "-".join(map(str, version))
