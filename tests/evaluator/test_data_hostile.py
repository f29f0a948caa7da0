"""Folders with every fault that we know of: nothing crashes, nothing is wrong in silence, all is listed."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluator.data.build import inspect, prepare
from evaluator.data.dataset import Log
from evaluator.data.files import join, shown, walk
from evaluator.data.picture import ORIENTATION
from evaluator.data.report import as_object, text
from evaluator.tasks import TaskError
from tests import datasets


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSP_EXPLORER_CACHE", str(tmp_path / "cache"))


def reasons(task: Any, log: Log) -> Counter[str]:
    return Counter(entry["reason"] for entry in as_object("x", task, log)["left_out"])


def write_broken_pictures(folder: Path) -> dict[str, str]:
    """Files that no picture can be had from, with the reason that is expected."""
    good = datasets.png(datasets.digits("train", 30)[29][0])
    (folder / "zero.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "words.jpg").write_text("I am no picture")
    (folder / "flipped.png").write_bytes(good[:200] + bytes([good[200] ^ 255]) + good[201:])
    Image.fromarray(np.zeros((8, 8), np.float32)).save(folder / "floats.tif")
    (folder / "giant.ppm").write_bytes(b"P5 20001 10000 255\n")
    os.symlink(folder / "nowhere.png", folder / "broken-link.png")
    (folder.parent.parent / "outside.png").write_bytes(good)
    os.symlink(folder.parent.parent / "outside.png", folder / "leads-out.png")
    os.mkfifo(folder / "pipe.png")
    return {
        "zero.png": "empty file", "cut.png": "truncated file", "words.jpg": "not a picture that can be read",
        "flipped.png": "damaged file", "floats.tif": "32-bit pixels have no known range",
        "giant.ppm": "more than 200 megapixels", "broken-link.png": "broken link",
        "leads-out.png": "link that leads out of the data folder", "pipe.png": "not a regular file",
    }  # fmt: skip


def test_a_hostile_folder_of_classes(tmp_path: Path) -> None:
    root = datasets.folders(tmp_path / "d", {"": datasets.digits("train", 60)})
    odd = root / "digit 0"
    expected = write_broken_pictures(odd)
    pixels = datasets.digits("train", 60)[0][0]
    # These are pictures, however unusual.
    fine = {"grüße 数字.png": "RGB", "alpha.png": "RGBA", "grey.png": "L", "palette.png": "P", "ink.jpg": "CMYK"}
    for name, mode in fine.items():
        Image.fromarray(pixels + len(name)).convert(mode).save(odd / name)
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 256).save(odd / "deep.png")
    Image.fromarray(pixels).save(odd / "moving.gif", save_all=True, append_images=[Image.new("RGB", (64, 64))])
    undecodable = os.fsdecode(b"latin-\xfc.png")
    (odd / undecodable).write_bytes(datasets.png(pixels + 99))
    os.symlink(odd / "alpha.png", root / "digit 1" / "inner-link.png")
    os.symlink(root, odd / "loop")
    (odd / ".hidden.png").write_bytes(b"")
    (root / "digit 1" / "notes.txt").write_text("not a picture, and nobody says it is")
    (root / "stray.png").write_bytes(datasets.png(pixels))
    (root / "empty class").mkdir()
    (root / "no pictures").mkdir()
    (root / "no pictures" / "readme.md").write_text("")

    task, log = inspect(root)
    listed = {entry["name"]: entry["reason"] for entry in as_object("x", task, log)["left_out"]}
    for name, reason in expected.items():
        assert reason in listed[f"digit 0/{name}"]
    assert listed["stray.png"] == "not in a folder of a class"
    assert listed["digit 1/notes.txt"] == "not a picture"
    assert listed["no pictures"] == "folder without pictures"
    assert len(listed) == len(expected) + 4
    images = task.facts["images"]
    assert images["train"] + images["val"] == 60 + len(fine) + 4
    assert task.facts["classes"] == datasets.NAMES
    text("x", task, log).encode()  # can be printed


def hostile_coco(root: Path) -> tuple[Path, dict[str, Any]]:
    """COCO's layout with a good train and val part; what is to be spoilt, as written so far."""
    datasets.coco(root, {"train": datasets.scenes("train", 12), "val": datasets.scenes("val", 6)})
    path = root / "annotations" / "instances_train.json"
    return path, json.loads(path.read_text())


