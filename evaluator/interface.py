"""What stands around a network where it is used: pixels on the way in, boxes and classes on the way out. No torch.

Whoever has the weights needs these numbers as well, so they travel with every file of weights and every export.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluator.data.task import OwnData
from evaluator.recipe import Recipe
from evaluator.tasks import Task

OUTPUTS = {
    "raw": "what the network gives: one map a level [B, anchors x (5 + classes), height, width], or logits",
    "decoded": "decoded inside, suppressed by the caller: boxes [B, N, 4], scores [B, N, classes]",
    "nms": "decoded and suppressed inside: boxes [B, K, 4], scores [B, K], classes [B, K], best first; score 0 pads",
}
"""What a model may give. Boxes are left, top, right, bottom in pixels of the model's input, cut at its edges."""

ABOUT = "csp-explorer"
"""Key of a safetensors file's metadata under which our files say what they are of: JSON."""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """The numbers that turn a picture into a network's input, and its outputs into what they mean."""

    task: str
    size: int
    """Side of the pictures that the weights are trained on, in pixels."""
    head_kind: str
    classes: tuple[str, ...]
    pixel_mean: float
    pixel_std: float
    """A pixel value, 0 to 255, enters the network less the mean, divided by the standard deviation."""
    anchors: tuple[tuple[tuple[int, int], ...], ...] = ()
    """Levels of (width, height) in pixels, finest first; none for a classifier."""
    candidates: int = 60
    detections: int = 20
    nms_iou: float = 0.6
    """The rules of non-maximum suppression; see `evaluator.recipe.Recipe`."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Interface:
        """The inverse of `to_dict`, also after JSON made lists of tuples. Raises TypeError or ValueError."""
        anchors = tuple(tuple((int(w), int(h)) for w, h in level) for level in data["anchors"])
        return Interface(**{**data, "classes": tuple(map(str, data["classes"])), "anchors": anchors})


def interface_of(task: Task, recipe: Recipe) -> Interface:
    """The interface of whatever is trained on `task` by `recipe`."""
    names = task.facts["classes"] if isinstance(task, OwnData) else map(str, range(task.num_classes))
    anchors = task.anchors().tolist() if task.head_kind == "detector" else []
    return Interface(
        task=task.name, size=task.size, head_kind=task.head_kind, classes=tuple(names), pixel_mean=task.pixel_mean,
        pixel_std=task.pixel_std, anchors=tuple(tuple((w, h) for w, h in level) for level in anchors),
        candidates=recipe.candidates, detections=recipe.detections, nms_iou=recipe.nms_iou,
    )  # fmt: skip


def about(path: Path | str) -> dict[str, Any] | None:
    """What a file of weights says of itself; None for a foreign one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            found = (file.metadata() or {}).get(ABOUT)
        return dict(json.loads(found)) if found else None
    except (SafetensorError, OSError, ValueError, TypeError):
        return None
