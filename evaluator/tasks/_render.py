"""Pictures from two real sources: handwritten digits as objects, photographs as backgrounds.

Sources: scikit-learn's `load_digits` (1,797 digits of 8x8 pixels, UCI Optical Recognition of Handwritten
Digits) and `load_sample_images` (two photographs of 427x640). All arithmetic on pixels is on integers, and
all chance comes from `PCG64.random_raw`, whose bits NumPy promises to keep: the same version gives the same
bytes on every machine whose JPEG decoder agrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

SplitName = Literal["train", "val"]
Pixels = npt.NDArray[np.int64]

NUM_CLASSES = 10
PIXEL_MEAN, PIXEL_STD = 96.0, 64.0
"""About those of the pictures; part of what a training is, so no longer a matter of the data."""
SIDE = 64
"""Pixels of a picture's side; a larger picture shows the same, larger."""
TRAIN_SHARE = 0.7
PHOTO_COLUMNS: dict[SplitName, tuple[int, int]] = {"train": (0, 416), "val": (432, 640)}
"""Columns of each photograph that a split may show; no column is in both."""


class Dice:
    """Integers by chance, the same on every machine for the same key."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def roll(self, low: int, high: int) -> int:
        """One of low, …, high - 1."""
        return low + ((int(self._bits.random_raw()) >> 32) * (high - low) >> 32)


@dataclass(frozen=True, kw_only=True)
class Glyph:
    """A rendered digit: its opacity, 0 to 255, cut to the tight box of what can be seen of it."""

    alpha: Pixels
    label: int
    source: int
    """Row of `load_digits` that it was drawn from."""


@cache
def digits() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The (1797, 8, 8) digits with values 0 to 16 and their (1797,) classes."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped, unused-ignore]

    data = load_digits()
    return data.images.astype(np.int64), data.target.astype(np.int64)


@cache
def photos() -> npt.NDArray[np.uint8]:
    """The (2, 427, 640, 3) photographs."""
    from sklearn.datasets import load_sample_images

    return np.stack(load_sample_images().images)


@cache
def sources(split: SplitName) -> list[npt.NDArray[np.int64]]:
    """Rows of the digits that a split may draw, per class: the first 70 % train, the last 30 % validate.

    The set is ordered by writer, so the two splits hardly share a hand.
    """
    _, labels = digits()
    parts = []
    for label in range(NUM_CLASSES):
        rows = np.flatnonzero(labels == label)
        cut = int(len(rows) * TRAIN_SHARE)
        parts.append(rows[:cut] if split == "train" else rows[cut:])
    return parts


def background(dice: Dice, split: SplitName, size: int) -> tuple[Pixels, tuple[int, int, int, int]]:
    """A crop of a photograph, (size, size, 3), and where it is from: photo, left, top, side."""
    left, right = PHOTO_COLUMNS[split]
    photo, side = dice.roll(0, 2), dice.roll(SIDE, 5 * SIDE // 2)
    x, y = dice.roll(left, right - side + 1), dice.roll(0, photos().shape[1] - side + 1)
    crop = photos()[photo, y : y + side, x : x + side].astype(np.int64)
    return _resample(crop, size), (photo, x, y, side)


def _resample(square: Pixels, size: int) -> Pixels:
    """Bilinear picture of a (side, side, 3) square on size x size pixels, in steps of 1/256."""
    side = len(square)
    at = np.clip(((2 * np.arange(size) + 1) * side * 128) // size - 128, 0, (side - 1) * 256)
    first, part = at >> 8, at & 255
    second = np.minimum(first + 1, side - 1)
    rows = square[first] * (256 - part)[:, None, None] + square[second] * part[:, None, None]
    both = rows[:, first] * (256 - part)[None, :, None] + rows[:, second] * part[None, :, None]
    picture: Pixels = (both + 32768) >> 16
    return picture


def glyph(source: int, side: int, degrees: int) -> Glyph:
    """Digit `source` drawn `side` pixels high before it is turned by `degrees`, strokes sharpened."""
    images, labels = digits()
    padded = np.pad(np.minimum(images[source] * 16, 255), 2)
    cos, sin = (round(f(math.radians(degrees)) * 65536) for f in (math.cos, math.sin))
    extent = side * 3 // 2  # a turned square needs up to sqrt(2) times its side
    half = 2 * np.arange(extent) + 1 - extent  # distance to the centre in half pixels
    dx, dy = half[None, :], half[:, None]
    centre = (7 << 15) + (2 << 16)  # 3.5 glyph pixels and the padding, in steps of 1/65536
    u = (cos * dx + sin * dy) * 4 // side + centre
    v = (cos * dy - sin * dx) * 4 // side + centre
    x, y = np.clip(u >> 16, 0, 10), np.clip(v >> 16, 0, 10)
    p, q = (u >> 8) & 255, (v >> 8) & 255
    upper = padded[y, x] * (256 - p) + padded[y, x + 1] * p
    lower = padded[y + 1, x] * (256 - p) + padded[y + 1, x + 1] * p
    alpha = np.clip(2 * ((upper * (256 - q) + lower * q) >> 16) - 128, 0, 255)
    rows, columns = (np.flatnonzero((alpha >= 64).any(axis)) for axis in (1, 0))
    return Glyph(
        alpha=alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1],
        label=int(labels[source]),
        source=source,
    )


def draw(image: Pixels, alpha: Pixels, x: int, y: int, colour: Pixels, opacity: int) -> None:
    """Paint `alpha` in `colour` (3,) onto `image` in place, left top at (x, y), `opacity` of 256."""
    height, width = alpha.shape
    under = image[y : y + height, x : x + width]
    under += ((colour - under) * (alpha * opacity >> 8)[:, :, None]) >> 8
