"""Tags and notes as they travel: their version, which they are, and how many."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard import annotated
from dashboard.app import create_app
from dashboard.data import Database
from search.store import Store
from tests.databases import build


@pytest.fixture
def ids(tmp_path: Path) -> list[str]:
    build(str(tmp_path / "csp.db"), 8)
    with Store.open(str(tmp_path / "csp.db"), read_only=True) as store:
        return list(dict.fromkeys(store.frame("default")["id"]))


def test_every_change_has_another_version_and_nothing_annotated_none(tmp_path: Path, ids: list[str]) -> None:
    database = Database(str(tmp_path / "csp.db"))
    seen = [annotated.version(database)]
    assert seen == [""]
    with Store.open(str(tmp_path / "csp.db")) as store:
        for change in (
            lambda: store.add_tag(ids[0], "a"),
            lambda: store.add_tag(ids[1], "a"),
            lambda: store.remove_tag(ids[0], "a"),
            lambda: store.set_note(ids[0], "one"),
            lambda: store.set_note(ids[0], "two"),
            lambda: store.set_note(ids[0], ""),
        ):
            change()
            seen.append(annotated.version(database))
    assert seen[3] == seen[-1], "the note is gone"
    assert len(set(seen)) == len(seen) - 1
    assert None not in seen


def test_the_newest_are_sent_and_only_those_of_the_study(
    tmp_path: Path, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(str(tmp_path / "csp.db"), 3, name="other")
    client = create_app(Database(str(tmp_path / "csp.db"))).server.test_client()
    with Store.open(str(tmp_path / "csp.db")) as store:
        for identity in ids:
            store.add_tag(identity, "<b>")
        store.add_tag(ids[0], "a")
        store.set_note(ids[1], "why")
    assert client.get("/annotations?study=default").json == {
        "tags": {identity: ["<b>"] for identity in ids} | {ids[0]: ["<b>", "a"]}, "noted": [ids[1]]}  # fmt: skip
    assert set(client.get("/annotations?study=other").json["tags"]) < set(ids)
    monkeypatch.setattr(annotated, "MOST", 2)
    assert client.get("/annotations?study=default").json == {
        "tags": {ids[0]: ["<b>", "a"], ids[1]: ["<b>"]}, "noted": [ids[1]]}  # fmt: skip
    assert "tags" not in client.get("/status").json, "a poll carries the version alone"
