"""`python -m search.export` as a user types it: formats, weights trained again, folders, bad input, kill -9."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from benchmarks.detector import main as draw
from evaluator.evaluate import evaluate
from evaluator.interface import about
from evaluator.weights import read
from search.engines.inline import InlineEngine
from search.export import main
from search.loop import Search
from search.run import _study_row
from search.store import Store
from search.study import load
from search.verify import jobs_of, take_effect
from space.lower import lower
from space.module import Network
from space.source import architecture_of
from tests.search.test_cli import TINY
from tests.simulator import Silent, SimulatedEngine

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of a candidate that was really trained, shortly."""

    class Engine(SimulatedEngine):
        def _train(self, job):
            return InlineEngine().submit(evaluate, job).result()

    place = tmp_path_factory.mktemp("export")
    (place / "tiny.toml").write_text(TINY)
    study = load(place / "tiny.toml", budget=1, sampler="random")
    with Store.open(str(place / "csp.db")) as store:
        Search(study, _study_row(study, store, resume=False, new=False), store, Engine(), Silent()).run()
    return place


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def identity(folder) -> str:
    with Store.open(str(folder / "csp.db")) as store:
        frame = store.frame("tiny")
    return frame[frame["state"] == "complete"]["id"].iloc[0]


def test_every_format_comes_with_a_card_and_holds_the_same_network(identity, tmp_path, capsys):
    formats = ["onnx", "torchscript", "torch", "safetensors", "openvino", "ncnn", "darknet", "toml", "html", "optuna"]
    arguments = [part for name in formats for part in ("--to", name)]
    code = main([identity, *arguments, "-o", str(tmp_path / "out"), "--weights", "random", "--seed", "3", "--outputs",
                 "raw", "--pixels", "normalised", "--size", "64x96"])  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0, shown.err
    out = tmp_path / "out"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    architecture = architecture_of(str(out / "architecture.toml"))
    assert architecture.id == identity
    graph = lower(architecture, 64, 96, num_classes=10)
    network = Network(graph).eval()
    network.load_state_dict(read(out / "weights.safetensors", graph))
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        wanted = [value.numpy() for value in network(image)]
        script = torch.jit.load(str(out / "model.torchscript"))(image)
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    for mine, theirs, traced in zip(wanted, session.run(None, {"image": image.numpy()}), script, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-4 * np.abs(mine).max())
        np.testing.assert_allclose(traced.numpy(), mine, rtol=0, atol=1e-4 * np.abs(mine).max())
    assert torch.load(out / "weights.pt", weights_only=True).keys() == network.state_dict().keys()
    text, page = (out / "README.md").read_text(), (out / "card.html").read_text()
    for said in (identity, architecture.words(), "unverified", "recognise nothing", "model.weights", "--size 64x96"):
        assert said in text
    assert "<svg" in page
    assert "http" not in re.sub(r"http://www\.w3\.org\S*", "", page)
    facts = json.loads((out / "card.json").read_text())
    assert {name for one in facts["files"] for name in one["files"]} | {"README.md", "card.json"} == {
        path.name for path in out.iterdir()
    }
    study = _optuna(out / "optuna.log", "tiny")
    assert [d.name.lower() for d in study.directions] == ["maximize", "minimize", "minimize"]
    assert {t.user_attrs["id"] for t in study.trials if t.state.name == "COMPLETE"} >= {identity}


def _optuna(path: Path, name: str):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path))))


def test_the_whole_study_goes_to_optuna_without_a_candidate(folder, tmp_path, capsys):
    assert main(["--to", "optuna", "-o", str(tmp_path / "o")]) == 0, capsys.readouterr().err
    with Store.open("csp.db") as store:
        frame = store.frame("tiny")
        genes = [proposal.genes for proposal in store.proposals(store.study("tiny").id)]
    trials = _optuna(tmp_path / "o" / "optuna.log", "tiny").trials
    assert [trial.params for trial in trials] == genes
    for trial, (_, row) in zip(trials, frame.iterrows(), strict=True):
        done = row["state"] == "complete"
        assert trial.state.name == ("COMPLETE" if done else "FAIL")
        assert trial.values == ([row["ap"], row["macs"], row["latency_ms"]] if done else None)
        assert trial.user_attrs["id"] == row["id"]


def test_weights_of_the_search_are_trained_again_to_the_recorded_score(identity, tmp_path, capsys):
    with Store.open("csp.db") as store:
        recorded = store.frame("tiny").set_index("id").loc[identity, "ap"]
    arguments = [identity[:6], "--to", "safetensors", "--to", "onnx", "-o", str(tmp_path / "w")]
    assert main(arguments) == 0
    first = capsys.readouterr()
    assert "note:" not in first.err
    said = about(tmp_path / "w" / "weights.safetensors")
    assert said["scores"]["ap"] == recorded
    assert said["weights"] == "proxy"
    session = onnxruntime.InferenceSession(str(tmp_path / "w" / "model.onnx"))
    assert session.get_inputs()[0].shape == [1, 3, 64, 64]  # what they were trained at
    assert [value.name for value in session.get_outputs()] == ["boxes", "scores", "classes"]
    assert main([*arguments, "--force"]) == 0  # from the cache
    assert "once more" not in capsys.readouterr().err
    assert draw([str(tmp_path / "w" / "model.onnx"), "-o", str(tmp_path / "found.png")]) == 0
    score = re.search(r"AP (\S+),", capsys.readouterr().out)
    assert score is not None
    assert float(score[1]) == pytest.approx(recorded, abs=1e-3)  # of the file, over all validation pictures
    assert 1000 < (tmp_path / "found.png").stat().st_size < 150_000
    file = str(tmp_path / "w" / "weights.safetensors")
    assert main([identity, "--to", "onnx", "-o", str(tmp_path / "f"), "--weights", file]) == 0
    other = architecture_of("CSPPeleeNet")
    assert main(["CSPPeleeNet", "--to", "onnx", "-o", str(tmp_path / "g"), "--weights", file]) == 2
    assert f"holds the weights of {identity}, not of {other.id}" in capsys.readouterr().err


