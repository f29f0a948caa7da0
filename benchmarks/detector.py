"""python -m benchmarks.detector MODEL.onnx -o PICTURE.png: run an exported detector on validation scenes, and draw.

Everything comes from the file: size, classes and task stand in its metadata, pixels go in as they are, boxes come out
suppressed (`python -m search.export ID --to onnx`). It also prints the file's AP over all validation pictures, which
is that of the weights if the export is right.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
from cyclopts import App, Parameter
from PIL import Image, ImageDraw, ImageFont

from evaluator.average_precision import average_precision
from evaluator.tasks import CROWD, TASKS
from search.command import UsageError, call

COLUMNS, ROWS, SIDE = 5, 2, 176
COLOURS = 160
"""Of the picture, so that it is small enough for a repository."""
LEAST = 0.3
"""Score of the boxes that are drawn."""

app = App(name="python -m benchmarks.detector", help="Run an exported detector on scenes and draw what it finds.",
          version_flags=[])  # fmt: skip


@app.default
def run(model: Path, /, *, output: Annotated[Path, Parameter(alias="-o")] = Path("detections.png")) -> int:
    """Run it.

    Parameters
    ----------
    model
        An ONNX file of search.export with its suppression inside and raw pixels.
    output
        The picture to write.
    """
    if not model.is_file():
        raise UsageError(f"'{model}' is no file; export one: python -m search.export ID --to onnx -o DIR")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    if facts.get("outputs") != "nms" or facts.get("input") != "RGB, 0 to 255":
        raise UsageError(f"'{model}' needs --outputs nms and --pixels raw")
    task, classes = TASKS.get(facts["task"]), json.loads(facts["classes"])
    if (int(facts["height"]), int(facts["width"])) != (task.size, task.size):
        raise UsageError(f"'{model}' is for another size than the {task.size} pixels of task '{task.name}'")
    pictures, targets = task.load("val").images, task.load("val").targets
    found = [_detect(session, picture) for picture in pictures]
    scores = average_precision(
        num_images=len(pictures), num_classes=len(classes), objects=_objects(targets),
        detections=np.concatenate([_rows(index, *one) for index, one in enumerate(found)]),
        area_limits=task.area_limits, crowd=_objects(targets)[:, 1] <= CROWD,
    )  # fmt: skip
    print(f"{facts['id']}, weights {facts['weights']}: AP {scores['ap']:.4f}, AP50 {scores['ap50']:.4f} of "
          f"{len(pictures)} pictures of '{task.name}'; by torch: {facts.get('scores', 'not known')}")  # fmt: skip
    shown = [_drawn(pictures[i], *found[i], classes) for i in range(COLUMNS * ROWS)]
    rows = [np.concatenate(shown[row * COLUMNS : (row + 1) * COLUMNS], 1) for row in range(ROWS)]
    picture = Image.fromarray(np.concatenate(rows)).quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1024:.0f} KB")
    return 0


def _detect(session: Any, picture: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """Boxes, scores and classes of one picture (H, W, 3)."""
    image = picture.transpose(2, 0, 1)[None].astype(np.float32)
    boxes, scores, classes = session.run(None, {"image": image})
    real = scores[0] > 0
    return boxes[0][real], scores[0][real], classes[0][real]


def _rows(index: int, boxes: Any, scores: Any, classes: Any) -> np.ndarray[Any, Any]:
    """Detections as `average_precision` takes them: image, class, x, y, width, height, score."""
    where = np.full(len(scores), index)
    return np.column_stack([where, classes, boxes[:, :2], boxes[:, 2:] - boxes[:, :2], scores])


def _objects(targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    rows, slots = np.nonzero(targets[..., 0] != -1)
    return np.concatenate([rows[:, None], targets[rows, slots]], 1)


def _drawn(picture: Any, boxes: Any, scores: Any, classes: Any, names: list[str]) -> np.ndarray[Any, Any]:
    image = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pen, scale, font = ImageDraw.Draw(image), SIDE / len(picture), ImageFont.load_default(13)
    for box, score, label in zip(boxes, scores, classes, strict=True):
        if score < LEAST:
            continue
        left, top, right, bottom = (box * scale).tolist()
        pen.rectangle((left, top, right, bottom), outline=(255, 214, 64), width=2)
        text = f"{names[label]} {score:.2f}"
        above = top - 15 if top >= 15 else top
        pen.rectangle((left, above, left + pen.textlength(text, font=font) + 4, above + 15), fill=(255, 214, 64))
        pen.text((left + 2, above), text, fill=(0, 0, 0), font=font)
    edge = np.array(image)
    edge[:, -2:] = edge[-2:] = 255
    return edge


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
