"""The one training loop: a fresh network in, its measured quality out.

uint8 images augmented as tensors in the batch, channels_last, Muon for convolutions and fused AdamW for the
rest, a moving average of the weights, evaluation with folded normalisation. Everything random derives from one
seed: the same network, recipe, length and seed give the same numbers on the same machine and thread count.

The learning rate warms up, stays, and falls over the last share of the training (WSD; Hu et al. 2024, MiniCPM;
Hägele et al. 2024). Up to that fall, the trunk, trainings of all lengths are one: a longer one goes on from the
state that a shorter one left at the end of its trunk, and gives what it would have given from the start, bit for
bit. Nothing of the trunk may therefore depend on the length.

What was measured of it stands in `studies/proxy.md`.

Legend: B batch, H W rows and columns, C channels, G object slots.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator import detection, state
from evaluator.average_precision import average_precision
from evaluator.device import select
from evaluator.muon import Muon
from evaluator.recipe import Recipe
from evaluator.record import digest, environment
from evaluator.tasks import CROWD, Split, Task
from space.module import Network, fold, initialise

CURVE_POINTS = 20
EVAL_BATCH = 100
ON_CARD_BYTES = 4 * 2**30
"""Images of up to so many bytes live on the card, once for each training that shares it."""


class LossNotFinite(ArithmeticError):
    """The loss became NaN or infinite; the message says when."""


@dataclass(kw_only=True)
class Result:
    """What one training gave."""

    metrics: dict[str, float | None]
    """The task's metrics and `val_loss`; None where the metric is not defined."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """Of the whole training, also where this run did the end of it only."""
    continued_from: int = 0
    """Image visits that a kept state spared this run."""
    note: str | None = None
    """What the user should know of this run: that its state could not be kept."""


def train(network: Network, task: Task, recipe: Recipe, *, image_visits: int, seed: int,
          resume: Path | str | None = None, keep: Path | str | None = None, device: str = "cpu") -> Result:  # fmt: skip
    """Train `network` from a fresh start for `image_visits` images and evaluate it on the validation set.

    `device` is `cpu` or `cuda` (`evaluator.device`). On a card the data lives there too, and convolutions run in
    bfloat16 where it has it; the same chance is drawn as on a CPU, but sums are not repeatable to the last bit.
    `resume` and `keep` name state files: go on from the one, if it is there and belongs to this training, and
    leave the state at the end of the trunk in the other. The numbers are the same with and without.
    Raises LossNotFinite.
    """
    place, low_precision = select(device)
    generator = torch.Generator().manual_seed(seed)
    initialise(network, seed)
    network.to(device=place, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    judge = judge_of(network, task, recipe, place)
    data = task.load("train")
    home = place if data.images.nbytes <= ON_CARD_BYTES else torch.device("cpu")
    images_NHWC, targets = tensor(data.images).to(home), tensor(data.targets).to(home)

    steps = max(1, round(image_visits / recipe.batch))
    convolutions, others = parameters_of(network)
    muon = Muon(convolutions, recipe.muon_momentum)
    adamw = torch.optim.AdamW(others, betas=(recipe.momentum, recipe.second_momentum), weight_decay=0.0, fused=True)
    weights = [value for value in network.state_dict().values() if value.is_floating_point()]
    averaged = [value.clone() for value in weights]
    order = Order(len(images_NHWC), recipe.batch, generator)
    losses: list[Tensor] = []
    trunk = trunk_steps(steps, recipe)
    group = math.ceil(steps / CURVE_POINTS)
    result = Result(metrics={})

    key = _key(network, task, recipe, seed, place)
    kept = state.load(resume, key) if resume is not None else None
    if kept is not None and len(kept["losses"]) <= trunk:
        network.load_state_dict(kept["network"])
        torch._foreach_copy_(averaged, kept["averaged"])
        torch._foreach_copy_(muon.average, kept["muon"])
        adamw.load_state_dict(kept["adamw"])
        generator.set_state(kept["generator"])
        order.rest = kept["order"]
        losses = list(kept["losses"].to(place))
        result.continued_from = len(losses) * recipe.batch

    for step in range(len(losses), steps):
        if step == trunk and keep is not None:
            _check(losses, recipe)
            result.note = state.save(keep, key, {
                "network": network.state_dict(), "averaged": averaged, "muon": muon.average,
                "adamw": adamw.state_dict(), "generator": generator.get_state(), "order": order.rest.clone(),
                "losses": torch.stack(losses) if losses else torch.empty(0),
            })  # fmt: skip
        share = rate(step, steps, recipe)
        x_BHWC, y = augment(images_NHWC, targets, order.next().to(home), recipe, generator)
        with torch.autocast(place.type, torch.bfloat16, enabled=low_precision):
            outputs = network(to_input(x_BHWC, place, task))
        loss = judge.loss([output.float() for output in outputs], y.to(place))
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm, foreach=True)
        adamw.param_groups[0]["lr"] = recipe.learning_rate * share
        adamw.step()
        muon.step(recipe.muon_rate * share)
        torch._foreach_lerp_(averaged, weights, 1 - recipe.average)
        losses.append(loss.detach())
        if len(losses) % group == 0 or len(losses) == steps:
            _check(losses[-group:], recipe, first=len(losses) - len(losses[-group:]))

    torch._foreach_copy_(weights, averaged)
    result.metrics = judge.evaluate(fold(network), task.load("val"))
    for first in range(0, steps, group):
        last = min(first + group, steps)
        mean = float(torch.stack(losses[first:last]).mean())
        speed = recipe.learning_rate * rate(last - 1, steps, recipe)
        result.curve.append({"image_visits": last * recipe.batch, "loss": mean, "learning_rate": speed})
    result.curve[-1] |= {name: value for name, value in result.metrics.items() if value is not None}
    return result


