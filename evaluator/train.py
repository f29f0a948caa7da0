"""The one training loop: a fresh network in, its measured quality out.

uint8 images augmented as tensors in the batch, channels_last, Muon for convolutions and fused AdamW for the
rest, one-cycle schedule, a moving average of the weights, evaluation with folded normalisation. Everything
random derives from one seed: the same network, recipe, length and seed give the same numbers on the same
machine and thread count.

Measured 2026-11 on one core of a busy 2-core x86 machine, torch 2.13.0, 4,000 image visits of `scenes`: seven
architectures of the default space from 5 to 35 M MACs had AP 0.11 to 0.52 at 10 to 20 processor seconds
each, validation included.

Legend: B batch, H W rows and columns, C channels, G object slots.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator import detection
from evaluator.average_precision import average_precision
from evaluator.muon import Muon
from evaluator.recipe import Recipe
from evaluator.tasks import CROWD, Split, Task
from space.module import Network, fold, initialise

CURVE_POINTS = 20
EVAL_BATCH = 100


class LossNotFinite(ArithmeticError):
    """The loss became NaN or infinite; the message says when."""


@dataclass(kw_only=True)
class Result:
    """What one training gave."""

    metrics: dict[str, float | None]
    """The task's metrics and `val_loss`; None where the metric is not defined."""
    curve: list[dict[str, float]] = field(default_factory=list)


def train(network: Network, task: Task, recipe: Recipe, *, image_visits: int, seed: int) -> Result:
    """Train `network` from a fresh start for `image_visits` images and evaluate it on the validation set.

    Raises LossNotFinite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(seed)
    initialise(network, seed)
    network.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    judge = _judge(network, task, recipe, device)
    data = task.load("train")
    images_NHWC, targets = tensor(data.images), tensor(data.targets)

    steps = max(1, round(image_visits / recipe.batch))
    convolutions, others = _parameters(network)
    muon = Muon(convolutions, recipe.muon_momentum)
    adamw = torch.optim.AdamW(others, betas=(recipe.momentum, recipe.second_momentum), weight_decay=0.0, fused=True)
    state = [value for value in network.state_dict().values() if value.is_floating_point()]
    averaged = [value.clone() for value in state]
    curve: list[dict[str, float]] = []
    recent: list[Tensor] = []
    for step, rows in enumerate(_batches(len(images_NHWC), recipe.batch, steps, generator)):
        cycle = one_cycle((step + 0.5) / steps, recipe.warm_up)
        x_BHWC, y = augment(images_NHWC[rows], targets[rows], recipe, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network(to_input(x_BHWC, device, task))
        loss = judge.loss([output.float() for output in outputs], y.to(device))
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm, foreach=True)
        adamw.param_groups[0]["lr"] = recipe.learning_rate * cycle
        adamw.step()
        muon.step(recipe.muon_rate * cycle)
        torch._foreach_lerp_(averaged, state, 1 - recipe.average)
        recent.append(loss.detach())
        if len(recent) >= steps / CURVE_POINTS or step == steps - 1:
            visits = (step + 1) * recipe.batch
            mean = float(torch.stack(recent).mean())
            if not math.isfinite(mean):
                raise LossNotFinite(f"loss is not finite at image visit {visits}")
            curve.append({"image_visits": visits, "loss": mean, "learning_rate": recipe.learning_rate * cycle})
            recent.clear()

    torch._foreach_copy_(state, averaged)
    metrics = judge.evaluate(fold(network), task.load("val"))
    curve[-1] |= {name: value for name, value in metrics.items() if value is not None}
    return Result(metrics=metrics, curve=curve)


def tensor(array: npt.NDArray[Any]) -> Tensor:
    """A tensor on the array's memory. Nothing here writes to it, so a read-only memory map will do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def one_cycle(done: float, warm_up: float) -> float:
    """Share of the peak learning rate after `done` of the training: up in a line, down in a half cosine."""
    if done < warm_up:
        return done / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (done - warm_up) / (1 - warm_up))


def to_input(images_BHWC: Tensor, device: torch.device, task: Task) -> Tensor:
    """uint8 pixels as float [B, C, H, W] in channels_last order, about zero mean and unit spread."""
    x_BCHW = images_BHWC.to(device).permute(0, 3, 1, 2).float()
    return x_BCHW.sub_(task.pixel_mean).mul_(1 / task.pixel_std)


