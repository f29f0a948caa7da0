"""The routes beside Dash's: files, the editor's answers, and who may write what."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from dashboard.app import create_app
from dashboard.data import Database
from dashboard.detail import MOST_BYTES, foreign
from dashboard.exports import FORMATS, export
from evaluator.record import Deployment
from search.annotations import MOST_NOTE
from search.store import Store
from space.architecture import Architecture
from space.lower import lower
from space.zoo import get
from tests.databases import build
from tests.strategies import random_architectures

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def file(tmp_path):
    build(str(tmp_path / "a.db"), 6)
    return tmp_path / "a.db"


@pytest.fixture
def client(file):
    return create_app(Database(str(file)), hosts=("127.0.0.1", "localhost")).server.test_client()


@pytest.fixture
def identity(file):
    with Store.open(str(file)) as store:
        return store.proposals(1)[0].architecture.id


def post(client, what, data, **headers):
    return client.post(f"/write/{what}", json=data, headers=headers, base_url="http://localhost")


def stored(file, ask):
    with Store.open(str(file), create=False, read_only=True) as store:
        return ask(store)


# -- writing


def test_notes_tags_and_pins_are_written_through_the_store(client, file, identity):
    assert post(client, "note", {"id": identity, "text": "look here"}).get_json() == {"said": "Saved"}
    assert "look here" in stored(file, lambda store: store.note(identity).text)
    answer = post(client, "tag", {"id": identity, "tag": "<b>x</b>"}).get_json()
    assert "&lt;b&gt;x&lt;/b&gt;" in answer["html"]
    assert stored(file, lambda store: store.tags(identity)) == ["<b>x</b>"]
    assert post(client, "tag", {"id": identity, "tag": "<b>x</b>", "remove": True}).status_code == 200
    assert stored(file, lambda store: store.tags(identity)) == []
    assert post(client, "pin", {"id": identity, "study": "default", "on": True}).get_json() == {"pinned": True}
    assert stored(file, lambda store: store.pins(1)) == [identity]
    assert post(client, "pin", {"id": identity, "study": "default", "on": False}).status_code == 200
    assert stored(file, lambda store: store.pins(1)) == []


def test_the_queue_takes_what_the_space_can_propose_once(client, file, identity):
    query = "?from=CSPPeleeNet&stage1.depth=2"
    said = post(client, "queue", {"study": "default", "query": query}).get_json()["said"]
    assert "the nearest in the study's space: " in said
    assert "--budget" in said
    assert "waits already" in post(client, "queue", {"study": "default", "query": query}).get_json()["said"]
    rows = stored(file, lambda store: store.queue(1))
    assert [row.state for row in rows] == ["waiting"]
    known = post(client, "queue", {"study": "default", "query": f"from={identity}"})
    assert "has proposed" in known.get_json()["problem"]
    broken = post(client, "queue", {"study": "default", "query": f"from={identity}&head.maxout=7"})
    assert "cannot exist" in broken.get_json()["problem"]
    assert "no study" in post(client, "queue", {"study": "other", "query": query}).get_json()["problem"]


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:9"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}])  # fmt: skip
def test_a_page_of_another_site_cannot_write(client, file, identity, headers):
    for what, data in (("note", {"id": identity, "text": "x"}), ("tag", {"id": identity, "tag": "x"}),
                       ("pin", {"id": identity, "study": "default", "on": True}),
                       ("queue", {"study": "default", "query": "from=CSPPeleeNet"})):  # fmt: skip
        answer = post(client, what, data, **headers)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert stored(file, lambda store: (store.note(identity), store.tagged(), store.pins(1), store.queue(1))) == (
        None, {}, [], [])  # fmt: skip


def test_a_name_that_was_pointed_at_us_cannot_write(file, identity):
    client = create_app(Database(str(file))).server.test_client()
    answer = client.post("/write/tag", json={"id": identity, "tag": "x"}, base_url="http://evil.example",
                         headers={"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"})  # fmt: skip
    assert answer.status_code == 403
    assert stored(file, lambda store: store.tagged()) == {}


def test_our_own_page_and_programs_may_write(client, identity):
    for headers in ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, {}):
        assert post(client, "note", {"id": identity, "text": "x"}, **headers).status_code == 200
    assert client.post("/write/note", json={"id": identity}, base_url="http://evil.example").status_code == 403
    assert not foreign({"Origin": "https://Box:8050"}, "box:8050")


@pytest.mark.parametrize("body", ['{"id": 3}', "[]", "{", "", '{"id": {"a": 1}}', "null"])
def test_bad_bodies_are_refused(client, file, identity, body):
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = client.post("/write/note", data=body, content_type=kind, base_url="http://localhost")
        assert answer.status_code == 422
        assert answer.get_json()["problem"]
    good = json.dumps({"id": identity, "text": "x"})
    assert client.post("/write/note", data=good, content_type="text/plain",
                       base_url="http://localhost").status_code == 422  # fmt: skip
    assert client.get("/write/note", base_url="http://localhost").get_json(silent=True) is None
    assert stored(file, lambda store: store.note(identity)) is None


@pytest.mark.parametrize("kind", ["note", "tag", "pin", "queue"])
@pytest.mark.parametrize("body", ['{"id": "\\ud800", "study": "default", "on": true, "tag": "x", "text": "x"}',
                                  '{"id": "ID", "study": "\\udfff", "tag": "\\ud800", "text": "a\\ud800b", "on": true}',
                                  '{"id": "ID", "study": "default", "query": "from=\\ud800", "tag": "\\ud800 "}',
                                  "[" * 100_000, '{"id": ' * 30_000])  # fmt: skip
def test_texts_that_are_none_are_refused_in_one_line(client, file, identity, kind, body):
    answer = client.post(f"/write/{kind}", data=body.replace("ID", identity), content_type="application/json")
    assert answer.status_code == 422
    assert len(answer.get_json()["problem"].splitlines()) == 1
    assert stored(file, lambda store: (store.note(identity), store.tagged(), store.pins(1), store.queue(1))) == (
        None, {}, [], [])  # fmt: skip


def test_huge_notes_and_hostile_texts(client, file, identity):
    evil = "'); DROP TABLE notes; --<script>alert(1)</script>\u0000"
    assert "NUL" in post(client, "note", {"id": identity, "text": evil}).get_json()["problem"]
    assert post(client, "note", {"id": identity, "text": evil[:-1]}).status_code == 200
    answer = post(client, "note", {"id": identity, "text": "x" * (MOST_NOTE + 1)}).get_json()
    assert "20,001 characters; at most 20,000" in answer["problem"]
    huge = post(client, "note", {"id": identity, "text": "x" * (MOST_BYTES + 1)}).get_json()
    assert "bytes are more than a note may have" in huge["problem"]
    assert stored(file, lambda store: store.note(identity).text) == evil[:-1]
    for bad in ("0" * 12, "../../etc/passwd", "'; DROP TABLE notes"):
        assert "no architecture" in post(client, "note", {"id": bad, "text": "x"}).get_json()["problem"]


def test_an_older_database_is_not_upgraded_by_a_note(tmp_path):
    path = shutil.copy(GOLDEN / "store-0002.db", tmp_path / "old.db")
    client = create_app(Database(str(path))).server.test_client()
    before = Path(path).read_bytes()
    assert "older schema" in post(client, "note", {"id": "0" * 12, "text": "x"}).get_json()["problem"]
    assert Path(path).read_bytes() == before


def test_without_a_table_a_write_says_why(file, identity, client):
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE notes")
    answer = post(client, "note", {"id": identity, "text": "x"})
    assert answer.status_code == 422
    assert "no such table" in answer.get_json()["problem"]


def test_a_deleted_database_is_not_made_anew_by_a_note(file, identity, client):
    file.unlink()
    assert "does not exist" in post(client, "note", {"id": identity, "text": "x"}).get_json()["problem"]
    assert not file.exists()


# -- reading


def test_every_file_can_be_had_under_its_name(client, identity, file):
    for ending in FORMATS:
        answer = client.get(f"/export/{identity}/{identity}{ending}", base_url="http://localhost")
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{identity}{ending}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    edited = client.get(f"/explore/export.json?from={identity}&stage1.depth=3", base_url="http://localhost")
    architecture = Architecture.from_dict(edited.get_json()["architecture"])
    assert f"{architecture.id}.json" in edited.headers["Content-Disposition"]


def test_files_say_the_same_network(tmp_path):
    for architecture in random_architectures(4, seed=12):
        deployment = Deployment(height=64, width=96, num_classes=3)
        data = json.loads(export(architecture, deployment, ".json")[0])
        assert Architecture.from_dict(data["architecture"]).id == architecture.id
        assert (data["height"], data["width"], data["num_classes"]) == (64, 96, 3)
        compile(export(architecture, deployment, ".py")[0], "net.py", "exec")
        model = onnx.load_from_string(export(architecture, deployment, ".onnx")[0])
        sizes = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        assert sizes == [1, 3, 64, 96]
        lines = export(architecture, deployment, ".csv")[0].decode().splitlines()
        macs = sum(int(line.rsplit(",", 4)[1]) for line in lines[1:])
        from space.cost import cost

        assert macs == cost(lower(architecture, 64, 96, num_classes=3)).macs
        assert export(architecture, deployment, ".svg")[0].startswith(b"<svg")


def test_what_a_format_cannot_say_is_said(client):
    answer = client.get("/explore/export.cfg?from=DenseNet-121", base_url="http://localhost")
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        assert "cannot be written as .cfg" in answer.text
    broken = client.get("/explore/export.json?from=CSPPeleeNet&stage1.width=1&stage1.partial_ratio=0.9",
                        base_url="http://localhost")  # fmt: skip
    assert broken.status_code in (200, 422)


@pytest.mark.parametrize("path", [
    "/export/../../etc/passwd", "/export/{id}/..%2f..%2fetc%2fpasswd", "/export/{id}/{id}.exe", "/export/{id}/{id}.db",
    "/export/{id}/{id}.json%00.py", "/export/{id}/other.json", "/export/..{id}/..{id}.json", "/export/{id}//etc/passwd",
    "/export/000000000000/000000000000.json", "/explore/export.db", "/explore/export.json/../x",
    "/explore/export.json?from=000000000000", "/explore/export.json?from=../../etc/passwd"])  # fmt: skip
def test_path_tricks_get_no_file(client, identity, path):
    answer = client.get(path.replace("{id}", identity), base_url="http://localhost")
    assert answer.status_code in (308, 404) or answer.mimetype == "text/html"  # Dash's page, which says so itself
    assert "Content-Disposition" not in answer.headers


def test_the_editor_answers_what_the_page_shows(client, identity):
    answer = client.get(f"/explore/state?from={identity}&stage1.depth=3", base_url="http://localhost").get_json()
    assert answer["problem"] is None
    assert "form" in answer
    nowhere = client.get("/explore/state?from=CSPPelleNet", base_url="http://localhost")
    assert nowhere.status_code == 404
    assert "did you mean" in nowhere.get_json()["problem"]
    graph = client.get("/explore/state?from=EfficientNet-B0", base_url="http://localhost").get_json()
    assert graph["problem"] is None or "graph of its own" in graph["problem"]


def test_no_page_and_no_file_needs_torch(file, identity):
    code = f"""
import sys
from dashboard.app import create_app
from dashboard.data import Database
database = Database({str(file)!r})
client = create_app(database).server.test_client()
for ending in (".json", ".py", ".onnx", ".cfg", ".svg", ".csv"):
    assert client.get("/export/{identity}/{identity}" + ending).status_code == 200
assert client.get("/explore/state?from={identity}").status_code == 200
assert client.post("/write/queue", json={{"study": "default", "query": "from=CSPPeleeNet"}}).status_code == 200
assert not {{"torch", "optuna", "fvcore"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_get_gives_the_network_that_commands_read(tmp_path):
    entry = get("CSPPeleeNet")
    path = tmp_path / "net.json"
    path.write_bytes(export(entry.architecture, Deployment(), ".json")[0])
    from space.source import architecture_of

    assert architecture_of(str(path)).id == entry.architecture.id