def test_weights_that_score_otherwise_than_recorded_say_by_how_much(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    study = load(tmp_path / "tiny.toml", budget=2, sampler="random")
    with Store.open("csp.db") as store:
        engine = SimulatedEngine()
        row = _study_row(study, store, resume=False, new=False)
        Search(study, row, store, engine, Silent()).run()
        identity = store.frame("tiny").query("state == 'complete'")["id"].iloc[0]
        row = take_effect(store, row, 96, 2)
        for job in jobs_of(row, [store.architecture(identity)], 96, 2):
            store.record_evaluation(job, row.config["recipe_id"], engine.submit(print, job).result())
    assert main([identity, "--to", "safetensors", "-o", "v", "--weights", "verified"]) == 0
    assert re.search(
        r"note: trained again, ap is 0\.\d+ where 0\.\d+ is recorded \([+-]0\.\d+\)", capsys.readouterr().err
    )
    assert "trained again, ap is" in Path("v/README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name what to export"),
        (["ID", "--to", "pdf"], "pdf"),
        (["ID", "--to", "onnx", "--weights", "verified"], "is not verified; run `python -m search.verify --ids"),
        (["ID", "--to", "onnx", "--weights", "none.pt"], "neither a file of weights nor one of best, verified, random"),
        (["ID", "--to", "onnx", "--size", "big"], "--size is 'big'"),
        (["ID", "--to", "onnx", "--weights", "random", "--size", "72x64"], "cannot be decoded: use sides that are"),
        (["ID", "--to", "onnx", "--batch", "0"], "--batch is 0"),
        (["ID", "--to", "ncnn", "--batch", "2"], "ncnn runs one image at a time"),
        (["ID", "--to", "onnx", "--seed", "1", "--weights", "best"], "the seed of --weights random"),
        (["ID", "--to", "toml", "--outputs", "raw"], "--outputs is for onnx, openvino, torchscript"),
        (["ID", "--to", "toml", "--weights", "random"], "--weights changes nothing in toml"),
        (["000000000000", "--to", "toml"], "nearest ids: "),
        (["CSPPeleNet", "--to", "toml"], "did you mean CSPPeleeNet"),
        (["CSPPeleeNet", "--to", "onnx", "--weights", "best"], "is no candidate of a study"),
        (["CSPPeleeNet", "--to", "onnx", "--outputs", "nms"], "use --outputs raw"),
        (["ID", "--to", "toml", "--name", "tniy"], "did you mean 'tiny'"),
        (["ID", "--to", "toml", "--db", "none.db"], "none.db"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, message, identity, tmp_path, capsys):
    given = [identity if part == "ID" else part for part in arguments] or ["--to", "onnx"]
    assert main([*given, "-o", str(tmp_path / "x")]) == 2
    shown = capsys.readouterr()
    assert message in shown.err.splitlines()[-1]
    assert shown.err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in shown.err
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_only_when_told_and_only_if_it_is_ours(identity, tmp_path, capsys):
    arguments = [identity, "--to", "toml", "-o", str(tmp_path / "a")]
    (tmp_path / "a").mkdir()  # empty: it may be filled
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "add --force" in capsys.readouterr().err
    (tmp_path / "a" / "old").touch()
    assert main([*arguments, "--force"]) == 0
    assert not (tmp_path / "a" / "old").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").touch()
    assert main([identity, "--to", "toml", "-o", str(tmp_path / "b"), "--force"]) == 2
    assert "holds files that no export wrote" in capsys.readouterr().err
    assert main([identity, "--to", "toml", "-o", str(tmp_path / "b" / "mine")]) == 2
    assert "which is a file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_export_that_is_stopped_leaves_nothing(number, identity, tmp_path):
    command = [sys.executable, "-m", "search.export", identity, "--to", "onnx", "-o", str(tmp_path / "out"),
               "--weights", "random"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not any(tmp_path.glob(".out-*")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert not (tmp_path / "out").exists()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "nothing was exported" in errors
    else:
        assert list(tmp_path.iterdir())  # nobody could tidy up: the next export does
        assert main([identity, "--to", "toml", "-o", str(tmp_path / "out")]) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        return
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(identity, tmp_path, capsys):
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place], check=False).returncode
    ):
        pytest.skip("a small file system cannot be mounted here")
    try:
        code = main([identity, "--to", "onnx", "--weights", "random", "-o", str(place / "out")])
        error = capsys.readouterr().err
        assert (code, error.count("\n")) == (2, 1)
        assert "is full; nothing was exported" in error
        assert not list(place.iterdir())
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_help_imports_no_torch_and_the_readme_lists_every_option(capsys):
    code = "import sys; from search.export import main; main(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    options = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", done.stdout)) - {"--help", "--empty-to"}
    assert options == {"--to", "--output", "--weights", "--outputs", "--pixels", "--size", "--batch", "--seed",
                       "--force", "--db", "--name"}  # fmt: skip
    section = README.read_text().partition("### Export")[2].partition("\n## ")[0]
    assert [option for option in options if f"`{option}" not in section] == []
