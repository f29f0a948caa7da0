"""From a folder to a cache folder: the key of the content, then every picture once, then what follows from them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from evaluator.anchors import anchors_between_pixels
from evaluator.data import report
from evaluator.data.boxes import packed, targets
from evaluator.data.dataset import Dataset, Event, Item, Log, Objects, SplitName
from evaluator.data.files import Digests, Tree, read_bytes, shown, walk
from evaluator.data.formats import understand
from evaluator.data.picture import Header, PictureError, header, large_pictures, render
from evaluator.data.progress import bar
from evaluator.data.split import seeded
from evaluator.data.task import FACTS, REPORT, OwnData, folder_of
from evaluator.record import digest as digest_of
from evaluator.tasks import TaskError, _cache

VERSION = "1"
"""Of the preparation: change it whenever the same folder would give other arrays."""
SMALLEST, LARGEST, STEP, USUAL = 32, 512, 32, 64
MOST_OBJECTS = 50
"""Objects of one picture that are kept, the largest ones."""
SPLITS: tuple[SplitName, SplitName] = ("train", "val")
COCO_LIMITS = (32.0, 96.0)
"""Sides of COCO's smallest medium and smallest large objects, in pixels of the full pictures."""
SAMPLE = 200
"""Pictures whose headers tell the usual size of a data set."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is kept of an item between the two readings."""

    item: Item
    """Without its picture where that is not a file."""
    digest: str
    split: SplitName


def check_size(size: int | None) -> None:
    """Raises TaskError that says which sizes there are."""
    if size is not None and (not SMALLEST <= size <= LARGEST or size % STEP):
        raise TaskError(f"data size {size} must be a multiple of {STEP} from {SMALLEST} to {LARGEST} pixels")


def prepare(path: Path | str, size: int | None = None) -> OwnData:
    """The task on the data in `path`; see `inspect`."""
    return inspect(path, size)[0]


def inspect(path: Path | str, size: int | None = None) -> tuple[OwnData, Log]:
    """Find out what is in `path`, a folder or a parquet file, and have it in the cache at `size` pixels.

    Without a size a detector gets 64 pixels and a classifier 32 to 64, as its pictures have. Progress goes to
    stderr. A second call reads no picture again unless its file changed. Safe in several processes at once.
    Raises TaskError of one line.
    """
    check_size(size)
    log = Log()
    tree = _tree(Path(path), log)
    with large_pictures():
        dataset = understand(tree, log)
        if not dataset.num_items:
            raise TaskError(f"data '{path}' is {dataset.format}, but no picture in it can be used: {report.short(log)}")
        records, dataset = _first_reading(tree, dataset, log)
        size = size or _usual_size(dataset, records)
        name = f"data:{_key(dataset, records, size)}"
        folder = folder_of(name)
        if _cache.fault(folder, every_byte=True) is not None:
            _room(len(records), size)
            _cache.prepare_files(folder, lambda scratch: _second_reading(scratch, dataset, records, size, log))
    task = OwnData.of(name)
    text = report.text(str(path), task, log)
    _leave(_cache.root() / folder / REPORT, text)
    return task, log


def _tree(path: Path, log: Log) -> Tree:
    """The files to look at: a folder's, of which a lone inner folder is taken, or one parquet file."""
    if path.is_file():
        if path.suffix != ".parquet":
            raise TaskError(f"data '{path}' is a file; give the folder that holds annotations and pictures")
        real = path.resolve()
        return Tree(real.parent, {real.name: real.stat()})
    if not path.exists():
        raise TaskError(f"data '{path}' does not exist; give a folder")
    tree = walk(path, log)
    tops = {name.split("/")[0] for name in tree.files}
    while len(tops) == 1 and all("/" in name for name in tree.files):
        # An archive unpacked into a folder of its own.
        (top,) = tops
        files = {name.partition("/")[2]: found for name, found in tree.files.items()}
        inner = {name.split("/")[0] for name in files}
        if all("/" not in name for name in files):
            break  # pictures of one class: let the format say what is missing
        tree, tops = Tree(tree.root / top, files), inner
    return tree


