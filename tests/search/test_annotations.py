"""Notes, tags, pins and the queue: kept, limited, and written while a search writes."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from search.annotations import MOST_NOTE, MOST_TAG, MOST_TAGS
from search.run import main as run
from search.store import Store, StoreError
from space.architecture import Architecture
from space.nearest import nearest
from space.zoo import get
from tests.databases import build
from tests.search.test_loop import STUDY, prepared
from tests.simulator import SimulatedEngine

ODD = "<script>alert(1)</script> '; DROP TABLE notes; -- \u202e ½ 🙂"


@pytest.fixture
def store(tmp_path):
    build(str(tmp_path / "a.db"), 4)
    with Store.open(str(tmp_path / "a.db")) as opened:
        yield opened


def ids(store: Store) -> list[str]:
    return [p.architecture.id for p in store.proposals(1)]


def test_notes_tags_and_pins_come_back_as_they_were_written(store):
    first, second, *_ = ids(store)
    store.set_note(first, f"  {ODD}\nsecond line\n")
    store.add_tag(first, "  to   ship ")
    store.add_tag(first, ODD[:MOST_TAG])
    store.add_tag(first, "to ship")
    store.pin(1, second)
    store.pin(1, first)
    store.pin(1, second)
    note = store.note(first)
    assert note is not None
    assert note.text == f"{ODD}\nsecond line"
    assert store.tags(first) == sorted([ODD[:MOST_TAG].strip(), "to ship"])
    assert store.tagged() == {first: store.tags(first)}
    assert store.pins(1) == [second, first]
    assert store.note(second) is None
    store.set_note(first, " \n ")
    store.remove_tag(first, "to ship")
    store.unpin(1, second)
    assert store.note(first) is None
    assert store.tags(first) == [ODD[:MOST_TAG].strip()]
    assert store.pins(1) == [first]
    assert len(store.studies()) == 1


def test_what_is_too_much_is_refused_and_what_was_there_stays(store):
    first = ids(store)[0]
    store.set_note(first, "x" * MOST_NOTE)
    with pytest.raises(StoreError, match=r"20,001 characters; at most 20,000 are kept"):
        store.set_note(first, "y" * (MOST_NOTE + 1))
    with pytest.raises(StoreError, match="NUL"):
        store.set_note(first, "a\0b")
    assert store.note(first).text == "x" * MOST_NOTE
    for bad in ("", " \n", "t" * (MOST_TAG + 1)):
        with pytest.raises(StoreError, match="a tag has 1 to 40 characters"):
            store.add_tag(first, bad)
    for number in range(MOST_TAGS):
        store.add_tag(first, f"tag {number}")
    with pytest.raises(StoreError, match="20 tags already"):
        store.add_tag(first, "one more")
    for write in (lambda: store.set_note("0" * 12, "x"), lambda: store.add_tag("0" * 12, "x"),
                  lambda: store.pin(1, "0" * 12), lambda: store.pin(99, first)):  # fmt: skip
        with pytest.raises(StoreError, match=r"has no architecture|no study"):
            write()


def test_the_golden_file_has_its_annotations(tmp_path):
    path = shutil.copy(Path(__file__).parents[1] / "golden" / "store-0003.db", tmp_path / "old.db")
    with Store.open(str(path)) as store:
        first, second, *_ = ids(store)
        assert store.note(first).text == "kept across versions"
        assert store.tags(first) == ["golden"]
        assert store.pins(1) == [first]
        assert [(row.architecture_id, row.state) for row in store.queue(1)] == [(second, "waiting")]


@pytest.mark.parametrize("sampler", ["screen", "nsga2", "nsga3", "tpe", "random"])
def test_a_resumed_search_proposes_its_queue_first_and_marks_it_done(tmp_path, sampler):
    wished = get("CSPPeleeNet").architecture
    assert wished is not None
    with Store.open(str(tmp_path / "a.db")) as store:
        study = replace(STUDY, sampler=sampler, budget=8, population=4)
        prepared(study, store).run()
        known = store.proposals(1)[0].architecture
        near = study.space.build(nearest(study.space, wished)[0])
        assert near.id != wished.id
        store.set_note(known.id, "survives")
        assert store.enqueue(1, wished, near)
        assert not store.enqueue(1, wished, near)
        assert store.enqueue(1, known, known)
        prepared(study, store).run()  # no budget is left: the queue waits, but what is known is told
        assert [row.state for row in store.queue(1)] == ["waiting", "known"]
        prepared(replace(study, budget=12), store, SimulatedEngine()).run()
        new = [p for p in store.proposals(1) if p.number >= 8]
        assert new[0].architecture.id == near.id
        row = store.queue(1)[0]
        assert (row.state, row.proposed_id, row.architecture_id) == ("proposed", near.id, wished.id)
        assert row.finished_at is not None
        assert store.note(known.id).text == "survives"
        before = len(store.proposals(1))
        prepared(replace(study, budget=12), store, SimulatedEngine()).run()
        assert len(store.proposals(1)) == before


def test_an_interrupted_search_does_not_propose_its_queue_twice(tmp_path):
    with Store.open(str(tmp_path / "a.db")) as store:
        study = replace(STUDY, sampler="nsga2", budget=8, population=4)
        prepared(study, store).run()
        wished = study.space.build(nearest(study.space, get("CSPPeleeNet").architecture)[0])
        store.enqueue(1, wished, wished)
        search = prepared(replace(study, budget=12), store)
        search.store.settle = lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)  # killed between both writes
        with pytest.raises(KeyboardInterrupt):
            search.run()
        del search.store.settle
        prepared(replace(study, budget=12), store).run()
        assert sum(p.architecture.id == wished.id for p in store.proposals(1)) == 1
        assert [row.state for row in store.queue(1)] == ["known"]


def _scribble(path: str, identity: str, stop, done) -> None:
    with Store.open(path, create=False) as store:
        count = 0
        while not stop.is_set():
            store.set_note(identity, f"note {count}")
            store.add_tag(identity, "busy")
            store.remove_tag(identity, "busy")
            store.pin(1, identity)
            store.unpin(1, identity)
            count += 1
            time.sleep(0.002)
        done.put(count)


def test_small_writes_and_a_real_search_do_not_disturb_each_other(tmp_path):
    path = str(tmp_path / "a.db")
    command = ["--task", "synthetic", "--sampler", "random", "--db", path, "--budget"]
    assert run([*command, "10"]) == 0
    with Store.open(path) as store:
        identity = ids(store)[0]
    context = multiprocessing.get_context("spawn")
    stop, done = context.Event(), context.Queue()
    writer = context.Process(target=_scribble, args=(path, identity, stop, done))
    writer.start()
    try:
        with Store.open(path) as store:
            while store.note(identity) is None:
                time.sleep(0.01)
        assert run([*command, "60"]) == 0
    finally:
        stop.set()
    count = done.get(timeout=30)
    writer.join(30)
    assert count > 20
    with Store.open(path) as store:
        assert len(store.proposals(1)) >= 60
        assert store.note(identity).text == f"note {count - 1}"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_architecture_outside_the_space_is_kept_as_it_was_asked_for(store):
    wished = get("CSPDarknet-53").architecture
    near = Architecture.from_dict(store.architecture(ids(store)[0]).to_dict())
    store.enqueue(1, wished, near)
    assert store.queued_architectures(1) == {wished.id: wished.canonical()}
