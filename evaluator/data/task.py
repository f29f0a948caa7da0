"""A task on the user's own data: all of it comes from the cache folder that `evaluator.data.build` left behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evaluator.data.dataset import Kind, SplitName
from evaluator.tasks import TASKS, Split, TaskError, _cache

FACTS = "facts.json"
REPORT = "report.txt"
"""What a person is told of the data; not part of the data, so that it may change with the folder."""


def folder_of(name: str) -> str:
    """The cache folder of the task called `data:<key>`."""
    return name.replace(":", "-")


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """The user's own data, as prepared. `facts` says everything that is not in an array."""

    name: str
    size: int
    num_classes: int
    head_kind: Literal["detector", "classifier"]
    objective: str
    area_limits: tuple[float, float]
    pixel_mean: float
    pixel_std: float
    recipe: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The key of the content: other data is another task."""
        return self.name.removeprefix("data:")

    @staticmethod
    def of(name: str) -> OwnData:
        """The task called `data:<key>`. Raises TaskError if its cache folder is gone or broken."""
        folder = folder_of(name)
        fault = _cache.fault(folder, every_byte=False)
        if fault is not None:
            raise _gone(name, fault)
        facts = json.loads((_cache.root() / folder / FACTS).read_text())
        kind: Kind = facts["kind"]
        return OwnData(
            name=name, size=facts["size"], num_classes=len(facts["classes"]), head_kind=kind,
            objective="ap" if kind == "detector" else "accuracy", area_limits=tuple(facts["area_limits"]),
            pixel_mean=facts["pixel_mean"], pixel_std=facts["pixel_std"], recipe=_recipe(kind, facts), facts=facts,
        )  # fmt: skip

    def prepare(self) -> str | None:
        """Check every byte. Returns what was found in the data, and what a user should know of it."""
        folder = folder_of(self.name)
        fault = _cache.fault(folder, every_byte=True)
        if fault is not None:
            raise _gone(self.name, fault)
        try:
            return (_cache.root() / folder / REPORT).read_text()
        except OSError:
            return None

    def load(self, split: SplitName) -> Split:
        images, targets = _cache.open_arrays(folder_of(self.name), f"{split}_images", f"{split}_targets", mode="r")
        return Split(images=images, targets=targets)

    def anchors(self) -> npt.NDArray[np.int16]:
        if self.head_kind == "classifier":
            raise NotImplementedError("a classifier has no anchors")
        return np.array(self.facts["anchors"], np.int16)


def _gone(name: str, fault: str) -> TaskError:
    return TaskError(
        f"the prepared data '{name}' was {fault}; run once more with --data to prepare it again (or "
        "`python -m evaluator.data PATH`, with --size if another was given)"
    )


def _recipe(kind: Kind, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of the built-in task of the same kind, fitted to the pictures' size and number of objects."""
    from evaluator.recipe import Recipe

    built_in = TASKS.get("scenes" if kind == "detector" else "digits")
    recipe = {**built_in.recipe, "shuffle_colours": 0}
    default = Recipe(**recipe)
    if facts["size"] != built_in.size:
        recipe["shift"] = max(1, round(default.shift * facts["size"] / built_in.size))
    if kind == "detector" and facts["most_objects"] > default.detections // 2:
        recipe["detections"] = min(100, 2 * facts["most_objects"])  # COCO's AP looks at no more than 100
        recipe["candidates"] = max(default.candidates, 3 * recipe["detections"])
    return recipe