def trunk_steps(steps: int, recipe: Recipe) -> int:
    """Steps of a training of `steps` before its rates begin to fall; a longer training has no fewer."""
    return min(steps - 1, max(0, int((1 - recipe.cool_down) * steps)))


def rate(step: int, steps: int, recipe: Recipe) -> float:
    """Share of the peak learning rate in step `step` (from 0) of `steps`: up in a line, level, down in a line.

    Before the end of the trunk it does not depend on `steps`.
    """
    done, trunk = step + 0.5, trunk_steps(steps, recipe)
    rise = min(1.0, done * recipe.batch / recipe.warm_up) if recipe.warm_up else 1.0
    return rise if step < trunk else rise * (steps - done) / (steps - trunk)


def _check(losses: list[Tensor], recipe: Recipe, first: int = 0) -> None:
    """Raise LossNotFinite for the first of `losses`, of the steps from `first` on, that is not finite."""
    finite = torch.stack(losses).isfinite() if losses else torch.ones(0, dtype=torch.bool)
    if not finite.all():
        step = first + int((~finite).nonzero()[0]) + 1
        raise LossNotFinite(f"loss is not finite at image visit {step * recipe.batch}")


def _key(network: Network, task: Task, recipe: Recipe, seed: int, device: torch.device) -> str:
    """What a trunk's numbers depend on to the last bit: a state of anything else does not fit."""
    parts = [repr(network.graph), recipe.id(task), seed, torch.get_num_threads(), device.type, environment().id]
    return digest(parts)


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


