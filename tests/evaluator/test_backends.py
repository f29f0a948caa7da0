"""Every runtime in every precision that is here computes what torch computes; the others say what they need."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from evaluator.backends import BACKENDS, Runner, calibration_batches, tensorrt
from evaluator.backends.__main__ import main
from evaluator.oracle import Mismatch, check, difference, network_of
from evaluator.quantiser import quantised
from evaluator.record import Deployment
from space.architecture import Architecture, Head, Stage, Stem
from space.blocks import BLOCKS
from space.lower import lower
from space.module import Network, fold, initialise
from space.onnx import random_weights, to_onnx
from tests.space.test_runtimes import proposals, run

SMALL = Deployment(height=64, width=96, batch=2)
PAIRS = [(name, precision) for name in BACKENDS for precision in BACKENDS.get(name).precisions]
TINY = Architecture(stem=Stem(width=8), stages=(Stage(block="conv", depth=1, width=16, fusion="none"),),
                    head=Head(kind="classifier", fusion=None, width=None, maxout=None)).canonical()  # fmt: skip


def small(name: str, precision: str = "fp32") -> Deployment:
    """`SMALL` for a backend: ncnn has no batch."""
    return replace(SMALL, precision=precision, batch=1 if name == "ncnn" else 2)


def graph_of(architecture, deployment=SMALL):
    return lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)


@pytest.fixture(scope="module")
def networks():
    """One random network of the whole space for each block."""
    return [graph_of(architecture) for block in BLOCKS.names() for architecture in proposals(block, 1)]


@pytest.mark.gpu  # only cuda and tensorrt: the others run without
@pytest.mark.parametrize(("name", "precision"), [pair for pair in PAIRS if pair[0] in ("cuda", "tensorrt")])
def test_a_card_computes_what_torch_computes(name, precision, networks):
    if reason := BACKENDS.get(name).missing(precision):
        pytest.skip(reason)
    place = replace(SMALL, precision=precision)
    for graph in networks[:4]:
        runner = BACKENDS.get(name)(graph, place)
        check(graph, place, runner)
        assert isinstance(runner(), float)
        assert runner.detail["timed_by"] == "CUDA events"


@pytest.mark.parametrize(("name", "precision"), [p for p in PAIRS if p[0] not in ("cuda", "tensorrt", "compiled")])
def test_every_runtime_computes_what_torch_computes(name, precision, networks):
    if reason := BACKENDS.get(name).missing(precision):
        with pytest.raises(ValueError, match="does not compute in"):
            BACKENDS.get(name)(networks[0], small(name, precision))
        pytest.skip(reason)
    place = small(name, precision)
    for graph in networks if precision != "int8" else networks[:1]:
        runner = BACKENDS.get(name)(graph, place)
        if precision == "int8":
            assert 1e-3 < difference(graph, place, runner) < 0.5  # it is quantised, and it is this network
            assert runner.detail["calibration"] == "8 random images"
        else:
            check(graph, place, runner)
        runner()


def test_the_compiled_network_computes_what_torch_computes():
    if reason := BACKENDS.get("compiled").missing("fp32"):
        pytest.skip(reason)
    place = Deployment(height=32, width=32, batch=2)
    graphs = [graph_of(TINY, place), graph_of(replace(TINY, activation="silu"), place)]
    runners = [BACKENDS.get("compiled")(graph, place) for graph in graphs]
    for graph, runner in zip(graphs, runners, strict=True):  # the second did not take the first one's place
        check(graph, place, runner)


@pytest.mark.parametrize("name", ["eager", "ncnn", "onnxruntime", "openvino", "opencv"])
def test_folded_weights_of_a_training_are_those_that_run(name):
    (architecture,) = proposals("dense_pre", 1)  # normalisations that cannot be folded stay
    graph = graph_of(architecture)
    network = initialise(Network(graph), seed=3).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    place = small(name)
    image = np.random.default_rng(0).standard_normal((place.batch, 3, 64, 96), dtype=np.float32)
    with torch.inference_mode():
        expected = [y.numpy() for y in network(torch.from_numpy(image))]
    for form in (network, fold(network)):
        weights = {key: value.numpy() for key, value in form.state_dict().items()}
        for found, wanted in zip(BACKENDS.get(name)(graph, place, weights).outputs(image), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_weights_that_do_not_fit_are_refused():
    graph = graph_of(TINY)
    weights = random_weights(graph)
    with pytest.raises(KeyError, match="stem"):
        network_of(graph, {key: value for key, value in weights.items() if not key.startswith("stem")})


def test_a_runtime_that_computes_something_else_is_found_out():
    graph = graph_of(TINY)
    other = BACKENDS.get("onnxruntime")(graph, SMALL, random_weights(graph, seed=1))
    with pytest.raises(Mismatch, match=r"differ from torch's by .* 0.0001 is allowed"):
        check(graph, SMALL, other)
    for wrong in ([np.full((2, 10), np.nan, np.float32)], [np.zeros((2, 9), np.float32)], []):
        with pytest.raises(Mismatch, match="by inf"):
            check(graph, SMALL, Runner(run=lambda: None, outputs=lambda _, wrong=wrong: wrong))


def test_a_mismatch_of_the_rounding_alone_is_settled_in_float64():
    graph = graph_of(TINY)
    with torch.inference_mode():
        exact = network_of(graph, random_weights(graph)).double()

        def outputs(image):
            return [y.numpy().astype(np.float32) for y in exact(torch.from_numpy(image).double())]

        check(graph, SMALL, Runner(run=lambda: None, outputs=outputs))
        with pytest.raises(Mismatch):
            check(graph, SMALL, Runner(run=lambda: None, outputs=lambda x: [y * (1 + 2e-4) for y in outputs(x)]))


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_what_is_not_here_says_what_to_install_or_what_lacks(name, precision, monkeypatch):
    import importlib.util

    backend, graph = BACKENDS.get(name), graph_of(TINY)
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(ImportError, match="pip install"):
        backend(graph, replace(SMALL, precision=precision))
    assert "pip install" in backend.missing(precision)
    monkeypatch.undo()
    if reason := backend.missing(precision):
        with pytest.raises((ImportError, ValueError), match=re.escape(reason)):
            backend(graph, replace(SMALL, precision=precision))
        assert "\n" not in reason
    assert f"has no fp64; it has {backend.precisions[0]}" in backend.missing("fp64")


def test_compiled_names_the_compiler_that_it_needs(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "install g++" in BACKENDS.get("compiled").missing("fp32")


def test_int8_models_hold_int8_weights_one_scale_a_channel():
    graph = graph_of(TINY, replace(SMALL, batch=1))
    model = quantised(to_onnx(graph), calibration_batches(graph, replace(SMALL, batch=1), None)[0])
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in model.graph.initializer}
    kernels = [array for array in arrays.values() if array.ndim == 4]
    assert kernels
    assert all(kernel.dtype == np.int8 for kernel in kernels)
    scales = [arrays[node.input[1]] for node in model.graph.node
              if node.op_type == "DequantizeLinear" and arrays.get(node.input[0], np.zeros(0)).ndim == 4]  # fmt: skip
    assert sorted(len(scale) for scale in scales) == sorted(len(kernel) for kernel in kernels)


def test_openvino_int8_quantises_weights_and_activations(tmp_path):
    pytest.importorskip("nncf")
    graph = graph_of(TINY, replace(SMALL, batch=1))
    BACKENDS.get("openvino")(graph, replace(SMALL, batch=1, precision="int8")).save(tmp_path)
    saved = (tmp_path / "model.xml").read_text()
    assert 'element_type="i8"' in saved
    assert 'type="FakeQuantize"' in saved


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_tensorrt_is_given_has_its_precision_inside(precision):
    """The model alone: ONNX Runtime runs it here, no card does."""
    (architecture,) = proposals("resx", 1)
    graph, place = graph_of(architecture), replace(SMALL, precision=precision)
    model, _ = tensorrt.typed(graph, place, random_weights(graph), None)
    image = np.random.default_rng(2).standard_normal((2, 3, 64, 96), dtype=np.float32)
    assert difference(graph, place, Runner(run=lambda: None, outputs=lambda x: run(model, x))) < 0.3
    types = {array.data_type for array in model.graph.initializer if len(array.dims) == 4}
    assert types == {onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.INT8}
    assert run(model, image)[0].dtype == np.float32
    if precision == "int8":  # TensorRT reads symmetric quantisation only
        arrays = {array.name: onnx.numpy_helper.to_array(array) for array in model.graph.initializer}
        zeros = [arrays[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
        assert zeros
        assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)


def test_the_last_calibration_batch_is_filled():
    images = np.arange(5 * 3, dtype=np.float32).reshape(5, 3, 1, 1)
    batches, text = calibration_batches(graph_of(TINY), SMALL, images)
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert (batches[2] == images[4]).all()
    assert text == "5 given images"


def test_the_list_names_every_backend_and_what_others_need(capsys):
    assert main([]) == 0
    table = capsys.readouterr().out
    assert main(["--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in listed] == BACKENDS.names()
    for each in listed:
        assert each["name"] in table
        assert sorted([*each["precisions"], *each["missing"]]) == sorted(BACKENDS.get(each["name"]).precisions)
