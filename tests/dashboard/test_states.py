"""Every page over every odd database: shown or refused in words, never an exception, never a number that is none."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.data import Database
from search.store import Store, StoreError
from tests.odd import EVIL, REFUSED, STUDIES

PAGES = ("/devices", "/analysis", "/studies", "/explore", "/compare", "/c/{id}")
GIVEN = {
    "x": EVIL, "y": "y" * 20_000, "metric": "1e999", "top": "-1", "rows": "NaN", "cols": "\0", "by": "../../etc/passwd",
    "place": "%s%n{0}", "cost": "９", "from": "", "sel": "-5,1e9,x", "pin": "99999999999", "max.latency_ms": "1e999",
    "lat": "-inf", "min.macs": "nan", "zx": "1e400..-1e400", "stage1.width": "-64", "stage1.depth": "1e9",
    "head.width": "0x10", "ids": f"{EVIL},,,", "stage99.width": "1", "shape": "|||", "show": "all",
    "only": "id,__class__",
}  # fmt: skip
HOSTILE = "&".join(f"{name}={quote(value)}" for name, value in GIVEN.items())


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    """A function that makes a database and returns the server's client and an architecture's id."""

    def ask(make: Any) -> tuple[FlaskClient, str]:
        path = tmp_path / "odd.db"
        make(path)
        identity = "0" * 12
        with suppress(StoreError), Store.open(str(path), create=False, read_only=True) as store:
            found = [each.architecture.id for study in store.studies() for each in store.proposals(study.id)]
            identity = found[-1] if found else identity
        return create_app(Database(str(path))).server.test_client(), identity

    return ask


def routed(client: FlaskClient, path: str, query: str = "") -> str:
    """The page that Dash puts at a path, as JSON. NaN is no JSON, and a browser would show nothing."""
    body = {"output": "main.children", "outputs": {"id": "main", "property": "children"},
            "inputs": [{"id": "url", "property": "pathname", "value": path}],
            "state": [{"id": "url", "property": "search", "value": f"?{query}"}],
            "changedPropIds": ["url.pathname"]}  # fmt: skip
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code == 200, (path, answer.status_code)
    json.loads(answer.text, parse_constant=lambda word: pytest.fail(f"{path}: {word} in JSON"))
    return answer.text


def drawn(client: FlaskClient, path: str, names: list[str], query: str = "") -> None:
    """The charts of a page of evidence."""
    ids = [{"type": "evidence", "name": name} for name in names]
    body = {"output": '{"name":["ALL"],"type":"evidence"}.figure',
            "outputs": [{"id": each, "property": "figure"} for each in ids],
            "inputs": [{"id": "theme", "property": "data", "value": "dark"}],
            "state": [[{"id": each, "property": "id", "value": each} for each in ids],
                      {"id": "url", "property": "pathname", "value": path},
                      {"id": "url", "property": "search", "value": f"?{query}"}],
            "changedPropIds": ["theme.data"]}  # fmt: skip
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code in (200, 204), (path, answer.status_code)
    json.loads(answer.text or "{}", parse_constant=lambda word: pytest.fail(f"{path}: {word} in JSON"))


def charts(page: str) -> list[str]:
    """Names of the charts of a page."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("id"), dict) and node["id"].get("type") == "evidence":
                found.append(node["id"]["name"])
            node = list(node.values())
        for child in node if isinstance(node, list) else ():
            walk(child)

    walk(json.loads(page))
    return found


@pytest.mark.parametrize("state", STUDIES)
def test_every_page_stands_over_every_study(asked: Any, state: str) -> None:
    client, identity = asked(STUDIES[state])
    studies = client.get("/status").get_json()["studies"]
    assert client.get("/data.bin").status_code == 200
    for study in studies:
        for template in PAGES:
            path, query = template.replace("{id}", identity), f"study={quote(study)}&ids={identity}&from=CSPPeleeNet"
            page = routed(client, path, query)
            assert "cannot be shown" not in page, path
            drawn(client, path, charts(page), query)


def test_an_infinite_spread_is_left_out(asked: Any, tmp_path: Path) -> None:
    client, _ = asked(STUDIES["NaN"])
    with Store.open(str(tmp_path / "odd.db"), create=False, read_only=True) as store:
        done = [each.architecture.id for each in store.proposals(1) if each.state == "complete"]
    pages = [routed(client, f"/c/{identity}") for identity in done]
    pages += [routed(client, "/compare", f"ids={','.join(done[:6])}"), client.get("/report.html").text]
    for page in pages:
        assert not re.search(r"(±|\\u00b1)\s*(<[^>]*>)?inf", page)


@pytest.mark.parametrize("state", ["one candidate", "digits"])
def test_absurd_questions_get_the_page_or_a_refusal(asked: Any, state: str) -> None:
    client, identity = asked(STUDIES[state])
    for template in (*PAGES, "/c/" + quote(EVIL), "/c/" + "0" * 12, "/c/../../etc/passwd", "/x" * 3000):
        path = template.replace("{id}", identity)
        page = routed(client, path, HOSTILE)
        drawn(client, path, charts(page), HOSTILE)
        assert client.get(f"{path}?{HOSTILE}").status_code == 200
    for path in ("/status", "/data.bin", "/explore/state"):
        answer = client.get(f"{path}?study={quote(EVIL)}&{HOSTILE}")
        assert answer.status_code in (200, 404), path
    assert client.get(f"/explore/export.json?{HOSTILE}").status_code in (200, 404, 422)


@pytest.mark.parametrize("state", REFUSED)
def test_what_cannot_be_read_says_why_on_every_page(asked: Any, state: str) -> None:
    make, reason = REFUSED[state]
    client, identity = asked(make)
    assert reason in client.get("/status").get_json()["problem"]
    assert client.get("/health").get_json()["database"] == "error"
    for template in PAGES:
        page = routed(client, template.replace("{id}", identity), "from=CSPPeleeNet")
        assert reason in page or "/explore" in template, template
    written = client.post("/write/note", json={"id": identity, "text": "x"}).status_code
    assert written == (200 if state == "missing table" else 422), "notes need no measurements"
