"""`python -m evaluator.calibrate`: a real calibration of a small deployment, interrupted, refused, gone on with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluator import calibrate
from evaluator.backends import BACKENDS
from evaluator.calibration import ROUNDS, Progress, calibration_set, time_graphs
from evaluator.latency_table import LatencyTable
from evaluator.record import Deployment, environment
from search.store import Store
from search.study import DEFAULT
from tests.strategies import SPACE

SMALL = Deployment(height=64, width=64)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CSP_EXPLORER_CACHE", str(tmp_path / "cache"))
    text = DEFAULT.read_text().replace("height = 256", "height = 64").replace("width = 256", "width = 64")
    (tmp_path / "small.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "evaluator.calibrate", "--study", "small.toml", "--force", *arguments]


def test_a_calibration_is_stored_before_its_report_and_reported_again(folder, capsys):
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("--minutes", "0.08"), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "the output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    with Store.open("csp.db", create=False, read_only=True) as store:
        [row] = store.latency_tables(device=environment().host, backend="onnxruntime")
    assert (row["precision"], row["batch"], row["threads"]) == ("fp32", 1, 1)
    assert row["environment"]["versions"]["onnxruntime"] == environment().versions["onnxruntime"]
    table = LatencyTable.from_dict(row["data"])
    assert table.calibrated["deployment"] == SMALL.to_dict()
    assert table.error["n"] == table.calibrated["networks"] >= 12
    assert not list((folder / "cache" / "calibrations").iterdir())

    assert calibrate.main(["--report", "--study", "small.toml", "--minutes", "0.05", "--force", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"]["latency table"]["n"] == 60
    assert 0 < found["rows"]["latency table"]["median"] < found["rows"]["latency table"]["worst"]
    assert found["rows"]["MACs alone"]["n"] == 60
    assert sum(row["n"] for row in found["by_size"].values()) == 60
    assert sum(row["n"] for row in found["by_block"].values()) == 60
    assert set(found["by_block"]) == {"dense", "res", "resx"}


def test_ctrl_c_keeps_what_was_timed_and_the_same_command_goes_on(folder):
    process = subprocess.Popen(command("--minutes", "1"), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "heats timed" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    [kept] = (folder / "cache" / "calibrations").iterdir()
    heats = len(kept.read_text().splitlines())
    assert heats >= 1
    with Store.open("csp.db", create=False, read_only=True) as store:
        assert store.latency_tables() == []
    done = subprocess.run(command("--minutes", "0.07"), capture_output=True, text=True)
    assert f"went on from {heats} heats of an earlier run" in done.stderr


def test_timing_goes_on_where_it_was_and_ends_at_a_torn_line(folder):
    graphs = [s.graph(SMALL) for s in calibration_set(SPACE, SMALL, networks=50, num_kernels=40)]
    backend, progress = BACKENDS.get("onnxruntime"), Progress("test")

    def timed(heats: int):
        seen: list[int] = []
        return time_graphs(graphs, backend, SMALL, seconds=60, progress=progress, stop=lambda: len(seen) == heats,
                           watch=lambda timings, _: seen.append(timings.heats))  # fmt: skip

    first = timed(1)
    assert (first.heats, first.resumed) == (1, 0)
    second = timed(1)
    assert (second.heats, second.resumed) == (2, 1)
    assert all(late[: len(early)] == early for early, late in zip(first.wall_ms, second.wall_ms, strict=True))
    assert {len(times) for times in second.wall_ms} == {ROUNDS}  # two heats hold every graph once
    assert second.seconds > first.seconds
    with progress.path.open("a") as file:
        file.write('{"graphs": [0, 1], "ms": [[1.')
    assert len(progress.read(len(graphs))) == 2
    assert len(progress.path.read_text().splitlines()) == 2
    assert progress.read(3) == []  # of another set


def test_progress_of_the_day_before_is_not_gone_on_from(folder):
    progress = Progress("old")
    progress.append({"graphs": [0], "ms": [[1.0]], "seconds": 1.0, "load": [0.0, 0.0]})
    assert len(progress.read(1)) == 1
    os.utime(progress.path, (time.time() - 2 * 86400,) * 2)
    assert progress.read(1) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--minutes", "0"], "--minutes is 0"), (["--minutes", "nan"], "0.05 to 60"),
     (["--threads", "0"], "--threads is 0"), (["--batch", "-1"], "--batch is -1"),
     (["--device", "pi5"], "search.bundle"),
     (["--backend", "onnx"], "onnxruntime"), (["--precision", "fp23"], "did you mean 'fp32'"),
     (["--precision", "bf16"], "bf16"), (["--study", "none.toml"], "'none.toml' does not exist"),
     (["--db", ":memory:"], "kept in a file"), (["--report", "--db", "none.db"], "none.db"),
     (["--db", "no/folder.db"], "no/folder.db")],
)  # fmt: skip
def test_bad_input_is_one_line(folder, capsys, arguments, said):
    assert calibrate.main([*arguments, "--force"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(folder.glob("*.db"))


def test_a_report_without_a_table_says_what_to_do(folder, capsys):
    Store.open("csp.db").close()
    assert calibrate.main(["--report", "--study", "small.toml", "--force"]) == 2
    assert "leave out --report" in capsys.readouterr().err


def test_a_busy_machine_is_refused_unless_forced(folder, capsys, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (os.cpu_count() + 1.5, 0.0, 0.0))
    assert calibrate.main(["--study", "small.toml"]) == 2
    assert "--force" in capsys.readouterr().err


def test_the_options_are_those_that_the_readme_lists(tmp_path):
    code = (
        "import sys; from evaluator.calibrate import main; main(['--help']); "
        "assert not {'torch', 'pandas', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
    assert options == {"--device", "--backend", "--precision", "--threads", "--batch", "--db", "--study", "--minutes",
                       "--report", "--force", "--json"}  # fmt: skip
    readme = (Path(__file__).parents[2] / "README.md").read_text().partition("### Predict latency")[2]
    assert all(f"`{option}" in readme.partition("\n## ")[0] for option in options)