def augment(images_NHWC: Tensor, targets: Tensor, rows_B: Tensor, recipe: Recipe,
            generator: torch.Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Images `rows_B`, each shifted, zoomed, and changed in brightness and channel order; boxes follow.

    Boxes (N, G, 5) of class, x, y, width, height come out as class and corners; an object of which less
    than half remains in the picture is dropped (class -1), a crowd never. Classes (N,) pass unchanged.
    """
    batch, size, place = len(rows_B), images_NHWC.shape[1], images_NHWC.device

    def chance(*shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1).to(place)

    zoom_B1 = 1 + recipe.zoom * chance(batch, 1)
    shift_B2 = recipe.shift * chance(batch, 2)
    at_BS = (torch.arange(size, device=place) + 0.5 - size / 2) / zoom_B1 + size / 2  # where the pixel is taken from
    columns_BW = (at_BS - shift_B2[:, :1]).floor().long().clamp(0, size - 1)
    rows_BH = (at_BS - shift_B2[:, 1:]).floor().long().clamp(0, size - 1)
    # The pixels first, whole, then their channels: half the time of one index over all four axes.
    images_BHWC = images_NHWC[rows_B[:, None, None], rows_BH[:, :, None], columns_BW[:, None, :]].float()
    images_BHWC = recolour(images_BHWC, recipe, generator)
    if targets.ndim == 1:
        return images_BHWC, targets[rows_B]
    return images_BHWC, corners(targets[rows_B], size, zoom_B1[:, :, None], shift_B2[:, None])


def recolour(images_BHWC: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Float images with their channels in another order, where the recipe says so, and of another brightness."""
    batch, size = images_BHWC.shape[:2]
    if recipe.shuffle_colours:
        order_B3 = torch.rand(batch, 3, generator=generator).argsort(1).to(images_BHWC.device)
        images_BHWC = images_BHWC.gather(3, order_B3[:, None, None, :].expand(-1, size, size, -1))
    gain_B111 = 1 + recipe.gain * (torch.rand(batch, 1, 1, 1, generator=generator) * 2 - 1).to(images_BHWC.device)
    return images_BHWC.mul_(gain_B111).clamp_(0, 255)


def corners(targets_BG5: Tensor, size: int, zoom: Tensor | float = 1.0, shift: Tensor | float = 0.0) -> Tensor:
    """Class and corners (B, G, 5), float, of boxes in a picture that was shifted, then zoomed about its centre."""
    label, box = targets_BG5[..., :1].float(), targets_BG5[..., 1:].float()
    left_top, right_bottom = box[..., :2], box[..., :2] + box[..., 2:]
    ends = [(end + shift - size / 2) * zoom + size / 2 for end in (left_top, right_bottom)]
    moved = torch.cat(ends, -1)
    seen = moved.clamp(0, size)
    gone = (detection.area(seen) < 0.5 * detection.area(moved)) & (label[..., 0] > CROWD)
    return torch.cat([torch.where(gone[..., None], -1.0, label), seen], -1)


class Order:
    """Rows of each step: a new random order whenever all images have been seen."""

    def __init__(self, number: int, batch: int, generator: torch.Generator) -> None:
        self._number, self._batch, self._generator = number, batch, generator
        self.rest = torch.empty(0, dtype=torch.int64)
        """Rows that were drawn already and come next."""

    def next(self) -> Tensor:
        while len(self.rest) < self._batch:
            self.rest = torch.cat([self.rest, torch.randperm(self._number, generator=self._generator)])
        rows, self.rest = self.rest[: self._batch], self.rest[self._batch :]
        return rows


def parameters_of(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights of inner convolutions, for Muon; and all the rest, predictions, normalisation, biases, for AdamW."""
    outputs = tuple(network.graph.nodes[output].name for output in network.graph.outputs)
    inner: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (inner if parameter.ndim == 4 and not name.startswith(outputs) else others).append(parameter)
    return inner, others


def judge_of(network: Network, task: Task, recipe: Recipe, device: torch.device) -> Detector | Classifier:
    """Loss and metrics of the task's kind; a detector's outputs are made to begin with its anchors."""
    if task.head_kind == "classifier":
        return Classifier(task, device)
    return Detector(network, task, recipe, device)


class Classifier:
    """Loss and metrics of a classifier."""

    chunk = EVAL_BATCH
    """Images that are evaluated at a time."""

    def __init__(self, task: Task, device: torch.device) -> None:
        self.task, self.device = task, device

    def loss(self, outputs: list[Tensor], classes_B: Tensor) -> Tensor:
        return F.cross_entropy(outputs[0], classes_B.long())

    @torch.inference_mode()
    def evaluate(self, network: Callable[[Tensor], list[Tensor]], split: Split) -> dict[str, float | None]:
        right, loss = 0, 0.0
        for images, targets in _chunks(split, self.chunk):
            outputs, classes_B = network(to_input(images, self.device, self.task)), targets.to(self.device)
            loss += float(self.loss(outputs, classes_B)) * len(images)
            right += int((outputs[0].argmax(1) == classes_B).sum())
        number = len(split.images)
        return {"accuracy": right / number, "val_loss": loss / number}


class Detector:
    """Loss and metrics of a detector; see `evaluator.detection`."""

    chunk = EVAL_BATCH
    """Images that are evaluated at a time."""

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
    def evaluate(self, network: Callable[[Tensor], list[Tensor]], split: Split) -> dict[str, float | None]:
        found, loss = [], 0.0
        for chunk, (images, targets) in enumerate(_chunks(split, self.chunk)):
            raw_BNX = detection.flatten(network(to_input(images, self.device, self.task)), self.task.num_classes)
            wanted = corners(targets, self.task.size).to(self.device)
            loss += float(detection.loss(raw_BNX, self.grid, wanted, self.recipe)) * len(images)
            boxes, scores, classes = detection.detect(raw_BNX, self.grid, self.task.size, self.recipe)
            image, slot = (scores > 0).nonzero(as_tuple=True)
            box = boxes[image, slot]
            found.append(
                torch.cat([
                    (image + chunk * self.chunk)[:, None].float(), classes[image, slot][:, None].float(),
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


def _chunks(split: Split, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    for first in range(0, len(split.images), number):
        rows = slice(first, first + number)
        yield tensor(split.images[rows]), tensor(split.targets[rows])
