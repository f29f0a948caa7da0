"""Data sets of Hugging Face: local parquet files, or a folder written by `datasets.save_to_disk`.

Read with pyarrow alone (the extra `huggingface`): files hold the pictures' bytes and, in their schema's metadata,
which column is the picture and what the classes are called. Nothing is downloaded and no code of a data set is run.
Boxes are left, top, width, height by convention; data sets that keep corners are told by boxes that would not fit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluator.data.dataset import Dataset, Item, Log, Objects, SplitName
from evaluator.data.files import Tree, shown
from evaluator.data.formats import FORMATS, own_split, split_of_path
from evaluator.data.picture import PictureError, header
from evaluator.tasks import TaskError
from space.registry import part

if TYPE_CHECKING:
    import pyarrow

LABELS = ("label", "labels", "fine_label", "class", "category")
"""Columns that can be a classifier's, the first that is there."""
BOXES = ("bbox", "bboxes", "boxes")
CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class")
ROWS = 64
"""Rows that are in memory at a time."""
MOST_CLASSES = 10_000
AGREED = 0.99
"""Share of the boxes that must fit one reading."""


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Which columns are what, and the names of the classes where the schema has them."""

    image: str
    label: str | None = None
    objects: str | None = None
    names: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class _File:
    name: str
    part: str | None

    def batches(self, tree: Tree, columns: list[str] | None = None) -> Iterator[list[dict[str, Any]]]:
        """Rows as plain data, a few at a time."""
        import pyarrow as pa
        from pyarrow import ipc, parquet

        path = str(tree.path(self.name))
        try:
            if self.name.endswith(".parquet"):
                with parquet.ParquetFile(path) as file:
                    for batch in file.iter_batches(batch_size=ROWS, columns=columns):
                        yield batch.to_pylist()
            else:
                with pa.memory_map(path) as source, ipc.open_stream(source) as stream:
                    for whole in stream:
                        for start in range(0, whole.num_rows, ROWS):
                            rows = whole.slice(start, ROWS)
                            yield (rows if columns is None else rows.select(columns)).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise TaskError(
                f"'{shown(self.name)}' of the data cannot be read: {' '.join(str(error).split())}"
            ) from error

    def schema(self, tree: Tree) -> pyarrow.Schema:
        import pyarrow as pa
        from pyarrow import ipc, parquet

        path = str(tree.path(self.name))
        try:
            if self.name.endswith(".parquet"):
                return parquet.read_schema(path)
            with pa.memory_map(path) as source, ipc.open_stream(source) as stream:
                return stream.schema
        except (pa.ArrowException, OSError) as error:
            raise TaskError(
                f"'{shown(self.name)}' of the data cannot be read: {' '.join(str(error).split())}"
            ) from error


@part(FORMATS, "huggingface")
def huggingface(tree: Tree, log: Log) -> Dataset | None:
    """Parquet files, or arrow files with the `state.json` of `save_to_disk` beside them."""
    found = [name for name in tree.files if name.endswith(".parquet") or (
        name.endswith(".arrow") and f"{name.rpartition('/')[0]}/state.json".lstrip("/") in tree.files)]  # fmt: skip
    if not found:
        return None
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise TaskError("parquet data need an extra: pip install 'csp-explorer[huggingface]'") from error
    files = [_File(name=name, part=split_of_path(name)) for name in found]
    roles = own_split([file.part for file in files], log)
    files = [file for file in files if file.part in roles]
    columns = _columns(files[0].schema(tree), files[0].name)
    for file in files[1:]:
        if _columns(file.schema(tree), file.name) != columns:
            raise TaskError(f"'{shown(file.name)}' has other columns or classes than '{shown(files[0].name)}'")
    if columns.label is not None:
        return _classification(tree, log, files, roles, columns, columns.label)
    assert columns.objects is not None
    return _detection(tree, log, files, roles, columns, columns.objects)


def _columns(schema: pyarrow.Schema, name: str) -> _Columns:
    """Which columns hold what. Raises TaskError that names the columns if that is not clear."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        features = {}
    images = [f.name for f in schema if _kind(features.get(f.name)) == "Image"] or [
        f.name for f in schema if str(f.type).startswith("struct<bytes: ") or
        (str(f.type) in ("binary", "large_binary") and f.name in ("image", "img"))
    ]  # fmt: skip
    has = f"'{shown(name)}' has the columns {', '.join(schema.names)}"
    if len(images) != 1:
        raise TaskError(f"{has}: {len(images)} of them hold pictures, where one is needed")
    named = [f.name for f in schema if _kind(features.get(f.name)) == "ClassLabel"]
    labels = [column for column in LABELS if column in schema.names and (not named or column in named)]
    labels = labels or (named if len(named) == 1 else [])
    objects = "objects" if "objects" in schema.names else None
    if (objects is None) == (not labels):
        raise TaskError(f"{has}; there must be either a class ({', '.join(LABELS)}) or boxes (objects)")
    if objects is not None:
        return _Columns(image=images[0], objects=objects, names=_class_names(features.get(objects)))
    return _Columns(image=images[0], label=labels[0], names=_class_names(features.get(labels[0])))


