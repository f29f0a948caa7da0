"""Formats of data sets. One file per format, found by being in this folder.

A format is a function `(tree, log) -> Dataset | None`: None if the folder is not of this format, TaskError of one
line if it is but cannot be used. `fallback` marks one that asks for so little that every other goes before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from evaluator.data.dataset import Dataset, Log, SplitName
from evaluator.data.files import Tree, shown
from evaluator.tasks import TaskError
from space.registry import Registry

Format = Callable[[Tree, Log], Dataset | None]
FORMATS: Registry[Format] = Registry("data format", "evaluator.data.formats")

_WORDS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def understand(tree: Tree, log: Log) -> Dataset:
    """The data set in a folder. Raises TaskError if there is none, or more than one reading."""
    if not tree.files:
        raise TaskError(f"data '{shown(str(tree.root))}' holds no file; {EXPECTED}")
    formats = [FORMATS.get(name) for name in FORMATS]
    for fallback in (False, True):
        found = []
        for read in formats:
            if getattr(read, "fallback", False) == fallback:
                mine = Log()
                dataset = read(tree, mine)
                if dataset is not None:
                    found.append((dataset, mine))
        if len(found) > 1:
            names = " and ".join(dataset.format for dataset, _ in found)
            raise TaskError(f"data '{shown(str(tree.root))}' can be read as {names}; give a folder with one of them")
        if found:
            log.events += found[0][1].events
            return found[0][0]
    raise TaskError(f"data '{shown(str(tree.root))}' has no known format; {EXPECTED}")


EXPECTED = (
    "a folder must hold COCO annotations (*.json), YOLO labels (labels/*.txt or data.yaml), one folder of pictures a "
    "class, CIFAR's binary files, or parquet files"
)


def split_of(name: str) -> str | None:
    """ "train", "val" or "test" if the words of a file or folder name say so, and no two differ."""
    words = {_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _WORDS}
    return words.pop() if len(words) == 1 else None


def split_of_path(path: str) -> str | None:
    """The split that the folders of a path, or else its name, say; the outermost one counts."""
    return next(filter(None, map(split_of, PurePosixPath(path).parts)), None)


def own_split(parts: Iterable[str | None], log: Log) -> dict[str | None, SplitName | None]:
    """Which split each of the data set's parts ("train", "val", "test", None) becomes; absent: it is left out.

    Without a part to validate on, "test" is taken; without two parts, all is split by us.
    """
    present = set(parts)
    if "train" in present and "val" in present:
        if "test" in present:
            log.file("test data is not needed: there are training and validation data", "test")
        return {"train": "train", "val": "val"}
    if "train" in present and "test" in present:
        return {"train": "train", "test": "val"}
    return dict.fromkeys(present)