def augment(images_BHWC: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift, zoom, and change brightness and channel order of each image; boxes follow.

    Boxes (B, G, 5) of class, x, y, width, height come out as class and corners; an object of which less
    than half remains in the picture is dropped (class -1), a crowd never. Classes (B,) pass unchanged.
    """
    batch, size = images_BHWC.shape[:2]

    def chance(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    zoom_B1 = 1 + recipe.zoom * chance(batch, 1)
    shift_B2 = recipe.shift * chance(batch, 2)
    at_BS = (torch.arange(size) + 0.5 - size / 2) / zoom_B1 + size / 2  # where the pixel is taken from
    columns_BW = (at_BS - shift_B2[:, :1]).floor().long().clamp(0, size - 1)
    rows_BH = (at_BS - shift_B2[:, 1:]).floor().long().clamp(0, size - 1)
    order_B3 = torch.rand(batch, 3, generator=generator).argsort(1)
    each_B111 = torch.arange(batch)[:, None, None, None]
    images_BHWC = images_BHWC[
        each_B111, rows_BH[:, :, None, None], columns_BW[:, None, :, None], order_B3[:, None, None]
    ]
    gain_B111 = 1 + recipe.gain * chance(batch, 1, 1, 1)
    images_BHWC = (images_BHWC * gain_B111).clamp_(0, 255)
    if targets.ndim == 1:
        return images_BHWC, targets
    return images_BHWC, corners(targets, size, zoom_B1[:, :, None], shift_B2[:, None])


def corners(targets_BG5: Tensor, size: int, zoom: Tensor | float = 1.0, shift: Tensor | float = 0.0) -> Tensor:
    """Class and corners (B, G, 5), float, of boxes in a picture that was shifted, then zoomed about its centre."""
    label, box = targets_BG5[..., :1].float(), targets_BG5[..., 1:].float()
    left_top, right_bottom = box[..., :2], box[..., :2] + box[..., 2:]
    ends = [(end + shift - size / 2) * zoom + size / 2 for end in (left_top, right_bottom)]
    moved = torch.cat(ends, -1)
    seen = moved.clamp(0, size)
    gone = (detection.area(seen) < 0.5 * detection.area(moved)) & (label[..., 0] > CROWD)
    return torch.cat([torch.where(gone[..., None], -1.0, label), seen], -1)


def _batches(number: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows of each step: a new random order whenever all images have been seen."""
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(number, generator=generator)])
        yield order[:batch]
        order = order[batch:]


def _parameters(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights of inner convolutions, for Muon; and all the rest, predictions, normalisation, biases, for AdamW."""
    outputs = tuple(network.graph.nodes[output].name for output in network.graph.outputs)
    inner: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (inner if parameter.ndim == 4 and not name.startswith(outputs) else others).append(parameter)
    return inner, others


def _judge(network: Network, task: Task, recipe: Recipe, device: torch.device) -> Detector | Classifier:
    if task.head_kind == "classifier":
        return Classifier(task, device)
    return Detector(network, task, recipe, device)


class Classifier:
    """Loss and metrics of a classifier."""

    def __init__(self, task: Task, device: torch.device) -> None:
        self.task, self.device = task, device

    def loss(self, outputs: list[Tensor], classes_B: Tensor) -> Tensor:
        return F.cross_entropy(outputs[0], classes_B.long())

    @torch.inference_mode()
    def evaluate(self, network: Network, split: Split) -> dict[str, float | None]:
        right, loss = 0, 0.0
        for images, targets in _chunks(split):
            outputs, classes_B = network(to_input(images, self.device, self.task)), targets.to(self.device)
            loss += float(self.loss(outputs, classes_B)) * len(images)
            right += int((outputs[0].argmax(1) == classes_B).sum())
        number = len(split.images)
        return {"accuracy": right / number, "val_loss": loss / number}


class Detector:
    """Loss and metrics of a detector; see `evaluator.detection`."""

    def __init__(self, network: Network, task: Task, recipe: Recipe, device: torch.device) -> None:
        self.task, self.recipe, self.device = task, recipe, device
        shapes = [network.graph.nodes[output].shape[1:] for output in network.graph.outputs]
        anchors_LA2 = torch.from_numpy(detection.spread(task.anchors(), len(shapes))).to(device)
        self.grid = detection.grid([(height, width) for height, width in shapes], task.size, anchors_LA2)
        detection.start(network, task.num_classes, recipe.object_prior)

    def loss(self, outputs: list[Tensor], targets_BG5: Tensor) -> Tensor:
        raw_BNX = detection.flatten(outputs, self.task.num_classes)
        return detection.loss(raw_BNX, self.grid, targets_BG5, self.recipe)

    @torch.inference_mode()
    def evaluate(self, network: Network, split: Split) -> dict[str, float | None]:
        found, loss = [], 0.0
        for chunk, (images, targets) in enumerate(_chunks(split)):
            raw_BNX = detection.flatten(network(to_input(images, self.device, self.task)), self.task.num_classes)
            wanted = corners(targets, self.task.size).to(self.device)
            loss += float(detection.loss(raw_BNX, self.grid, wanted, self.recipe)) * len(images)
            boxes, scores, classes = detection.detect(raw_BNX, self.grid, self.task.size, self.recipe)
            image, slot = (scores > 0).nonzero(as_tuple=True)
            box = boxes[image, slot]
            found.append(
                torch.cat([
                    (image + chunk * EVAL_BATCH)[:, None].float(), classes[image, slot][:, None].float(),
                    box[:, :2], box[:, 2:] - box[:, :2], scores[image, slot][:, None],
                ], 1)
            )  # fmt: skip
        rows, slots = np.nonzero(split.targets[..., 0] != -1)
        objects = np.concatenate([rows[:, None], split.targets[rows, slots]], 1)
        crowd = objects[:, 1] <= CROWD
        objects[crowd, 1] = CROWD - objects[crowd, 1]
        metrics = average_precision(
            num_images=len(split.images), num_classes=self.task.num_classes, objects=objects,
            detections=torch.cat(found).cpu().numpy(), area_limits=self.task.area_limits,
            crowd=crowd,
        )  # fmt: skip
        return {**metrics, "val_loss": loss / len(split.images)}


def _chunks(split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    for first in range(0, len(split.images), EVAL_BATCH):
        rows = slice(first, first + EVAL_BATCH)
        yield tensor(split.images[rows]), tensor(split.targets[rows])
