"""Tasks: what a candidate is trained on. One file per task, found by being in this folder; or the user's own data.

A task owns its data (rendered or read once, cached, split) and says what a network must answer. Nothing
here imports torch: the search driver prepares data without it, only workers train.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from space.architecture import Architecture
from space.registry import Registry

CROWD = -2
"""Class in `Split.targets` of a crowd of class 0; a crowd of class c has `CROWD` - c."""


class TaskError(ValueError):
    """Data that cannot be had; the message says why and what to change."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Training or validation data, usually memory maps, of which some may not be written to.

    `images` is uint8 (N, size, size, 3), RGB. `targets` is (N, G, 5) rows of class, x, y, width, height in
    pixels for a detector, int16, or float32 where boxes lie between pixels; class -1 is an unused row, and
    `CROWD` - c a region of class c that is neither learnt nor counted (COCO's iscrowd). For a classifier
    `targets` is int16 (N,) classes.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int16] | npt.NDArray[np.float32]


class Task(Protocol):
    """What the training loop and the driver need to know of a task.

    Properties are constants of the task. `version` changes whenever the data could: it is part of the
    recipe's hash, so results of different data never mix. `recipe` overrides defaults of
    `evaluator.recipe.Recipe`. `anchors` and `area_limits` are read for detectors only.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def head_kind(self) -> Literal["detector", "classifier"]: ...
    @property
    def objective(self) -> str: ...
    @property
    def recipe(self) -> Mapping[str, Any]: ...
    @property
    def area_limits(self) -> tuple[float, float]:
        """Areas in square pixels where small objects end and large ones begin."""
        ...

    @property
    def pixel_mean(self) -> float:
        """Subtracted from every pixel value, 0 to 255, before it enters a network."""
        ...

    @property
    def pixel_std(self) -> float:
        """Every pixel value is divided by it, after the mean was subtracted."""
        ...

    def prepare(self) -> str | None:
        """Make the data ready and check every byte of it; the driver calls this once before a run.

        Returns a notice for the user if something had to be done. Safe in several processes at once.
        Raises TaskError if the data cannot be had.
        """
        ...

    def load(self, split: Literal["train", "val"]) -> Split:
        """The data of one split, in some ten milliseconds; calls `prepare` if nothing is there yet."""
        ...

    def anchors(self) -> npt.NDArray[np.int16]:
        """(levels, anchors per level, 2) widths and heights in pixels, finest level first."""
        ...


@runtime_checkable
class Analytic(Protocol):
    """A task that answers itself: `evaluator.evaluate` trains nothing and asks for the score."""

    def score(self, architecture: Architecture, *, seed: int, image_visits: int) -> float:
        """The task's `objective`; the same arguments give the same score."""
        ...


class Tasks(Registry[Task]):
    """The built-in tasks by name, and the user's own data, prepared before, by `data:<key of its content>`.

    `scenes@128` are the scenes drawn at 128 pixels.
    """

    def get(self, name: str) -> Task:
        if re.fullmatch(r"data:[0-9a-f]{16}", name):
            from evaluator.data.task import OwnData

            return OwnData.of(name)
        if found := re.fullmatch(r"scenes@([0-9]{1,4})", name):
            from evaluator.tasks.scenes import Scenes

            return Scenes(int(found[1]))
        return super().get(name)


TASKS = Tasks("task", "evaluator.tasks")
