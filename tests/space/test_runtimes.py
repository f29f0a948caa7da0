"""Exported networks in runtimes that we did not write: OpenVINO and OpenCV DNN against ONNX Runtime."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest

from space.blocks import BLOCKS
from space.lower import lower
from space.onnx import OPSET, random_weights, to_onnx
from tests.space.test_whole_space import SPACE

SIZES = ((64, 64), (100, 100), (96, 128))


def proposals(block: str, count: int) -> list:
    """Random architectures of the whole space, all stages of one block."""
    rng = np.random.default_rng(BLOCKS.names().index(block))
    found = []
    while len(found) < count:
        genome = SPACE.sample(rng)
        genome |= {name: block for name in genome if name.endswith(".block")}
        if SPACE.valid(genome):
            found.append(SPACE.build(genome))
    return found


def run(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})


def assert_close(got, expected) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, atol=1e-3 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("block", BLOCKS.names())
def test_openvino_and_opencv_agree_with_onnx_runtime(block):
    for number, architecture in enumerate(proposals(block, 3)):
        height, width = SIZES[number]
        model = to_onnx(lower(architecture, height, width))
        data = model.SerializeToString()
        image = np.random.default_rng(number).random((1, 3, height, width), dtype=np.float32)
        expected = run(model, image)
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answers = compiled([image])
        assert_close([answers[output] for output in compiled.outputs], expected)
        net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        net.setInput(image, "image")
        assert_close(net.forward([f"output{k}" for k in range(len(expected))]), expected)


@pytest.mark.parametrize("block", ["dense_pre", "resx"])
def test_unfolded_models_and_free_batches_give_the_same_outputs(block):
    (architecture,) = proposals(block, 1)
    graph = lower(architecture, 64, 64)
    rng = np.random.default_rng(0)
    weights = random_weights(graph)
    for name, value in weights.items():
        if ".bn." in name:
            weights[name] = (rng.random(value.shape) + 0.5).astype(np.float32)
    image = rng.random((2, 3, 64, 64), dtype=np.float32)
    expected = run(to_onnx(graph, weights, batch=2), image)
    unfolded = to_onnx(graph, weights, batch="batch", fold=False)
    onnx.checker.check_model(unfolded, full_check=True)
    assert_close(run(unfolded, image), expected)
    kinds = [node.op_type for node in unfolded.graph.node]
    assert kinds.count("BatchNormalization") > [node.op_type for node in to_onnx(graph, weights).graph.node].count(
        "BatchNormalization"
    )
    assert unfolded.opset_import[0].version == OPSET
