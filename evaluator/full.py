"""The full training: one network for many epochs at the deployment's size, from parts of the proxy's loop.

What it adds to `evaluator.train`: a cosine schedule, a slower average of the weights, mosaics for detectors and mixup
for classifiers that end before the training does, an evaluation an epoch, and a state on disk from which the same
training goes on, bit for bit on a CPU of the same kind with as many threads.

Sources: mosaic (Bochkovskiy et al. 2020, YOLOv4) as a window onto a sheet of 2 x 2 pictures, left out at the end
(Ge et al. 2021, YOLOX); mixup (Zhang et al. 2018), uniform weights; average with a rising decay (YOLOv5).

Legend: B batch, H W rows and columns, G object slots, Q the pictures of a mosaic.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluator import state
from evaluator.device import select
from evaluator.full_recipe import FullRecipe
from evaluator.muon import Muon
from evaluator.record import digest
from evaluator.tasks import Task
from evaluator.train import (
    EVAL_BATCH,
    ON_CARD_BYTES,
    Classifier,
    Detector,
    LossNotFinite,
    Order,
    augment,
    corners,
    judge_of,
    parameters_of,
    recolour,
    tensor,
    to_input,
)
from evaluator.weights import write
from space.module import Network, fold, initialise

STATE = "checkpoint.state"
CHECKPOINT_SECONDS = 600.0
"""Within an epoch a state is left after so long."""
Point = dict[str, float]
"""One epoch: `epoch`, `loss`, `learning_rate`, `seconds`, and the task's metrics."""


def train_full(network: Network, task: Task, full: FullRecipe, *, seed: int, device: str, folder: Path,
               about: dict[str, Any], stopped: Callable[[], bool], watch: Callable[[list[Point]], None]
               ) -> list[Point] | None:  # fmt: skip
    """Train to the end, or go on with what lies in `folder`; the epochs, or None if `stopped` said so meanwhile.

    Leaves `best.safetensors` and `last.safetensors` (averaged weights of the best epoch by the task's objective and of
    the last one), each with JSON beside, and the state. `watch` is given all epochs so far after each. Raises
    LossNotFinite, OSError where nothing can be written.
    """
    run = _Training(network, task, full, seed, device, folder, about)
    while run.step < run.steps:
        if stopped():
            run.keep()
            return None
        run.train_step()
        if run.step % run.steps_of_epoch == 0:
            run.close_epoch()
            watch(run.history)
    return run.history


