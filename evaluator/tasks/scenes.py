"""Detection: one to three handwritten digits, at many sizes and turns, over dimmed photographs; 64 pixels.

Boxes are tight around what can be seen. No source digit and no photo column is in both splits; the cached
`*_sources` arrays record where every picture came from. Small, medium and large (under 20x20, over 28x28 pixels)
each hold about a third of the objects.

Objects are large for the image on purpose. A detector reads its last three stages, so with four stages its finest
scale has stride 8; with digits from 11 pixels up, networks of four stages had a mean AP of 0.24 and those of three
0.45, for no reason that a deployment at 256 pixels would have. From 18 pixels up both had 0.46, and the score tells
networks within each group apart by six times its noise (`studies/proxy.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evaluator.anchors import anchors_of
from evaluator.tasks import TASKS, Split, TaskError, _cache, _render
from evaluator.tasks._render import Dice, Glyph, SplitName

MAX_OBJECTS = 3
SIDES = [round(18 * (50 / 18) ** (step / 63)) for step in range(64)]
"""Heights before turning, 18 to 50 pixels, equally likely on a logarithmic scale."""
LARGEST = 256
"""Pixels of the largest scenes: 1.2 GB in the cache."""
NUM_IMAGES: dict[SplitName, int] = {"train": 4000, "val": 2000}


class Scenes:
    """The built-in detection task, at 64 pixels; at another `size` the same kind of scene, drawn larger."""

    version = "3"
    num_classes = _render.NUM_CLASSES
    head_kind: Literal["detector", "classifier"] = "detector"
    objective = "ap"
    pixel_mean = _render.PIXEL_MEAN
    pixel_std = _render.PIXEL_STD

    def __init__(self, size: int = _render.SIDE) -> None:
        if not _render.SIDE <= size <= LARGEST or size % 32:
            raise TaskError(f"scenes are drawn at 64 to {LARGEST} pixels, a multiple of 32, not {size}")
        scale = size / _render.SIDE
        self.size = size
        self.name = "scenes" if size == _render.SIDE else f"scenes@{size}"
        self.area_limits = ((20.0 * scale) ** 2, (28.0 * scale) ** 2)
        shift = {} if size == _render.SIDE else {"shift": round(6 * scale)}
        self.recipe: Mapping[str, Any] = MappingProxyType(shift)

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.version}"

    def prepare(self) -> str | None:
        return _cache.prepare(self.folder, self.render)

    def load(self, split: SplitName) -> Split:
        images, targets = _cache.load(self.folder, self.render, f"{split}_images", f"{split}_targets")
        return Split(images=images, targets=targets)

    def anchors(self) -> npt.NDArray[np.int16]:
        (anchors,) = _cache.load(self.folder, self.render, "anchors")
        return anchors

    def render(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays of the task, from nothing."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for split, number in NUM_IMAGES.items():
            scenes = [scene(split, index, self.size) for index in range(number)]
            for name, column in zip(("images", "targets", "sources"), zip(*scenes, strict=True), strict=True):
                arrays[f"{split}_{name}"] = np.stack(column)
        boxes = arrays["train_targets"].reshape(-1, 5)
        arrays["anchors"] = anchors_of(boxes[boxes[:, 0] >= 0, 3:].astype(np.int64))
        return arrays


def scene(
    split: SplitName, index: int, size: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Scene `index` of a split: image (size, size, 3), targets (3, 5), sources (7,).

    A row of `targets` is class, x, y, width, height; -1 where there is no object. `sources` is the rows of
    the digits (-1 where there is none), then photo, left, top and side of the background.
    """
    dice = Dice(1, ("train", "val").index(split), index)
    image, origin = _render.background(dice, split, size)
    image = image * dice.roll(40, 136) >> 8
    targets = np.full((MAX_OBJECTS, 5), -1, np.int16)
    sources = np.full(MAX_OBJECTS, -1, np.int16)
    placed = 0
    for _ in range(dice.roll(1, MAX_OBJECTS + 1)):
        rows = _render.sources(split)[dice.roll(0, _render.NUM_CLASSES)]
        side, degrees = SIDES[dice.roll(0, len(SIDES))] * size // _render.SIDE, dice.roll(-30, 31)
        glyph = _render.glyph(int(rows[dice.roll(0, len(rows))]), side, degrees)
        place = _free_place(dice, glyph, targets[:placed], size)
        if place is None:
            continue
        colour = np.array([dice.roll(136, 256) for _ in range(3)])
        _render.draw(image, glyph.alpha, *place, colour, dice.roll(192, 257))
        targets[placed] = glyph.label, *place, *glyph.alpha.shape[::-1]
        sources[placed] = glyph.source
        placed += 1
    return image.astype(np.uint8), targets, np.concatenate([sources, np.array(origin, np.int16)])


def _free_place(dice: Dice, glyph: Glyph, taken: npt.NDArray[Any], size: int) -> tuple[int, int] | None:
    """Left and top where at most a tenth of the glyph or of any earlier object is covered, if one is found."""
    height, width = glyph.alpha.shape
    taken = taken.astype(np.int64)
    for _ in range(12):
        x, y = dice.roll(0, size - width + 1), dice.roll(0, size - height + 1)
        across = np.minimum(x + width, taken[:, 1] + taken[:, 3]) - np.maximum(x, taken[:, 1])
        down = np.minimum(y + height, taken[:, 2] + taken[:, 4]) - np.maximum(y, taken[:, 2])
        shared = np.maximum(across, 0) * np.maximum(down, 0)
        if (shared * 10 <= np.minimum(width * height, taken[:, 3] * taken[:, 4])).all():
            return x, y
    return None


TASKS.register("scenes", Scenes())