def _kind(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _class_names(feature: Any) -> list[str] | None:
    """The names of the first ClassLabel in a feature, however deep."""
    if isinstance(feature, list):
        feature = dict(enumerate(feature))
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return [str(name) for name in feature["names"]]
    return next((names for value in feature.values() if (names := _class_names(value)) is not None), None)


def _rows(tree: Tree, files: list[_File], columns: list[str]) -> Iterator[tuple[_File, str, dict[str, Any]]]:
    for file in files:
        number = 0
        for batch in file.batches(tree, columns):
            for row in batch:
                yield file, f"{shown(file.name)}:{number}", row
                number += 1


def _picture(value: Any) -> bytes | None:
    """The encoded picture of a cell; None where only a path was kept, or nothing."""
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else None


def _numbering(values: set[Any], names: list[str] | None) -> tuple[dict[Any, int], list[str]]:
    """Class index of every value that occurs, and the names of all classes."""
    if names is not None:
        return {index: index for index in range(len(names))}, names
    order = sorted((v for v in values if v is not None), key=lambda v: (isinstance(v, str), v))
    if len(order) > MOST_CLASSES:
        raise TaskError(f"the class column has {len(order)} different values; it may have {MOST_CLASSES}")
    return {value: index for index, value in enumerate(order)}, [str(value) for value in order]


def _own(roles: dict[str | None, SplitName | None]) -> str | None:
    return None if set(roles.values()) == {None} else "its files"


def _classification(tree: Tree, log: Log, files: list[_File], roles: dict[str | None, SplitName | None],
                    columns: _Columns, label: str) -> Dataset:  # fmt: skip
    values = [(name, row[label]) for _, name, row in _rows(tree, files, [label])]
    wrong = next((value for _, value in values if not isinstance(value, int | str | None)), None)
    if wrong is not None:
        raise TaskError(f"column '{label}' holds {wrong!r:.40}, where one class is needed")
    number, names = _numbering({value for _, value in values}, columns.names)
    for name, value in values:
        if value not in number:
            log.image("no such class", f"{name} {value!r:.40}")

    def items() -> Iterator[Item]:
        for file, name, row in _rows(tree, files, [columns.image, label]):
            if row[label] in number:
                yield Item(name=name, data=_picture(row[columns.image]) or b"", split=roles[file.part],
                           label=number[row[label]])  # fmt: skip

    return Dataset(format="Hugging Face data set", kind="classifier", classes=names, items=items, own_split=_own(roles),
                   num_items=sum(value in number for _, value in values))  # fmt: skip


def _detection(tree: Tree, log: Log, files: list[_File], roles: dict[str | None, SplitName | None],
               columns: _Columns, objects: str) -> Dataset:  # fmt: skip
    found = [_objects(row[objects], name, log) for _, name, row in _rows(tree, files, [objects])]
    number, names = _numbering({label for pairs in found for label, _ in pairs}, columns.names)
    if _corners(tree, files, columns, found, log):
        found = [[(label, [x, y, right - x, bottom - y]) for label, (x, y, right, bottom) in pairs] for pairs in found]
    arrays: list[Objects] = []
    for pairs in found:
        known = [[number[label], *box, 0.0] for label, box in pairs if label in number]
        arrays.append(np.array(known, np.float64).reshape(-1, 6))

    def items() -> Iterator[Item]:
        for (file, name, row), boxes in zip(_rows(tree, files, [columns.image]), arrays, strict=True):
            yield Item(name=name, data=_picture(row[columns.image]) or b"", split=roles[file.part], objects=boxes)

    return Dataset(format="Hugging Face data set", kind="detector", classes=names, items=items, num_items=len(found),
                   own_split=_own(roles))  # fmt: skip


def _objects(value: Any, name: str, log: Log) -> list[tuple[Any, list[float]]]:
    """Class and four numbers of each object of a row; a mapping of lists or a list of mappings."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        boxes = next((value[key] for key in BOXES if key in value), None)
        labels = next((value[key] for key in CATEGORIES if key in value), None)
        if boxes is None or labels is None or len(boxes) != len(labels):
            log.box("boxes without as many classes", name)
        else:
            pairs = list(zip(labels, boxes, strict=True))
    elif isinstance(value, list):
        pairs = [(next((entry[key] for key in CATEGORIES if key in entry), None),
                  next((entry[key] for key in BOXES if key in entry), None)) for entry in value]  # fmt: skip
    kept = []
    for label, box in pairs:
        if not isinstance(label, int | str):
            log.box("no such class", f"{name} {label!r:.40}")
        elif not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
            log.box("no box of four numbers", f"{name} {box!r:.60}")
        else:
            kept.append((label, [float(v) for v in box]))
    return kept


def _corners(tree: Tree, files: list[_File], columns: _Columns, found: list[list[tuple[Any, list[float]]]],
             log: Log) -> bool:  # fmt: skip
    """Whether boxes are corner pairs instead of left, top, width, height. Raises TaskError if they are neither."""
    total = sides = corners = 0
    for (_, _, row), pairs in zip(_rows(tree, files, [columns.image]), found, strict=True):
        try:
            width, height = header(_picture(row[columns.image]) or b"").upright
        except PictureError:
            continue
        for _, (a, b, c, d) in pairs:
            if all(map(math.isfinite, (a, b, c, d))):
                total += 1
                sides += c > 0 and d > 0 and a + c <= width + 1 and b + d <= height + 1
                corners += a < c <= width + 1 and b < d <= height + 1
    if not total or sides >= AGREED * total:
        return False
    if corners >= AGREED * total:
        log.remark("boxes are corner pairs: as left, top, width, height they would leave the pictures", "all boxes")
        return True
    raise TaskError(f"of the data's {total} boxes {sides} lie in their pictures as left, top, width, height, and "
                    f"{corners} as corner pairs; neither can be meant")  # fmt: skip
