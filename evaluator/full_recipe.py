"""The recipe of a full training: what it adds to, and changes in, the proxy's. No torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from evaluator.data.task import OwnData
from evaluator.recipe import Recipe, recipe_for
from evaluator.record import digest
from evaluator.tasks import Task

FINAL_RATE = 0.01
"""Share of the peak rate at the end."""


@dataclass(frozen=True, kw_only=True)
class FullRecipe:
    """Every number of a full training besides those of `Recipe`, which holds the rates and the losses."""

    epochs: int
    batch: int
    mosaic: float = 0.5
    """Share of the images of a detector that are mosaics."""
    mixup: float = 0.5
    """Share of a classifier's batches that are mixed."""
    plain: float = 0.15
    """Last share of the training without mosaics and mixup."""
    flip: float = 0.0
    """Share of the images that are mirrored; digits are not."""
    average: float = 0.998
    """Decay per step of the moving average of the weights, at most; it begins lower."""

    def base(self, task: Task) -> Recipe:
        """The task's own recipe with this batch."""
        return replace(recipe_for(task), batch=self.batch)

    def id(self, task: Task) -> str:
        """12 hex digits for recipe, task and version of its data: never those of a proxy's."""
        return digest({"full": asdict(self), "recipe": asdict(self.base(task)), "task": task.name,
                       "version": task.version})  # fmt: skip

    def rate(self, step: int, steps: int, recipe: Recipe) -> float:
        """Share of the peak learning rate in step `step` (from 0) of `steps`: up in a line, down in a half cosine."""
        done = step + 0.5
        rise = min(1.0, done * recipe.batch / recipe.warm_up) if recipe.warm_up else 1.0
        return rise * (FINAL_RATE + (1 - FINAL_RATE) * (0.5 + 0.5 * math.cos(math.pi * done / steps)))

    def to_dict(self, task: Task) -> dict[str, Any]:
        """The whole recipe as plain data."""
        return {**asdict(self.base(task)), **asdict(self)}


def full_recipe(task: Task, *, epochs: int, batch: int | None) -> FullRecipe:
    """The recipe for a task: the user's own pictures are mirrored too."""
    flip = 0.5 if isinstance(task, OwnData) else 0.0
    return FullRecipe(epochs=epochs, batch=batch or recipe_for(task).batch, flip=flip)
