"""Candidates packed, measured by the bundle's own script without our packages, and taken back in."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator import timing
from evaluator.calibration import Specimen
from evaluator.devices import cards
from evaluator.latency_table import LatencyTable, fit
from evaluator.record import environment
from evaluator.target import target
from search import bundle, ingest, pick
from search.bundled import measure
from search.store import Store
from space.lower import lower
from tests import databases

ROOT = Path(__file__).parents[2]
ALONE = (
    "import sys, runpy\n"
    "sys.path.append({packages!r})\n"
    "try:\n"
    "    import search, space, evaluator\n"
    "except ImportError:\n"
    "    sys.argv = {arguments!r}\n"
    "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    "else:\n"
    "    sys.exit('our packages can be imported')\n"
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with the runtimes and nothing else that is installed here."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("numpy", "onnxruntime", "cv2", "ncnn"):
        home = Path(find_spec(name).submodule_search_locations[0])
        for path in (home, *home.parent.glob(f"{name}.libs"), *home.parent.glob(f"opencv*{name[-1]}*.libs")):
            if path.exists() and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """A database, a bundle of its best three candidates, and the folder on the device where it was unpacked."""
    home = tmp_path_factory.mktemp("device")
    databases.build(str(home / "csp.db"), 12)
    assert bundle.main(["--db", str(home / "csp.db"), "--top", "3", "-o", str(home / "bundle.zip")]) == 0
    (home / "board").mkdir()
    with zipfile.ZipFile(home / "bundle.zip") as archive:
        archive.extractall(home / "board")
    return home


def start(packages: Path, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The script as a device runs it: no site packages but the runtimes, none of ours."""
    code = ALONE.format(packages=str(packages), arguments=["measure.py", *arguments])
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", code], cwd=folder, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def measured(packages: Path, folder: Path, *arguments: str) -> SimpleNamespace:
    process = start(packages, folder, *arguments)
    out, err = process.communicate(timeout=120)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err)


@pytest.fixture(scope="module")
def results(packages, device):
    """What the script wrote: three runtimes, three candidates, twelve rounds."""
    done = measured(packages, device / "board", "--device", "board", "--rounds", "12", "--backend", "onnxruntime",
                    "--backend", "opencv", "--backend", "ncnn", "-o", "first.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "python -m search.ingest first.json" in done.stdout
    return device / "board" / "first.json"


@pytest.fixture
def database(device, tmp_path):
    shutil.copy(device / "csp.db", tmp_path / "csp.db")
    return tmp_path / "csp.db"


def rows(database: Path, name: str = "board"):
    with Store.open(str(database), read_only=True) as store:
        frame = store.deployed("default")
    return frame[frame["device"] == name]


def rewrite(path: Path, target: Path, change) -> Path:
    """A results file with `change` made to its data and every checksum made again: what only other checks can catch."""
    data = json.loads(path.read_text())
    change(data)
    header = {key: value for key, value in data["header"].items() if key != "checksum"}
    measure.write_results(target, {**header, "checksum": measure.checksum(header)}, data["runs"])
    return target


# -- the bundle


def test_a_bundle_holds_what_its_manifest_says_and_is_the_same_again(device, tmp_path):
    with zipfile.ZipFile(device / "bundle.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    listed = [file for model in manifest["models"] for file in (model, *model["ncnn"])]
    assert {"measure.py", *(file["file"] for file in listed)} == set(files)
    assert all(hashlib.sha256(files[file["file"]]).hexdigest() == file["sha256"] for file in listed)
    for model in manifest["models"]:
        assert model["role"] == "candidate"
        assert model["input"] == [1, 3, 256, 256]
        assert len(model["reference"]["outputs"][0]["values"]) == measure.SAMPLES
    assert manifest["digest"] == measure.checksum({k: v for k, v in manifest.items() if k != "digest"})
    bundle.main(["--db", str(device / "csp.db"), "--top", "3", "-o", str(tmp_path / "again.zip")])
    assert (tmp_path / "again.zip").read_bytes() == (device / "bundle.zip").read_bytes()


def test_the_script_is_plain_python_of_3_8():
    tree = ast.parse(Path(measure.__file__).read_text(), feature_version=(3, 8))
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in top} <= sys.stdlib_module_names


# -- the protocol


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=120))
def test_its_statistics_are_those_of_numpy(times):
    found = measure.summary(times)
    expected = np.percentile(times, [25, 50, 75, 90])
    assert [found[key] for key in ("p25", "median", "p75", "p90")] == pytest.approx(list(expected))


