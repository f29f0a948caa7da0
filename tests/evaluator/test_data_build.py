"""Laws of the prepared data: keyed by content, whole or not there, honestly split, the same in every process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evaluator.anchors import anchors_between_pixels, anchors_of
from evaluator.data import build, files
from evaluator.data.build import inspect, prepare
from evaluator.data.report import NOISE_TARGET, as_object, noise
from evaluator.data.split import VAL_SHARE, seeded
from evaluator.data.task import OwnData
from evaluator.tasks import TASKS, TaskError, _cache
from tests import datasets

PARTS = {"train": datasets.scenes("train", 12), "val": datasets.scenes("val", 6)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CSP_EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "SETTLED_SECONDS", -1.0)  # the tests' files are new
    return tmp_path / "cache"


# -- the key


def test_a_moved_folder_has_the_same_key_and_every_change_another(tmp_path: Path) -> None:
    root = datasets.coco(tmp_path / "here", PARTS)
    names = {"as it was": prepare(root).name}
    shutil.move(root, tmp_path / "there")
    root = tmp_path / "there"
    assert prepare(root).name == names["as it was"]
    names["size"] = prepare(root, 96).name
    path = root / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["info"] = {"description": "says nothing about boxes"}
    path.write_text(json.dumps(data))
    assert prepare(root).name == names["as it was"]
    data["annotations"][0]["bbox"][2] += 1
    path.write_text(json.dumps(data))
    names["box"] = prepare(root).name
    data["categories"][0]["name"] = "another"
    path.write_text(json.dumps(data))
    val = root / "annotations" / "instances_val.json"
    val.write_text(val.read_text().replace('"digit 0"', '"another"'))
    names["class name"] = prepare(root).name
    (root / "train" / "0003.png").write_bytes(datasets.png(PARTS["train"][3].pixels ^ 1))
    names["a pixel"] = prepare(root).name
    (root / "train" / "0004.png").unlink()
    names["a picture less"] = prepare(root).name
    assert len(set(names.values())) == len(names)


def test_a_second_look_reads_no_picture_and_a_changed_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = datasets.folders(tmp_path / "d", {"": datasets.digits("train", 40)})
    first = prepare(root)
    read: list[str] = []
    real = files.read_bytes
    monkeypatch.setattr(files, "read_bytes", lambda path: read.append(path.name) or real(path))
    monkeypatch.setattr(build, "read_bytes", lambda path: pytest.fail("a whole cache needs no second reading"))
    assert prepare(root, 64).name == first.name
    assert read == []
    victim = sorted(root.rglob("*.png"))[5]
    times = victim.stat()
    data = bytearray(victim.read_bytes())
    data[-20] ^= 1
    victim.write_bytes(data)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time: only the inode tells
    monkeypatch.setattr(build, "read_bytes", real)
    assert prepare(root, 64).name != first.name
    assert read == [victim.name]


def test_a_damaged_cache_is_made_again_and_a_lost_one_says_what_to_do(tmp_path: Path, cache: Path) -> None:
    root = datasets.coco(tmp_path / "d", PARTS)
    task = prepare(root)
    whole = task.load("train").images.copy()
    path = cache / task.name.replace(":", "-") / "train_images.npy"
    data = bytearray(path.read_bytes())
    data[1000] ^= 255
    path.write_bytes(data)
    with pytest.raises(TaskError, match="run once more with --data"):
        task.prepare()
    assert np.array_equal(prepare(root).load("train").images, whole)
    shutil.rmtree(path.parent)
    with pytest.raises(TaskError, match=f"'{task.name}' was missing; run once more with --data"):
        TASKS.get(task.name)


def test_the_cache_is_enough_without_the_folder_and_without_torch(tmp_path: Path) -> None:
    root = datasets.coco(tmp_path / "d", PARTS)
    task = prepare(root)
    shutil.rmtree(root)
    code = (
        f"import sys; from evaluator.tasks import TASKS; task = TASKS.get('{task.name}'); data = task.load('val');"
        "print(task.prepare().count('COCO'), data.images.shape, task.anchors().shape, 'torch' in sys.modules, "
        "'PIL' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["1", "(6,", "64,", "64,", "3)", "(3,", "2,", "2)", "False", "False"]


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process, in a group of its own."""
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)  # fmt: skip


