"""YOLO's folders: a text file of `class centre-x centre-y width height` beside each picture, in shares of its sides.

`labels` stands where the picture's path has `images`, or the text lies beside the picture. `data.yaml` (any name)
gives class names and the folders or lists of each split; without one, folder names say the split, and
`classes.txt` or `obj.names` the class names. Lines with a polygon become the box around it. A picture without a
text file holds no object, as in YOLO's own reader.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import yaml

from evaluator.data.dataset import Dataset, Item, Log
from evaluator.data.files import Tree, is_image, join, read_text, shown
from evaluator.data.formats import FORMATS, own_split, split_of_path
from evaluator.tasks import TaskError
from space.registry import part

NAMES = ("classes.txt", "obj.names", "labels/classes.txt")
MOST_CLASSES = 10_000


@part(FORMATS, "yolo")
def yolo(tree: Tree, log: Log) -> Dataset | None:
    """A folder with a YOLO data.yaml, or with `labels` of pictures."""
    config = _config(tree)
    images = [name for name in tree.files if is_image(name)]
    labels = {name: label for name in images if (label := _label(tree, name)) is not None}
    if config is None and not labels:
        return None
    if config is not None:
        file, data = config
        pictures = _listed(tree, file, data, log)
        names = _names(data["names"], file)
    else:
        pictures = {name: split_of_path(name) for name in images}
        found = next((name for name in NAMES if name in tree.files), None)
        names = [line.strip() for line in read_text(tree, found).splitlines() if line.strip()] if found else []
    roles = own_split(pictures.values(), log)
    chosen = sorted(name for name, split in pictures.items() if split in roles)
    items = []
    for name in chosen:
        rows = _rows(tree, labels.get(name), name, log)
        items.append(Item(name=name, data=tree.path(name), split=roles[pictures[name]], relative=True,
                          objects=np.array(rows, np.float64).reshape(-1, 6)))  # fmt: skip
    known = {*labels.values(), *(f"labels/{name}" for name in NAMES), *NAMES}
    for name in tree.files:
        if name.endswith(".txt") and "labels" in name.split("/")[:-1] and name not in known:
            log.file("labels of a picture that is not there", shown(name))
    used = max((int(item.objects[:, 0].max()) + 1 for item in items if len(item.objects)), default=0)
    if names and used > len(names):
        raise TaskError(f"the YOLO labels use class {used - 1}, but only {len(names)} classes are named")
    classes = names or [str(number) for number in range(used)]
    own = None if set(roles.values()) <= {None} else (shown(config[0]) if config else "its folders")
    return Dataset(format="YOLO", kind="detector", classes=classes, items=lambda: iter(items), num_items=len(items),
                   own_split=own)  # fmt: skip


def _config(tree: Tree) -> tuple[str, dict[str, Any]] | None:
    """The YAML file that describes the data set, and its content."""
    found = []
    for name in tree.files:
        if "/" in name or not name.lower().endswith((".yaml", ".yml")):
            continue
        try:
            data = yaml.safe_load(read_text(tree, name))
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise TaskError(f"'{shown(name)}' of the data is not YAML: {' '.join(str(error).split())}") from error
        if isinstance(data, dict) and "names" in data and ("train" in data or "val" in data):
            found.append((name, data))
    if len(found) > 1:
        raise TaskError(f"the data has several YOLO descriptions: {', '.join(shown(n) for n, _ in found)}; leave one")
    return found[0] if found else None


def _names(names: Any, file: str) -> list[str]:
    """Class names of a list, or of a mapping from numbers; a number without a name is called by it."""
    if isinstance(names, dict) and all(isinstance(k, int) and 0 <= k < MOST_CLASSES for k in names) and names:
        return [str(names.get(number, number)) for number in range(max(names) + 1)]
    if isinstance(names, list) and 0 < len(names) <= MOST_CLASSES:
        return [str(name) for name in names]
    raise TaskError(f"'names' of '{shown(file)}' must be a list of class names, or a mapping from class numbers")


def _listed(tree: Tree, file: str, data: dict[str, Any], log: Log) -> dict[str, str | None]:
    """Pictures of each split that the description names."""
    base = data.get("path")
    folder = ""
    if isinstance(base, str) and (inside := join("", base)) is not None and (not inside or inside in tree.folders):
        folder = inside
    pictures: dict[str, str | None] = {}
    for split in ("train", "val", "test"):
        entries = data.get(split, data.get("valid") if split == "val" else None)
        for entry in entries if isinstance(entries, list) else [entries] if entries else []:
            for name in _entry(tree, file, folder, split, entry, log):
                if pictures.setdefault(name, split) != split:
                    raise TaskError(f"'{shown(file)}' has '{shown(name)}' in both {pictures[name]} and {split}")
    if not pictures:
        raise TaskError(f"'{shown(file)}' names no folder with pictures")
    return pictures


def _entry(tree: Tree, file: str, folder: str, split: str, entry: Any, log: Log) -> list[str]:
    """The pictures of one folder or list file of a description. Raises TaskError."""
    path = join(folder, entry) if isinstance(entry, str) else None
    if path is None and isinstance(entry, str) and entry.startswith("../"):
        # Exports of a well-known labelling service say ../train/images for what lies in the folder itself.
        inside = join("", entry.lstrip("./"))
        if inside in tree.folders:
            log.remark("path of a split points out of the folder: taken from within it", shown(f"{split}: {entry}"))
            path = inside
    if path is None:
        raise TaskError(f"'{split}' of '{shown(file)}' is {entry!r}, which leaves the data folder; "
                        "put the pictures into it")  # fmt: skip
    if path in tree.files and path.endswith(".txt"):
        return _lines(tree, path, log)
    found = [name for name in tree.below(path) if is_image(name)]
    if not found and split != "test":
        raise TaskError(f"'{split}' of '{shown(file)}' is {entry!r}, where no picture is")
    return found


def _lines(tree: Tree, path: str, log: Log) -> list[str]:
    """The pictures that a list file names, as seen from its folder or from the root."""
    found = []
    for line in filter(None, map(str.strip, read_text(tree, path).splitlines())):
        beside, from_root = join(path.rpartition("/")[0], line), join("", line)
        if beside is None and from_root is None:
            log.image("its path leaves the data folder: refused", shown(line))
            continue
        real = next((real for name in (beside, from_root) if name and (real := tree.find(name))), None)
        if real is None:
            log.image("missing file", shown(line))
        else:
            found.append(real)
    return found


def _label(tree: Tree, image: str) -> str | None:
    """The label file of a picture."""
    parts = PurePosixPath(image).with_suffix(".txt").parts
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            name = "/".join((*parts[:index], "labels", *parts[index + 1 :]))
            return name if name in tree.files else None
    name = "/".join(parts)
    return name if name in tree.files else None


def _rows(tree: Tree, label: str | None, image: str, log: Log) -> list[list[float]]:
    """Class and box of each line of a label file, in shares of the picture's sides, left top first."""
    if label is None:
        log.remark("no label file: a picture without objects", shown(image))
        return []
    try:
        text = read_text(tree, label)
    except TaskError:
        log.box("label file cannot be read", shown(label))
        return []
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            row = _row(line.split())
            if isinstance(row, str):
                log.box(row, f"{shown(label)} line {number}")
            else:
                rows.append(row)
    return rows


def _row(words: list[str]) -> list[float] | str:
    """Class and box of a line, or what is wrong with it."""
    try:
        label, *values = map(float, words)
    except ValueError:
        return "a line that is not numbers"
    if not all(map(math.isfinite, (label, *values))):
        return "a coordinate is not a finite number"
    if label != int(label) or not 0 <= label < MOST_CLASSES:
        return "no such class"
    if len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[::2], values[1::2]
        x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    elif len(values) == 4:
        w, h = values[2:]
        x, y = values[0] - w / 2, values[1] - h / 2
    else:
        return "a line without class and four numbers"
    if max(map(abs, values)) > 2:
        return "not in shares of the picture's sides"
    return [label, x, y, w, h, 0.0]
