"""Opening a database: what may be opened, how, and one clear line for what may not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url


class StoreError(ValueError):
    """A database that cannot be used; the message says why and what to do."""


class StoreEmpty(StoreError):
    """A database in which nothing was ever stored, opened for reading."""


class StoreOld(StoreError):
    """The schema is that of an earlier version, and the database was opened only to read."""


DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What damaged rows make of their readers, beside the errors of a driver: JSON that is none, or lacks what it had."""


def reason_of(error: BaseException) -> str:
    """Why something could not be read, in one line."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def url_of(database: str) -> URL:
    """A SQLAlchemy URL from a URL or a file path. Raises StoreError for an unreadable URL."""
    try:
        return make_url(database) if "://" in database else URL.create("sqlite", database=database)
    except sa.exc.ArgumentError as error:
        raise StoreError(f"'{database}' is neither a file nor a database URL: {error}") from error


def check_path(path: str, *, create: bool, write: bool) -> None:
    if path in ("", ":memory:"):
        return
    file = Path(path)
    if not file.parent.is_dir():
        raise StoreError(f"'{path}': the folder '{file.parent}' does not exist; create it or choose another path")
    if file.is_dir():
        raise StoreError(f"'{path}' is a folder; give a file")
    # SQLite writes its log beside the file, so the folder counts too.
    if write and not all(os.access(place, os.W_OK) for place in (file.parent, file) if place.exists()):
        raise StoreError(f"'{path}' cannot be written: its disk or folder is read-only; give another path with --db")
    if not create and not file.exists():
        raise StoreError(f"'{path}' does not exist; run `python -m search.run --db {path}` first")
    if file.exists() and file.stat().st_size:
        with file.open("rb") as stream:
            if stream.read(16) != b"SQLite format 3\x00":
                raise StoreError(f"'{path}' is not a SQLite database; give another path with --db")


def make_engine(url: URL, read_only: bool) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and read_only and url.database not in (None, "", ":memory:"):
        file = Path(str(url.database)).resolve()
        # Where SQLite cannot make its shared memory file it must be told that the file will not change. On a
        # read-only disk it cannot; elsewhere a log beside the file says that somebody is writing.
        writable = os.access(file.parent, os.W_OK)
        still = os.statvfs(file.parent).f_flag & os.ST_RDONLY or not Path(f"{file}-wal").exists()
        fixed = "&immutable=1" if still and not writable else ""
        url = URL.create("sqlite", database=f"{file.as_uri()}?mode=ro{fixed}", query={"uri": "true"})
    # Spread and curve values may be NaN-free only: JSON has no NaN, and PostgreSQL refuses it.
    engine = sa.create_engine(url, json_serializer=lambda data: json.dumps(data, allow_nan=False))
    if sqlite:

        @event.listens_for(engine, "connect")
        def pragmas(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout = 15000")
            cursor.execute("PRAGMA foreign_keys = ON")
            if not read_only:
                cursor.execute("PRAGMA journal_mode = WAL")
                cursor.execute("PRAGMA synchronous = NORMAL")
            cursor.close()

    return engine
