"""COCO's detection format: one JSON file of images, annotations and categories a split, and folders of pictures.

Where the pictures of a file are is found out: the folder below which all, or most, of its file names exist, a
folder named like the split first. Files named `instances_*.json` go before other annotation files beside them
(captions, keypoints). Segmentations are not read: a crowd's region is its box.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from evaluator.data.dataset import Dataset, Item, Log, SplitName
from evaluator.data.files import Tree, join, read_text, shown
from evaluator.data.formats import FORMATS, own_split, split_of, split_of_path
from evaluator.tasks import TaskError
from space.registry import part

SAMPLE = 100
"""File names of which a folder must have one to be looked at closely."""


@dataclass
class _Picture:
    """An image entry and its annotations so far."""

    name: str
    size: tuple[int, int] | None
    rows: list[list[float]] = field(default_factory=list)


@part(FORMATS, "coco")
def coco(tree: Tree, log: Log) -> Dataset | None:
    """A folder with COCO annotations anywhere in it."""
    files = [name for name in tree.files if name.lower().endswith(".json")]
    instances = [name for name in files if PurePosixPath(name).name.startswith("instances_")]
    found = {name: data for name in instances or files if (data := _annotations(tree, name)) is not None}
    if not found:
        return None
    parts: dict[str, str | None] = {name: split_of(PurePosixPath(name).stem) or split_of_path(name) for name in found}
    twice = [str(split) for split, number in Counter(parts.values()).items() if number > 1]
    if twice:
        what = f"for '{twice[0]}'" if twice[0] != "None" else "that name no split"
        names = ", ".join(shown(name) for name, split in parts.items() if str(split) == twice[0])
        raise TaskError(f"the data has several COCO files {what}: {names}; leave one in the folder")
    roles = own_split(parts.values(), log)
    classes = _categories([data for name, data in found.items() if parts[name] in roles], log)
    items: list[Item] = []
    for name, data in found.items():
        if parts[name] in roles:
            items += _items(tree, name, data, parts[name], roles[parts[name]], classes, log)
    labels = [label for _, label in sorted(classes.values())]
    own = None if set(roles.values()) == {None} else "its annotation files"
    return Dataset(format="COCO", kind="detector", classes=labels, items=lambda: iter(items), num_items=len(items),
                   own_split=own)  # fmt: skip


def _annotations(tree: Tree, name: str) -> dict[str, Any] | None:
    """The content of a COCO detection file; None for any other JSON."""
    text = read_text(tree, name)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        if '"annotations"' in text and '"images"' in text:
            raise TaskError(f"'{shown(name)}' of the data is not whole JSON: {error}") from error
        return None
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "annotations")):
        return None
    if not isinstance(data.get("categories"), list):
        return None
    return data


def _identity(value: Any) -> Any:
    """An id that can be looked up; None for what is none. 1 and true are not the same."""
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _categories(files: list[dict[str, Any]], log: Log) -> dict[Any, tuple[int, str]]:
    """Class index and name of every category id. Raises TaskError if files disagree on a name."""
    names: dict[Any, str] = {}
    for data in files:
        mine: set[Any] = set()
        for entry in data["categories"]:
            identity = _identity(entry.get("id")) if isinstance(entry, dict) else None
            if identity is None:
                log.category("category without an id", repr(entry)[:80])
                continue
            name = str(entry.get("name", identity))
            if identity in mine:
                log.category("category id twice: the first counts", f"{identity} {name}")
            elif names.setdefault(identity, name) != name:
                raise TaskError(f"the COCO files call category {identity} both '{names[identity]}' and '{name}'")
            mine.add(identity)
    order = sorted(names, key=lambda identity: (isinstance(identity, str), identity))
    return {identity: (index, names[identity]) for index, identity in enumerate(order)}


def _items(tree: Tree, file: str, data: dict[str, Any], split: str | None, role: SplitName | None,
           classes: dict[Any, tuple[int, str]], log: Log) -> list[Item]:  # fmt: skip
    folder = _folder(tree, file, data, split)
    pictures, by_name, doubtful = _pictures(data["images"], log)
    seen: set[Any] = set()
    for index, entry in enumerate(data["annotations"]):
        if not isinstance(entry, dict):
            log.box("annotation that is no object", f"{shown(file)} number {index}")
            continue
        identity = _identity(entry.get("id"))
        spelt = f"annotation {entry.get('id')!r:.40}"
        if identity is not None and identity in seen:
            log.remark("annotation id twice: both count unless they are the same", spelt)
        seen.add(identity)
        image = _identity(entry.get("image_id"))
        if image in doubtful:
            log.box("its image id stands for several pictures", spelt)
            continue
        picture = pictures.get(image) if image is not None else None
        if picture is None:
            log.box("its image is not listed", f"{spelt} of image {entry.get('image_id')!r:.40}")
            continue
        row = _row(entry, classes)
        if isinstance(row, str):
            log.box(row, f"{shown(picture.name)} {spelt}")
        else:
            picture.rows.append(row)
    items = []
    for name in sorted(by_name):
        picture = by_name[name]
        path = join(folder, name)
        if path is None:
            log.image("its path leaves the data folder: refused", shown(name))
            continue
        real = tree.find(path)
        if real is None:
            log.image("missing file", shown(path))
            continue
        items.append(Item(name=real, data=tree.path(real), split=role, stated_size=picture.size,
                          objects=np.array(picture.rows, np.float64).reshape(-1, 6)))  # fmt: skip
    return items


def _pictures(entries: list[Any], log: Log) -> tuple[dict[Any, _Picture], dict[str, _Picture], set[Any]]:
    """Pictures by id and by file name, and ids that stand for more than one file."""
    pictures: dict[Any, _Picture] = {}
    by_name: dict[str, _Picture] = {}
    doubtful: set[Any] = set()
    for index, entry in enumerate(entries):
        identity = _identity(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if identity is None or not isinstance(name, str) or not name:
            log.image("image entry without id or file name", f"number {index}")
            continue
        if identity in pictures and pictures[identity].name != name:
            log.image("image id twice, for two files: both left out", f"{identity} {shown(name)}")
            doubtful.add(identity)
            continue
        if identity in pictures:
            log.remark("image entry twice", f"{identity} {shown(name)}")
            continue
        if name in by_name:
            log.remark("picture listed under two ids: their boxes are put together", shown(name))
            pictures[identity] = by_name[name]
            continue
        size = (entry.get("width"), entry.get("height"))
        whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in size)
        pictures[identity] = by_name[name] = _Picture(name=name, size=size if whole else None)
    for identity in doubtful:
        log.image("image id twice, for two files: both left out", f"{identity} {shown(pictures[identity].name)}")
        by_name.pop(pictures[identity].name, None)
    return pictures, by_name, doubtful


def _row(entry: dict[str, Any], classes: dict[Any, tuple[int, str]]) -> list[float] | str:
    """Class, box and crowd of an annotation, or what is wrong with it."""
    category = _identity(entry.get("category_id"))
    if category not in classes:
        return "its category is not listed"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return "no box of four numbers"
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in box):
        return "no box of four numbers"
    try:
        numbers = [float(value) for value in box]
    except OverflowError:
        return "a coordinate is impossibly large"
    return [classes[category][0], *numbers, float(entry.get("iscrowd") in (1, True))]


def _there(tree: Tree, folder: str, names: list[str]) -> int:
    """How many of the names are files, seen from a folder."""
    return sum(1 for name in names if (path := join(folder, name)) and tree.find(path))


def _folder(tree: Tree, file: str, data: dict[str, Any], split: str | None) -> str:
    """The folder that an annotation file's names are in. Raises TaskError if that is not clear."""
    names = [entry["file_name"] for entry in data["images"]
             if isinstance(entry, dict) and isinstance(entry.get("file_name"), str)]  # fmt: skip
    # Pictures of different splits often have the same names: those of another split are never taken.
    others = {"train", "val", "test"} - {split} if split is not None else set()
    folders = [folder for folder in tree.folders if split_of_path(folder) not in others]
    some = names[:: max(1, len(names) // SAMPLE)]
    hits = {folder: _there(tree, folder, names) for folder in folders if _there(tree, folder, some)}
    most = max(hits.values(), default=0)
    if most == 0:
        leaving = [name for name in names if join("", name) is None]
        if leaving:
            raise TaskError(f"'{shown(file)}' names pictures outside of the data folder, such as "
                            f"'{shown(leaving[0])}'; put them into it")  # fmt: skip
        raise TaskError(f"none of the {len(names)} pictures that '{shown(file)}' names is in the data folder"
                        + (f", for example '{shown(names[0])}'" if names else ""))  # fmt: skip
    best = [folder for folder, number in hits.items() if number == most]
    if len(best) > 1:
        beside = file.rpartition("/")[0]
        named = [folder for folder in best if split is not None and split_of_path(folder) == split]
        best = named or [folder for folder in best if folder == beside] or best
    if len(best) > 1:
        places = " and ".join(f"'{shown(folder) or '.'}'" for folder in sorted(best)[:3])
        raise TaskError(f"the pictures of '{shown(file)}' can be those in {places}; leave one of these folders")
    return best[0]