def test_its_protocol_is_that_of_a_search(monkeypatch):
    """On a clock that only the networks move: the same calls, and the same times of each."""
    durations = np.random.default_rng(0).gamma(2.0, 2.0, (4, measure.WARM_UP + measure.ROUNDS))

    def networks():
        clock = SimpleNamespace(now=0.0, calls=[0] * 4)

        def network(index):
            def run():
                clock.now += durations[index, clock.calls[index]]
                clock.calls[index] += 1

            return run

        fake = SimpleNamespace(perf_counter=lambda: clock.now, process_time=lambda: clock.now)
        monkeypatch.setattr(timing, "time", fake)
        monkeypatch.setattr(measure, "time", fake)
        return [network(index) for index in range(4)], clock

    runs, clock = networks()
    theirs = timing.race(runs)
    calls = list(clock.calls)
    runs, clock = networks()
    turns, order = [measure.clocked(run) for run in runs], measure.random.Random(0)
    measure.race(turns, measure.WARM_UP, order)
    ours = [times for _ in range(measure.ROUNDS // measure.BLOCK) for times in [measure.race(turns, 10, order)]]
    assert clock.calls == calls
    for index in range(4):
        wall = [pair[0] for block in ours for pair in block[index]]
        cpu = [pair[1] for block in ours for pair in block[index]]
        assert wall == pytest.approx(list(theirs.wall_ms[index]))
        assert cpu == pytest.approx(list(theirs.cpu_ms[index]))
        assert measure.summary(wall)["p25"] == pytest.approx(np.percentile(theirs.wall_ms[index], 25))
    assert (measure.ROUNDS, measure.WARM_UP) == (timing.ROUNDS, timing.WARM_UP)


def test_a_round_has_every_network_once_in_changing_order():
    seen: list[int] = []
    turns = [lambda k=k: seen.append(k) or [] for k in range(5)]
    measure.race(turns, 20, measure.random.Random(0))
    orders = [tuple(seen[i : i + 5]) for i in range(0, 100, 5)]
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len(set(orders)) > 10


# -- there and back


def test_what_the_script_measured_comes_back_as_rows_of_the_device(results, database, capsys):
    before = len(rows(database))
    assert ingest.main([str(results), "--db", str(database)]) == 0
    assert "stored 3 candidates of 'default' on board (onnxruntime fp32)" in capsys.readouterr().out
    found = rows(database)
    assert before == 0
    assert set(zip(found["backend"], found["metric"], strict=True)) == {
        (backend, metric) for backend in ("onnxruntime", "opencv", "ncnn")
        for metric in ("latency_ms", "latency_median_ms", "latency_p90_ms", "latency_cpu_ms")
    }  # fmt: skip
    assert len(found) == 36
    data = json.loads(results.read_text())
    run = data["runs"][0]
    row = found[(found["id"] == run["id"]) & (found["backend"] == "onnxruntime") & (found["metric"] == "latency_ms")]
    assert row["value"].item() == pytest.approx(np.percentile(run["wall_ms"], 25))
    assert row["n"].item() == 12
    assert row["origin"].item() == "measured"
    assert row["deployment"].item() == databases.DEPLOYMENT.id
    assert row["detail"].item()["bundle"] == data["header"]["bundle"]
    with Store.open(str(database), read_only=True) as store:
        (environment,) = {json.dumps(m["environment"]) for m in store.measurements(run["id"]) if m["device"] == "board"}
        # A latency of another device has no place on this machine's front.
        assert (store.frame("default")["latency_ms"].dropna() != row["value"].item()).all()
    assert json.loads(environment)["python"] == data["header"]["machine"]["python"]
    assert json.loads(environment)["versions"]["onnxruntime"] != "not installed"


def test_a_calibration_elsewhere_gives_the_device_a_table(packages, device, database, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bundle, "CALIBRATION_NETWORKS", 14)
    monkeypatch.setattr(bundle, "CALIBRATION_KERNELS", 20)
    given = ["--db", str(database)]
    assert bundle.main([*given, "--top", "1", "--calibrate", "-o", str(tmp_path / "b.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        archive.extractall(tmp_path / "board")
    done = measured(packages, tmp_path / "board", "--device", "board", "--rounds", "4", "--backend", "onnxruntime")
    assert done.returncode == 0, done.stderr
    assert "calibration graphs measured" in done.stdout
    results = tmp_path / "board" / "results.json"
    assert ingest.main([str(results), *given]) == 0
    assert "stored a latency table of board (onnxruntime fp32)" in capsys.readouterr().out
    with Store.open(str(database), read_only=True) as store:
        (row,) = store.latency_tables(device="board")
        proposal = store.proposals(1)[-1]
    assert row["environment"]["python"] == json.loads(results.read_text())["header"]["machine"]["python"]
    # The table is the fit of what the file says, made here in another way.
    size = databases.DEPLOYMENT
    timed = [(Specimen.from_dict(run["spec"]).graph(size), float(np.percentile(run["wall_ms"], 25)))
             for run in json.loads(results.read_text())["runs"] if run["role"] == "calibration"]  # fmt: skip
    graph = lower(proposal.architecture, size.height, size.width, num_classes=size.num_classes)
    assert LatencyTable.from_dict(row["data"]).predict(graph) == pytest.approx(fit(timed).predict(graph), rel=1e-6)
    # Everything can be picked from now: what was measured, and what is predicted.
    assert pick.main([*given, "--device", "board", "--max", "latency_ms=1000"]) == 0
    assert "latency table" in capsys.readouterr().out
    assert ingest.main([str(results), *given]) == 0
    with Store.open(str(database), read_only=True) as store:
        assert len(store.latency_tables()) == 1

    def older(data):
        for run in data["runs"]:
            run["measured_at"] -= 60

    assert ingest.main([str(rewrite(results, tmp_path / "older.json", older)), *given]) == 0
    assert "older than what is stored" in capsys.readouterr().out
    with Store.open(str(database), read_only=True) as store:
        assert len(store.latency_tables()) == 1

    def few(data):
        data["runs"] = data["runs"][:8]

    assert ingest.main([str(rewrite(results, tmp_path / "few.json", few)), *given, "--device", "other"]) == 1
    assert "too few to fit a latency table" in capsys.readouterr().err


def test_the_same_file_twice_stores_nothing_twice(results, database, capsys):
    assert ingest.main([str(results), "--db", str(database)]) == 0
    with Store.open(str(database)) as store:
        before = store.data_version()
    assert ingest.main([str(results), "--db", str(database)]) == 0
    assert "9 runs are stored already" in capsys.readouterr().out
    with Store.open(str(database)) as store:
        assert store.data_version() == before
    assert ingest.main([str(results), "--db", str(database), "--device", "other"]) == 0
    assert len(rows(database, "other")) == 36


def test_an_older_file_takes_the_place_of_nothing(results, database, tmp_path, capsys):
    def older(data):
        for run in data["runs"]:
            run["measured_at"] -= 60

    assert ingest.main([str(results), "--db", str(database)]) == 0
    before = rows(database)["value"].tolist()
    assert ingest.main([str(rewrite(results, tmp_path / "older.json", older)), "--db", str(database)]) == 0
    assert "9 runs are older than what is stored" in capsys.readouterr().out
    assert rows(database)["value"].tolist() == before


def test_latencies_of_the_study_itself_are_not_replaced(results, database, capsys):
    with Store.open(str(database), read_only=True) as store:
        before = store.frame("default")["latency_ms"]
        own = store.study("default").config["device"]
    for name in (own, environment().host):
        assert ingest.main([str(results), "--db", str(database), "--device", name]) == 2
        assert "would be mixed" in capsys.readouterr().err
    with Store.open(str(database), read_only=True) as store:
        assert store.frame("default")["latency_ms"].equals(before)


def test_an_edited_run_is_refused_and_the_others_are_stored(results, database, tmp_path, capsys):
    data = json.loads(results.read_text())
    data["runs"][1]["wall_ms"][0] /= 2
    (tmp_path / "edited.json").write_text(json.dumps(data))
    assert ingest.main([str(tmp_path / "edited.json"), "--db", str(database)]) == 1
    output = capsys.readouterr()
    assert f"refused: run 2 ({data['runs'][1]['id']} on onnxruntime): it was changed" in output.err
    assert "stored 2 candidates" in output.out
    assert len(rows(database)) == 32


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9, 0.9999])
def test_of_a_file_cut_off_the_whole_runs_are_stored(results, database, tmp_path, capsys, share):
    text = results.read_text()
    (tmp_path / "cut.json").write_text(text[: int(len(text) * share)])
    whole = text[: int(len(text) * share)].count('"checksum"') - 1
    assert ingest.main([str(tmp_path / "cut.json"), "--db", str(database)]) == 1
    assert "the file is cut off" in capsys.readouterr().err
    assert len(rows(database)) == 4 * whole


def _other_classes(data):
    data["runs"][0]["deployment"]["num_classes"] = 80


def _unknown(data):
    data["runs"][0]["id"] = "0123456789ab"


def _role(data):
    data["runs"][0]["role"] = "spy"


def _unchecked(data):
    data["runs"][0]["check"] = None


def _wrong_outputs(data):
    data["runs"][0]["check"]["difference"] = 0.5


def _other_statistics(data):
    data["runs"][0]["summary"]["p25"] /= 2


def _negative(data):
    data["runs"][0]["wall_ms"][0] = -1.0


def _lacks(data):
    del data["runs"][0]["deployment"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_unknown, "study 'default' has no candidate '0123456789ab'"),
     (_other_classes, "with 80 classes, and the study has 10"), (_role, "its role is 'spy'"),
     (_unchecked, "not found to be right"),
     (_wrong_outputs, "not found to be right"), (_other_statistics, "not those of its rounds"),
     (_negative, "not a positive number"), (_lacks, "not a run of format 1")],
)  # fmt: skip
def test_a_run_that_cannot_be_is_refused_with_its_reason(results, database, tmp_path, capsys, change, reason):
    path = rewrite(results, tmp_path / "changed.json", change)
    assert ingest.main([str(path), "--db", str(database)]) == 1
    output = capsys.readouterr()
    assert reason in output.err
    assert "Traceback" not in output.err
    assert len(rows(database)) == 32  # eight runs of nine, each whole


def _study(data):
    data["header"]["study"]["identity"] = "0" * 64


def _kind(data):
    data["header"]["kind"] = measure.BUNDLE


def _newer(data):
    data["header"]["format"] = measure.FORMAT + 1


def _host(data):
    data["header"]["device"] = "host"


def _no_machine(data):
    data["header"]["machine"] = {"cpu": "x"}


def _nobody(data):
    for run in data["runs"]:
        run["id"] = "0123456789ab"


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_study, "the results are of another study"), (_kind, "is no results file"), (_newer, "has format 2"),
     (_host, "which means the machine of a command"), (_no_machine, "nothing usable of the machine"),
     (_nobody, "9 parts of")],
)  # fmt: skip
def test_a_file_that_cannot_be_used_stores_nothing(results, database, tmp_path, capsys, change, reason):
    path = rewrite(results, tmp_path / "changed.json", change)
    assert ingest.main([str(path), "--db", str(database)]) == 2
    assert reason in capsys.readouterr().err
    assert len(rows(database, "board")) + len(rows(database, "host")) == 0


