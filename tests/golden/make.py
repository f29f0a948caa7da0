"""Writes the golden database of the present schema; run once for each new schema version, then commit the file.

python -m tests.golden.make
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from search import migrations
from search.store import Store
from tests.search.test_store import _fill

if __name__ == "__main__":
    path = Path(__file__).parent / f"store-{int(migrations.HEAD):04d}.db"
    with Store.open(str(path)) as store:
        _fill(store, 3)
        study = store.studies()[0]
        network, other = (p.architecture for p in store.proposals(study.id)[:2])
        store.set_note(network.id, "kept across versions")
        store.add_tag(network.id, "golden")
        store.pin(study.id, network.id)
        store.enqueue(study.id, other, other)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE studies SET name = 'golden'")
        connection.commit()
        connection.execute("PRAGMA journal_mode = DELETE")
