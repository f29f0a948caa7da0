"""Tasks: what a candidate is trained on. One file per task, found by being in this folder.

A task owns its data (rendered or read once, cached, split) and says what a network must answer. Nothing
here imports torch: the search driver prepares data without it, only workers train.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from space.architecture import Architecture
from space.registry import Registry


class TaskError(ValueError):
    """Data that cannot be had; the message says why and what to change."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Training or validation data, usually memory maps.

    `images` is uint8 (N, size, size, 3), RGB. `targets` is int16: (N, G, 5) rows of class, x, y, width,
    height in pixels with class -1 in unused rows for a detector; (N,) classes for a classifier.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int16]


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


TASKS: Registry[Task] = Registry("task", "evaluator.tasks")
