"""Databases that a dashboard meets and that no demo shows: made from ordinary ones, past the Store where it refuses."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from search.annotations import MOST_NOTE
from search.schema import VERSION_TABLE
from search.store import Store
from search.study import built_in, load
from tests.databases import MACHINE, add, build, config

EVIL = "<img src=x onerror=alert(1)>\"'); DROP TABLE studies;--‮ñ"
"""A name of everything that people put into texts."""
TRAINED = "('ap', 'ap50', 'ap75', 'ap_small')"


def _change(path: Path, statements: Iterable[str]) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def _changed(*statements: str, count: int = 14) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        build(str(path), count)
        _change(path, statements)

    return make


def _empty(path: Path) -> None:
    with Store.open(str(path)) as store:
        store.create_study("default", config(), seed=0)


def _one(path: Path) -> None:
    build(str(path), 1)


def _running(path: Path) -> None:
    build(str(path), 9, state="running", budget=100)


def _two_spaces(path: Path) -> None:
    build(str(path), 14, name="first")
    other = {**config(), "objectives": config()["objectives"][:1], "sampler": "random",
             "space": load(built_in("synthetic")).space_data}  # fmt: skip
    del other["device"]
    with Store.open(str(path)) as store:
        add(store, store.create_study("second", other, seed=1).id, 0, 8)


def _digits(path: Path) -> None:
    given = config() | {"task": "digits", "limits": [],
                        "objectives": [{"metric": "accuracy", "direction": "maximize"},
                                       {"metric": "params", "direction": "minimize"}]}  # fmt: skip
    _changed(
        "UPDATE measurements SET metric = 'accuracy', task = 'digits' WHERE metric = 'ap'",
        f"DELETE FROM measurements WHERE metric IN {TRAINED}",
        "UPDATE evaluations SET task = 'digits', curve = replace(curve, '\"ap\"', '\"accuracy\"')",
        f"UPDATE studies SET config = '{json.dumps(given)}'",
    )(path)


def _hostile(path: Path) -> None:
    build(str(path), 14, name=EVIL)
    with Store.open(str(path)) as store:
        for proposal in store.proposals(1)[:3]:
            store.add_tag(proposal.architecture.id, EVIL[:30])
            store.set_note(proposal.architecture.id, (EVIL + "\n") * (MOST_NOTE // (len(EVIL) + 1)))
    quoted = EVIL.replace("'", "''")
    _change(path, (
        f"UPDATE measurements SET device = '{quoted}', reason = '{quoted}' WHERE device IS NOT NULL",
        f"UPDATE proposals SET reason = '{quoted}'",
        f"UPDATE evaluations SET reason = '{quoted}'",
        f"UPDATE studies SET message = '{quoted}', config = replace(config, '{MACHINE.host}', '<i>box</i>')",
    ))  # fmt: skip


def _page(path: Path) -> None:
    path.write_bytes(b"<html>no database</html>" * 400)


STUDIES: dict[str, Callable[[Path], None]] = {
    "empty study": _empty,
    "one candidate": _one,
    "equal values": _changed("UPDATE measurements SET value = 3.0, spread = 0.0 WHERE value IS NOT NULL"),
    "NaN": _changed(f"UPDATE measurements SET value = NULL, reason = 'NaN' WHERE metric IN {TRAINED} AND id % 2",
                    "UPDATE measurements SET spread = 9e999 WHERE spread IS NOT NULL"),
    "all failed": _changed("UPDATE proposals SET state = 'failed', reason = 'out of memory'",
                           "UPDATE evaluations SET state = 'failed', reason = 'out of memory'",
                           f"DELETE FROM measurements WHERE metric IN {TRAINED}"),
    "running": _running,
    "two spaces": _two_spaces,
    "no device": _changed("DELETE FROM measurements WHERE device IS NOT NULL"),
    "digits": _digits,
    "hostile": _hostile,
}  # fmt: skip
"""What can be shown."""

REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing table": (_changed("DROP TABLE measurements", count=3), "no such table"),
    "newer schema": (_changed(f"UPDATE {VERSION_TABLE} SET version_num = '9999'", count=3), "newer"),
    "no database": (_page, "is not a SQLite database"),
}
"""What cannot be shown, with a word of the reason."""