# -- the first reading: digests


def _first_reading(tree: Tree, dataset: Dataset, log: Log) -> tuple[list[Record], Dataset]:
    """A record for every item whose bytes can be read, split; classes without an item left out."""
    digests = Digests(tree)
    items: list[Item] = []
    found: list[str] = []

    def look(item: Item) -> str | PictureError:
        try:
            if isinstance(item.data, Path):
                return digests.of(item.name)
            return _sha256(item.data)
        except ValueError as error:
            return PictureError(str(error))
        except OSError as error:
            return PictureError(f"cannot be read ({error.strerror})")

    with bar(f"checking {dataset.format}", dataset.num_items) as step:
        for item, digest in _in_threads(look, dataset.items()):
            step()
            if isinstance(digest, PictureError):
                log.image(str(digest), shown(item.name))
                continue
            items.append(item if isinstance(item.data, Path) else replace(item, data=b""))
            found.append(digest)
    digests.save()
    if not items:
        raise TaskError(f"no picture of the data can be read: {report.short(log)}")
    items, dataset = _used_classes(items, dataset, log)
    splits = _splits(items, found)
    return [Record(item=i, digest=d, split=s) for i, d, s in zip(items, found, splits, strict=True)], dataset


def _splits(items: list[Item], digests: list[str]) -> list[SplitName]:
    if all(item.split is None for item in items):
        return seeded(digests, [item.label for item in items])
    return [item.split or "train" for item in items]


def _used_classes(items: list[Item], dataset: Dataset, log: Log) -> tuple[list[Item], Dataset]:
    """Items and classes renumbered without the classes that nothing is annotated with."""
    if dataset.kind == "classifier":
        used = sorted({item.label for item in items})
    else:
        used = sorted({int(label) for item in items for label in np.unique(item.objects[:, 0])})
    if len(used) < (2 if dataset.kind == "classifier" else 1):
        what = "pictures of two classes" if dataset.kind == "classifier" else "a box"
        raise TaskError(f"the data ({dataset.format}) does not hold {what}: {report.short(log)}")
    for index in sorted(set(range(len(dataset.classes))) - set(used)):
        log.category("nothing is annotated with it: left out", dataset.classes[index])
    if used == list(range(len(dataset.classes))):
        return items, dataset
    new = np.zeros(max(used) + 1)
    new[used] = np.arange(len(used))

    def renumbered(item: Item) -> Item:
        if dataset.kind == "classifier":
            return replace(item, label=int(new[item.label]))
        objects = item.objects.copy()
        objects[:, 0] = new[objects[:, 0].astype(int)]
        return replace(item, objects=objects)

    return [renumbered(item) for item in items], replace(dataset, classes=[dataset.classes[u] for u in used])


def _key(dataset: Dataset, records: list[Record], size: int) -> str:
    """16 hex digits for everything that the arrays depend on; names and places of files are not among it."""
    key = hashlib.sha256()
    key.update(json.dumps([VERSION, size, dataset.kind, dataset.classes, len(records)]).encode())
    for record in records:
        key.update(json.dumps([record.digest, record.split, record.item.described()]).encode())
    return key.hexdigest()[:16]


