"""The store: what goes in comes out, old files upgrade, foreign ones are refused, readers never wait."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from evaluator.metrics import METRICS
from evaluator.record import Evaluation, Fidelity, Job, Measurement, environment
from search import migrations
from search.schema import VERSION_TABLE, metadata
from search.store import Proposal, Store, StoreError
from tests.strategies import random_architectures

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("store-*.db"))
CONFIG = {"task": "scenes", "recipe_id": "r1", "deployment_id": "d1"}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield str(tmp_path / "a.db")
    else:
        yield from _postgresql(tmp_path)


def _postgresql(folder: Path):
    """A PostgreSQL server of our own on a local socket, where its programs are installed."""
    pytest.importorskip("psycopg")
    programs = [shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    initdb = next((p for p in programs if p and os.path.exists(p)), None)
    if initdb is None:
        pytest.skip("no PostgreSQL server is installed (initdb not found)")
    bin_folder = Path(initdb).resolve().parent
    user = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pg") as name:
        if user:
            shutil.chown(name, **user)
        run = {"check": True, "capture_output": True, "cwd": name, **user}
        data = f"{name}/data"
        subprocess.run([str(bin_folder / "initdb"), "-D", data, "-U", "csp", "-A", "trust", "-E", "UTF8"], **run)
        options = f"-c listen_addresses= -c unix_socket_directories={name} -c fsync=off"
        control = [str(bin_folder / "pg_ctl"), "-D", data, "-w", "-l", f"{name}/log"]
        subprocess.run([*control, "-o", options, "start"], **{**run, "capture_output": False})
        try:
            yield f"postgresql://csp@/postgres?host={name}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **run)


def _fill(store: Store, count: int = 6) -> list:
    row = store.create_study("s", CONFIG, 7)
    architectures = random_architectures(count)
    store.propose(
        row.id,
        [
            Proposal(number=n, generation=0, architecture=a, genes={"block": "res", "depth": 2}, sampler={"trial": n})
            for n, a in enumerate(architectures)
        ],
    )
    for n, a in enumerate(architectures):
        store.record(a, [Measurement(metric="macs", value=1e6 * n, origin="counted", deployment="d1"),
                         Measurement(metric="latency_ms", value=2.0 + n, spread=0.1, n=100, deployment="d1",
                                     device="here", environment=environment())])  # fmt: skip
        for seed in (1, 2):
            job = Job(architecture=a, task="scenes", fidelity=Fidelity(), seed=seed)
            ap = Measurement(metric="ap", value=0.1 * n + 0.01 * seed, task="scenes", recipe="r1", rung=0, seed=seed)
            result = Evaluation(state="complete", measurements=[ap], curve=[{"image_visits": 1.0, "loss": 2.0}])
            store.record_evaluation(job, "r1", result, environment())
        store.finish(row.id, n, "complete")
    return architectures


def test_what_goes_in_comes_out(url):
    with Store.open(url) as store:
        architectures = _fill(store)
        frame = store.frame("s")
        assert frame["id"].tolist() == [a.id for a in architectures]
        np.testing.assert_allclose(frame["ap"], [0.1 * n + 0.015 for n in range(6)])
        np.testing.assert_allclose(frame["ap_spread"], np.std([0.01, 0.02], ddof=1))
        assert (frame["ap_n"] == 2).all()
        assert frame["latency_ms"].tolist() == [2.0 + n for n in range(6)]
        assert frame["latency_ms_spread"].tolist() == [0.1] * 6
        assert frame["macs_origin"].tolist() == ["counted"] * 6
        assert frame["params"].isna().all()  # missing is missing
        assert store.architecture(architectures[0].id) == architectures[0]
        assert [p.architecture for p in store.proposals(1)] == architectures
        assert store.proposals(1)[3].genes == {"block": "res", "depth": 2}
        job = Job(architecture=architectures[2], task="scenes", fidelity=Fidelity(), seed=2)
        assert store.evaluation(job, "r1").measurements[0].value == pytest.approx(0.22)
        assert store.evaluation(job, "r2") is None
        rows = store.measurements(architectures[0].id)
        assert {row["metric"] for row in rows} == {"macs", "latency_ms", "ap"}
        assert next(r for r in rows if r["metric"] == "latency_ms")["environment"] == environment().to_dict()
        assert len(store.evaluations(architectures[0].id)) == 2
    with Store.open(url, create=False, read_only=True) as store:
        assert len(store.frame("s")) == 6


def test_facts_of_another_task_recipe_or_deployment_stay_out_of_the_frame(url):
    with Store.open(url) as store:
        a = _fill(store, 1)[0]
        store.record(a, [Measurement(metric="latency_ms", value=99.0, deployment="other"),
                         Measurement(metric="ap", value=0.99, task="scenes", recipe="other", rung=0, seed=1),
                         Measurement(metric="ap", value=0.98, task="digits", recipe="r1", rung=0, seed=1)])  # fmt: skip
        assert store.frame("s")["latency_ms"].item() == 2.0
        assert store.frame("s")["ap"].item() == pytest.approx(0.015)


def test_the_data_version_changes_with_every_write(url):
    with Store.open(url) as store:
        versions = [store.data_version()]
        a = _fill(store, 1)[0]
        for write in (
            lambda: store.record(a, [Measurement(metric="params", value=1.0)]),
            lambda: store.update_study(1, state="complete"),
            lambda: store.finish(1, 0, "failed", "why"),
        ):
            versions.append(store.data_version())
            write()
        versions.append(store.data_version())
        assert len(set(versions)) == len(versions)
        assert store.data_version() == versions[-1]


def test_migrations_lead_to_the_tables_of_the_schema(url):
    with Store.open(url) as store, store._engine.connect() as connection:
        options = {"version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_older_files_upgrade_and_keep_everything(golden, tmp_path):
    copy = shutil.copy(golden, tmp_path / "old.db")
    with Store.open(str(copy)) as store:
        frame = store.frame("golden")
        assert frame["ap"].round(3).tolist() == [0.015, 0.115, 0.215]
        assert frame["latency_ms"].tolist() == [2.0, 3.0, 4.0]
        with store._engine.connect() as connection:
            assert connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == migrations.HEAD


def test_there_is_a_golden_file_for_every_version():
    names = [path.stem for path in GOLDEN]
    assert [f"store-{int(migrations.HEAD):04d}"] == names[-1:]


def test_a_search_that_writes_does_not_block_a_reader(tmp_path):
    path = str(tmp_path / "a.db")
    with Store.open(path) as writer, Store.open(path, create=False, read_only=True) as reader:
        _fill(writer, 2)
        with writer._write() as connection:
            connection.execute(sa.text("UPDATE studies SET message = 'busy'"))
            assert len(reader.frame("s")) == 2  # inside the writer's open transaction
            assert reader.study("s").message is None
        assert reader.study("s").message == "busy"


def _hold(path: str, ready, leave) -> None:
    with Store.open(path) as store, store.lock():
        ready.set()
        leave.wait(30)
        os._exit(1)  # dies with the lock held


def test_a_second_search_is_refused_until_the_first_is_gone(tmp_path):
    path = str(tmp_path / "a.db")
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(path, ready, leave))
    other.start()
    ready.wait(30)
    with Store.open(path) as store:
        with pytest.raises(StoreError, match=f"process {other.pid}"), store.lock():
            pass
        leave.set()
        other.join(30)
        with store.lock():
            pass


def test_what_is_not_ours_is_refused_in_one_line(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("shopping list, long enough to be no header")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE trials (id INTEGER)")
    newer = tmp_path / "newer.db"
    Store.open(str(newer)).close()
    with sqlite3.connect(newer) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    cases = [
        (str(tmp_path / "no" / "a.db"), "folder .* does not exist"),
        (str(tmp_path), "is a folder"),
        (str(text), "not a SQLite database"),
        (str(other), "belongs to another program"),
        (str(newer), "newer than this version's"),
        ("nosuch://host/db", "cannot open"),
        ("sqlite:/x://", "neither a file nor a database URL|cannot open"),
    ]
    for path, message in cases:
        with pytest.raises(StoreError, match=message) as error:
            Store.open(path)
        assert "\n" not in str(error.value)
    assert text.read_text().startswith("shopping")
    with sqlite3.connect(other) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["trials"]
    with pytest.raises(StoreError, match="does not exist"):
        Store.open(str(tmp_path / "missing.db"), create=False)


def test_a_full_disk_loses_nothing_that_was_finished(tmp_path):
    """SQLite's page limit stands in for the disk: the failing transaction is rolled back whole."""
    with Store.open(str(tmp_path / "a.db")) as store:
        architectures = _fill(store, 2)

        @sa.event.listens_for(store._engine, "checkout")
        def small(connection, *_):
            cursor = connection.cursor()
            cursor.execute("PRAGMA max_page_count = 1")  # SQLite raises it to the present size
            cursor.close()

        big = [Measurement(metric="macs", value=0.0, detail={"x": "y" * 10_000}) for _ in range(500)]
        with pytest.raises(StoreError, match="full; everything before is kept"):
            store.record(architectures[0], big)
        assert len(store.frame("s")) == 2
        assert len(store.measurements(architectures[0].id)) == 4


def test_two_threads_may_read(tmp_path):
    with Store.open(str(tmp_path / "a.db")) as store:
        _fill(store, 2)
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(len(store.frame("s")))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [2] * 4


def test_the_frame_knows_every_metric(tmp_path):
    with Store.open(str(tmp_path / "a.db")) as store:
        store.create_study("s", CONFIG, 0)
        assert set(METRICS) <= set(store.frame("s").columns)
        with pytest.raises(StoreError, match="no study 'nothing'; studies here: s"):
            store.frame("nothing")
