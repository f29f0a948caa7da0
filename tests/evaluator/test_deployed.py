"""Decoding and suppression in ONNX against evaluator.detection, and the checks that an export must pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from evaluator import detection
from evaluator.deployed import Deployed, grid_of, to_model
from evaluator.export import ExportError, Plan, export
from evaluator.formats import _Work
from evaluator.interface import Interface
from space.lower import lower
from space.module import Network, fold, initialise
from tests.evaluator.test_state import CLASSIFIER, DETECTOR

ANCHORS = (((9, 12), (14, 10)), ((20, 26), (30, 22)), ((40, 44), (60, 50)))


def interface(classes: int = 3, **changes: object) -> Interface:
    return replace(
        Interface(task="t", size=64, head_kind="detector", classes=tuple(f"c{i}" for i in range(classes)),
                  pixel_mean=96.0, pixel_std=64.0, anchors=ANCHORS),
        **changes,
    )  # fmt: skip


def network(classes: int, height: int, width: int, seed: int) -> Network:
    """A folded detector whose boxes crowd: predictions that vary much from place to place."""
    made = initialise(Network(lower(DETECTOR, height, width, num_classes=classes)), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for output in made.graph.outputs:
            predict = made.get_submodule(made.graph.nodes[output].name).conv
            predict.weight.mul_(0.5)
            predict.bias.normal_(0.0, 1.0, generator=generator)
    return fold(made)


def run(model: onnx.ModelProto, image: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image.numpy()})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("classes", "candidates", "detections"), [(1, 60, 20), (3, 60, 20), (4, 700, 700)])
def test_suppression_inside_is_that_of_the_evaluator(seed, classes, candidates, detections):
    around = interface(classes, candidates=candidates, detections=detections, nms_iou=0.3 + 0.1 * seed)
    made = network(classes, 64, 64, seed)
    weights = {name: value.numpy() for name, value in made.state_dict().items()}
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 255
    maps = run(to_model(made.graph, weights, around, "raw", batch=2), image)
    raw = detection.flatten([torch.from_numpy(array) for array in maps], classes)
    wanted = detection.detect(raw, grid_of(made.graph, around), 64, around)
    boxes, scores, labels = run(to_model(made.graph, weights, around, "nms", batch=2), image)
    assert boxes.shape == (*wanted.scores_BK.shape, 4)
    real = wanted.scores_BK.numpy() > 0
    assert real.sum() < real.size or candidates < 100  # many candidates: some are removed, and pad
    np.testing.assert_allclose(scores, wanted.scores_BK.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(labels[real], wanted.classes_BK.numpy()[real])
    np.testing.assert_allclose(boxes[real], wanted.boxes_BK4.numpy()[real], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("outputs", ["raw", "decoded"])
def test_other_outputs_are_those_of_torch_also_where_the_picture_is_not_square(outputs, normalise):
    made = network(3, 64, 96, 0)
    weights = {name: value.numpy() for name, value in made.state_dict().items()}
    image = torch.rand(1, 3, 64, 96) * 255
    model = to_model(made.graph, weights, interface(), outputs, normalise=normalise, about={"id": "x", "n": [1]})
    onnx.checker.check_model(model, full_check=True)
    with torch.inference_mode():
        wanted = Deployed(made, interface(), outputs, normalise=normalise)(image)
    for mine, other in zip(run(model, image), wanted, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=0, atol=1e-4 * float(other.abs().max()))
    said = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(said["classes"]) == ["c0", "c1", "c2"]
    assert json.loads(said["strides"]) == [4.0, 8.0, 16.0]
    assert said["id"] == "x"
    if outputs == "decoded":
        boxes = run(model, image)[0]
        assert boxes[..., 0::2].min() >= 0
        assert boxes[..., 0::2].max() <= 96
        assert boxes[..., 1::2].max() <= 64


def test_a_stride_that_differs_by_direction_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="multiples of 16, or the outputs 'raw'"):
        grid_of(lower(DETECTOR, 72, 64, num_classes=3), interface())


def test_an_interface_comes_back_from_json():
    assert Interface.from_dict(json.loads(json.dumps(interface().to_dict()))) == interface()


def plan(folder: Path, *formats: str, **changes: object) -> Plan:
    return replace(
        Plan(architecture=DETECTOR, interface=interface(), formats=formats, folder=str(folder), height=64, width=64,
             about={"id": DETECTOR.id}, outputs="nms"),
        **changes,
    )  # fmt: skip


def test_an_export_that_differs_is_refused(tmp_path):
    with torch.inference_mode():
        work = _Work(plan(tmp_path))
    right = [np.ones((2, 3)), np.zeros(4)]
    assert work.compare("f", [right[0] + 9e-5, right[1]], right) == pytest.approx(9e-5)
    for wrong in ([right[0] + 2e-4, right[1]], [right[0] * np.nan, right[1]], [right[0][:1], right[1]], right[:1]):
        with pytest.raises(ExportError, match=r"f (differs|gives)"):
            work.compare("f", wrong, right)
    with torch.inference_mode():
        boxes, scores = (value.numpy() for value in work.deployed("decoded")(work.image))
        kept = [value.numpy() for value in work.deployed("nms")(work.image)]
        work.compare_detections("f", kept, [*kept, boxes, scores])
    for row in range(3):
        broken = [array.copy() for array in kept]
        broken[row][0, 0] = 7
        with pytest.raises(ExportError), torch.inference_mode():
            work.compare_detections("f", broken, [*broken, boxes, scores])


@pytest.mark.parametrize("outputs", ["raw", "decoded", "nms"])
def test_every_format_is_written_and_agrees(outputs, tmp_path):
    names = ("onnx", "torchscript") if outputs != "nms" else ("onnx", "openvino", "torchscript", "torch",
                                                              "safetensors", "ncnn", "darknet")  # fmt: skip
    for one in export(plan(tmp_path, *names, outputs=outputs)):
        assert one.difference <= 1e-4
        assert all((tmp_path / file).stat().st_size for file in one.files)


def test_a_classifier_is_written_too(tmp_path):
    around = interface(5, head_kind="classifier", anchors=())
    done = export(plan(tmp_path, "onnx", "torch", "darknet", architecture=CLASSIFIER, interface=around, outputs="raw"))
    assert [one.format for one in done] == ["onnx", "torch", "darknet"]