def _usual_size(dataset: Dataset, records: list[Record]) -> int:
    """The proxy's side where the user gave none."""
    if dataset.kind == "detector":
        return USUAL
    side = dataset.usual_size
    if side is None:
        sides = []
        picked = set(range(0, len(records), max(1, len(records) // SAMPLE)))
        for index, item in enumerate(islice(dataset.items(), max(picked) + 1)):
            if index in picked:
                try:
                    data = read_bytes(item.data) if isinstance(item.data, Path) else item.data
                    found = header(data)
                    sides.append(min(found.width, found.height))
                except (OSError, ValueError):
                    continue
        side = int(np.median(sides)) if sides else USUAL
    return min(USUAL, max(SMALLEST, -(-side // STEP) * STEP))


def _room(number: int, size: int) -> None:
    """Raises TaskError if the disk of the cache is too small for `number` pictures."""
    needed = int(number * size * size * 3 * 1.1)
    place = next(parent for parent in (_cache.root(), *_cache.root().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise TaskError(
            f"{number} pictures of {size}x{size} need {needed / 2**30:.1f} GiB in the data cache {place}, where "
            f"{free / 2**30:.1f} are free; give a smaller size, or set CSP_EXPLORER_CACHE"
        )


# -- the second reading: arrays


@dataclass(frozen=True, kw_only=True)
class _Read:
    """One picture as it enters the cache, or why it does not."""

    pixels: npt.NDArray[np.uint8] | None = None
    objects: Objects | None = None
    found: Header | None = None
    events: tuple[Event, ...] = ()


def _second_reading(folder: Path, dataset: Dataset, records: list[Record], size: int, log: Log) -> None:
    """Write the arrays of all records, and what is known of them, into `folder`."""

    def read(pair: tuple[Record, Item]) -> _Read:
        record, item = pair
        mine = Log()
        try:
            data = read_bytes(item.data) if isinstance(item.data, Path) else item.data
            if _sha256(data) != record.digest:
                raise PictureError("changed while it was read")
            found, pixels = render(data, size, dataset.kind)
            objects = targets(replace(record.item, name=shown(item.name)), found, size, mine)
            return _Read(pixels=pixels, objects=objects, found=found, events=tuple(mine.events))
        except OSError as error:
            mine.image(f"cannot be read ({error.strerror})", shown(item.name))
        except ValueError as error:
            mine.image(str(error), shown(item.name))
        return _Read(events=tuple(mine.events))

    seen = Log()
    stacks = {split: _Stack(folder / f"{split}_images.npy", size) for split in SPLITS}
    labels: dict[SplitName, list[Any]] = {"train": [], "val": []}
    kept: dict[SplitName, list[str]] = {"train": [], "val": []}
    scales: list[float] = []
    try:
        with bar(f"preparing {dataset.format}", len(records)) as step:
            for (record, _), got in _in_threads(read, _paired(records, dataset, log)):
                step()
                seen.events += got.events
                if got.pixels is None or got.found is None:
                    continue
                stacks[record.split].add(got.pixels)
                labels[record.split].append(record.item.label if dataset.kind == "classifier" else got.objects)
                kept[record.split].append(record.digest)
                scales.append(size / max(got.found.width, got.found.height))
    finally:
        for stack in stacks.values():
            stack.close()
    for split in SPLITS:
        if not kept[split]:
            raise TaskError(f"no {'training' if split == 'train' else 'validation'} picture of the data is left: "
                            + report.short(Log([*log.events, *seen.events])))  # fmt: skip
    facts = _facts(dataset, labels, kept, size, scales, seen, stacks["train"])
    slots = facts["most_objects"]
    for split in SPLITS:
        if dataset.kind == "classifier":
            np.save(folder / f"{split}_targets.npy", np.array(labels[split], np.int16))
        else:
            np.save(folder / f"{split}_targets.npy", np.stack([packed(objects, slots) for objects in labels[split]]))
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def _paired(records: list[Record], dataset: Dataset, log: Log) -> Iterator[tuple[Record, Item]]:
    """Records with their items' pictures, which formats without files give once more."""
    if all(isinstance(record.item.data, Path) for record in records):
        yield from ((record, record.item) for record in records)
        return
    waiting = iter(records)
    record = next(waiting, None)
    for item in dataset.items():
        if record is not None and item.name == record.item.name:
            yield record, item
            record = next(waiting, None)


class _Stack:
    """An .npy file of pictures that grows: numpy's header leaves room for a larger first dimension."""

    def __init__(self, path: Path, size: int) -> None:
        self.number = 0
        self.sums = np.zeros(2)
        """Of all pixel values, and of their squares."""
        self._size = size
        self._file = path.open("wb")
        self._header()

    def _header(self) -> None:
        self._file.seek(0)
        shape = (self.number, self._size, self._size, 3)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})

    def add(self, pixels: npt.NDArray[np.uint8]) -> None:
        self._file.write(pixels.tobytes())
        values = pixels.astype(np.int64)
        self.sums += values.sum(), (values * values).sum()
        self.number += 1

    def close(self) -> None:
        if not self._file.closed:
            self._header()
            self._file.close()


def _facts(dataset: Dataset, labels: dict[SplitName, list[Any]], kept: dict[SplitName, list[str]], size: int,
           scales: list[float], seen: Log, train: _Stack) -> dict[str, Any]:  # fmt: skip
    """What follows from the pictures that are in the cache, as plain data."""
    mean, square = train.sums / max(1, train.number * size * size * 3)
    shared = sorted(set(kept["train"]) & set(kept["val"]))
    facts: dict[str, Any] = {
        "format": dataset.format, "kind": dataset.kind, "classes": dataset.classes, "size": size,
        "own_split": dataset.own_split, "images": {split: len(kept[split]) for split in SPLITS},
        "pixel_mean": float(mean), "pixel_std": float(max(1.0, np.sqrt(max(0.0, square - mean * mean)))),
        "content": digest_of(sorted(kept["train"] + kept["val"])),
        "repeats": {split: len(kept[split]) - len(set(kept[split])) for split in SPLITS},
        "val_in_train": sum(digest in set(shared) for digest in kept["val"]),
        "area_limits": [0.0, 0.0], "most_objects": 0,
        "events": [[event.what, event.reason, event.name] for event in seen.events],
    }  # fmt: skip
    number = len(dataset.classes)
    if dataset.kind == "classifier":
        facts["per_class"] = {split: np.bincount(labels[split], minlength=number).tolist() for split in SPLITS}
        pairs = {pair for split in SPLITS for pair in zip(kept[split], labels[split], strict=True)}
        facts["contradicted"] = sum(n > 1 for n in Counter(digest for digest, _ in pairs).values())
        return facts
    stacked = {split: np.concatenate([*labels[split], np.zeros((0, 6))]) for split in SPLITS}
    real = {split: rows[rows[:, 5] == 0] for split, rows in stacked.items()}
    for split in SPLITS:
        if not len(real[split]):
            raise TaskError(f"no box of the {'training' if split == 'train' else 'validation'} data is left: "
                            + report.short(seen))  # fmt: skip
    most = max(len(objects) for split in SPLITS for objects in labels[split])
    scale = float(np.median(scales))
    sides = np.sqrt(real["train"][:, 3] * real["train"][:, 4])
    return facts | {
        "most_objects": min(most, MOST_OBJECTS),
        "cut_objects": sum(max(0, len(o) - MOST_OBJECTS) for split in SPLITS for o in labels[split]),
        "per_class": {s: np.bincount(real[s][:, 0].astype(int), minlength=number).tolist() for s in SPLITS},
        "objects": {split: len(real[split]) for split in SPLITS},
        "crowds": {split: len(stacked[split]) - len(real[split]) for split in SPLITS},
        "empty_images": {s: sum(not (o[:, 5] == 0).any() for o in labels[s]) for s in SPLITS},
        # COCO's limits are of full pictures; each picture has its own scale, the median stands for all.
        "area_limits": [(limit * scale) ** 2 for limit in COCO_LIMITS],
        "scale": scale,
        "box_sides": np.quantile(sides, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist(),
        "anchors": anchors_between_pixels(real["train"][:, 3:5]).tolist(),
    }


def _in_threads(work: Callable[[T], Any], source: Iterator[T]) -> Iterator[tuple[T, Any]]:
    """Every element of `source` with what `work` makes of it, in order, a bounded number ahead.

    Decoding and hashing leave Python's lock, so threads do.
    """
    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[tuple[T, Future[Any]]] = []
        try:
            for element in source:
                waiting.append((element, pool.submit(work, element)))
                if len(waiting) >= 4 * workers:
                    first, future = waiting.pop(0)
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _sha256(data: bytes | npt.NDArray[np.uint8]) -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest()


def _leave(path: Path, text: str) -> None:
    """Put a text in its place in one step; without it only a report is missing."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".report-", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError:
        return
