"""Several databases behind one server: each request says which one it is about with `db=`, by its short name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import flask

from dashboard.data import Database, Detail, Snapshot
from dashboard.places import Place
from search.store import Store, StoreError

T = TypeVar("T")


class Databases(Database):
    """Databases as one: all that is asked goes to the one of the request, the first by default. Safe for threads."""

    several = True

    def __init__(self, databases: Sequence[Database]) -> None:
        self.databases = dict(zip(short_names([each.shown for each in databases]), databases, strict=True))

    @property
    def name(self) -> str:
        """Short name of the database that the request is about."""
        name = asked() if flask.has_request_context() else ""
        return name if name in self.databases else next(iter(self.databases))

    @property
    def _now(self) -> Database:
        return self.databases[self.name]

    @property
    def shown(self) -> str:  # type: ignore[override]
        return self._now.shown

    def listed(self) -> list[dict[str, Any]]:
        """Every database by its short name, with the studies that it has now."""
        return [{"name": name, "studies": _studies(database), "chosen": name == self.name}
                for name, database in self.databases.items()]  # fmt: skip

    def check(self) -> None:
        for database in self.databases.values():
            database.check()

    def snapshot(self, study: str = "") -> Snapshot:
        found = self._now.snapshot(study)
        # Two databases may have counted alike.
        return replace(found, token=f"{self.name} {found.token}" if found.token else "")

    def detail(self, architecture_id: str, study_id: int | None = None) -> Detail | None:
        return self._now.detail(architecture_id, study_id)

    def places(self, snapshot: Snapshot) -> list[Place]:
        return self._now.places(snapshot)

    def pins(self, snapshot: Snapshot) -> list[str] | None:
        return self._now.pins(snapshot)

    def kept(self, snapshot: Snapshot, key: str, compute: Callable[[], T]) -> T:
        return self._now.kept(snapshot, key, compute)

    def ask(self, read: Callable[[Store], T]) -> T:
        return self._now.ask(read)

    def annotate(self, change: Callable[[Store], T]) -> T:
        return self._now.annotate(change)


def asked() -> str:
    """The database that a request names: itself, or, for a file that a page links to, the page's own address."""
    request = flask.request
    if "db" in request.args or request.method != "GET":
        return request.args.get("db", "")
    page = urlsplit(request.headers.get("Referer", ""))
    return parse_qs(page.query).get("db", [""])[0] if page.netloc == request.host else ""


def _studies(database: Database) -> list[str]:
    try:
        return database.ask(lambda store: [row.name for row in store.studies()])
    except (StoreError, OSError):
        return []


def short_names(shown: Sequence[str]) -> list[str]:
    """As much of each name's end as tells it from the others: `a.db`, or `old/a.db` beside `new/a.db`."""
    parts = [PurePath(name).parts or (name,) for name in shown]
    names = []
    for own in parts:
        length = next((n for n in range(1, len(own)) if sum(other[-n:] == own[-n:] for other in parts) == 1), len(own))
        names.append(str(PurePath(*own[-length:])))
    return names