BAD_BOXES: list[tuple[Any, str]] = [
    ([float("nan"), 1, 5, 5], "a coordinate is not a finite number"),
    ([1, 1, float("inf"), 5], "a coordinate is not a finite number"),
    ([1, 1, 1e300, 5], "a coordinate is impossibly large"),
    ([1, 1, 10**400, 5], "a coordinate is impossibly large"),
    ([30, 30, -5, 5], "negative width or height"),
    ([30, 30, 0, 5], "no area"),
    ([500, 500, 5, 5], "outside the picture"),
    ([-50, 10, 50, 5], "outside the picture"),
    ([0, 0, 30000, 30000], "less than 1 % of it lies in the picture"),
    ([1, 2, 3], "no box of four numbers"),
    (["1", 2, 3, 4], "no box of four numbers"),
    (None, "no box of four numbers"),
    ([True, 2, 3, 4], "no box of four numbers"),
    ([20, 20, 0.1, 30], "narrower than a pixel at 128x128"),
]


def test_hostile_boxes_are_left_out_one_by_one(tmp_path: Path) -> None:
    path, data = hostile_coco(tmp_path / "d")
    clean = prepare(tmp_path / "d", 128)
    for number, (box, _) in enumerate(BAD_BOXES):
        data["annotations"].append({"id": 5000 + number, "image_id": 7, "category_id": 3, "bbox": box})
    one = data["annotations"][0]
    data["annotations"] += [
        {"id": 6000, "image_id": 99999, "category_id": 3, "bbox": [1, 1, 9, 9]},
        {"id": 6001, "image_id": [7], "category_id": 3, "bbox": [1, 1, 9, 9]},
        {"id": 6002, "image_id": 7, "category_id": 77777, "bbox": [1, 1, 9, 9]},
        {"id": 6003, "image_id": 7, "bbox": [1, 1, 9, 9]},
        "not an annotation",
        one,  # the same id and the same box
    ]
    data["categories"] += [{"id": 555, "name": "never seen"}, {"id": 3, "name": "digit 0"}, {"name": "no id"}, 7]
    path.write_text(json.dumps(data))
    task, log = inspect(tmp_path / "d", 128)
    found = reasons(task, log)
    for reason, number in Counter(reason for _, reason in BAD_BOXES).items():
        assert found[reason] == number, reason
    assert found["its image is not listed"] == 2
    assert found["its category is not listed"] == 2
    assert found["annotation that is no object"] == 1
    assert found["annotation id twice: both count unless they are the same"] == 1
    assert found["the same box twice"] == 1
    assert found["nothing is annotated with it: left out"] == 1
    assert found["category id twice: the first counts"] == 1
    assert found["category without an id"] == 2
    # After all that the arrays are those of the clean set.
    for split in ("train", "val"):
        assert np.array_equal(task.load(split).targets, clean.load(split).targets)
        assert np.array_equal(task.load(split).images, clean.load(split).images)


