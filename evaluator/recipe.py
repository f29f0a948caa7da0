"""The recipe of a proxy training: every number that the result depends on besides data, seed and length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from evaluator.record import digest
from evaluator.tasks import Task
from space.registry import unknown


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyperparameters of the training loop; those of detection are ignored by a classifier."""

    batch: int = 32
    muon_rate: float = 0.4
    """Peak step of convolution weights, see `evaluator.muon`."""
    muon_momentum: float = 0.8
    learning_rate: float = 0.012
    """Peak rate of AdamW, which moves all other parameters."""
    momentum: float = 0.9
    """First coefficient of AdamW."""
    second_momentum: float = 0.99
    warm_up: float = 600
    """Image visits in which the rates rise; a number, not a share, so that trainings of all lengths begin alike."""
    cool_down: float = 0.5
    """Last share of the training, in which the rates fall to zero; what comes before it is the trunk."""
    clip_norm: float = 10.0
    average: float = 0.9
    """Decay per step of the moving average of the weights that is evaluated; 0 evaluates the last weights."""
    shift: int = 6
    """Largest random shift of a training image, in pixels."""
    zoom: float = 0.15
    """Largest random relative change of its size."""
    shuffle_colours: int = 1
    """1 puts the colour channels of each training image in random order; 0 where colours tell classes apart."""
    gain: float = 0.2
    """Largest random relative change of its brightness."""
    # detection
    positive_iou: float = 0.4
    """An anchor with at least this overlap learns the object; an object's best anchor always does."""
    box_weight: float = 2.0
    class_weight: float = 1.5
    object_weight: float = 0.5
    object_prior: float = 0.01
    """Probability of an object that an untrained network answers."""
    candidates: int = 60
    """Best-scored boxes of an image that enter non-maximum suppression."""
    detections: int = 20
    """Best-scored boxes of an image that are kept for AP."""
    nms_iou: float = 0.6

    def id(self, task: Task) -> str:
        """12 hex digits for the recipe, the task and the version of its data."""
        return digest({"recipe": asdict(self), "task": task.name, "version": task.version})


def recipe_for(task: Task, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The default recipe of `task` with fields changed by `overrides`.

    Raises ValueError that names the nearest field if one does not exist.
    """
    allowed = [field.name for field in fields(Recipe)]
    changes = {**task.recipe, **(overrides or {})}
    for name in changes:
        if name not in allowed:
            raise ValueError(unknown("recipe field", name, allowed))
    return replace(Recipe(), **changes)
