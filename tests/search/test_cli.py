"""`python -m search.run` as a user types it: real processes, real training, wrong arguments, Ctrl-C, kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from search.store import Store
from search.study import DEFAULT

TINY = (
    DEFAULT.read_text()
    .replace("image_visits = [4000]", "image_visits = [64]")
    .replace('name = "screen"', 'name = "screen"\npopulation = 4')
    .replace('name = "default"', 'name = "tiny"')
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "search.run", *arguments]


def run(folder, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, timeout=timeout)


def test_a_small_search_ends_with_a_front_and_goes_on(folder):
    first = run(folder, "--study", "tiny.toml", "--budget", "5", "--workers", "2")
    assert first.returncode == 0, first.stderr
    assert "Pareto front of 'tiny'" in first.stdout
    assert "python -m dashboard" in first.stdout
    assert "on this front are unverified; before you deploy one: python -m search.verify" in first.stdout
    assert "training" in first.stdout
    assert first.stderr.count("[  5/5]") == 1
    with Store.open(str(folder / "csp.db"), create=False) as store:
        frame = store.frame("tiny")
        assert (frame["state"] == "complete").sum() == 5
        assert frame.loc[frame["state"] == "complete", ["ap", "macs", "latency_ms", "peak_bytes"]].notna().all().all()
        assert store.study("tiny").state == "complete"
        before = store.evaluations(frame["id"][0])
        curve = before[0]["curve"]
        assert curve
        assert {"image_visits", "loss"} <= set(curve[0])
    again = run(folder, "--study", "tiny.toml", "--budget", "6", "--workers", "1")
    assert again.returncode == 0, again.stderr
    with Store.open(str(folder / "csp.db"), create=False) as store:
        frame = store.frame("tiny")
        assert (frame["state"] == "complete").sum() == 6
        assert store.evaluations(frame["id"][0]) == before  # nothing was trained twice


def test_classification_runs_through_too_and_inline(folder):
    done = run(
        folder,
        "--study",
        "tiny.toml",
        "--budget",
        "2",
        "--engine",
        "inline",
        "--task",
        "digits",
        "--limit",
        "macs <= 400e6",
    )
    assert done.returncode == 0, done.stderr
    with Store.open(str(folder / "csp.db"), create=False) as store:
        frame = store.frame("tiny")
    done_rows = frame[frame["state"] == "complete"]
    assert len(done_rows) == 2
    assert done_rows["accuracy"].between(0, 1).all()
    assert done_rows["ap"].isna().all()
    assert (done_rows["head"] == "classifier").all()


def _started(folder, count: int) -> subprocess.Popen[str]:
    """A search that has recorded `count` candidates."""
    process = subprocess.Popen(
        command("--study", "tiny.toml", "--budget", "40", "--workers", "2"), cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if f"[{count:3d}/40]" in line:
            return process
    raise AssertionError("the search ended early")


def _recorded(folder) -> dict[str, str]:
    with Store.open(str(folder / "csp.db"), create=False, read_only=True) as store:
        frame = store.frame("tiny")
    return dict(zip(frame["id"], frame["state"], strict=True))


def test_ctrl_c_stops_at_once_keeps_everything_and_goes_on(folder):
    process = _started(folder, 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
    start = time.monotonic()
    _, errors = process.communicate(timeout=60)
    took = time.monotonic() - start
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    assert took < 20  # generous: the machine may be busy; a benchmark prints the real figure
    psutil.wait_procs(workers, timeout=20)
    assert not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]
    kept = _recorded(folder)
    assert sum(state == "complete" for state in kept.values()) >= 2
    more = run(folder, "--study", "tiny.toml", "--budget", "6", "--workers", "2")
    assert more.returncode == 0, more.stderr
    after = _recorded(folder)
    assert all(after[i] == "complete" for i, state in kept.items() if state == "complete")
    assert sum(state == "complete" for state in after.values()) >= 6


def test_kill_9_loses_nothing_that_was_recorded(folder):
    process = _started(folder, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    kept = _recorded(folder)
    assert sum(state == "complete" for state in kept.values()) >= 2
    more = run(folder, "--study", "tiny.toml", "--budget", "5", "--workers", "2")
    assert more.returncode == 0, more.stderr
    after = _recorded(folder)
    assert all(after[i] == "complete" for i, state in kept.items() if state == "complete")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0"], "--budget is 0; it must be at least 1"),
        (["--budget", "-1"], "--budget is -1"),
        (["--budget", "many"], "many"),
        (["--bugdet", "3"], "--bugdet"),
        (["--study", "none.toml"], "'none.toml' does not exist"),
        (["--task", "scene"], "did you mean 'scenes'"),
        (["--sampler", "nsga"], "did you mean 'nsga"),
        (["--sampler", "grid"], "goes through every one"),
        (["--limit", "macs <= 1000"], "macs ran from"),
        (["--limit", "mcas <= 1e9"], "did you mean 'macs'"),
        (["--limit", "ap >= 0.3"], "known only after training"),
        (["--db", "no/such/folder/a.db"], "does not exist"),
        (["--db", "tiny.toml"], "not a SQLite database"),
        (["--db", ""], "kept in a file"),
        (["--db", ":memory:"], "kept in a file"),
        (["--resume"], "no study 'default' to resume"),
        (["--resume", "--new"], "exclude each other"),
        (["--workers", "0"], "--workers is 0"),
        (["--memory-limit", "0"], "--memory-limit is 0"),
        (["--engine", "ray"], "--engine"),
        (["extra"], "extra"),
    ],
)
def test_bad_input_is_one_line_and_code_2(folder, arguments, message):
    done = run(folder, *arguments)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.fixture
def read_only(tmp_path):
    """A folder with a database that nobody can write to; root needs a read-only mount for that."""
    place = tmp_path / "read-only"
    place.mkdir()
    root = os.geteuid() == 0
    if root and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=False).returncode:
        pytest.skip("root may write everywhere, and a read-only file system cannot be mounted here")
    Store.open(str(place / "old.db")).close()
    if root:
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    else:
        place.chmod(0o500)
    yield place
    if root:
        subprocess.run(["umount", "-l", place], check=True)
    else:
        place.chmod(0o700)


def test_a_read_only_disk_is_named_and_can_still_be_looked_at(folder, read_only):
    for name in ("old.db", "new.db"):
        done = run(folder, "--budget", "1", "--db", str(read_only / name))
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "read-only; give another path with --db" in done.stderr
    with Store.open(str(read_only / "old.db"), create=False, read_only=True) as store:
        assert store.studies() == []


def test_help_imports_no_torch(folder):
    code = (
        "import sys; from search.run import main; main(['--help']);"
        "assert not {'torch', 'optuna', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "--budget" in done.stdout


def test_the_options_are_those_that_the_readme_lists(folder):
    """Freezes the command line: a new option must be documented, an old one may not vanish."""
    import re
    from pathlib import Path

    options = set(re.findall(r"--[a-z-]+", run(folder, "--help").stdout)) - {"--help"}
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert options == {"--budget", "--study", "--task", "--data", "--data-size", "--workers", "--seed", "--db",
                       "--name", "--resume", "--new", "--limit", "--sampler", "--start", "--time-limit", "--device",
                       "--memory-limit", "--engine"}  # fmt: skip
    assert all(f"`{option}" in readme for option in options)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a card here")
@pytest.mark.parametrize("name", ["cuda", "tpu"])
def test_a_device_that_is_not_there_is_one_line(folder, name):
    done = run(folder, "--device", name, "--budget", "2")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --device ")
    assert done.stderr.count("\n") == 1
    assert not (folder / "csp.db").exists()
