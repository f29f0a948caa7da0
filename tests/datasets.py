"""Data sets of every format, made of the real pictures at hand: digits over photographs, as the built-in tasks draw.

One `Scene` list serves all detection formats, so that tests can hold one against the other. Pictures are two scenes
side by side or one above the other: none is square.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evaluator.tasks.digits import picture
from evaluator.tasks.scenes import scene

NAMES = [f"digit {number}" for number in range(10)]


@dataclass(frozen=True)
class Scene:
    """A picture and its objects: class, left, top, width, height in pixels."""

    pixels: np.ndarray[Any, Any]
    objects: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]


@cache
def scenes(split: str, number: int) -> tuple[Scene, ...]:
    """`number` pictures with objects of a split of the built-in detection task, 128x64 or 64x128."""
    made = []
    for index in range(number):
        (first, a, _), (second, b, _) = scene(split, 2 * index, 64), scene(split, 2 * index + 1, 64)  # type: ignore[arg-type]
        wide = index % 2 == 0
        shift = np.array([0, 64, 0, 0, 0] if wide else [0, 0, 64, 0, 0])
        rows = [*a[a[:, 0] >= 0].tolist(), *(b[b[:, 0] >= 0] + shift).tolist()]
        made.append(Scene(np.concatenate([first, second], axis=1 if wide else 0), [tuple(row) for row in rows]))
    return tuple(made)


def png(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def coco(root: Path, parts: dict[str, tuple[Scene, ...]]) -> Path:
    """COCO's layout: annotations/instances_<part>.json and a folder <part> of PNG files."""
    (root / "annotations").mkdir(parents=True)
    for part, those in parts.items():
        (root / part).mkdir()
        data = coco_json(those)
        for entry, one in zip(data["images"], those, strict=True):
            (root / part / entry["file_name"]).write_bytes(png(one.pixels))
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(data))
    return root


def coco_json(those: tuple[Scene, ...]) -> dict[str, Any]:
    """The annotations of scenes; class c has the category id 10 c + 3."""
    images = [{"id": 7 + index, "file_name": f"{index:04d}.png", "width": one.width, "height": one.height}
              for index, one in enumerate(those)]  # fmt: skip
    rows = [(7 + index, row) for index, one in enumerate(those) for row in one.objects]
    annotations = [{"id": number + 1, "image_id": image, "category_id": 10 * row[0] + 3, "bbox": list(row[1:]),
                    "area": row[3] * row[4], "iscrowd": 0} for number, (image, row) in enumerate(rows)]  # fmt: skip
    categories = [{"id": 10 * label + 3, "name": name} for label, name in enumerate(NAMES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def yolo(root: Path, parts: dict[str, tuple[Scene, ...]], *, description: bool = True) -> Path:
    """images/<part>, labels/<part>, and data.yaml."""
    for part, those in parts.items():
        (root / "images" / part).mkdir(parents=True)
        (root / "labels" / part).mkdir(parents=True)
        for index, one in enumerate(those):
            (root / "images" / part / f"{index:04d}.png").write_bytes(png(one.pixels))
            lines = [
                f"{label} {(x + w / 2) / one.width!r} {(y + h / 2) / one.height!r} {w / one.width!r} {h / one.height!r}"
                for label, x, y, w, h in one.objects
            ]
            (root / "labels" / part / f"{index:04d}.txt").write_text("\n".join(lines))
    if description:
        lines = [f"{part}: images/{part}" for part in parts] + [f"names: {json.dumps(NAMES)}"]
        (root / "data.yaml").write_text("\n".join(lines))
    else:
        (root / "classes.txt").write_text("\n".join(NAMES))
    return root


@cache
def digits(split: str, number: int) -> tuple[tuple[np.ndarray[Any, Any], int], ...]:
    """`number` pictures (64, 64, 3) with their classes, of a split of the built-in classification task."""
    made = [picture(split, index, 64) for index in range(number)]  # type: ignore[arg-type]
    return tuple((pixels, int(label)) for pixels, label, _ in made)


def folders(root: Path, parts: dict[str, tuple[tuple[np.ndarray[Any, Any], int], ...]]) -> Path:
    """<part>/<class>/<number>.png; a part called "" stands at the root."""
    for part, those in parts.items():
        for index, (pixels, label) in enumerate(those):
            folder = root / part / NAMES[label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{index:04d}.png").write_bytes(png(pixels))
    return root
