"""`python -m search.verify` as a user types it: real trainings, wrong arguments, kill -9, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from search.loop import Search
from search.run import _study_row
from search.store import Store
from search.study import load
from search.verify import seeds_of
from tests.databases import add, config
from tests.search.test_cli import TINY
from tests.simulator import Silent, SimulatedEngine


def verify(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "search.verify", *arguments], cwd=folder, capture_output=True,
                          text=True, timeout=300)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small study whose search was simulated; its verification is not."""
    place = tmp_path_factory.mktemp("verify")
    (place / "tiny.toml").write_text(TINY + "\n[verify]\nimage_visits = 96\nseeds = 2\n")
    study = load(place / "tiny.toml", budget=4, sampler="random")
    with Store.open(str(place / "csp.db")) as store:
        Search(study, _study_row(study, store, resume=False, new=False), store, SimulatedEngine(), Silent()).run()
    return place


def long_trainings(folder) -> list[tuple[str, int]]:
    """Architecture and number of the seed of every long training, in the order they were recorded."""
    with Store.open(str(folder / "csp.db"), create=False, read_only=True) as store:
        row = store.study("tiny")
        found = [e for i in store.frame("tiny")["id"] for e in store.evaluations(i) if e["rung"] == 1]
    seeds = seeds_of(row, 9)
    return [(e["architecture_id"], seeds.index(e["seed"])) for e in sorted(found, key=lambda e: e["id"])]


def stopped(folder, number: int, line: str, *arguments: str) -> tuple[int, str]:
    """Send a signal once a line was printed; exit code and what stderr said afterwards."""
    process = subprocess.Popen([sys.executable, "-m", "search.verify", *arguments], cwd=folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    assert any(line in text for text in process.stderr), "it ended early"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_stopped_in_the_middle_it_goes_on_and_trains_nothing_twice(folder):
    with Store.open(str(folder / "csp.db"), create=False) as store:
        before = store.frame("tiny")
    ids = before["id"].tolist()[:2]
    arguments = ("--ids", ",".join(ids), "--workers", "1")
    assert stopped(folder, signal.SIGKILL, "[  1/4]", *arguments)[0] == -signal.SIGKILL
    kept = long_trainings(folder)
    assert 1 <= len(kept) < 4
    done = verify(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert f"known already: {len(kept)} of 4" in done.stderr
    whole = [(ids[0], 0), (ids[1], 0), (ids[0], 1), (ids[1], 1)]  # balanced wherever it is stopped
    assert long_trainings(folder) == whole
    code, errors = stopped(folder, signal.SIGINT, "[  5/6]", *arguments, "--seeds", "3")
    assert code == 130
    assert "of 6 trainings recorded in csp.db; the same command goes on from here" in errors
    assert "Traceback" not in errors
    after = long_trainings(folder)
    assert after[:5] == [*whole, (ids[0], 2)]
    again = verify(folder, "--ids", f" {ids[0]},", "--ids", ids[1], "--name", "tiny")
    assert again.returncode == 0, again.stderr
    assert "known already: 4 of 4" in again.stderr
    assert long_trainings(folder) == after
    with Store.open(str(folder / "csp.db"), create=False, read_only=True) as store:
        frame = store.frame("tiny").set_index("id")
        assert store.study("tiny").config["verified"]["image_visits"] == 96  # the study's own [verify]
    assert frame["ap"].tolist() == before["ap"].tolist()  # the proxy's numbers are what they were
    assert set(frame.loc[ids, "verdict"]) <= {"verified", "overturned"}
    assert frame["verdict"].value_counts()["unverified"] == len(frame) - 2
    assert frame.loc[ids, "verified_ap_n"].tolist() == [3, len(after) - 3]
    assert all(identity in again.stdout for identity in ids)
    assert "noise of one training" in again.stdout


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A study with refused and failed candidates, and one without any."""
    place = tmp_path_factory.mktemp("example")
    with Store.open(str(place / "csp.db")) as store:
        settings = {**config(), "image_visits": [4000], "recipe": {}}
        store.create_study("empty", settings, 0)
        study = store.create_study("example", settings, 0)
        add(store, study.id, 0, 12)
    Store.open(str(place / "new.db")).close()
    return place


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top", "0"], "--top is 0; it must be at least 1"),
        (["--top", "2", "--ids", "a"], "exclude each other"),
        (["--front", "--ids", "a"], "exclude each other"),
        (["--ids", ","], "--ids is empty"),
        (["--ids", "{near}"], "did you mean '{first}'"),
        (["--ids", "{refused}"], "is refused and cannot be verified: macs over the limit by 12 %"),
        (["--ids", "{failed}"], "is failed and cannot be verified: the loss became NaN"),
        (["--seeds", "1"], "--seeds is 1; it must be 2 to 100"),
        (["--fidelity", "short"], "must be 'long' or a number"),
        (["--fidelity", "100"], "at least the 4000 image visits of the study's last rung"),
        (["--workers", "0"], "--workers is 0"),
        (["--time-limit", "0"], "--time-limit is 0"),
        (["--memory-limit", "0"], "--memory-limit is 0"),
        (["--engine", "ray"], "--engine"),
        (["--name", "exampel"], "did you mean 'example'"),
        (["--name", "empty"], "no complete candidate to verify"),
        (["--db", "none.db"], "does not exist; run"),
        (["--db", "new.db"], "holds no study yet"),
        (["--db", ":memory:"], "kept in a file"),
        (["--top", "1"], "another recipe or other data"),
        (["extra"], "extra"),
    ],
)
def test_bad_input_is_one_line_and_code_2(example, arguments, message, capsys, monkeypatch):
    from search.verify import main

    monkeypatch.chdir(example)
    with Store.open("csp.db", create=False, read_only=True) as store:
        frame = store.frame("example")
    names = {state: frame["id"][frame["state"] == state].iloc[0] for state in ("refused", "failed")}
    first = frame["id"][0]
    names |= {"first": first, "near": first[:-1] + ("0" if first[-1] != "0" else "1")}
    assert main([text.format(**names) for text in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert message.format(**names) in said.err
    with Store.open("csp.db", create=False, read_only=True) as store:
        assert "verified" not in store.study("example").config


def test_a_database_that_is_being_written_is_left_alone(example):
    with Store.open(str(example / "csp.db")) as store, store.lock():
        done = verify(example, "--name", "example")
    assert done.returncode == 2
    assert f"another search (process {os.getpid()}) is writing" in done.stderr


def test_help_imports_no_torch_and_the_readme_lists_every_option(folder):
    import re

    from tests.test_house import ROOT

    code = (
        "import sys; from search.verify import main; main(['--help']);"
        "assert not {'torch', 'optuna', 'pandas', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
    section = (ROOT / "README.md").read_text().split("### Verify a front")[1].split("\n## ")[0]
    assert options == {"--db", "--name", "--top", "--front", "--ids", "--seeds", "--fidelity", "--workers",
                       "--time-limit", "--memory-limit", "--engine"}  # fmt: skip
    assert [option for option in options if f"`{option}" not in section] == []
