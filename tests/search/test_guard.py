"""Worker processes that really crash, hang and run out of memory, and a driver that is really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from search.engines import guard
from search.engines.guard import CandidateError
from search.engines.inline import InlineEngine
from search.engines.process import ProcessEngine
from tests import misbehave


@pytest.fixture(scope="module")
def engine():
    ready = ProcessEngine(2, cpu_seconds=4, memory_bytes=3 * 2**30)
    yield ready
    ready.kill()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (misbehave.raises, "ValueError: two at misbehave.py"),
        (misbehave.aborts, "killed by SIGABRT"),
        (misbehave.exits, "exited with code 7"),
        (misbehave.spins, "more than 4 s of processor time"),
        (misbehave.eats, "out of memory (limit 3.0 GiB)"),
        (misbehave.eats_tensors, "out of memory (limit 3.0 GiB)"),
        (misbehave.unpicklable, "exited with code 1"),
    ],
)
def test_a_failure_has_a_reason_and_harms_no_neighbour(engine, function, reason):
    bad = engine.submit(function)
    neighbours = [engine.submit(misbehave.answer, n) for n in range(3)]
    with pytest.raises(CandidateError) as error:
        bad.result(timeout=60)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert [future.result(timeout=60) for future in neighbours] == [0, 1, 2]


def test_a_hang_ends_at_the_wall_limit(engine, monkeypatch):
    monkeypatch.setattr(guard, "WALL_FACTOR", 0.5)
    with pytest.raises(CandidateError, match="took more than 2 s"):
        engine.submit(misbehave.sleeps).result(timeout=60)


def test_workers_have_one_thread(engine):
    assert engine.submit(misbehave.threads).result(timeout=60) == 1


def test_killing_the_engine_leaves_no_process_behind():
    ready = ProcessEngine(2)
    futures = [ready.submit(misbehave.sleeps) for _ in range(5)]
    _until(lambda: len(ready.watch.alive) == 2)
    pids = [process.pid for process in ready.watch.alive]
    ready.kill()
    _until(lambda: all(future.done() for future in futures))
    assert all(future.cancelled() or future.exception() for future in futures)
    _until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_killing_the_engine_at_once_stops_what_is_just_being_started():
    for pause in (0.0, 0.01, 0.05):
        ready = ProcessEngine(2)
        futures = [ready.submit(misbehave.sleeps) for _ in range(2)]
        time.sleep(pause)
        ready.kill()
        _until(lambda futures=futures: all(future.done() for future in futures))


def test_kill_9_of_the_driver_leaves_no_worker_behind(tmp_path):
    note = tmp_path / "pid"
    code = f"from tests.misbehave import drive; drive({str(note)!r})"
    root = Path(__file__).parents[2]
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    _until(lambda: note.exists() and note.read_text())
    worker = int(note.read_text())
    assert psutil.pid_exists(worker)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)


def test_the_inline_engine_gives_failures_the_same_meaning():
    engine = InlineEngine()
    assert engine.submit(misbehave.answer, 3).result() == 3
    with pytest.raises(CandidateError, match="ValueError: two"):
        engine.submit(misbehave.raises).result()


def _until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
