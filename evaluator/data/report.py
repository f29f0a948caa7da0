"""What a person is told of a data set: what was found, what was left out and why, and whether it is large enough.

How much a score depends on which pictures validate: accuracy is a share of n independent answers and has the
standard error sqrt(p (1 - p) / n) (binomial), at most 0.5 / sqrt(n). AP is a mean over classes; with n_k objects in
class k of K we take 0.25 / K * sqrt(sum of 1 / n_k). Measured 2026-11 on `scenes` by a bootstrap over pictures (60
draws): with 2,583 objects 0.0042 at AP 0.49 and 0.0027 at AP 0.09, where this gives 0.005; with 344 objects 0.0109
and 0.0089, where it gives 0.0135.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from evaluator.data.dataset import Event, Log
from evaluator.data.files import shown

if TYPE_CHECKING:
    from evaluator.data.task import OwnData

NOISE_TARGET = 0.01
"""Standard error of a score that pictures should not exceed."""
NAMED = 3
"""Names that a line gives of those concerned."""
_PLURAL = {"image": "pictures", "box": "boxes", "file": "files", "class": "classes"}


def noise(kind: str, per_class: list[int]) -> float:
    """The standard error of the score of validation data with so many pictures, or objects, of each class."""
    if kind == "classifier":
        return 0.5 / math.sqrt(sum(per_class))
    present = [number for number in per_class if number]
    return 0.25 / len(present) * math.sqrt(sum(1 / number for number in present))


def short(log: Log) -> str:
    """The reasons of what was left out, for an error of one line."""
    return "; ".join(groups(log.events)) or "nothing was left out"


def groups(events: Iterable[Event], named: int = NAMED) -> list[str]:
    """A line for each reason: what, how many, and the first names."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in events:
        names[event.what, event.reason].append(event.name)
    lines = []
    for (what, reason), those in names.items():
        first = ", ".join(those[:named]) + (", …" if len(those) > named else "")
        verb = "" if what == "remark" else f" {what if len(those) == 1 else _PLURAL[what]} left out"
        lines.append(f"{len(those)}{verb}{' ×' if what == 'remark' else ':'} {reason} ({first})")
    return lines


def events(task: OwnData, log: Log) -> list[Event]:
    """Everything that was left out or remarked, of the folder and of the pictures."""
    return [*log.events, *(Event(*event) for event in task.facts["events"])]


def text(path: str, task: OwnData, log: Log) -> str:
    """The lines that a search begins with."""
    return "\n".join([*found(path, task), *groups(events(task, log)), *warnings(task)])


def found(path: str, task: OwnData) -> list[str]:
    """What the data are, in two lines."""
    f = task.facts
    train, val = f["images"]["train"], f["images"]["val"]
    origin = f"split by {f['own_split']}" if f["own_split"] else "split 80 to 20 by content, seed 0"
    what = "detection" if task.head_kind == "detector" else "classification"
    boxes = f", {sum(f['objects'].values()):,} boxes" if task.head_kind == "detector" else ""
    return [
        f"data {shown(path)}: {f['format']}, {what}, {task.num_classes} classes, {train + val:,} pictures{boxes}",
        f"{train:,} to train, {val:,} to validate, {origin}; {task.size}x{task.size} pixels, cached as {task.name}",
    ]


def warnings(task: OwnData) -> list[str]:
    """What a user should know before trusting a score on the data."""
    f = task.facts
    lines = []
    if f["val_in_train"]:
        lines.append(f"warning: {f['val_in_train']} of {f['images']['val']} validation pictures are in the training "
                     "data too, byte for byte: scores flatter")  # fmt: skip
    if any(f["repeats"].values()):
        lines.append(f"{f['repeats']['train']} training and {f['repeats']['val']} validation pictures repeat another "
                     "one of their part byte for byte")  # fmt: skip
    if f.get("contradicted"):
        lines.append(f"warning: {f['contradicted']} pictures are in more than one class, byte for byte")
    if f.get("cut_objects"):
        lines.append(f"{f['cut_objects']} boxes are beyond the {f['most_objects']} largest of their picture: left out")
    for split, word in (("train", "training"), ("val", "validation")):
        missing = [name for name, number in zip(f["classes"], f["per_class"][split], strict=True) if not number]
        if missing:
            some = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
            lines.append(f"warning: {len(missing)} classes have no {word} data: {some}")
    return lines + small(task)


def small(task: OwnData) -> list[str]:
    """The warning about a validation set that is too small for the score, if it is."""
    images, error = task.facts["images"]["val"], validation_noise(task)
    if error <= NOISE_TARGET:
        return []
    wanted = math.ceil(images * (error / NOISE_TARGET) ** 2 - 1e-6)
    objects = f" with {task.facts['objects']['val']:,} objects" if task.head_kind == "detector" else ""
    score = "AP" if task.head_kind == "detector" else "accuracy"
    return [
        f"warning: {images:,} validation pictures{objects} leave a standard error of some {error:.3f} in the "
        f"{score}; about {wanted:,} such pictures would do for {NOISE_TARGET:g}"
    ]


def validation_noise(task: OwnData) -> float:
    """The standard error of the task's score that comes from the choice of validation pictures."""
    return noise(task.head_kind, task.facts["per_class"]["val"])


def as_object(path: str, task: OwnData, log: Log) -> dict[str, Any]:
    """Everything that is known of a data set as plain data, the whole list of what was left out included."""
    f = dict(task.facts)
    f.pop("events")
    all_events = events(task, log)
    return {
        "path": shown(path), "task": task.name, **f, "validation_standard_error": validation_noise(task),
        "warnings": warnings(task),
        "counts": dict(Counter(f"{event.what}: {event.reason}" for event in all_events)),
        "left_out": [{"what": e.what, "reason": e.reason, "name": e.name} for e in all_events],
    }  # fmt: skip
