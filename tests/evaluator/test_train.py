"""The training loop and the detector's arithmetic: laws, closed forms, and one job from end to end."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluator import detection
from evaluator.detection import assign, decode, detect, flatten, giou, grid, iou, start
from evaluator.evaluate import evaluate
from evaluator.metrics import METRICS
from evaluator.muon import Muon, orthogonal
from evaluator.recipe import Recipe, recipe_for
from evaluator.record import Evaluation, Fidelity, Job
from evaluator.tasks import TASKS, Split
from evaluator.train import augment, corners, rate, train, trunk_steps
from space.architecture import Architecture, Head, Stage, Stem
from space.lower import lower
from space.module import Network, initialise

SMALL = Architecture(
    stem=Stem(width=16), stages=tuple(Stage(width=width, depth=1) for width in (16, 16, 16)), head=Head(width=16)
)
CLASSIFIER = replace(SMALL, head=Head(kind="classifier"))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _job(task: str = "scenes", visits: int = 160, seed: int = 3, **recipe: Any) -> Job:
    return Job(
        architecture=CLASSIFIER if task == "digits" else SMALL,
        task=task, fidelity=Fidelity(rung=1, image_visits=visits), seed=seed, recipe=recipe,
    )  # fmt: skip


def _values(evaluation: Evaluation) -> dict[str, float | None]:
    return {m.metric: m.value for m in evaluation.measurements if "seconds" not in m.metric}


# -- a whole job


@pytest.mark.parametrize("task", ["scenes", "digits"])
def test_the_same_job_twice_gives_identical_numbers_and_another_seed_others(task: str) -> None:
    first, again, other = (evaluate(_job(task, seed=seed)) for seed in (3, 3, 4))
    assert _values(first) == _values(again)
    assert first.curve == again.curve
    assert _values(first)["val_loss"] != _values(other)["val_loss"]


def test_measurements_say_where_they_come_from() -> None:
    evaluation = pickle.loads(pickle.dumps(evaluate(_job())))
    assert evaluation.state == "complete"
    names = {m.metric for m in evaluation.measurements}
    assert names == {
        "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "val_loss", "train_seconds",
        "train_cpu_seconds",
    }  # fmt: skip
    assert names <= set(METRICS)
    recipe = recipe_for(TASKS.get("scenes")).id(TASKS.get("scenes"))
    for m in evaluation.measurements:
        assert (m.task, m.recipe, m.rung, m.image_visits, m.seed, m.n) == ("scenes", recipe, 1, 160, 3, 1)
        assert m.environment is not None
    last = evaluation.curve[-1]
    assert last["image_visits"] == 160
    assert last["ap"] == _values(evaluation)["ap"]
    assert all(math.isfinite(point["loss"]) for point in evaluation.curve)


@pytest.mark.parametrize(("task", "visits"), [("scenes", 800), ("digits", 3200)])
def test_training_learns(task: str, visits: int) -> None:
    """A classifier is supervised once an image, a detector once an object and cell: it needs longer."""
    job = _job(task, visits=visits)
    if task == "digits":
        stages = tuple(Stage(width=width, depth=1) for width in (16, 48, 96))
        job = replace(job, architecture=replace(CLASSIFIER, stages=stages))
    evaluation = evaluate(job)
    losses = [point["loss"] for point in evaluation.curve]
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:2])
    untrained = evaluate(_job(task, visits=8))
    assert (_values(evaluation)["val_loss"] or 9) < 0.95 * (_values(untrained)["val_loss"] or 0)


def test_a_loss_that_is_not_finite_fails_the_evaluation_and_says_when() -> None:
    evaluation = evaluate(_job(learning_rate=1e30, clip_norm=1e30))
    assert evaluation.state == "failed"
    assert "loss is not finite at image visit" in (evaluation.reason or "")
    assert not evaluation.measurements


def test_a_head_that_does_not_fit_the_task_is_refused() -> None:
    with pytest.raises(ValueError, match="task 'digits' needs a classifier head"):
        evaluate(replace(_job(), task="digits"))


def test_an_unknown_recipe_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        evaluate(_job(learning_rat=0.1))


def test_the_recipe_hash_tells_every_field_and_the_data_version_apart() -> None:
    class Newer:
        name, version = "scenes", "next"

    task: Any = TASKS.get("scenes")
    ids = {Recipe().id(task), replace(Recipe(), batch=9).id(task), Recipe().id(TASKS.get("digits"))}
    newer: Any = Newer()
    assert len(ids | {Recipe().id(newer)}) == 4


class Crash:
    """A task as tests of the guard plug it in, by the name of its object."""

    name, version, size, num_classes, head_kind, objective = "crash", "1", 64, 10, "classifier", "accuracy"
    recipe: dict[str, Any] = {}  # noqa: RUF012

    def prepare(self) -> str | None:
        return None

    def load(self, split: str) -> Split:
        raise RuntimeError("boom")


crash = Crash()


def test_a_task_from_outside_is_found_by_module_and_name_and_its_error_is_not_caught() -> None:
    with pytest.raises(RuntimeError, match="boom"):
        evaluate(replace(_job("digits"), task="tests.evaluator.test_train:crash"))


# -- the detector's arithmetic

ANCHORS = torch.tensor([[[8.0, 12], [11, 15]], [[13, 19], [17, 24]], [[21, 30], [27, 39]]])
GRID = grid([(16, 16), (8, 8), (4, 4)], 64, ANCHORS)
NUM = 2 * (256 + 64 + 16)


def test_the_grid_has_every_anchor_of_every_cell_once() -> None:
    boxes = GRID.boxes_N4
    assert boxes.shape == (NUM, 4)
    assert len({tuple(box) for box in boxes.tolist()}) == NUM
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert centres.min() == 2
    assert centres.max() == 62


def test_flattened_maps_and_grid_have_one_order() -> None:
    """A map whose terms spell level, anchor, row and column, read back through the grid."""
    maps = []
    for level, side in enumerate((16, 8, 4)):
        x = torch.zeros(1, 2, 15, side, side)
        x[:, :, 0], x[:, :, 1] = torch.arange(side), torch.arange(side)[:, None]
        x[:, :, 2], x[:, :, 3] = ANCHORS[level, :, 0, None, None], ANCHORS[level, :, 1, None, None]
        maps.append(x.flatten(1, 2))
    raw = flatten(maps, 10)[0]
    assert torch.equal(raw[:, :2], GRID.cells_N2)
    assert torch.equal(raw[:, 2:4], GRID.sizes_N2)


def test_zero_terms_decode_to_the_anchors() -> None:
    assert torch.allclose(decode(torch.zeros(1, NUM, 15), GRID)[0], GRID.boxes_N4, atol=1e-4)


def test_an_untrained_detector_answers_the_prior() -> None:
    network = initialise(Network(lower(SMALL, 64, 64)), 0)
    start(network, 10, 0.01)
    raw = flatten(network(torch.randn(2, 3, 64, 64)), 10)
    assert 0.007 < raw[..., 4].sigmoid().mean() < 0.014
    assert raw[..., 5:].softmax(-1).max() < 0.3


def test_overlap_has_its_closed_forms() -> None:
    a = torch.tensor([0.0, 0, 10, 10])
    half, far = torch.tensor([0.0, 0, 10, 5]), torch.tensor([20.0, 0, 30, 10])
    assert iou(a, a) == 1
    assert giou(a, a) == 1
    assert iou(a, half) == 0.5
    assert iou(a, far) == 0
    assert giou(a, far) == pytest.approx(-1 / 3)  # a third of the hull is empty


def test_every_object_is_assigned_and_only_overlapping_anchors_are() -> None:
    targets = torch.from_numpy(np.array(TASKS.get("scenes").load("val").targets[:200]))
    target = corners(targets, 64)
    real = target[..., 0] >= 0
    slot = assign(GRID, target[..., 1:], real, 0.5)
    for image in range(200):
        assert set(slot[image].tolist()) - {-1} == set(real[image].nonzero()[:, 0].tolist())
    found = (slot >= 0).nonzero()
    overlap = iou(GRID.boxes_N4[found[:, 1]], target[found[:, 0], slot[found[:, 0], found[:, 1]], 1:])
    assert overlap.min() > 0.15
    assert (overlap >= 0.5).float().mean() > 0.8


def _answer(boxes: list[tuple[int, int, float]]) -> torch.Tensor:
    """Raw output that says: anchor, class, logit of objectness."""
    raw = torch.full((1, NUM, 15), -9.0)
    raw[..., :4] = 0
    for anchor, label, logit in boxes:
        raw[0, anchor, 4] = logit
        raw[0, anchor, 5:] = -20
        raw[0, anchor, 5 + label] = 20
    return raw


def test_suppression_keeps_the_best_of_a_class_and_all_of_different_classes() -> None:
    last = NUM - 6  # the largest anchor in an inner cell; half of it overlaps the one in the row above
    raw = _answer([(last, 3, 2.0), (last - 4, 3, 1.0), (0, 3, 0.0), (last - 4 - 16, 5, -1.0)])
    found = detect(raw, GRID, 64, replace(Recipe(), nms_iou=0.3))
    kept = [(round(s, 3), c) for s, c in zip(found.scores_BK[0].tolist(), found.classes_BK[0].tolist()) if s > 0.1]
    assert kept == [(0.881, 3), (0.5, 3), (0.269, 5)]
    assert found.boxes_BK4.min() >= 0
    assert found.boxes_BK4.max() <= 64


def test_suppression_equals_the_plain_greedy_loop() -> None:
    raw = torch.randn(4, NUM, 15, generator=torch.Generator().manual_seed(0)) * 2
    recipe = replace(Recipe(), candidates=60, detections=60, nms_iou=0.4)
    found = detect(raw, GRID, 64, recipe)
    boxes = decode(raw, GRID).clamp(0, 64)
    scores = raw[..., 4:5].sigmoid() * raw[..., 5:].softmax(-1)
    for image in range(4):
        kept: list[tuple[int, int]] = []
        for index in scores[image].flatten().argsort(descending=True)[:60].tolist():
            anchor, label = divmod(index, 10)
            if all(k != label or iou(boxes[image, a], boxes[image, anchor]) <= 0.4 for a, k in kept):
                kept.append((anchor, label))
        ours = int((found.scores_BK[image] > 0).sum())
        assert ours == len(kept)
        assert torch.allclose(found.boxes_BK4[image, :ours], torch.stack([boxes[image, a] for a, _ in kept]))
        assert found.classes_BK[image, :ours].tolist() == [label for _, label in kept]


def test_loss_falls_as_the_answer_gets_right() -> None:
    targets = torch.full((1, 4, 5), -1.0)
    targets[0, 0] = torch.tensor([3, *GRID.boxes_N4[NUM - 6].tolist()])
    right = _answer([(NUM - 6, 3, 9.0)])
    slots = assign(GRID, targets[..., 1:], targets[..., 0] >= 0, Recipe().positive_iou)
    for anchor in (slots[0] >= 0).nonzero()[:, 0].tolist():
        right[0, anchor, 4], right[0, anchor, 5 + 3] = 9.0, 20.0
    losses = [float(detection.loss(raw, GRID, targets, Recipe())) for raw in (right, _answer([]), -right)]
    assert losses == sorted(losses)
    assert losses[0] < 1.5  # the anchor itself is exact; the others around it still have to move


def test_a_picture_without_objects_has_a_loss() -> None:
    targets = torch.full((2, 4, 5), -1.0)
    raw = torch.zeros(2, NUM, 15, requires_grad=True)
    loss = detection.loss(raw, GRID, targets, Recipe())
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert raw.grad is not None
    assert (raw.grad[..., 4] > 0).all()


# -- the loop's parts


def test_boxes_follow_the_pixels_through_augmentation() -> None:
    """A white rectangle on black, found again by its pixels after shift, zoom, gain and channel order."""
    images = torch.zeros(64, 64, 64, 3, dtype=torch.uint8)
    images[:, 20:40, 24:36] = 255
    targets = torch.full((64, 4, 5), -1, dtype=torch.int16)
    targets[:, 0] = torch.tensor([7, 24, 20, 12, 20])
    recipe = replace(Recipe(), shift=8, zoom=0.2, gain=0.2)
    moved, boxes = augment(images, targets, torch.arange(64), recipe, torch.Generator().manual_seed(0))
    for image, box in zip(moved, boxes[:, 0]):
        rows, columns = (image[..., 0] > 60).nonzero(as_tuple=True)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box[0] == 7
        assert torch.allclose(box[1:], torch.tensor(edges).float(), atol=1.0)
    assert (boxes[:, 1:, 0] == -1).all()


def test_an_object_mostly_out_of_the_picture_is_dropped() -> None:
    targets = torch.tensor([[[7, 0, 10, 10, 10], [3, 30, 30, 10, 10]]], dtype=torch.int16)
    moved = corners(targets, 64, 1.0, torch.tensor([-6.0, 0.0]))
    assert moved[0, :, 0].tolist() == [-1, 3]


def test_rates_rise_stay_and_fall_and_the_trunk_does_not_know_the_length() -> None:
    recipe = replace(Recipe(), batch=10, warm_up=200, cool_down=0.4)
    rates = [rate(step, 100, recipe) for step in range(100)]
    assert rates[:20] == sorted(rates[:20])
    assert rates[0] == pytest.approx(0.5 / 20)
    assert rates[20:60] == [1.0] * 40
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[-1] == pytest.approx(0.5 / 40)
    assert [rate(step, 1000, recipe) for step in range(60)] == rates[:60]


@given(steps=st.integers(1, 500), more=st.integers(0, 500), cool_down=st.floats(0, 1))
def test_a_longer_training_has_no_shorter_trunk_and_every_training_ends_with_a_fall(
    steps: int, more: int, cool_down: float
) -> None:
    recipe = replace(Recipe(), cool_down=cool_down)
    assert 0 <= trunk_steps(steps, recipe) <= trunk_steps(steps + more, recipe)
    assert trunk_steps(steps, recipe) < steps


def test_evaluation_uses_averaged_weights() -> None:
    """With a decay so slow that the average stays at the start, an untrained network is evaluated."""
    task = TASKS.get("digits")
    network = Network(lower(CLASSIFIER, 64, 64))
    frozen = train(network, task, replace(recipe_for(task), average=1 - 1e-9), image_visits=640, seed=0)
    moving = train(network, task, replace(recipe_for(task), average=0.0), image_visits=640, seed=0)
    assert frozen.metrics["val_loss"] == pytest.approx(math.log(10), abs=0.05)
    assert abs((moving.metrics["val_loss"] or 0) - (frozen.metrics["val_loss"] or 0)) > 1e-4


@pytest.mark.parametrize("shape", [(3, 16, 48), (2, 48, 16), (1, 8, 8)])
def test_muon_steps_have_the_gradients_singular_vectors_and_flatter_values(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for before, after in zip(matrices, orthogonal(matrices)):
        left, values, right = torch.linalg.svd(before, full_matrices=False)
        rotated = left.T @ after @ right.T
        assert torch.allclose(rotated, rotated.diag().diag(), atol=1e-3)
        assert rotated.diag().max() < 1.3
        assert rotated.diag()[: len(values) // 2].min() > 0.5
        assert rotated.diag().min() > 0


def test_muon_goes_downhill_by_its_rate() -> None:
    weight = torch.nn.Parameter(torch.zeros(8, 4, 3, 3))
    goal = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    muon = Muon([weight], momentum=0.0)
    (0.5 * (weight - goal).square().sum()).backward()  # type: ignore[no-untyped-call]
    muon.step(0.1)
    assert (weight.detach() * goal).sum() > 0
    assert torch.linalg.matrix_norm(weight.detach().reshape(8, 36), ord=2) == pytest.approx(0.1, rel=0.35)