class _Training:
    """One training between two steps; everything that `keep` writes is all that it needs to go on."""

    def __init__(self, network: Network, task: Task, full: FullRecipe, seed: int, device: str, folder: Path,
                 about: dict[str, Any]) -> None:  # fmt: skip
        self.task, self.full, self.folder, self.about = task, full, folder, about
        self.recipe = full.base(task)
        self.place, self.low_precision = select(device)
        self.generator = torch.Generator().manual_seed(seed)
        self.network = initialise(network, seed)
        self.network.to(device=self.place, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.judge: Detector | Classifier = judge_of(network, task, self.recipe, self.place)
        self.judge.chunk = max(4, min(EVAL_BATCH, EVAL_BATCH * 64 * 64 // task.size**2))
        data = task.load("train")
        self.home = self.place if data.images.nbytes <= ON_CARD_BYTES else torch.device("cpu")
        self.images, self.targets = tensor(data.images).to(self.home), tensor(data.targets).to(self.home)
        self.steps_of_epoch = max(1, round(len(self.images) / self.recipe.batch))
        self.steps = self.steps_of_epoch * full.epochs
        convolutions, others = parameters_of(network)
        self.muon = Muon(convolutions, self.recipe.muon_momentum)
        self.adamw = torch.optim.AdamW(others, betas=(self.recipe.momentum, self.recipe.second_momentum),
                                       weight_decay=0.0, fused=True)  # fmt: skip
        self.weights = [value for value in network.state_dict().values() if value.is_floating_point()]
        self.averaged = [value.clone() for value in self.weights]
        self.order = Order(len(self.images), self.recipe.batch, self.generator)
        self.step, self.history = 0, list[Point]()
        self.loss = torch.zeros((), device=self.place)
        self.seconds = 0.0
        self.kept_at = self.began = time.monotonic()
        self.key = digest([repr(network.graph), full.id(task), seed])
        self._go_on()

    def _go_on(self) -> None:
        kept = state.load(self.folder / STATE, self.key)
        if kept is None:
            return
        self.network.load_state_dict(kept["network"])
        torch._foreach_copy_(self.averaged, kept["averaged"])
        torch._foreach_copy_(self.muon.average, kept["muon"])
        self.adamw.load_state_dict(kept["adamw"])
        self.generator.set_state(kept["generator"])
        self.order.rest, self.step, self.history = kept["order"], kept["step"], kept["history"]
        self.loss, self.seconds = kept["loss"].to(self.place), kept["seconds"]

    def keep(self) -> None:
        """Leave the state on disk. Raises OSError if it cannot be written."""
        note = state.save(self.folder / STATE, self.key, {
            "network": self.network.state_dict(), "averaged": self.averaged, "muon": self.muon.average,
            "adamw": self.adamw.state_dict(), "generator": self.generator.get_state(),
            "order": self.order.rest.clone(), "step": self.step, "history": self.history, "loss": self.loss,
            "seconds": self.seconds + time.monotonic() - self.began,
        })  # fmt: skip
        if note is not None:
            raise OSError(f"{self.folder}: {note}")
        self.kept_at = time.monotonic()

    def train_step(self) -> None:
        """One batch."""
        share = self.full.rate(self.step, self.steps, self.recipe)
        x_BHWC, loss_of = self._batch()
        with torch.autocast(self.place.type, torch.bfloat16, enabled=self.low_precision):
            outputs = self.network(to_input(x_BHWC, self.place, self.task))
        loss = loss_of([output.float() for output in outputs])
        self.network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm, foreach=True)
        self.adamw.param_groups[0]["lr"] = self.recipe.learning_rate * share
        self.adamw.step()
        self.muon.step(self.recipe.muon_rate * share)
        decay = min(self.full.average, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.averaged, self.weights, 1 - decay)
        self.loss = self.loss + loss.detach()
        self.step += 1
        if time.monotonic() - self.kept_at > CHECKPOINT_SECONDS:
            self.keep()

    def _batch(self) -> tuple[Tensor, Callable[[list[Tensor]], Tensor]]:
        """Images [B, H, W, 3] and the loss of outputs for them."""
        rows_B, generator = self.order.next(), self.generator
        mixes = self.step < self.steps * (1 - self.full.plain)
        if self.task.head_kind == "detector":
            x_BHWC, y_BG5 = _detection(self.images, self.targets, rows_B.to(self.home), self.recipe,
                                       self.full.mosaic if mixes else 0.0, generator)  # fmt: skip
            x_BHWC, y_BG5 = mirror(x_BHWC, y_BG5, self.full.flip, generator)
            wanted = y_BG5.to(self.place)
            return x_BHWC, lambda outputs: self.judge.loss(outputs, wanted)
        x_BHWC, y_B = augment(self.images, self.targets, rows_B.to(self.home), self.recipe, generator)
        x_BHWC, _ = mirror(x_BHWC, torch.zeros(len(x_BHWC), 0, 5, device=self.home), self.full.flip, generator)
        wanted = y_B.to(self.place)
        chance, weight = torch.rand(2, generator=generator).tolist()
        if not mixes or chance >= self.full.mixup:
            return x_BHWC, lambda outputs: self.judge.loss(outputs, wanted)
        others = torch.randperm(len(wanted), generator=generator)
        x_BHWC = x_BHWC.lerp(x_BHWC[others.to(self.home)], 1 - weight)
        second = wanted[others.to(self.place)]
        return x_BHWC, lambda outputs: (weight * self.judge.loss(outputs, wanted)
                                        + (1 - weight) * self.judge.loss(outputs, second))  # fmt: skip

    def close_epoch(self) -> None:
        """Evaluate the average, leave weights and state."""
        mean = float(self.loss) / self.steps_of_epoch
        if not math.isfinite(mean):
            raise LossNotFinite(f"loss is not finite in epoch {len(self.history) + 1}")
        averaged = copy.deepcopy(self.network)
        held = [value for value in averaged.state_dict().values() if value.is_floating_point()]
        torch._foreach_copy_(held, self.averaged)
        metrics = self.judge.evaluate(fold(averaged), self.task.load("val"))
        now = time.monotonic()
        self.seconds, self.began = self.seconds + now - self.began, now
        rate = self.recipe.learning_rate * self.full.rate(self.step - 1, self.steps, self.recipe)
        point = {"epoch": float(len(self.history) + 1), "loss": mean, "learning_rate": rate, "seconds": self.seconds}
        self.history = [*self.history, point | {k: v for k, v in metrics.items() if v is not None}]
        self.loss = torch.zeros_like(self.loss)
        said = {**self.about, "epoch": len(self.history), "history": self.history, "scores": metrics}
        names = ["last", "best"] if best_epoch(self.history, self.task.objective) == len(self.history) else ["last"]
        for name in names:
            write(self.folder / f"{name}.safetensors", averaged.state_dict(), said)
        self.keep()


def best_epoch(history: list[Point], objective: str) -> int:
    """The number of the first epoch with the highest score; 1 where none has one."""
    scores = [point.get(objective, -math.inf) for point in history]
    return scores.index(max(scores)) + 1


def _detection(images_NHWC: Tensor, targets: Tensor, rows_B: Tensor, recipe: Any, share: float,
               generator: torch.Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Images and class with corners (B, G, 5): a `share` of mosaics, the rest as the proxy's loop changes them."""
    number = int((torch.rand(len(rows_B), generator=generator) < share).sum())
    parts = [mosaic(images_NHWC, targets, rows_B[:number], recipe, generator)] if number else []
    if number < len(rows_B):
        parts.append(augment(images_NHWC, targets, rows_B[number:], recipe, generator))
    slots = max(y.shape[1] for _, y in parts)
    padded = [torch.nn.functional.pad(y, (0, 0, 0, slots - y.shape[1]), value=-1.0) for _, y in parts]
    return torch.cat([x for x, _ in parts]), torch.cat(padded)


def mosaic(images_NHWC: Tensor, targets: Tensor, rows_B: Tensor, recipe: Any,
           generator: torch.Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Windows onto sheets of 2 x 2 pictures, of which each `rows_B` is one, shown at half to full size."""
    batch, size, place = len(rows_B), images_NHWC.shape[1], images_NHWC.device
    others = torch.randint(len(images_NHWC), (batch, 3), generator=generator).to(place)
    rows_BQ = torch.cat([rows_B[:, None], others], 1)
    chance = torch.rand(batch, 3, generator=generator).to(place)
    zoom_B1 = 0.5 + chance[:, :1] / 2
    start_B2 = chance[:, 1:] * (2 * size - size / zoom_B1)  # left and top of the window on the sheet
    ahead_S = (torch.arange(size, device=place) + 0.5) / zoom_B1
    columns_BW, rows_BH = (
        (ahead_S + start_B2[:, axis : axis + 1]).floor().long().clamp(0, 2 * size - 1) for axis in (0, 1)
    )
    picture_BHW = (rows_BH // size * 2)[:, :, None] + (columns_BW // size)[:, None, :]
    source_BHW = rows_BQ.gather(1, picture_BHW.flatten(1)).reshape(picture_BHW.shape)
    images_BHWC = images_NHWC[source_BHW, (rows_BH % size)[:, :, None], (columns_BW % size)[:, None, :]].float()
    found = []
    for quarter in range(4):
        corner = torch.tensor([quarter % 2, quarter // 2], device=place) * size
        shift_B2 = corner - start_B2 + size / 2 - size / (2 * zoom_B1)
        found.append(corners(targets[rows_BQ[:, quarter]], size, zoom_B1[:, :, None], shift_B2[:, None]))
    y_BG5 = torch.cat(found, 1)
    used = (y_BG5[..., 0] != -1).long()
    order = used.argsort(dim=1, descending=True, stable=True)[:, : max(1, int(used.sum(1).max()))]
    return recolour(images_BHWC, recipe, generator), y_BG5.gather(1, order[..., None].expand(-1, -1, 5))


def mirror(images_BHWC: Tensor, y_BG5: Tensor, share: float,
           generator: torch.Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A `share` of the images mirrored left to right, with their boxes."""
    chosen_B = (torch.rand(len(images_BHWC), generator=generator) < share).to(images_BHWC.device)
    images_BHWC = torch.where(chosen_B[:, None, None, None], images_BHWC.flip(2), images_BHWC)
    label, left, top, right, bottom = y_BG5.unbind(-1)
    size = images_BHWC.shape[2]
    mirrored = torch.stack([label, size - right, top, size - left, bottom], -1)
    return images_BHWC, torch.where(chosen_B[:, None, None], mirrored, y_BG5)
