"""`python -m search.measure` as a user types it: real runtimes, wrong arguments, Ctrl-C; and what the store keeps."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import wait
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from evaluator.profile import runtime_row
from evaluator.record import Deployment, environment
from search.engines.batches import each_alone, each_guarded
from search.engines.guard import CandidateError
from search.engines.process import ProcessEngine
from search.loop import Search
from search.measure import main
from search.run import _study_row
from search.store import Store
from search.study import StudyError, load
from tests import misbehave
from tests.search.test_cli import TINY
from tests.simulator import Silent, SimulatedEngine


@dataclass
class Done:
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def measure(folder, monkeypatch, capfd):
    """Runs the command in this process, whose fork server the runs share."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        code = main(list(arguments))
        said = capfd.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small study whose search was simulated."""
    place = tmp_path_factory.mktemp("measure")
    (place / "tiny.toml").write_text(TINY)
    for name, task in (("tiny", None), ("formula", "synthetic")):
        study = load(place / "tiny.toml", budget=4, sampler="random", name=name, **({"task": task} if task else {}))
        with Store.open(str(place / "csp.db")) as store:
            row = _study_row(study, store, resume=False, new=False)
            Search(study, row, store, SimulatedEngine(metric=study.score.metric), Silent()).run()
    return place


def rows_of(folder, identity: str) -> list[dict]:
    with Store.open(str(folder / "csp.db"), create=False, read_only=True) as store:
        return store.measurements(identity)


def frame_of(folder) -> pd.DataFrame:
    with Store.open(str(folder / "csp.db"), create=False, read_only=True) as store:
        return store.frame("tiny")


def test_what_is_measured_stays_and_is_not_measured_again(folder, measure):
    before = frame_of(folder)
    ids = before["id"].tolist()[:2]
    arguments = ("--name", "tiny", "--backend", "onnxruntime", "--backend", "opencv", "--precision", "fp32",
                 "--precision", "int8", "--size", "64", "--batch", "2", "--rounds", "4")  # fmt: skip
    first = measure(*arguments, "--ids", ids[0], "--accuracy", "--workers", "1")
    assert first.returncode == 0, first.stderr
    assert "left out: opencv/int8: backend 'opencv' has no int8; it has fp32" in first.stderr
    rows = rows_of(folder, ids[0])
    found = {(row["metric"], row["backend"], row["precision"]) for row in rows if row["batch"] == 2}
    names = ("latency_ms", "latency_median_ms", "latency_p90_ms", "latency_cpu_ms", "images_per_second")
    runtimes = (("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("opencv", "fp32"))
    assert found == {
        *((name, *runtime) for name in names for runtime in runtimes),
        *((name, "onnxruntime", "int8") for name in ("quantised_score", "quantisation_loss")),
    }
    score = next(row for row in rows if row["metric"] == "quantised_score")
    latency = next(row for row in rows if row["metric"] == "latency_ms" and row["precision"] == "int8")
    assert all(score[key] == latency[key] for key in ("device", "backend", "deployment", "batch", "threads"))
    assert score["detail"]["deployment"] == latency["detail"]["deployment"]
    assert (score["task"], score["image_visits"]) == ("scenes", 64)
    pd.testing.assert_frame_equal(frame_of(folder), before)  # the study's own numbers are what they were

    known = measure(*arguments, "--ids", ids[0], "--accuracy", "--json")
    assert known.returncode == 0, known.stderr
    assert known.stderr.count("0 candidates, known already: 1") == 3
    assert "0 candidates are trained" in known.stderr
    assert len(rows_of(folder, ids[0])) == len(rows)
    listed = json.loads(known.stdout)
    assert [(each["id"], each["backend"], each["deployment"]["precision"]) for each in listed] == [
        (ids[0], *runtime) for runtime in runtimes
    ]
    assert listed[1]["values"]["quantised_score"] == score["value"]

    more = measure(*arguments, "--ids", ",".join(ids))
    assert more.stderr.count("1 candidates, known already: 1") == 3
    assert all(identity in more.stdout for identity in ids)
    again = measure(*arguments, "--ids", ids[0], "--again")
    assert "known already" not in again.stderr
    assert len(rows_of(folder, ids[0])) == len(rows) + len(names) * len(runtimes)


def test_latencies_of_the_study_itself_are_not_replaced_unasked(folder, measure):
    """Timed anew, a few would stand beside older ones of the others on the study's front."""
    before = frame_of(folder)
    done = measure("--name", "tiny", "--top", "1")
    assert done.returncode == 0, done.stderr
    assert "0 candidates, known already: 1" in done.stderr
    more = measure("--name", "tiny", "--top", "1", "--extras", "--rounds", "2")
    assert more.returncode == 0, more.stderr
    after = frame_of(folder)
    assert after["latency_ms"].tolist() == before["latency_ms"].tolist()
    assert after["process_peak_bytes"].notna().sum() == 1
    (identity,) = after.loc[after["process_peak_bytes"].notna(), "id"]
    with Store.open(str(folder / "csp.db"), create=False, read_only=True) as store:
        own = store.study("tiny").config["deployment_id"]
    found = {row["metric"] for row in rows_of(folder, identity) if row["backend"] and row["deployment"] == own}
    assert found == {"latency_ms", "process_peak_bytes", "energy_mj"}, "a throughput or a median of another timing"


