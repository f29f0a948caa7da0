"""python -m space.export and what it reads: names, architecture files, darknet files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from space.cost import cost
from space.darknet import read
from space.export import main
from space.source import architecture_of, graph_of
from space.zoo import get

README = Path(__file__).parents[2] / "README.md"


def test_a_network_becomes_each_kind_of_file(tmp_path, capsys):
    for ending in (".onnx", ".py", ".cfg", ".json"):
        assert main(["peleenet", "-o", str(tmp_path / f"net{ending}"), "--resolution", "64x96"]) == 0
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx"), full_check=True)
    wanted = cost(get("PeleeNet").graph(64, 96))
    assert cost(read(tmp_path / "net.cfg").graph).macs == wanted.macs
    shown = subprocess.run([sys.executable, "-I", "net.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "1000" in shown.stdout
    assert cost(graph_of(str(tmp_path / "net.json"), (64, 96), num_classes=1000)).macs == wanted.macs
    assert cost(graph_of(str(tmp_path / "net.cfg"), (64, 96))).kernels == wanted.kernels
    assert architecture_of(str(tmp_path / "net.json")).id == get("PeleeNet").architecture.id


def test_onnx_options_change_what_they_say(tmp_path, capsys):
    path = tmp_path / "net.onnx"
    assert main(["yolov3-tiny-prn", "-o", str(path), "--resolution", "64", "--classes", "2", "--batch", "n",
                 "--no-fold"]) == 0  # fmt: skip
    model = onnx.load(path)
    assert any(node.op_type == "BatchNormalization" for node in model.graph.node)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"image": np.zeros((3, 3, 64, 64), np.float32)})
    assert [out.shape for out in outputs] == [(3, 21, 4, 4), (3, 21, 2, 2)]


def test_a_detectors_file_has_its_own_classes(tmp_path, capsys):
    assert main(["yolov3-tiny", "-o", str(tmp_path / "net.cfg"), "--classes", "2", "--resolution", "64"]) == 0
    text = (tmp_path / "net.cfg").read_text()
    assert text.count("classes=2") == 2
    assert [read(tmp_path / "net.cfg").graph.output_shapes[0][0]] == [21]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["peleenet", "-o", "net.txt"], ".onnx, .py, .cfg, .json"), (["pelenet", "-o", "net.py"], "did you mean"),
     (["missing.json", "-o", "net.py"], "cannot read missing.json"), (["missing.cfg", "-o", "net.py"], "missing.cfg"),
     (["csmobilenet-v2", "-o", "net.json"], "is a graph of its own"),
     (["csmobilenet-v2", "-o", "net.py", "--classes", "3"], "it has 1000 classes"),
     (["peleenet", "-o", "net.onnx", "--batch", "0"], "--batch is '0'"),
     (["peleenet", "-o", "net.onnx", "--classes", "0"], "--classes is 0"),
     (["densenet121", "-o", "nowhere/net.json"], "cannot write"), (["peleenet"], "output")],
)  # fmt: skip
def test_bad_input_is_one_line_and_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [("[1]", "not an architecture"), ("{", "x.json"), ("{}", "not an architecture"), ("\x00", "x.json"),
     (json.dumps({**get("PeleeNet").architecture.to_dict(), "activation": "gelu"}), "no activation 'gelu'")],
)  # fmt: skip
def test_a_wrong_architecture_file_is_named(text, words, tmp_path, capsys):
    (tmp_path / "x.json").write_text(text)
    assert main([str(tmp_path / "x.json"), "-o", str(tmp_path / "net.onnx")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("module", ["space.zoo", "space.darknet", "space.draw", "space.export"])
def test_the_readme_has_every_option(module):
    shown = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help", "--fold"}
    readme = README.read_text()
    assert options
    for option in options:
        assert re.search(rf"`{module}[^|]*{option}`|`{option}`", readme), option


@pytest.mark.parametrize("arguments", [["space.zoo"], ["space.zoo", "--json"], ["space.draw", "PeleeNet"]])
def test_an_output_that_cannot_be_written_is_no_traceback(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device\n"
    reader = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reader.stdout.close()
    assert reader.stderr.read() == b""
    assert reader.wait() in (0, 1)


def test_an_exported_file_keeps_what_the_network_is_built_for(tmp_path, capsys):
    path = tmp_path / "d.json"
    assert main(["CSPPeleeNet-PRN", "-o", str(path)]) == 0
    assert cost(graph_of(str(path))) == get("CSPPeleeNet-PRN").cost()
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "num_anchors": 0}))
    assert main([str(path), "-o", str(tmp_path / "x.py")]) == 2
    assert "num_anchors is 0" in capsys.readouterr().err
    folder = tmp_path / "folder.json"
    folder.mkdir()
    assert main([str(folder), "-o", str(tmp_path / "x.py")]) == 2
    assert "not a file" in capsys.readouterr().err
