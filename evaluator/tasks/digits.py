"""Classification: which handwritten digit stands before a cluttered photograph; 64 pixels, ten classes.

The same sources and the same splits as `scenes`. What makes it hard: sizes from a half to three quarters of
the picture, any place, turns up to 20 degrees, any light colour, and sometimes a scrap of another digit.
After 4,000 image visits seven architectures of the default space had accuracies of 0.36 to 0.88 (2026-11); with
twice the clutter and half the contrast none of them left chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evaluator.tasks import TASKS, Split, _cache, _render
from evaluator.tasks._render import Dice, SplitName

NUM_IMAGES: dict[SplitName, int] = {"train": 4000, "val": 2000}


class Digits:
    """The built-in classification task."""

    name = "digits"
    version = "2"
    size = 64
    num_classes = _render.NUM_CLASSES
    head_kind: Literal["detector", "classifier"] = "classifier"
    objective = "accuracy"
    area_limits = (0.0, 0.0)
    pixel_mean = _render.PIXEL_MEAN
    pixel_std = _render.PIXEL_STD
    recipe: Mapping[str, Any] = MappingProxyType({"batch": 16, "muon_rate": 0.1, "learning_rate": 0.01})

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.version}"

    def prepare(self) -> str | None:
        return _cache.prepare(self.folder, self.render)

    def load(self, split: SplitName) -> Split:
        images, targets = _cache.load(self.folder, self.render, f"{split}_images", f"{split}_targets")
        return Split(images=images, targets=targets)

    def anchors(self) -> npt.NDArray[np.int16]:
        raise NotImplementedError("a classifier has no anchors")

    def render(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays of the task, from nothing."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for split, number in NUM_IMAGES.items():
            pictures = [picture(split, index, self.size) for index in range(number)]
            for name, column in zip(("images", "targets", "sources"), zip(*pictures, strict=True), strict=True):
                arrays[f"{split}_{name}"] = np.stack(column)
        return arrays


def picture(split: SplitName, index: int, size: int) -> tuple[npt.NDArray[np.uint8], np.int16, npt.NDArray[np.int16]]:
    """Picture `index` of a split: image (size, size, 3), class, sources (6,).

    `sources` is the rows of the digit and of the scrap (-1 where there is none), then photo, left, top and side
    of the background.
    """
    dice = Dice(2, ("train", "val").index(split), index)
    image, origin = _render.background(dice, split, size)
    image = image * dice.roll(32, 128) >> 8
    sources = np.full(2, -1, np.int16)
    if dice.roll(0, 2):
        glyph = _random_glyph(dice, split, dice.roll(9, 15))
        upper = max(3, len(glyph.alpha) * dice.roll(40, 75) // 100)
        _place(dice, image, glyph.alpha[:upper])
        sources[1] = glyph.source
    glyph = _random_glyph(dice, split, dice.roll(30, 49))
    _place(dice, image, glyph.alpha)
    sources[0] = glyph.source
    return image.astype(np.uint8), np.int16(glyph.label), np.concatenate([sources, np.array(origin, np.int16)])


def _random_glyph(dice: Dice, split: SplitName, side: int) -> _render.Glyph:
    rows = _render.sources(split)[dice.roll(0, _render.NUM_CLASSES)]
    return _render.glyph(int(rows[dice.roll(0, len(rows))]), side, dice.roll(-20, 21))


def _place(dice: Dice, image: npt.NDArray[np.int64], alpha: npt.NDArray[np.int64]) -> None:
    """Paint a glyph somewhere in a random light colour."""
    height, width = alpha.shape
    x, y = dice.roll(0, image.shape[1] - width + 1), dice.roll(0, image.shape[0] - height + 1)
    colour = np.array([dice.roll(144, 256) for _ in range(3)])
    _render.draw(image, alpha, x, y, colour, dice.roll(192, 257))


TASKS.register("digits", Digits())
