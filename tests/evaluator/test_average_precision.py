"""Our average precision is COCO's: equal to pycocotools on random detections."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from evaluator.average_precision import average_precision

LIMITS = (12.0**2, 24.0**2)


def _random_boxes(rng: np.random.Generator, number: int, num_images: int, num_classes: int) -> Any:
    image, label = rng.integers(0, num_images, number), rng.integers(0, num_classes, number)
    size = rng.integers(3, 40, (number, 2))
    place = rng.integers(0, 24, (number, 2))
    return np.column_stack([image, label, place, size]).astype(float)


def _problem(seed: int) -> tuple[Any, Any, Any]:
    """Objects, some of them crowds; detections near objects and anywhere; equal scores; images without either."""
    rng = np.random.default_rng(seed)
    objects = _random_boxes(rng, 120, 30, 4)  # images 30 to 39 have no object
    crowd = rng.random(len(objects)) < 0.1
    near = objects[rng.integers(0, len(objects), 200)] + np.column_stack(
        [np.zeros((200, 2)), rng.integers(-3, 4, (200, 4))]
    )
    near[:, 4:] = near[:, 4:].clip(1)
    boxes = np.concatenate([near, _random_boxes(rng, 60, 40, 4)])
    boxes = boxes[boxes[:, 0] % 7 != 0]  # some images have no detection
    scores = rng.integers(0, 20, len(boxes)) / 20  # many ties
    return objects, crowd, np.column_stack([boxes, scores])


def _reference(objects: Any, crowd: Any, detections: Any) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(boxes: Any) -> list[dict[str, Any]]:
        return [
            {"id": i + 1, "image_id": int(b[0]), "category_id": int(b[1]), "bbox": list(b[2:6]),
             "area": b[4] * b[5], "iscrowd": 0, **({"score": b[6]} if len(b) > 6 else {})}
            for i, b in enumerate(boxes)
        ]  # fmt: skip

    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        for coco, boxes in ((truth, objects), (found, detections)):
            coco.dataset = {
                "images": [{"id": i} for i in range(40)],
                "categories": [{"id": c} for c in range(4)],
                "annotations": rows(boxes),
            }
        for row, flag in zip(truth.dataset["annotations"], crowd, strict=True):
            row["iscrowd"] = int(flag)
        truth.createIndex()
        found.createIndex()
        run = COCOeval(truth, found, "bbox")
        run.params.areaRng = [[0, 1e10], [0, LIMITS[0]], list(LIMITS), [LIMITS[1], 1e10]]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return list(run.stats[:6])


def _ours(objects: Any, crowd: Any, detections: Any) -> dict[str, float | None]:
    return average_precision(
        num_images=40, num_classes=4, objects=objects, detections=detections, area_limits=LIMITS, crowd=crowd
    )


@pytest.mark.parametrize("seed", range(8))
def test_equals_pycocotools_with_crowds_ties_and_empty_images(seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    problem = _problem(seed)
    ours = [-1.0 if value is None else value for value in _ours(*problem).values()]
    out, _ = capfd.readouterr()
    assert out == ""
    assert ours == pytest.approx(_reference(*problem), abs=1e-12)


def test_perfect_detections_have_average_precision_one() -> None:
    objects, _, _ = _problem(0)
    # One of each class and image: a second equal box would have to be found twice.
    _, first = np.unique(objects[:, :2], axis=0, return_index=True)
    objects = objects[first]
    perfect = np.column_stack([objects, np.ones(len(objects))])
    metrics = _ours(objects, None, perfect)
    assert set(metrics.values()) == {1.0}


def test_nothing_found_is_zero_and_nothing_to_find_is_none() -> None:
    objects, crowd, detections = _problem(1)
    assert _ours(objects, crowd, detections[:0])["ap"] == 0.0
    assert set(_ours(objects[:0], crowd[:0], detections).values()) == {None}


def test_a_size_without_objects_is_none() -> None:
    objects, _, detections = _problem(2)
    small = objects[:, 4] * objects[:, 5] < LIMITS[0]
    metrics = _ours(objects[small], None, detections)
    assert metrics["ap_small"] is not None
    assert metrics["ap_large"] is None
