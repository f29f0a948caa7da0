"""COCO average precision of detections, through faster-coco-eval; equal to pycocotools, which tests prove.

COCO's definition: mean over classes with objects, over 101 recalls and IoU 0.50:0.05:0.95, at most 100
detections an image. Area limits are the caller's: COCO's own (32 and 96 squared) suit images of some 640
pixels, not a proxy's 64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

Boxes = npt.NDArray[Any]
METRICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def average_precision(
    *,
    num_images: int,
    num_classes: int,
    objects: Boxes,
    detections: Boxes,
    area_limits: tuple[float, float],
    crowd: npt.NDArray[np.bool_] | None = None,
) -> dict[str, float | None]:
    """AP of `detections` (m, 7) against `objects` (n, 6); None where there is no object to find.

    A row is image, class, x, y, width, height in pixels, and for a detection its score. A crowd object
    absorbs detections instead of counting. `area_limits` are the square pixels at which small objects end
    and large ones begin (as in COCO an object on a limit counts on both sides).
    """
    if not len(objects):
        return dict.fromkeys(METRICS)
    crowd = np.zeros(len(objects), bool) if crowd is None else crowd
    truth, found = COCO(), COCO()
    images = [{"id": i} for i in range(num_images)]
    categories = [{"id": c} for c in range(num_classes)]
    truth.dataset = {"images": images, "categories": categories, "annotations": _rows(objects, crowd)}
    found.dataset = {"images": images, "categories": categories, "annotations": _rows(detections)}
    truth.createIndex()
    found.createIndex()
    small, large = area_limits
    ranges = {"small": [0, small], "medium": [small, large], "large": [large, 1e10]}
    run = COCOeval_faster(truth, found, "bbox", ranges=ranges)
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][..., -1]  # IoU, recall, class, area range
    parts = {
        "ap": precision[..., 0], "ap50": precision[0, ..., 0], "ap75": precision[5, ..., 0],
        "ap_small": precision[..., 1], "ap_medium": precision[..., 2], "ap_large": precision[..., 3],
    }  # fmt: skip
    return {name: float(part[part > -1].mean()) if (part > -1).any() else None for name, part in parts.items()}


def _rows(boxes: Boxes, crowd: npt.NDArray[np.bool_] | None = None) -> list[dict[str, Any]]:
    """COCO annotations with ids from 1; detections carry a score."""
    rows = []
    for index, (image, label, *box) in enumerate(boxes.tolist()):
        row = {
            "id": index + 1, "image_id": int(image), "category_id": int(label), "bbox": box[:4],
            "area": box[2] * box[3], "iscrowd": 0 if crowd is None else int(crowd[index]),
        }  # fmt: skip
        if len(box) > 4:
            row["score"] = box[4]
        rows.append(row)
    return rows