def test_hostile_images_cost_only_themselves(tmp_path: Path) -> None:
    path, data = hostile_coco(tmp_path / "d")
    clean = prepare(tmp_path / "d", 128)
    train = tmp_path / "d" / "train"
    broken = write_broken_pictures(train)
    (tmp_path / "d" / "note.txt").write_text("")
    extra = [
        *broken,
        "../../outside.png",
        "/etc/passwd",
        "..\\..\\outside.png",
        "C:\\x.png",
        "missing.png",
        "0000.png\0",
    ]
    for number, name in enumerate(extra):
        data["images"].append({"id": 1000 + number, "file_name": name, "width": 64, "height": 64})
        data["annotations"].append(
            {"id": 9000 + number, "image_id": 1000 + number, "category_id": 3, "bbox": [1, 1, 9, 9]}
        )
    Image.new("RGB", (64, 64), (1, 2, 3)).save(train / "other-size.png")
    data["images"].append({"id": 2000, "file_name": "other-size.png", "width": 640, "height": 480})
    data["images"] += [{"id": 2001}, {"file_name": "x.png"}, "nothing", {"id": 2002, "file_name": 7}]
    # One id for two files: nobody can say whose the boxes are.
    for name in ("double-a.png", "double-b.png"):
        Image.new("RGB", (64, 64), (9, 9, 9)).save(train / name)
        data["images"].append({"id": 3000, "file_name": name, "width": 64, "height": 64})
    data["annotations"].append({"id": 9990, "image_id": 3000, "category_id": 3, "bbox": [1, 1, 9, 9]})
    data["images"].append(dict(data["images"][0]))  # the same entry again
    data["images"].append({**data["images"][1], "id": 4000})  # a file under a second id, with one of its boxes
    moved = next(a for a in reversed(data["annotations"]) if a["image_id"] == data["images"][1]["id"])
    moved["image_id"] = 4000
    path.write_text(json.dumps(data))
    task, log = inspect(tmp_path / "d", 128)
    listed = {(entry["name"], entry["reason"]) for entry in as_object("x", task, log)["left_out"]}
    for name, reason in broken.items():
        assert any(n == f"train/{name}" and reason in r for n, r in listed)
    found = reasons(task, log)
    assert found["its path leaves the data folder: refused"] == 5
    assert found["missing file"] == 1 + sum("link" in reason or "regular" in reason for reason in broken.values())
    assert found["annotated at another size (640x480, the picture has 64x64)"] == 1
    assert found["image entry without id or file name"] == 4
    assert found["image id twice, for two files: both left out"] == 2
    assert found["its image id stands for several pictures"] == 1
    assert found["image entry twice"] == 1
    assert found["picture listed under two ids: their boxes are put together"] == 1
    for split in ("train", "val"):
        assert np.array_equal(task.load(split).images, clean.load(split).images)
        ours, theirs = (sorted(map(tuple, t.load(split).targets.reshape(-1, 5).tolist())) for t in (task, clean))
        assert ours == theirs


@pytest.mark.parametrize("stated", ["stored", "upright", "missing"])
def test_a_phone_picture_keeps_its_boxes_on_its_objects(tmp_path: Path, stated: str) -> None:
    """All pictures are turned by EXIF; annotations are of the stored or of the upright view, and say so by size."""
    parts = {"train": datasets.scenes("train", 8), "val": datasets.scenes("val", 4)}
    plain = prepare(datasets.coco(tmp_path / "plain", parts), 128)
    root = datasets.coco(tmp_path / "turned", parts)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera lay on its side: turn clockwise to look at it
    for part, those in parts.items():
        path = root / "annotations" / f"instances_{part}.json"
        data = json.loads(path.read_text())
        for entry, one in zip(data["images"], those, strict=True):
            stored = Image.fromarray(np.ascontiguousarray(np.rot90(one.pixels)))  # counter-clockwise
            stored.save(root / part / entry["file_name"], exif=exif)
            if stated == "stored":
                entry["width"], entry["height"] = stored.size
            elif stated == "missing":
                del entry["width"]
        if stated == "stored":
            sizes = {entry["id"]: (one.width, one.height) for entry, one in zip(data["images"], those, strict=True)}
            for row in data["annotations"]:
                x, y, w, h = row["bbox"]
                row["bbox"] = [y, sizes[row["image_id"]][0] - x - w, h, w]
        path.write_text(json.dumps(data))
    task, log = inspect(root, 128)
    for split in ("train", "val"):
        assert np.array_equal(task.load(split).images, plain.load(split).images)
        assert np.allclose(task.load(split).targets, plain.load(split).targets)
    said = {"stored": "of the picture as stored: turned too", "missing": "taken as upright", "upright": None}[stated]
    assert sum(said is not None and said in reason for reason in reasons(task, log).elements()) == (12 if said else 0)