def test_data_larger_than_a_workers_memory_limit_can_be_mapped(tmp_path: Path, cache: Path) -> None:
    """RLIMIT_DATA counts copy-on-write maps; read-only ones are free."""
    task = prepare(datasets.folders(tmp_path / "d", {"": datasets.digits("train", 40)}), 64)
    folder = cache / task.name.replace(":", "-")
    large = np.lib.format.open_memmap(folder / "train_images.npy", "w+", np.uint8, (12_000, 64, 64, 3))
    large[::1000] = 1
    large.flush()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["train_images.npy"]["bytes"] = (folder / "train_images.npy").stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code = (
        "import re, resource, sys; from evaluator.tasks import TASKS; TASKS.get(sys.argv[1]).load('val')\n"
        "now = int(re.search(r'VmData:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024 + 2**26\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (now, now))\n"
        "print(TASKS.get(sys.argv[1]).load('train').images[::500].sum())"
    )
    out, errors = python(code, task.name).communicate(timeout=60)
    assert out.split() == [str(large[::500].sum())], errors


# -- several processes, and ends that nobody wished for


def test_processes_that_prepare_at_once_end_with_the_same_data(tmp_path: Path, cache: Path) -> None:
    root = datasets.coco(tmp_path / "d", PARTS)
    code = (
        "import sys; from evaluator.data.build import prepare; print(prepare(sys.argv[1]).load('train').images.sum())"
    )
    processes = [python(code, str(root)) for _ in range(3)]
    sums = {process.communicate(timeout=60)[0] for process in processes}
    assert sums == {f"{prepare(root).load('train').images.sum()}\n"}
    assert sorted(path.name.split("-")[0] for path in cache.iterdir()) == ["data", "digests"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_preparation_leaves_no_half_cache_and_the_next_one_is_whole(
    tmp_path: Path, cache: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = datasets.folders(tmp_path / "d", {"": datasets.digits("train", 40)})
    code = (
        "import sys, time; from evaluator.data import build, __main__\n"
        "real = build.render\n"
        "def slow(*a): print('reading', flush=True); time.sleep(0.2); return real(*a)\n"
        f"build.render = slow; sys.exit(__main__.main([{str(root)!r}]))"
    )
    process = python(code)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("reading")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert not list(cache.glob("data-*"))
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert errors.strip() == "stopped; nothing was left behind"
        assert not list(cache.glob(".data-*"))
    else:
        (scratch,) = cache.glob(".data-*")
        os.utime(scratch, (0, 0))
    task = prepare(root)
    assert task.facts["images"] == {"train": 29, "val": 11}
    assert not list(cache.glob(".data-*"))  # what the killed process left is swept


def test_a_scratch_folder_in_use_is_not_swept_however_old(cache: Path) -> None:
    cache.mkdir()
    busy = cache / ".data-0-x"
    busy.mkdir()
    os.utime(busy, (0, 0))
    held = _cache._hold(busy)
    assert held is not None
    _cache._sweep()
    assert busy.exists()
    os.close(held)
    os.utime(busy, (0, 0))
    _cache._sweep()
    assert not busy.exists()


def test_a_disk_that_is_too_small_is_named_before_the_first_picture(tmp_path: Path, monkeypatch: Any) -> None:
    root = datasets.folders(tmp_path / "d", {"": datasets.digits("train", 40)})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(TaskError, match="give a smaller size, or set CSP_EXPLORER_CACHE"):
        prepare(root)


def test_a_disk_that_fills_up_leaves_nothing_half_written(tmp_path: Path, cache: Path, monkeypatch: Any) -> None:
    root = datasets.folders(tmp_path / "d", {"": datasets.digits("train", 40)})
    monkeypatch.setattr(build._Stack, "add", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(TaskError, match=r"cannot write the data cache .*No space left"):
        prepare(root)
    assert not list(cache.glob("*data-*"))


@pytest.mark.parametrize("size", [0, 16, 33, 544, -64])
def test_sizes_outside_the_range_get_one_line(tmp_path: Path, size: int) -> None:
    with pytest.raises(TaskError, match=f"data size {size} must be a multiple of 32 from 32 to 512"):
        prepare(tmp_path, size)


# -- the split


@given(
    st.lists(st.tuples(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 3)), min_size=1, max_size=200),
    st.randoms(use_true_random=False), st.integers(0, 5),
)  # fmt: skip
def test_a_seeded_split_keeps_copies_together_and_each_class_on_both_sides(pairs: Any, random: Any, seed: int) -> None:
    digests, labels = [d for d, _ in pairs], [label for _, label in pairs]
    split = seeded(digests, labels, seed=seed)
    sides = defaultdict(set)
    for digest, side in zip(digests, split):
        sides[digest].add(side)
    assert all(len(side) == 1 for side in sides.values())
    first = {}
    for digest, label in pairs:
        first.setdefault(digest, label)
    for label in set(first.values()):
        mine = [digest for digest, own in first.items() if own == label]
        val = sum(sides[digest] == {"val"} for digest in mine)
        assert abs(val - VAL_SHARE * len(mine)) <= (1 if len(mine) > 1 else 0.5)
        assert (val > 0) == (len(mine) > 1)
    order = list(range(len(pairs)))
    unique = {d: i for i, d in reversed(list(enumerate(digests)))}
    if len(unique) == len(digests):  # with copies the first one's class counts, so order may matter
        random.shuffle(order)
        again = seeded([digests[i] for i in order], [labels[i] for i in order], seed=seed)
        assert again == [split[i] for i in order]


def test_copies_are_counted_and_those_on_both_sides_warned_of(tmp_path: Path) -> None:
    root = datasets.folders(tmp_path / "d", {"train": datasets.digits("train", 40), "val": datasets.digits("val", 20)})
    some = sorted((root / "train").rglob("*.png"))[:3]
    for index, path in enumerate(some):
        shutil.copy(path, root / "val" / path.parent.name / f"copy{index}.png")
    shutil.copy(some[0], some[0].with_name("twin.png"))
    other = next(path for path in (root / "train").iterdir() if path != some[1].parent)
    shutil.copy(some[1], other / "contradiction.png")
    task = prepare(root)
    assert task.facts["val_in_train"] == 3
    assert task.facts["repeats"] == {"train": 2, "val": 0}
    report = task.prepare() or ""
    assert "3 of 23 validation pictures are in the training data too" in report
    assert "1 pictures are in more than one class" in report
    # Without a split of its own, copies never part.
    both = datasets.folders(tmp_path / "one", {"": datasets.digits("train", 60)})
    for path in sorted(both.rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    task = prepare(both)
    assert task.facts["val_in_train"] == 0
    assert sum(task.facts["repeats"].values()) == 60


# -- what follows from the data


def test_mean_deviation_and_area_limits_are_those_of_the_arrays(tmp_path: Path) -> None:
    task = prepare(datasets.coco(tmp_path / "d", PARTS))
    images = task.load("train").images.astype(float)
    assert task.pixel_mean == pytest.approx(images.mean())
    assert task.pixel_std == pytest.approx(images.std())
    assert task.area_limits == (16.0**2, 48.0**2)  # 128 pixels become 64
    assert TASKS.get("scenes").pixel_mean == 96.0


def test_the_size_follows_small_pictures_of_a_classifier(tmp_path: Path) -> None:
    for side, expected in ((8, 32), (28, 32), (40, 64), (300, 64)):
        root = tmp_path / str(side)
        for label in ("a", "b"):
            (root / label).mkdir(parents=True)
            for index in range(5):
                Image.new("RGB", (side + 3, side), (index, ord(label), side % 256)).save(root / label / f"{index}.png")
        assert prepare(root).size == expected


def test_objects_beyond_the_most_that_are_kept_are_counted(tmp_path: Path) -> None:
    many = datasets.Scene(
        np.zeros((512, 512, 3), np.uint8), [(0, 8 * (i % 60), 8 * (i // 60), 6, 6) for i in range(70)]
    )
    one = datasets.Scene(np.ones((512, 512, 3), np.uint8), [(1, 0, 0, 50, 50)])
    task = prepare(datasets.coco(tmp_path / "d", {"train": (many, one), "val": (one,)}), 512)
    assert task.load("train").targets.shape == (2, 50, 5)
    assert task.facts["cut_objects"] == 20
    assert "20 boxes are beyond the 50 largest of their picture" in (task.prepare() or "")
    assert task.recipe["detections"] == 100


def test_anchors_of_many_boxes_between_pixels_meet_them() -> None:
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.normal(2, 0.6, (50_000, 2)))
    anchors = anchors_between_pixels(sizes).reshape(1, 6, 2).astype(float)
    shared = np.minimum(sizes[:, None], anchors).prod(2)
    assert (shared / (sizes.prod(1)[:, None] + anchors.prod(2) - shared)).max(1).mean() > 0.55
    assert anchors_between_pixels(np.array([[0.2, 0.3]])).min() == 1
    with pytest.raises(ValueError, match="at least one box"):
        anchors_of(np.zeros((0, 2), np.int64))


def test_the_noise_of_ap_stays_within_what_is_said() -> None:
    """Draws of validation sets of one imaginary detector, whose boxes are off by chance and whose scores overlap."""
    from evaluator.average_precision import average_precision

    rng = np.random.default_rng(0)

    def ap(per_class: list[int]) -> float:
        objects, found = [], []
        for label, number in enumerate(per_class):
            for image in range(number):
                objects.append([image, label, 10, 10, 20, 20])
                if rng.random() < 0.8:
                    off = rng.normal(0, 1.5, 4)
                    found.append([image, label, *(np.array([10, 10, 20, 20]) + off), rng.random() + 0.5])
                if rng.random() < 0.5:
                    found.append([image, label, 40, 40, 9, 9, rng.random()])
        return average_precision(
            num_images=max(per_class), num_classes=len(per_class), objects=np.array(objects, float),
            detections=np.array(found), area_limits=(1, 2),
        )["ap"] or 0.0  # fmt: skip

    for per_class in ([60, 60, 60], [120, 12]):
        spread = float(np.std([ap(per_class) for _ in range(40)]))
        assert noise("detector", per_class) / 3 < spread < 1.3 * noise("detector", per_class)
    assert noise("classifier", [1250, 1250]) == NOISE_TARGET


def test_a_small_validation_set_says_how_large_it_should_be(tmp_path: Path) -> None:
    task, log = inspect(datasets.folders(tmp_path / "d", {"": datasets.digits("train", 60)}))
    (line,) = [w for w in as_object("x", task, log)["warnings"] if "standard error" in w]
    assert "about 2,500 such pictures would do for 0.01" in line


def test_the_task_is_one_like_the_built_in(tmp_path: Path) -> None:
    from evaluator.recipe import recipe_for

    task = prepare(datasets.coco(tmp_path / "d", PARTS), 128)
    same = TASKS.get(task.name)
    assert isinstance(same, OwnData)
    assert recipe_for(task).id(task) == recipe_for(same).id(same)
    assert recipe_for(task).shift == 2 * recipe_for(TASKS.get("scenes")).shift
    with pytest.raises(ValueError, match="cannot be imported"):
        TASKS.get("data:12").load("train")