def test_after_ctrl_c_the_same_command_goes_on(folder, measure):
    (identity,) = frame_of(folder)["id"].tolist()[2:3]
    arguments = ("--name", "tiny", "--ids", identity, "--backend", "onnxruntime", "--backend", "opencv",
                 "--size", "96", "--rounds", "1500")  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "search.measure", *arguments], cwd=folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    assert any("-- opencv" in line for line in process.stderr), "it ended early"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; what is finished is in csp.db, the same command goes on from here" in errors
    assert "Traceback" not in errors
    done = measure(*arguments[:-1], "3")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("known already: 1") == 1
    assert "-- opencv/fp32: 96x96, 10 classes, batch 1, fp32, 1 thread; 1 candidates" in done.stderr


def test_another_environment_does_not_count_as_known(folder, measure):
    (identity,) = frame_of(folder)["id"].tolist()[3:4]
    with Store.open(str(folder / "csp.db"), create=False) as store:
        place = Deployment(height=32, width=32, num_classes=10)
        old = replace(environment(), versions={"onnxruntime": "0.1"})
        row = replace(runtime_row("latency_ms", 1.0, place, "onnxruntime"), environment=old)
        store.record(store.architecture(identity), [row])
    done = measure("--name", "tiny", "--ids", identity, "--size", "32", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    assert "1 candidates\n" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top", "0"], "--top is 0; it must be at least 1"),
        (["--front", "--ids", "a"], "exclude each other"),
        (["--ids", "{near}"], "did you mean"),
        (["--backend", "onnxruntim"], "did you mean 'onnxruntime'"),
        (["--precision", "int4"], "no precision 'int4'; did you mean 'int8'? Allowed: fp32"),
        (["--threads", "0"], "--threads is 0; it must be 1 to"),
        (["--batch", "0"], "--batch is 0; it must be 1 to"),
        (["--rounds", "0"], "--rounds is 0; it must be 1 to"),
        (["--size", "20x"], "--size is '20x'; give a size such as 416"),
        (["--accuracy"], "add one, such as --precision int8"),
        (["--accuracy", "--precision", "int8", "--name", "formula"], "task 'synthetic' is a formula"),
        (["--workers", "2"], "--workers is for the trainings of --accuracy"),
        (["--name", "other"], "no study 'other'"),
        (["--db", "none.db"], "none.db"),
    ],
)
def test_bad_input_is_one_line(folder, measure, arguments, message):
    near = frame_of(folder)["id"][0][:-1] + "x"
    given = ["--name", "tiny", *arguments] if "--name" not in arguments else arguments
    done = measure(*(text.format(near=near) for text in given))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_the_options_are_those_that_the_readme_lists(measure):
    options = set(re.findall(r"--[a-z-]+", measure("--help").stdout)) - {"--help"}
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    part = readme[readme.index("### Runtimes and precisions") :]
    part = part[: part.index("\n## ")]
    assert options >= {"--backend", "--precision", "--threads", "--batch", "--size", "--rounds", "--accuracy"}
    assert [option for option in sorted(options) if f"`{option}" not in part] == []


@pytest.fixture
def engine():
    made = ProcessEngine(1, cpu_seconds=60)
    yield made
    made.kill()


def test_a_crash_costs_its_candidate_only(engine):
    found = dict(each_guarded([1, 2, 3, 4, 5], lambda part: engine.submit(misbehave.aborts_on_three, part), wait))
    assert {item: answer for item, answer in found.items() if item != 3} == {1: 10, 2: 20, 4: 40, 5: 50}
    assert isinstance(found[3], CandidateError)
    assert "killed by SIGABRT" in str(found[3])
    alone = dict(each_alone(engine, misbehave.answer, [7, 8], threading.Event(), lambda item: (item,)))
    assert alone == {7: 7, 8: 8}


@pytest.mark.parametrize("name", ["energy_mj", "quantised_score", "images_per_second"])
def test_a_search_does_not_optimise_what_it_does_not_measure(tmp_path, name):
    (tmp_path / "study.toml").write_text(TINY.replace('"macs", "latency_ms"]', f'"macs", "{name}"]'))
    with pytest.raises(StudyError, match=f"a search does not measure {name}"):
        load(tmp_path / "study.toml")
