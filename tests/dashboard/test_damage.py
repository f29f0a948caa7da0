"""A damaged database is an error that the page tells: no traceback at the start, no failing route afterwards."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from dash.exceptions import PreventUpdate

from dashboard.app import create_app
from dashboard.data import Database
from search.store import Store, StoreError
from tests.databases import build

PAGE = 4096
ROUTES = ("/", "/status", "/data.bin", "/places", "/place.bin?dev=pi5", "/importance", "/health", "/table")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study in one file without a log beside it, as one that was copied."""
    path = tmp_path_factory.mktemp("whole") / "csp.db"
    build(str(path), 24)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(truncate)")
        connection.execute("PRAGMA journal_mode=delete")
    return path


def damaged(whole: Path, folder: Path, place: int) -> Path:
    """A copy with one page, or some bytes of one, written over: `place` is the seed."""
    rng = random.Random(place)
    data = bytearray(whole.read_bytes())
    page = rng.randrange(1, len(data) // PAGE) * PAGE
    if place % 2:
        data[page : page + PAGE] = bytes([rng.choice((0, 0xEE, 0xFF))]) * PAGE
    else:
        for _ in range(12):
            data[page + rng.randrange(PAGE)] = rng.randrange(256)
    path = folder / f"{place}.db"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("start", range(0, 80, 20))
def test_a_damaged_page_is_a_store_error_and_nothing_else(whole: Path, tmp_path: Path, start: int) -> None:
    said = []
    for place in range(start, start + 20):
        path = damaged(whole, tmp_path, place)
        database = Database(str(path))
        snapshot = database.snapshot()
        if snapshot.phase == "error":
            assert str(path) in str(snapshot.problem)
            said.append(place)
            with pytest.raises(StoreError):
                database.check()
        elif snapshot.columns is not None:
            for identity in snapshot.columns.ids[:3]:
                with suppress(StoreError):
                    database.detail(identity)
    assert said, "some of these pages were needed"


def test_the_server_goes_on_over_a_damaged_database(whole: Path, tmp_path: Path) -> None:
    for place in range(0, 80, 5):
        client = create_app(Database(str(damaged(whole, tmp_path, place)))).server.test_client()
        for route in ROUTES:
            assert client.get(route).status_code in (200, 503), (place, route)


@pytest.mark.parametrize(("spec", "reason"), [("{broken", "Expecting property name"), ("{}", "'stages' is missing"),
                                              ("[]", "list"), ('{"stages": 3}', "iterable")])  # fmt: skip
def test_a_broken_description_names_its_architecture(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, reason: str
) -> None:
    monkeypatch.setattr("dashboard.data.SHARE", 0)
    path = Path(shutil.copy(whole, tmp_path / "csp.db"))
    database = Database(str(path))
    client = create_app(database).server.test_client()
    count = len(database.snapshot().columns or ())
    with closing(sqlite3.connect(path)) as connection, connection:
        (identity,) = connection.execute("SELECT architecture_id FROM proposals WHERE number = 7").fetchone()
        connection.execute("UPDATE architectures SET spec = ? WHERE id = ?", (spec, identity))
        connection.execute("UPDATE studies SET updated_at = updated_at + 1")
    with Store.open(str(path), create=False, read_only=True) as store, pytest.raises(StoreError, match=identity):
        store.columns("default")
    told = client.get("/status").json
    assert told["phase"] == "ready", "the last data stay"
    assert identity in told["problem"]
    assert reason in told["problem"]
    assert len(database.snapshot().columns or ()) == count
    fresh = create_app(Database(str(path))).server.test_client()
    assert (fresh.get("/status").json["phase"], fresh.get("/c/x").status_code) == ("error", 200)
    assert identity.encode() in fresh.get("/data.bin").data
    started = subprocess.run([sys.executable, "-m", "dashboard", "--db", str(path), "--port", "0"],
                             capture_output=True, text=True, timeout=30) if spec == "{}" else None  # fmt: skip
    if started is not None:
        assert (started.returncode, started.stdout, started.stderr.count("\n")) == (2, "", 1)
        assert identity in started.stderr


def test_a_broken_config_is_told_too(whole: Path, tmp_path: Path) -> None:
    for text in ("{broken", "3", '{"objectives": 3}'):
        path = Path(shutil.copy(whole, tmp_path / "csp.db"))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE studies SET config = ?", (text,))
        client = create_app(Database(str(path))).server.test_client()
        assert client.get("/status").json["phase"] == "error"
        assert str(path) in client.get("/status").json["problem"]


def test_damaged_measurements_leave_the_rest_of_the_server_alone(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "csp.db"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE measurements SET detail = '{broken' WHERE metric = 'latency_ms'")
    client = create_app(Database(str(path))).server.test_client()
    answer = client.get("/places")
    assert (answer.status_code, str(path) in answer.text) == (503, True)
    assert client.get("/status").json["phase"] == "ready"


def test_charts_of_a_database_that_cannot_be_read_say_why(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(whole, tmp_path / "<b>.db"))
    database = Database(str(path))
    app = create_app(database)
    identity = database.snapshot().columns.ids[0]  # type: ignore[union-attr]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE measurements SET detail = '{broken'")
        connection.execute("UPDATE evaluations SET curve = '{broken'")
    functions = {name: each["callback"].__wrapped__ for name, each in app.callback_map.items() if "callback" in each}
    draw = next(run for name, run in functions.items() if "evidence" in name and name.endswith(".figure"))
    drawn = [*draw("dark", [{"name": "fronts"}, {"name": "macs"}], "/devices", ""),
             functions["learning.figure"]("dark", "", identity, ""),
             functions["compared-learning.figure"]("dark", [identity], "")]  # fmt: skip
    for figure in drawn:
        (said,) = figure.layout.annotations
        assert "cannot read" in said.text
        assert "&lt;b&gt;.db" in said.text
        assert not figure.data
    refresh = next(run for name, run in functions.items() if "candidate-page" in name)
    with pytest.raises(PreventUpdate):
        refresh(None, identity, "", "")
