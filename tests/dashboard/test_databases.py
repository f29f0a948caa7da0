"""Several databases behind one server: each answers for itself."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dashboard.app import create_app
from dashboard.data import Database
from dashboard.databases import Databases, short_names
from search.store import Store
from tests.dashboard.test_wire import decoded
from tests.databases import build


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two databases with a study of the same name, and one that is not there yet."""
    paths = [tmp_path / name for name in ("a.db", "b.db", "c.db")]
    build(str(paths[0]), 3)
    build(str(paths[1]), 5)
    return paths


@pytest.fixture
def client(files: list[Path]) -> Any:
    database = Databases([Database(str(path)) for path in files])
    return create_app(database, hosts=("localhost",)).server.test_client()


def rows(client: Any, query: str = "", **headers: str) -> int:
    number: int = decoded(client.get(f"/data.bin{query}", headers=headers).data)[0]["rows"]
    return number


def test_a_request_names_its_database_and_the_first_is_the_default(client: Any, files: list[Path]) -> None:
    assert [rows(client, query) for query in ("", "?db=a.db", "?db=b.db", "?db=c.db", "?db=b.db")] == [3, 3, 5, 0, 5]
    for nonsense in ("?db=../b.db", "?db=<b>", f"?db={files[1]}", "?db="):
        assert rows(client, nonsense) == 3
    told = client.get("/status?db=b.db").json
    assert told["databases"] == [{"name": "a.db", "studies": ["default"], "chosen": False},
                                 {"name": "b.db", "studies": ["default"], "chosen": True},
                                 {"name": "c.db", "studies": [], "chosen": False}]  # fmt: skip
    header = decoded(client.get("/data.bin?db=b.db").data)[0]
    assert header["database"] == str(files[1])


def test_two_missing_files_have_a_message_each(tmp_path: Path) -> None:
    database = Databases([Database(str(tmp_path / name)) for name in ("a.db", "b.db")])
    client = create_app(database).server.test_client()
    for name in ("a.db", "b.db", "a.db"):
        answer = client.get(f"/data.bin?db={name}")
        assert str(tmp_path / name) in str(decoded(answer.data)[0]["message"])
    tags = [client.get(f"/data.bin?db={name}").headers["ETag"] for name in ("a.db", "b.db")]
    assert tags[0] != tags[1]


def test_equal_databases_are_not_taken_for_one_another(files: list[Path]) -> None:
    shutil.copy(files[0], files[2])
    database = Databases([Database(str(files[0])), Database(str(files[2]))])
    client = create_app(database).server.test_client()
    tags = [client.get(f"/data.bin?db={name}").headers["ETag"] for name in ("a.db", "c.db")]
    assert tags[0] != tags[1]


def test_a_write_goes_where_it_says_and_never_where_a_page_was(client: Any, files: list[Path]) -> None:
    with Store.open(str(files[1])) as store:
        identity = store.proposals(1)[4].architecture.id  # which the first database lacks
    note = {"id": identity, "text": "x"}
    for place, referer in (("", "http://localhost/?db=b.db"), ("?db=a.db", ""), ("?db=c.db", "")):
        answer = client.post(f"/write/note{place}", json=note, headers={"Referer": referer})
        assert answer.status_code == 422
    assert client.post("/write/note?db=b.db", json=note).status_code == 200
    with Store.open(str(files[1])) as store:
        found = store.note(identity)
        assert found is not None
    assert not files[2].exists()


def test_a_file_is_of_the_database_of_the_page_that_links_to_it(client: Any, files: list[Path]) -> None:
    with Store.open(str(files[1])) as store:
        identity = store.proposals(1)[4].architecture.id
    place = f"/export/{identity}/{identity}.json"
    assert client.get(place).status_code == 404
    assert client.get(place, headers={"Referer": f"http://localhost/c/{identity}?db=b.db"}).status_code == 200
    assert client.get(place, headers={"Referer": "http://evil.example/?db=b.db"}).status_code == 404


def test_names_are_as_short_as_tells_them_apart() -> None:
    assert short_names(["a.db", "/x/b.db"]) == ["a.db", "b.db"]
    assert short_names(["/x/old/a.db", "/x/new/a.db", "b.db"]) == ["old/a.db", "new/a.db", "b.db"]
    assert short_names(["a.db", "x/a.db"]) == ["a.db", "x/a.db"]
    assert short_names(["postgresql://u:***@h/one", "postgresql://u:***@h/two"]) == ["one", "two"]


def test_one_database_needs_no_choice(files: list[Path]) -> None:
    client = create_app(Database(str(files[0]))).server.test_client()
    assert client.get("/status").json["databases"] == []
    assert b"databases.js" not in client.get("/").data
    assert rows(client, "?db=b.db") == 3


def test_the_command_takes_several(files: list[Path]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--db", str(files[0]), "--db", str(files[1]), "--port", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert f"shows {files[0]}, {files[1]}; Ctrl-C stops it" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
