"""Crowd regions are neither learnt nor counted, in training and in evaluation as in COCO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from evaluator import detection
from evaluator.average_precision import average_precision
from evaluator.detection import grid, in_crowd, loss
from evaluator.recipe import Recipe
from evaluator.tasks import CROWD, TASKS, Split
from evaluator.train import Detector, corners
from space.architecture import Architecture, Head, Stage, Stem
from space.lower import lower
from space.module import Network, fold, initialise

ANCHORS = torch.tensor([[[8, 8], [16, 16]]])
GRID = grid([(8, 8)], 64, ANCHORS)


def raw(seed: int = 0) -> Any:
    return torch.randn(1, 128, 8, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def test_anchors_in_a_crowd_learn_nothing_and_all_others_what_they_did() -> None:
    """Three classes; an object left, a crowd right."""
    object_row, crowd_row = [1.0, 4, 4, 16, 16], [CROWD - 2.0, 32, 0, 64, 64]
    with_crowd = torch.tensor([[object_row, crowd_row]])
    without = torch.tensor([[object_row, [-1.0, 0, 0, 0, 0]]])
    gradients = []
    for targets in (with_crowd, without):
        x = raw()
        loss(x, GRID, targets, Recipe()).backward()
        gradients.append(x.grad[0])
    inside = in_crowd(GRID, with_crowd[..., 1:], with_crowd[..., 0] <= CROWD)[0]
    assert 40 <= int(inside.sum()) <= 70
    assert (gradients[0][inside] == 0).all()
    assert (gradients[1][inside, 4] != 0).all()
    assert torch.equal(gradients[0][~inside], gradients[1][~inside])


def test_an_object_in_a_crowd_is_learnt() -> None:
    x = raw()
    loss(x, GRID, torch.tensor([[[0.0, 8, 8, 16, 16], [CROWD, 0, 0, 64, 64]]]), Recipe()).backward()
    learnt = (x.grad[0].abs().sum(1) > 0).nonzero()
    assert 1 <= len(learnt) < 20


def test_a_crowd_is_never_dropped_by_a_shift_and_an_object_is() -> None:
    rows = torch.tensor([[[0.0, 0, 0, 20, 20], [CROWD - 3.0, 0, 0, 20, 20]]])
    moved = corners(rows, 64, shift=torch.tensor([-15.0, 0.0]))
    assert moved[0, :, 0].tolist() == [-1, CROWD - 3]
    assert moved[0, 1, 1:].tolist() == [0, 0, 5, 20]


@dataclass
class OneCrowd:
    """A detection task of two pictures; the second shows a crowd and nothing else."""

    head_kind: str = "detector"
    size: int = 64
    num_classes: int = 10
    area_limits: tuple[float, float] = (100.0, 1000.0)
    pixel_mean: float = 96.0
    pixel_std: float = 64.0
    targets: Any = field(default_factory=lambda: np.array(
        [[[2, 8, 8, 20, 20], [-1, -1, -1, -1, -1]], [[CROWD - 2, 0, 0, 64, 64], [-1] * 5]], np.float32))  # fmt: skip

    def anchors(self) -> Any:
        return TASKS.get("scenes").anchors()


def test_detections_in_a_crowd_do_not_count_against_a_detector(monkeypatch: Any) -> None:
    network = Network(lower(Architecture(stem=Stem(width=16), stages=(Stage(width=16, depth=1),) * 3,
                                         head=Head(width=16)), 64, 64, num_classes=10))  # fmt: skip
    initialise(network, 0)
    task = OneCrowd()
    judge = Detector(network, task, Recipe(), torch.device("cpu"))  # type: ignore[arg-type]
    perfect = torch.tensor([8.0, 8, 28, 28])

    def answers(*_: Any) -> Any:  # the object of the first picture; a false one of its class in the second
        boxes = torch.stack([perfect, torch.tensor([30.0, 30, 50, 50])])[:, None]
        return detection.Detections(boxes, torch.tensor([[0.5], [0.9]]), torch.tensor([[2], [2]]))

    monkeypatch.setattr(detection, "detect", answers)
    images = np.zeros((2, 64, 64, 3), np.uint8)
    folded = fold(network)
    assert judge.evaluate(folded, Split(images=images, targets=task.targets))["ap"] == 1.0
    emptied = np.where(task.targets <= CROWD, -1, task.targets)
    assert judge.evaluate(folded, Split(images=images, targets=emptied))["ap"] == 0.5


def test_the_flag_reaches_coco_evaluation_as_iscrowd() -> None:
    objects = np.array([[0, 1, 0, 0, 10, 10], [0, 1, 30, 30, 30, 30]], float)
    found = np.array([[0, 1, 0, 0, 10, 10, 0.5], [0, 1, 35, 35, 5, 5, 0.9]])
    for crowd, expected in ((np.array([False, True]), 1.0), (np.array([False, False]), 0.25)):
        ap50 = average_precision(num_images=1, num_classes=2, objects=objects, detections=found, area_limits=(1, 2),
                                 crowd=crowd)["ap50"]  # fmt: skip
        assert ap50 is not None
        assert abs(ap50 - expected) < 0.01
