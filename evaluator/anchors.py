"""Anchors of a detector from the sizes of its objects: k-means by overlap.

Source: YOLOv2 (Redmon and Farhadi 2017), distance 1 - IoU of boxes with one corner in common. What deviates: a
centre is its cluster's median, the start is the quantiles of the area instead of chance, and all arithmetic is on
integers, so that the same boxes give the same anchors on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVELS, ANCHORS_PER_LEVEL = 3, 2
MOST_SIZES = 20_000
"""Sizes that are clustered; of more, evenly spaced ones by area."""
PARTS = 16
"""Steps of a pixel in which sizes that lie between pixels are clustered."""


def anchors_of(
    sizes: npt.NDArray[np.int64], *, levels: int = LEVELS, per_level: int = ANCHORS_PER_LEVEL
) -> npt.NDArray[np.int16]:
    """(levels, anchors, 2) typical widths and heights of `sizes` (n, 2), at least 1 each: small first.

    Raises ValueError if there is no size.
    """
    if not len(sizes):
        raise ValueError("anchors need at least one box")
    number = levels * per_level
    order = sizes[np.argsort(sizes.prod(axis=1), kind="stable")]
    if len(order) > MOST_SIZES:
        sizes = order = order[(2 * np.arange(MOST_SIZES) + 1) * len(order) // (2 * MOST_SIZES)]
    centres = order[(2 * np.arange(number) + 1) * len(order) // (2 * number)]
    for _ in range(100):
        shared = np.minimum(sizes[:, None], centres[None]).prod(axis=2)
        union = sizes.prod(axis=1)[:, None] + centres.prod(axis=1)[None] - shared
        nearest = np.argmax(shared * 1_000_000 // union, axis=1)
        members = [sizes[nearest == k] for k in range(number)]
        moved = np.stack(
            [np.median(members[k], axis=0).astype(np.int64) if len(members[k]) else centres[k] for k in range(number)]
        )
        if np.array_equal(moved, centres):
            break
        centres = moved
    centres = centres[np.argsort(centres.prod(axis=1), kind="stable")]
    return centres.reshape(levels, per_level, 2).astype(np.int16)


def anchors_between_pixels(sizes: npt.NDArray[np.floating]) -> npt.NDArray[np.int16]:
    """`anchors_of` sizes that are no whole numbers, rounded to whole pixels."""
    fine = anchors_of(np.maximum(np.rint(sizes * PARTS), 1).astype(np.int64)).astype(np.int64)
    return np.maximum((fine + PARTS // 2) // PARTS, 1).astype(np.int16)