def test_crowds_and_empty_pictures_are_carried_along(tmp_path: Path) -> None:
    path, data = hostile_coco(tmp_path / "d")
    first = data["images"][0]["id"]
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] != first]
    crowd = {"id": 8000, "image_id": first, "category_id": 13, "bbox": [0, 0, 50, 40], "iscrowd": 1,
             "segmentation": {"counts": "xx", "size": [64, 128]}}  # fmt: skip
    data["annotations"].append(crowd)
    path.write_text(json.dumps(data))
    task = prepare(tmp_path / "d", 128)
    rows = task.load("train").targets[0]
    assert rows[0].tolist() == [-3, 0, 32, 50, 40]
    assert (rows[1:, 0] == -1).all()
    assert task.facts["crowds"] == {"train": 1, "val": 0}
    assert task.facts["empty_images"] == {"train": 1, "val": 0}


@pytest.mark.parametrize("damage", ["no training picture", "no box", "nothing readable"])
def test_data_of_which_nothing_is_left_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    path, data = hostile_coco(tmp_path / "d")
    if damage == "no box":
        for row in data["annotations"]:
            row["bbox"] = [0, 0, 0, 0]
        path.write_text(json.dumps(data))
    for file in (tmp_path / "d" / "train").iterdir() if damage != "no box" else []:
        file.write_bytes(b"" if damage == "nothing readable" else b"GIF89a")
    with pytest.raises(TaskError) as error:
        prepare(tmp_path / "d")
    assert "\n" not in str(error.value)
    assert "left" in str(error.value)
    assert not list((tmp_path / "cache").glob("data-*"))
    assert not list((tmp_path / "cache").glob(".data-*"))


def test_a_folder_that_links_out_is_refused_and_named(tmp_path: Path) -> None:
    root = datasets.coco(tmp_path / "d", {"train": datasets.scenes("train", 4), "val": datasets.scenes("val", 2)})
    shutil.move(root / "train", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", root / "train")
    with pytest.raises(TaskError, match=r"none of the 4 pictures .* is in the data folder"):
        prepare(root)


def test_names_cannot_leave_the_folder_nor_break_the_terminal() -> None:
    assert join("a/b", "../c.png") == "a/c.png"
    assert join("a", "./x//y.png") == "a/x/y.png"
    for name in ("../../c", "/etc/passwd", "..\\..\\x", "C:/x", "c:\\x", "x\0y", "a/../../../b"):
        assert join("a", name) is None, name
    assert shown("grüße\x1b[2J\n") == "grüße\\x1b[2J\\n"
    assert shown(os.fsdecode(b"\xfc.png")) == "\\xfc.png"


def test_a_data_folder_that_is_none_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"PK")
    os.symlink(tmp_path / "self", tmp_path / "self")
    for name, message in (("none", "does not exist"), ("file.zip", "is a file"), ("self", "does not exist")):
        with pytest.raises(TaskError, match=message) as error:
            prepare(tmp_path / name)
        assert "\n" not in str(error.value)


def test_accents_spelled_in_two_characters_find_their_file(tmp_path: Path) -> None:
    (tmp_path / "e\u0301.png").write_bytes(b"x")
    assert walk(tmp_path, Log()).find("\u00e9.png") == "e\u0301.png"


def test_a_file_that_changes_between_the_two_readings_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = datasets.folders(tmp_path / "d", {"": datasets.digits("train", 40)})
    from evaluator.data import build

    real, victim = build._second_reading, next(root.rglob("*.png"))

    def meddle(*arguments: Any) -> None:
        victim.write_bytes(datasets.png(datasets.digits("val", 1)[0][0]))
        real(*arguments)

    monkeypatch.setattr(build, "_second_reading", meddle)
    task, log = inspect(root)
    assert reasons(task, log) == {"changed while it was read": 1}
    assert io.StringIO(text("x", task, log)).read().count("changed while it was read") == 1
