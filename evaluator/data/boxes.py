"""From annotated objects to training targets: what is impossible is left out and said, the rest moved exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evaluator.data.dataset import Item, Log, Objects
from evaluator.data.picture import Header, PictureError, Placement, upright_boxes
from evaluator.tasks import CROWD

HUGE = 1e7
"""No picture has such a coordinate, in pixels."""
LEAST_INSIDE = 0.01
"""A box with less than this share of its area in the picture is no annotation of it."""
LEAST_SIDE = 1.0
"""Pixels of the proxy that an object must be wide and high to be seen at all."""


def targets(item: Item, found: Header, size: int, log: Log) -> Objects:
    """The objects of an item in the proxy's square.

    Raises PictureError if the annotations are of a picture of another size.
    """
    objects = item.objects
    if not len(objects):
        _frame(item, found)
        return objects
    frame, turned = _frame(item, found)
    if item.relative:
        # The upright picture's sides are meant, as YOLO's own reader has it.
        width, height = frame
        objects = objects * np.array([1, width, height, width, height, 1])
    elif turned and found.orientation > 1:
        log.remark("turned by EXIF; its size says that boxes are of the picture as stored: turned too", item.name)
    elif found.orientation > 1 and _untold(item, found):
        log.remark("turned by EXIF; its size cannot say for which view boxes were drawn: taken as upright", item.name)
    objects = within(objects, *frame, item.name, log)
    if turned:
        objects = upright_boxes(objects, frame, found.orientation)
    placed = Placement.letterbox(*found.upright, size).boxes(objects)
    tiny = (placed[:, 3:5] < LEAST_SIDE).any(axis=1) & (placed[:, 5] == 0)
    for row in np.flatnonzero(tiny):
        log.box(f"narrower than a pixel at {size}x{size}", f"{item.name} {_spelt(objects[row])}")
    kept: Objects = placed[~tiny]
    return kept


def _frame(item: Item, found: Header) -> tuple[tuple[int, int], bool]:
    """Width and height that boxes are within, and whether that is the picture as stored."""
    stored, upright = (found.width, found.height), found.upright
    if item.stated_size is None or item.stated_size == upright:
        return upright, False
    if item.stated_size == stored:
        return stored, True
    says = "x".join(map(str, item.stated_size))
    raise PictureError(f"annotated at another size ({says}, the picture has {upright[0]}x{upright[1]})")


def _untold(item: Item, found: Header) -> bool:
    """Whether the stated size fits both the stored and the upright picture, or is missing."""
    return item.stated_size is None or (found.width, found.height) == found.upright


def within(objects: Objects, width: int, height: int, name: str, log: Log) -> Objects:
    """The objects that a picture of this size can have, cut at its edges; the others are logged."""
    kept: list[list[float]] = []
    seen: set[tuple[float, ...]] = set()
    for row in objects:
        reason, (label, x, y, w, h, crowd) = None, row.tolist()
        left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
        if not np.isfinite(row).all():
            reason = "a coordinate is not a finite number"
        elif np.abs(row[1:5]).max() > HUGE:
            reason = "a coordinate is impossibly large"
        elif w < 0 or h < 0:
            reason = "negative width or height"
        elif w == 0 or h == 0:
            reason = "no area"
        elif right <= left or bottom <= top:
            reason = "outside the picture"
        elif (right - left) * (bottom - top) < LEAST_INSIDE * w * h:
            reason = "less than 1 % of it lies in the picture"
        elif (label, x, y, w, h, crowd) in seen:
            reason = "the same box twice"
        if reason is not None:
            log.box(reason, f"{name} {_spelt(row)}")
            continue
        seen.add((label, x, y, w, h, crowd))
        if max(left - x, top - y, x + w - right, y + h - bottom) >= 1:
            log.remark("box cut at the picture's edge", f"{name} {_spelt(row)}")
        kept.append([label, left, top, right - left, bottom - top, crowd])
    return np.array(kept).reshape(-1, 6)


def _spelt(row: npt.NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in row[1:5]) + "]"


def packed(objects: Objects, slots: int) -> npt.NDArray[np.float32]:
    """The (slots, 5) target rows of `evaluator.tasks.Split`; of too many objects the largest."""
    if len(objects) > slots:
        largest = np.argsort(-objects[:, 3] * objects[:, 4], kind="stable")[:slots]
        objects = objects[np.sort(largest)]
    rows = np.full((slots, 5), -1, np.float32)
    rows[: len(objects)] = objects[:, :5]
    crowd = np.flatnonzero(objects[:, 5] > 0)
    rows[crowd, 0] = CROWD - rows[crowd, 0]
    return rows