def test_an_edited_header_spoils_the_whole_file(results, database, tmp_path, capsys):
    (tmp_path / "renamed.json").write_text(results.read_text().replace('"device": "board"', '"device": "faster"', 1))
    assert ingest.main([str(tmp_path / "renamed.json"), "--db", str(database)]) == 2
    assert "its header was changed" in capsys.readouterr().err
    for text in ("", "{", "[]", '{"header": {}, "runs": []}', "\x00"):
        (tmp_path / "odd.json").write_text(text)
        assert ingest.main([str(tmp_path / "odd.json"), "--db", str(database)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


# -- the script on the device


def begun(path: Path) -> bool:
    return path.exists() and bool(json.loads(path.read_text())["runs"][0]["wall_ms"])


def test_after_ctrl_c_the_script_goes_on_and_what_there_is_can_be_taken_in(packages, device, database, capsys):
    folder, arguments = device / "board", ("--device", "board", "--rounds", "250", "--backend", "onnxruntime")
    process = start(packages, folder, *arguments)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not begun(folder / "results.json"):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    first = json.loads((folder / "results.json").read_text())["runs"]
    assert 0 < len(first[0]["wall_ms"]) < 250
    assert ingest.main([str(folder / "results.json"), "--db", str(database)]) == 0
    assert "3 runs have fewer rounds" in capsys.readouterr().out
    other = measured(packages, folder, "--device", "board", "--rounds", "251", "--backend", "onnxruntime")
    assert other.returncode == 2
    assert "holds other results" in other.stderr
    done = measured(packages, folder, *arguments)
    assert done.returncode == 0, done.stderr
    second = json.loads((folder / "results.json").read_text())["runs"]
    for before, after in zip(first, second, strict=True):
        assert after["wall_ms"][: len(before["wall_ms"])] == before["wall_ms"]
        assert len(after["wall_ms"]) == 250
    assert ingest.main([str(folder / "results.json"), "--db", str(database)]) == 0
    assert set(rows(database)["n"]) == {250}  # the newest of a device counts


def test_a_runtime_that_answers_wrongly_is_not_timed(packages, device, database, tmp_path, capsys):
    shutil.copytree(device / "board", tmp_path / "board")
    path = tmp_path / "board" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["models"][0]["reference"]["outputs"][0]["values"][3] += 10.0
    manifest["digest"] = measure.checksum({k: v for k, v in manifest.items() if k != "digest"})
    path.write_text(json.dumps(manifest))
    done = measured(packages, tmp_path / "board", "--device", "board", "--rounds", "3", "--backend", "onnxruntime",
                    "--again")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "its outputs differ from the bundle's" in done.stdout
    assert ingest.main([str(tmp_path / "board" / "results.json"), "--db", str(database)]) == 0
    assert f"stored as missing: {manifest['models'][0]['id']}" in capsys.readouterr().out
    found = rows(database)
    missing = found[found["value"].isna()]
    assert missing["id"].tolist() == [manifest["models"][0]["id"]]
    assert "differ from the bundle's" in missing["reason"].item()


def test_the_script_refuses_bad_input_in_one_line(packages, device, tmp_path):
    shutil.copytree(device / "board", tmp_path / "board")
    board = tmp_path / "board"
    model = next((board / "models").iterdir())

    def fault(*arguments: str) -> str:
        done = measured(packages, board, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        return done.stderr

    assert "--rounds is 0; it must be 1 to 100000" in fault("--rounds", "0")
    assert "invalid choice" in fault("--backend", "onnx")
    assert "see --help" in fault("--fast")
    assert "without a slash" in fault("--device", "a/b")
    assert "it needs TensorRT's trtexec" in fault("--backend", "tensorrt") or shutil.which("trtexec")
    assert "is no file" in fault("-o", str(board / "models"), "--again")
    assert "cannot be written" in fault("-o", str(board / "nowhere" / "results.json"))
    model.write_bytes(model.read_bytes() + b"x")
    assert f"{model.parent.name}/{model.name} was changed; unpack the bundle again" in fault()
    text = (board / "manifest.json").read_text()
    (board / "manifest.json").write_text(text.replace('"seed": 0', '"seed": 1', 1))
    assert "manifest.json was changed" in fault()
    (board / "manifest.json").unlink()
    assert "no readable manifest.json" in fault()


TRTEXEC = """#!{python}
import json, shutil, sys
options = dict(one.lstrip("-").partition("=")[::2] for one in sys.argv[1:])
if "saveEngine" in options:
    shutil.copy(options["onnx"], options["saveEngine"])
if "exportTimes" in options:
    times = [{{"latencyMs": 1.5 + 0.1 * k, "computeMs": 1.0}} for k in range(int(options["iterations"]) + 2)]
    json.dump(times, open(options["exportTimes"], "w"))
if "exportOutput" in options:
    import numpy, onnxruntime
    session = onnxruntime.InferenceSession(options["loadEngine"])
    node = session.get_inputs()[0]
    image = numpy.fromfile(options["loadInputs"].partition(":")[2], numpy.float32).reshape(node.shape)
    answers = zip([one.name for one in session.get_outputs()], session.run(None, {{"image": image}}))
    json.dump([{{"name": name, "values": values.ravel().tolist()}} for name, values in answers],
              open(options["exportOutput"], "w"))
"""


def test_trtexec_is_driven_as_its_documentation_says(device, tmp_path, monkeypatch):
    """TensorRT does not run here: a stand-in takes the options that are documented and writes the files that are."""
    tool = tmp_path / "trtexec"
    tool.write_text(TRTEXEC.format(python=sys.executable))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    manifest = json.loads((device / "board" / "manifest.json").read_text())
    entries = [measure.Entry("tensorrt", model, measure.new_run("tensorrt", model, 1)) for model in manifest["models"]]
    measure.measure("tensorrt", entries[:2], device / "board", 25, lambda: None)
    for entry in entries[:2]:
        assert entry.run["reason"] is None
        assert entry.run["check"]["difference"] < 1e-6
        assert len(entry.run["wall_ms"]) == 30  # three processes of ten inferences
        assert entry.run["summary"]["p25"] == pytest.approx(1.7)
    tool.write_text("#!/bin/sh\necho '[E] no GPU'\nexit 1\n")
    measure.measure("tensorrt", entries[2:], device / "board", 25, lambda: None)
    assert entries[2].run["reason"] == "trtexec failed: [E] no GPU"


# -- the commands


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--top", "0"], "it must be at least 1"), (["--top", "2", "--front"], "exclude each other"),
     (["--ids", "nobody"], "no candidate 'nobody'"), (["--name", "x"], "no study 'x'"),
     (["--precision", "int9"], "int9"), (["-o", "no/where.zip"], "cannot be written"),
     (["-o", os.devnull], "is no zip"), (["-o", __file__], "is no zip"), (["--fast"], "--fast")],
)  # fmt: skip
def test_bad_input_to_bundle_is_one_line(device, capsys, arguments, message):
    assert bundle.main(["--db", str(device / "csp.db"), *arguments]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert (output.out, output.err.count("\n")) == ("", 1)


def test_a_device_card_says_what_to_measure(packages, device, database, tmp_path, capsys):
    path = tmp_path / "pi5.zip"
    arguments = ["--db", str(device / "csp.db"), "--top", "1", "-o", str(path)]
    assert bundle.main([*arguments, "--device", "pi5"]) == 0
    assert f"search.ingest results.json --db {device / 'csp.db'}" in capsys.readouterr().out
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "pi")
    done = measured(packages, tmp_path / "pi", "--rounds", "3", "--backend", "onnxruntime")
    assert done.returncode == 0, done.stderr
    assert ingest.main([str(tmp_path / "pi" / "results.json"), "--db", str(database)]) == 0
    place = target("pi5", databases.DEPLOYMENT, cards()["pi5"].profile)
    found = rows(database, place.device)
    assert set(found["deployment"]) == {place.deployment.id}
    assert set(found["backend"]) == {place.backend}
    assert set(found["threads"]) == {4}
    (tmp_path / "small.toml").write_text('title = "Small"\n[profile]\nheight = 96\nwidth = 64\nbatch = 2\n')
    assert bundle.main([*arguments, "--device", str(tmp_path / "small.toml")]) == 0
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["device"], manifest["models"][0]["input"]) == ("small", [2, 3, 96, 64])
    capsys.readouterr()
    for name, message in (("pi6", "did you mean 'pi5'"), ("host", "is this machine")):
        assert bundle.main([*arguments, "--device", name]) == 2
        assert message in capsys.readouterr().err


def test_precisions_share_a_file_and_differ_in_deployment(device, tmp_path):
    path = tmp_path / "two.zip"
    arguments = ["--db", str(device / "csp.db"), "--top", "1", "--precision", "fp32", "--precision", "fp16"]
    assert bundle.main([*arguments, "-o", str(path)]) == 0
    with zipfile.ZipFile(path) as archive:
        models = json.loads(archive.read("manifest.json"))["models"]
    assert [model["deployment"]["precision"] for model in models] == ["fp32", "fp16"]
    assert len({model["file"] for model in models}) == 1
    assert models[0]["reference"]["tolerance"] < models[1]["reference"]["tolerance"]


def test_help_imports_no_torch_and_the_readme_lists_every_option(capsys):
    section = (ROOT / "README.md").read_text().split("### Devices that are not here")[1].split("\n## ")[0]
    for module in ("search.bundle", "search.ingest"):
        code = f"import sys, {module} as m; m.main(['--help']); assert 'torch' not in sys.modules"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        options = set(re.findall(r"--[a-z]+", done.stdout)) - {"--help"}
        assert options
        assert [option for option in options if f"{option}" not in section] == []
    with pytest.raises(SystemExit):
        measure.main(["--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert [option for option in options if option not in section] == []
