"""What every format makes of a folder: items, classes, and the list of what was passed over and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["detector", "classifier"]
SplitName = Literal["train", "val"]
Objects = npt.NDArray[np.float64]
"""(n, 6) rows of class, left, top, width, height, and 1 for a crowd (COCO's iscrowd), else 0."""
NO_OBJECTS: Objects = np.zeros((0, 6))


@dataclass(frozen=True)
class Event:
    """One thing that was left out, or taken with a remark."""

    what: Literal["image", "box", "file", "class", "remark"]
    """What was left out; a remark leaves nothing out."""
    reason: str
    name: str


@dataclass
class Log:
    """What was left out and why, in order."""

    events: list[Event] = field(default_factory=list)

    def image(self, reason: str, name: str) -> None:
        self.events.append(Event("image", reason, name))

    def box(self, reason: str, name: str) -> None:
        self.events.append(Event("box", reason, name))

    def file(self, reason: str, name: str) -> None:
        self.events.append(Event("file", reason, name))

    def category(self, reason: str, name: str) -> None:
        self.events.append(Event("class", reason, name))

    def remark(self, reason: str, name: str) -> None:
        self.events.append(Event("remark", reason, name))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture and what is said of it."""

    name: str
    """The path in the folder, or file and row: what a person is told."""
    data: Path | bytes | npt.NDArray[np.uint8]
    """Where the picture is; or its encoded bytes; or its pixels (height, width, 3)."""
    split: SplitName | None = None
    """The data set's own; None leaves the choice to us."""
    label: int = -1
    objects: Objects = field(default_factory=lambda: NO_OBJECTS)
    relative: bool = False
    """Whether boxes are shares of the picture's sides instead of pixels."""
    stated_size: tuple[int, int] | None = None
    """Width and height that the annotations were made for, where they say so."""

    def described(self) -> list[Any]:
        """Everything but name and picture as plain data, for the key of the content."""
        size = None if self.stated_size is None else list(self.stated_size)
        return [self.split, self.label, self.relative, size, self.objects.tolist()]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set that was understood, not yet read."""

    format: str
    """As a person is told: "COCO", "YOLO", "image folders", …"""
    kind: Kind
    classes: list[str]
    items: Callable[[], Iterator[Item]]
    """All items in an order that does not change; may be called several times."""
    num_items: int
    own_split: str | None = None
    """Where the data set's own split comes from, in words; None if it has none."""
    usual_size: int | None = None
    """Side of the pictures in pixels where the format fixes it."""
