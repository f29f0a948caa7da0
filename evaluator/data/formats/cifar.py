"""CIFAR-10 and CIFAR-100 in their published binary files (Krizhevsky 2009, "binary version").

A row is one label byte (CIFAR-10), or a coarse and a fine one (CIFAR-100; the fine one is read), then 3,072 bytes:
a 32x32 picture, all red values first. The published test batch validates. The Python version is not read:
unpickling a file can run any code in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evaluator.data.dataset import Dataset, Item, Log, SplitName
from evaluator.data.files import Tree, read_text, shown
from evaluator.data.formats import FORMATS
from evaluator.tasks import TaskError
from space.registry import part

SIDE = 32
PIXELS = 3 * SIDE * SIDE


@part(FORMATS, "cifar")
def cifar(tree: Tree, log: Log) -> Dataset | None:
    """A folder with CIFAR's files, or with the one folder that holds them."""
    named = {name.rpartition("/")[2]: name for name in tree.files}
    if {"data_batch_1", "batches.meta"} <= set(named) or {"train", "test", "meta"} <= set(named):
        raise TaskError("the data is CIFAR's Python version; the binary version of the same page is read here")
    tens = sorted(name for name in named if re.fullmatch(r"data_batch_\d+\.bin", name))
    if tens and "test_batch.bin" in named:
        files: list[tuple[str, SplitName]] = [(named[name], "train") for name in tens]
        files.append((named["test_batch.bin"], "val"))
        return _dataset(tree, log, "CIFAR-10", files, named.get("batches.meta.txt"), 1, 10)
    if {"train.bin", "test.bin"} <= set(named) and _is_hundred(tree, named):
        files = [(named["train.bin"], "train"), (named["test.bin"], "val")]
        return _dataset(tree, log, "CIFAR-100", files, named.get("fine_label_names.txt"), 2, 100)
    return None


def _is_hundred(tree: Tree, named: dict[str, str]) -> bool:
    sizes = [tree.files[named[name]].st_size for name in ("train.bin", "test.bin")]
    return "fine_label_names.txt" in named or all(size and size % (PIXELS + 2) == 0 for size in sizes)


def _dataset(tree: Tree, log: Log, format: str, files: list[tuple[str, SplitName]], meta: str | None,
             labels: int, number: int) -> Dataset:  # fmt: skip
    names = [line.strip() for line in read_text(tree, meta).splitlines() if line.strip()] if meta else []
    if names and len(names) != number:
        raise TaskError(f"'{shown(meta or '')}' names {len(names)} classes; {format} has {number}")
    tables = [(name, split, _table(tree, name, labels, number, log)) for name, split in files]

    def items() -> Iterator[Item]:
        for name, split, rows in tables:
            for index, row in enumerate(rows):
                if row[labels - 1] < number:
                    pixels = np.ascontiguousarray(row[labels:].reshape(3, SIDE, SIDE).transpose(1, 2, 0))
                    yield Item(name=f"{name}:{index}", data=pixels, split=split, label=int(row[labels - 1]))

    count = sum(int((rows[:, labels - 1] < number).sum()) for _, _, rows in tables)
    return Dataset(format=format, kind="classifier", classes=names or [str(n) for n in range(number)], items=items,
                   num_items=count, own_split="its files (the test batch validates)", usual_size=SIDE)  # fmt: skip


def _table(tree: Tree, name: str, labels: int, number: int, log: Log) -> npt.NDArray[np.uint8]:
    """All whole rows of a file, memory-mapped."""
    width, size = labels + PIXELS, tree.files[name].st_size
    if size % width:
        log.image("truncated file: its last row is not whole", f"{shown(name)}:{size // width}")
    if size < width:
        return np.zeros((0, width), np.uint8)
    rows = np.memmap(tree.path(name), np.uint8, "r", shape=(size // width, width))
    for index in np.flatnonzero(rows[:, labels - 1] >= number):
        log.image("no such class", f"{shown(name)}:{index}")
    return rows
