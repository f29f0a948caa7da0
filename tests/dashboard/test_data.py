"""States of a database, and the cache."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from dashboard.data import Database
from dashboard.pages import message
from evaluator.record import Measurement
from search.store import Proposal, Store, StoreError
from tests.databases import add, build, config
from tests.strategies import random_architectures


def test_a_database_that_comes_into_being_goes_through_all_phases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.data.SHARE", 0)
    path = tmp_path / "csp.db"
    database = Database(str(path))
    assert database.snapshot().phase == "missing"
    path.touch()
    assert database.snapshot().phase == "empty"
    with Store.open(str(path)) as store:
        assert database.snapshot().phase == "empty"
        study = store.create_study("new", config(), seed=0)
        assert database.snapshot().phase == "waiting"
        add(store, study.id, 0, 2)
        snapshot = database.snapshot()
        assert snapshot.phase == "ready"
        assert snapshot.columns is not None
        assert len(snapshot.columns) == 2


def test_a_database_without_tables_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    assert Database(str(path)).snapshot().phase == "empty"


def test_nothing_is_read_again_until_something_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 3, state="running")
    reads = []
    original = Store.columns
    monkeypatch.setattr(Store, "columns", lambda store, name: reads.append(name) or original(store, name))
    monkeypatch.setattr("dashboard.data.SHARE", 0)
    database = Database(str(path))
    first = database.snapshot()
    assert database.snapshot("default").columns is first.columns
    assert len(reads) == 1
    with Store.open(str(path)) as store:
        add(store, 1, 3, 1)
    second = database.snapshot()
    assert second.token != first.token
    assert second.columns is not None
    assert len(second.columns) == 4
    assert len(reads) == 2


def test_a_replaced_file_is_opened_anew(tmp_path: Path) -> None:
    path, other = tmp_path / "csp.db", tmp_path / "other.db"
    build(str(path), 3)
    build(str(other), 5, name="other")
    database = Database(str(path))
    assert database.snapshot().study.name == "default"  # type: ignore[union-attr]
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    os.replace(other, path)
    assert database.snapshot().study.name == "other"  # type: ignore[union-attr]
    path.unlink()
    assert database.snapshot().phase == "missing"


def test_an_unknown_study_falls_back_to_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 2)
    build(str(path), 3, name="second")
    database = Database(str(path))
    assert database.snapshot("no such").study.name == "second"  # type: ignore[union-attr]
    assert database.snapshot("default").study.name == "default"  # type: ignore[union-attr]


def test_when_reading_fails_the_last_data_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(str(path))
    database.check()

    def locked(_: Store) -> tuple[int, ...]:
        raise StoreError("database is locked")

    monkeypatch.setattr(Store, "data_version", locked)
    snapshot = database.snapshot()
    assert (snapshot.phase, snapshot.problem) == ("ready", "database is locked")
    monkeypatch.undo()
    assert database.snapshot().problem is None


@pytest.mark.parametrize("content", [b"not a database at all, but text", None])
def test_another_programs_file_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.db"
    if content:
        path.write_bytes(content)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE studies (name TEXT)")
        connection.commit()
        connection.close()
    with pytest.raises(StoreError, match=r"SQLite database|another program"):
        Database(str(path)).check()


def test_reading_never_writes(path: Path) -> None:
    before = path.read_bytes()
    database = Database(str(path))
    snapshot = database.snapshot()
    assert snapshot.columns is not None
    assert database.detail(snapshot.columns.ids[0]) is not None
    assert database.detail("0" * 12) is None
    assert path.read_bytes() == before


def test_the_command_to_type_names_the_database(tmp_path: Path) -> None:
    assert message.command(Database("csp.db")) == "python -m search.run --budget 200"
    assert message.command(Database("my runs.db")).endswith("--db 'my runs.db'")


def test_passwords_are_not_shown() -> None:
    assert "secret" not in Database("postgresql://user:secret@db.example/csp").shown


def test_a_study_that_takes_long_to_read_is_not_read_at_every_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 3, state="running")
    monkeypatch.setattr("dashboard.data.SHARE", 1e9)
    database = Database(str(path))
    first = database.snapshot()
    with Store.open(str(path)) as store:
        add(store, 1, 3, 1)
    assert database.snapshot().token == first.token
    database._rest.clear()
    second = database.snapshot()
    assert second.token != first.token
    assert second.columns is not None
    assert len(second.columns) == 4


def test_a_row_of_one_study_is_no_news_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = str(tmp_path / "csp.db"), []
    build(path, 4, name="a", state="running")
    with Store.open(path) as store:
        other = store.create_study("b", config(), seed=0)
        own = add(store, other.id, 10, 3)
    original = Store.columns
    monkeypatch.setattr(Store, "columns", lambda store, name: reads.append(name) or original(store, name))
    monkeypatch.setattr("dashboard.data.SHARE", 0)
    database = Database(path)
    before = {name: database.snapshot(name) for name in "ab"}

    def news() -> list[str]:
        reads.clear()
        changed = [name for name in "ab" if database.snapshot(name).token != before[name].token]
        assert reads == changed
        before.update({name: database.snapshot(name) for name in "ab"})
        return changed

    assert news() == []
    shared = Measurement(metric="latency_ms", value=1.0, device="x", backend="y")
    with Store.open(path) as store:
        for write, concerned in (
            (lambda: add(store, 1, 4, 2), ["a"]),
            (lambda: add(store, 2, 13, 1), ["b"]),
            (lambda: store.update_study(1, timing={"train": 1.0}), ["a"]),
            (lambda: store.finish(1, 0, "failed", "why"), ["a"]),
            (lambda: store.record(own[0], [shared]), ["b"]),
            (lambda: store.record(random_architectures(40, seed=1)[30], [shared]), []),
            (lambda: store.propose(1, [Proposal(number=9, generation=0, architecture=own[0], genes={}, sampler={})]),
             ["a"]),
            (lambda: store.record(own[0], [shared]), ["a", "b"]),
            (lambda: store.add_latency_table(device="x", backend="y", precision="fp32", batch=1, threads=1, data={},
                                             environment=None), ["a", "b"]),
            (lambda: store.create_study("c", config(), seed=0), ["a", "b"]),
        ):  # fmt: skip
            write()
            assert news() == concerned
    assert {row.name for row in database.snapshot("b").studies} == {"a", "b", "c"}
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM measurements WHERE id > 5")
    assert news() == ["a", "b"], "an older state was put in its place"


def test_names_in_a_url_are_not_remembered(path: Path) -> None:
    database = Database(str(path))
    columns = database.snapshot().columns
    for number in range(50):
        assert database.snapshot(f"study {number}").columns is columns
    assert list(database._cache) == ["default"]


def test_when_reading_fails_each_name_keeps_what_it_showed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "csp.db")
    for name, count in (("a", 2), ("b", 3), ("unread", 1)):
        build(path, count, name=name)
    with Store.open(path) as store:
        store.update_study(2, message="the newest")
    database = Database(path)
    assert [len(database.snapshot(name).columns or ()) for name in ("a", "", "no such")] == [2, 3, 3]

    def locked(_: Store) -> tuple[int, ...]:
        raise StoreError("database is locked")

    monkeypatch.setattr(Store, "data_version", locked)
    for name, shown in (("a", "a"), ("b", "b"), ("", "b"), ("no such", "b")):
        found = database.snapshot(name)
        assert (found.phase, found.study.name, found.problem) == ("ready", shown, "database is locked")  # type: ignore[union-attr]
    assert database.snapshot("unread").phase == "error"
    assert {row.name for row in database.snapshot("unread").studies} == {"a", "b", "unread"}
