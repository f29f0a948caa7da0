"""Tags and notes where candidates are listed: their version goes along with every poll, they themselves when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluator.record import digest
from search.store import StoreError

if TYPE_CHECKING:
    from dashboard.data import Database, Snapshot
    from search.store import Store

MOST = 2000
"""Candidates whose tags and notes are sent: those that were tagged or noted last."""


def version(database: Database) -> str | None:
    """Changes with every tag and note; empty where there is none, None where they cannot be read."""
    try:
        found = database.ask(lambda store: store.annotations_version())
    except StoreError:
        return None
    return digest(list(found)) if any(found) else ""


def listed(database: Database, snapshot: Snapshot) -> dict[str, Any]:
    """The tags of a study's candidates by id, and the ids of those with a note. Raises StoreError."""

    def read(store: Store) -> tuple[dict[str, tuple[float, bool]], dict[str, list[str]]]:
        return store.annotated(), store.tagged()

    found, tags = database.ask(read)
    known = found.keys() & set(snapshot.columns.ids if snapshot.columns is not None and found else ())
    newest = sorted(known, key=lambda identity: (-found[identity][0], identity))[:MOST]
    return {
        "tags": {identity: tags[identity] for identity in newest if identity in tags},
        "noted": [identity for identity in newest if found[identity][1]],
    }
