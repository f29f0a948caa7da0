"""Every format against an independent reader, against each other, and against what a folder may hold by mistake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evaluator.data.build import inspect, prepare
from evaluator.data.dataset import Dataset, Log
from evaluator.data.files import walk
from evaluator.data.formats import own_split, split_of, understand
from evaluator.tasks import TaskError
from tests import datasets

PARTS = {"train": datasets.scenes("train", 12), "val": datasets.scenes("val", 6)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSP_EXPLORER_CACHE", str(tmp_path / "cache"))


def read(root: Path) -> tuple[Dataset, Log]:
    log = Log()
    return understand(walk(root, log), log), log


def arrays(task: Any) -> list[Any]:
    return [getattr(task.load(split), name) for split in ("train", "val") for name in ("images", "targets")]


# -- COCO


def test_coco_is_read_as_pycocotools_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools.coco import COCO

    root = datasets.coco(tmp_path / "d", {"train2017": PARTS["train"], "val2017": PARTS["val"]})
    dataset, log = read(root)
    assert (dataset.format, dataset.kind, dataset.num_items, dataset.classes) == (
        "COCO",
        "detector",
        18,
        datasets.NAMES,
    )
    assert not log.events
    items = {item.name: item for item in dataset.items()}
    for part, split in (("train2017", "train"), ("val2017", "val")):
        oracle = COCO(str(root / "annotations" / f"instances_{part}.json"))
        order = {category: index for index, category in enumerate(sorted(oracle.getCatIds()))}
        for entry in oracle.loadImgs(oracle.getImgIds()):
            item = items[f"{part}/{entry['file_name']}"]
            theirs = [[order[a["category_id"]], *a["bbox"], a["iscrowd"]]
                      for a in oracle.loadAnns(oracle.getAnnIds([entry["id"]]))]  # fmt: skip
            assert item.split == split
            assert item.objects.tolist() == theirs
            assert item.stated_size == (entry["width"], entry["height"])


def test_coco_boxes_come_to_lie_where_their_object_is_in_the_proxy(tmp_path: Path) -> None:
    task = prepare(datasets.coco(tmp_path / "d", PARTS), 128)
    assert task.load("train").images.shape == (12, 128, 128, 3)
    for split, those in PARTS.items():
        data = task.load(split)  # type: ignore[arg-type]
        for index, one in enumerate(those):  # 128 pixels: not resized, only moved into the middle
            left, top = (128 - one.width) // 2, (128 - one.height) // 2
            inner = data.images[index, top : top + one.height, left : left + one.width]
            assert np.array_equal(inner, one.pixels)
            real = data.targets[index][data.targets[index, :, 0] >= 0]
            assert np.array_equal(real, np.array(one.objects) + np.array([0, left, top, 0, 0]))


@pytest.mark.parametrize("layout", ["images folder", "beside", "root", "same names", "one file", "only val"])
def test_coco_pictures_are_found_wherever_they_are(tmp_path: Path, layout: str) -> None:
    root = datasets.coco(tmp_path / "d", PARTS)
    annotations = root / "annotations"
    if layout == "images folder":
        (root / "images").mkdir()
        for part in PARTS:
            (root / part).rename(root / "images" / part)
    elif layout == "beside":  # as a well-known labelling service exports
        for part in PARTS:
            (annotations / f"instances_{part}.json").rename(root / part / "_annotations.coco.json")
    elif layout == "root":
        data = json.loads((annotations / "instances_train.json").read_text())
        for entry in data["images"]:
            entry["file_name"] = f"train/{entry['file_name']}"
        (annotations / "instances_train.json").write_text(json.dumps(data))
    elif layout in ("one file", "only val"):
        gone, kept = ("val", "train") if layout == "one file" else ("train", "val")
        shutil.rmtree(root / gone)
        (annotations / f"instances_{gone}.json").unlink()
        dataset, _ = read(root)
        assert dataset.own_split is None
        assert {item.split for item in dataset.items()} == {None}
        assert dataset.num_items == len(PARTS[kept])
        return
    dataset, log = read(root)
    assert [item.name.rpartition("/")[0].split("/")[-1] for item in dataset.items()] == ["train"] * 12 + ["val"] * 6
    assert not log.events


def test_other_json_files_do_no_harm_and_instances_go_before_captions(tmp_path: Path) -> None:
    root = datasets.coco(tmp_path / "d", PARTS)
    text = (root / "annotations" / "instances_train.json").read_text()
    (root / "annotations" / "captions_train.json").write_text(text)
    (root / "notes.json").write_text("[1, 2]")
    (root / "broken.json").write_text("{")
    dataset, _ = read(root)
    assert dataset.num_items == 18


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: _val(r).write_text('{"images": [], "annotations": [}'), "not whole JSON"),
        (lambda r: shutil.copy(_val(r), r / "annotations/instances_val_2.json"), "several COCO"),
        # The training pictures have the same names.
        (lambda r: shutil.rmtree(r / "val"), "none of the 6 pictures that 'annotations/instances_val.json' names"),
        (lambda r: [shutil.rmtree(r / "val"), shutil.rmtree(r / "train")], "none of the 12 pictures"),
        (lambda r: (r / "data.yaml").write_text("names: [a]\ntrain: train"), "can be read as COCO and YOLO"),
        (lambda r: _rename_category(r), "call category 3 both"),
        (lambda r: _all_leave(r), "outside of the data folder"),
    ],
)  # fmt: skip
def test_coco_folders_that_cannot_be_meant_get_one_line(tmp_path: Path, change: Any, message: str) -> None:
    root = datasets.coco(tmp_path / "d", PARTS)
    change(root)
    with pytest.raises(TaskError, match=message) as error:
        prepare(root)
    assert "\n" not in str(error.value)


def _val(root: Path) -> Path:
    return root / "annotations" / "instances_val.json"


def _rename_category(root: Path) -> None:
    _val(root).write_text(_val(root).read_text().replace("digit 0", "nought"))


def _all_leave(root: Path) -> None:
    for path in (root / "annotations").iterdir():
        data = json.loads(path.read_text())
        for entry in data["images"]:
            entry["file_name"] = f"../../{entry['file_name']}"
        path.write_text(json.dumps(data))


# -- YOLO


@pytest.mark.parametrize("description", [True, False])
def test_yolo_and_coco_of_the_same_pictures_give_the_same_arrays(tmp_path: Path, description: bool) -> None:
    coco = prepare(datasets.coco(tmp_path / "coco", PARTS))
    yolo = prepare(datasets.yolo(tmp_path / "yolo", PARTS, description=description))
    for ours, theirs in zip(arrays(coco), arrays(yolo), strict=True):
        assert ours.shape == theirs.shape
        assert np.allclose(ours, theirs, atol=1e-4)
    assert coco.facts["classes"] == yolo.facts["classes"]
    assert coco.facts["anchors"] == yolo.facts["anchors"]
    assert coco.facts["content"] == yolo.facts["content"]


def test_yolo_lines_of_every_kind(tmp_path: Path) -> None:
    root = datasets.yolo(tmp_path / "d", PARTS)
    (root / "labels" / "train" / "0000.txt").write_text(
        "3 0.5 0.5 0.25 0.5\n"
        "4 0.25 0.25 0.5 0.25 0.5 0.75 0.25 0.75\n"  # a polygon
        "\n"
        "one 0.5 0.5 0.1 0.1\n1 0.5 0.5\n1.5 0.5 0.5 0.1 0.1\n-1 0.5 0.5 0.1 0.1\n1 nan 0.5 0.1 0.1\n1 64 32 10 10\n"
        "3 0.5 0.5 0.25 0.5\n"  # once more
        "5 0.5 0.5 0 0.1\n"
        "6 1.4 0.5 0.1 0.1\n"
    )
    (root / "labels" / "train" / "0001.txt").unlink()
    (root / "labels" / "train" / "9999.txt").write_text("0 0.5 0.5 0.1 0.1")
    (root / "labels" / "train" / "0002.txt").write_bytes(b"\xff\xfe\x00")
    task, log = inspect(root, 128)
    assert task.facts["classes"] == datasets.NAMES
    targets = task.load("train").targets
    assert targets[0][targets[0, :, 0] >= 0].tolist() == [[3, 48, 48, 32, 32], [4, 32, 48, 32, 32]]
    assert (targets[1:3, :, 0] == -1).all()
    reasons = [event.reason for event in log.events] + [reason for _, reason, _ in task.facts["events"]]
    for reason in ("a line that is not numbers", "a line without class and four numbers", "no such class",
                   "a coordinate is not a finite number", "not in shares of the picture's sides", "the same box twice",
                   "no area", "outside the picture", "no label file: a picture without objects",
                   "labels of a picture that is not there", "label file cannot be read"):  # fmt: skip
        assert reason in reasons


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a\ntrain: x", "is not YAML"),
        ("names: 3\ntrain: images/train\nval: images/val", "'names' of 'data.yaml' must be"),
        ("names: [a, b]\ntrain: images/train\nval: images/val", "only 2 classes are named"),
        ("names: [a]\ntrain: /etc\nval: images/val", "leaves the data folder"),
        ("names: [a]\ntrain: ../../other\nval: images/val", "leaves the data folder"),
        ("names: [a]\ntrain: images/none\nval: images/val", "where no picture is"),
        ("names: [a]\ntrain: images\nval: images/val", "in both train and val"),
    ],
)
def test_yolo_descriptions_that_cannot_be_meant_get_one_line(tmp_path: Path, text: str, message: str) -> None:
    root = datasets.yolo(tmp_path / "d", PARTS)
    (root / "data.yaml").write_text(text)
    with pytest.raises(TaskError, match=message) as error:
        prepare(root)
    assert "\n" not in str(error.value)


def test_a_description_that_points_beside_the_folder_is_taken_from_within_it_and_said(tmp_path: Path) -> None:
    root = datasets.yolo(tmp_path / "d", PARTS)
    names = json.dumps(dict(enumerate(datasets.NAMES))).replace('"0"', "0")
    names = "{" + ", ".join(f"{number}: {name}" for number, name in enumerate(datasets.NAMES)) + "}"
    (root / "data.yaml").write_text(f"path: ../elsewhere\ntrain: ../images/train\nval: val.txt\nnames: {names}")
    (root / "val.txt").write_text("./images/val/0000.png\nimages/val/0001.png\n../../x.png\nimages/val/none.png\n")
    dataset, log = read(root)
    assert dataset.num_items == 14
    assert {event.reason for event in log.events} == {
        "path of a split points out of the folder: taken from within it", "missing file",
        "its path leaves the data folder: refused",
    }  # fmt: skip


# -- image folders


@pytest.mark.parametrize("own", [True, False])
def test_folders_of_classes_become_classes(tmp_path: Path, own: bool) -> None:
    parts = {"train": datasets.digits("train", 60), "val": datasets.digits("val", 30)}
    root = datasets.folders(tmp_path / "d", parts if own else {"": parts["train"]})
    task = prepare(root)
    assert (task.head_kind, task.objective, task.facts["classes"]) == ("classifier", "accuracy", datasets.NAMES)
    assert bool(task.facts["own_split"]) == own
    if own:
        for split, those in parts.items():
            data = task.load(split)  # type: ignore[arg-type]
            ours = {(image.tobytes(), int(label)) for image, label in zip(data.images, data.targets)}
            assert ours == {(pixels.tobytes(), label) for pixels, label in those}
    with pytest.raises(NotImplementedError):
        task.anchors()


def test_a_class_may_be_called_like_a_split_if_it_says_more(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for name in ("train station", "test_tube"):
        (root / name).mkdir(parents=True)
        for index in range(5):
            Image.new("RGB", (8, 8), (index, len(name), 0)).save(root / name / f"{index}.png")
    assert read(root)[0].classes == ["test_tube", "train station"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no file"),
        (["readme.txt"], "has no known format"),
        (["a.png"], "no folders of classes"),
        (["cat/a.png"], "no folders of classes|one class"),
        (["train/a.png", "val/b.png"], "no folders of classes"),
        (["train/cat/a.png", "val/cat/b.png"], "one class, 'cat'"),
        (["train/cat/a.png", "val/dog/b.png", "other/c.png"], "is that a class or not"),
        (["train/cat/a.png", "training/dog/b.png"], "several folders for one split"),
        (["data_batch_1", "batches.meta"], "CIFAR's Python version"),
    ],
)
def test_folders_that_are_no_data_set_get_one_line(tmp_path: Path, files: list[str], message: str) -> None:
    (tmp_path / "d").mkdir()
    for name in files:
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path, "PNG")
    with pytest.raises(TaskError, match=message) as error:
        prepare(tmp_path / "d")
    assert "\n" not in str(error.value)


def test_an_archive_in_a_folder_of_its_own_is_entered(tmp_path: Path) -> None:
    datasets.coco(tmp_path / "d" / "unpacked" / "coco", PARTS)
    assert prepare(tmp_path / "d").facts["format"] == "COCO"


# -- CIFAR


def cifar(root: Path, hundred: bool) -> dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """The published layout with noise for pictures; what was written by split, pictures (n, 32, 32, 3)."""
    rng, root = np.random.default_rng(0), root / ("cifar-100-binary" if hundred else "cifar-10-batches-bin")
    root.mkdir(parents=True)
    written = {}
    number = 100 if hundred else 10
    names = {"train": ["train.bin"] if hundred else [f"data_batch_{i}.bin" for i in (1, 2, 3, 4, 5)],
             "val": ["test.bin" if hundred else "test_batch.bin"]}  # fmt: skip
    for split, files in names.items():
        images, labels = rng.integers(0, 256, (200, 32, 32, 3), np.uint8), np.arange(200, dtype=np.uint8) % number
        rows = np.concatenate([labels[:, None], images.transpose(0, 3, 1, 2).reshape(200, -1)], 1)
        if hundred:
            rows = np.concatenate([labels[:, None] // 5, rows], 1)
        for part, name in zip(np.split(rows, len(files)), files, strict=True):
            (root / name).write_bytes(part.tobytes())
        written[split] = (images, labels)
    words = "\n".join(f"class {n}" for n in range(number)) + "\n\n"
    (root / ("fine_label_names.txt" if hundred else "batches.meta.txt")).write_text(words)
    return written


@pytest.mark.parametrize("hundred", [True, False])
def test_cifar_comes_back_byte_for_byte(tmp_path: Path, hundred: bool) -> None:
    written = cifar(tmp_path / "d", hundred)
    task = prepare(tmp_path / "d")
    assert (task.size, task.num_classes) == (32, 100 if hundred else 10)
    assert task.facts["classes"][3] == "class 3"
    for split, (images, labels) in written.items():
        data = task.load(split)  # type: ignore[arg-type]
        assert np.array_equal(data.images, images)
        assert np.array_equal(data.targets, labels)


def test_a_truncated_batch_and_a_wrong_label_cost_their_rows(tmp_path: Path) -> None:
    cifar(tmp_path / "d", False)
    path = tmp_path / "d" / "cifar-10-batches-bin" / "data_batch_2.bin"
    data = bytearray(path.read_bytes()[:-100])
    data[0] = 77
    path.write_bytes(data)
    task, log = inspect(tmp_path / "d")
    assert len(task.load("train").images) == 198
    assert [event.reason for event in log.events] == ["truncated file: its last row is not whole", "no such class"]


# -- Hugging Face


def parquet(path: Path, rows: dict[str, Any], features: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(rows)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=5)


IMAGE = {"image": {"_type": "Image"}}


def cells(pictures: Any) -> Any:
    return pa.array([{"bytes": datasets.png(pixels), "path": None} for pixels in pictures],
                    pa.struct({"bytes": pa.binary(), "path": pa.string()}))  # fmt: skip


@pytest.mark.parametrize("label", ["ClassLabel", "integers", "words"])
def test_parquet_classes_equal_image_folders(tmp_path: Path, label: str) -> None:
    for split in ("train", "val"):
        those = datasets.digits(split, 40)
        numbers = [n for _, n in those]
        column = [datasets.NAMES[n] for n in numbers] if label == "words" else numbers
        features = (
            {**IMAGE, "label": {"_type": "ClassLabel", "names": datasets.NAMES}} if label == "ClassLabel" else IMAGE
        )
        name = {"train": "train", "val": "validation"}[split]
        parquet(tmp_path / "d" / "data" / f"{name}-00000-of-00001.parquet",
                {"image": cells([p for p, _ in those]), "label": column}, features)  # fmt: skip
    task = prepare(tmp_path / "d")
    assert task.facts["format"] == "Hugging Face data set"
    names = [str(n) for n in range(10)] if label == "integers" else datasets.NAMES
    assert task.facts["classes"] == names
    for split in ("train", "val"):
        data = task.load(split)  # type: ignore[arg-type]
        assert data.targets.tolist() == [n for _, n in datasets.digits(split, 40)]
        assert np.array_equal(data.images, np.stack([p for p, _ in datasets.digits(split, 40)]))


def detection_rows(those: Any, corners: bool, columnar: bool) -> dict[str, Any]:
    def box(row: Any) -> list[float]:
        _, x, y, w, h = row
        return [x, y, x + w, y + h] if corners else [x, y, w, h]

    objects: list[Any] = []
    for one in those:
        pairs = [(row[0], [float(v) for v in box(row)]) for row in one.objects]
        objects.append({"bbox": [b for _, b in pairs], "category": [c for c, _ in pairs]} if columnar
                       else [{"bbox": b, "category": c} for c, b in pairs])  # fmt: skip
    return {"image": cells([one.pixels for one in those]), "objects": objects}


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("columnar", [False, True])
def test_parquet_boxes_equal_coco_however_they_are_written(tmp_path: Path, corners: bool, columnar: bool) -> None:
    coco = prepare(datasets.coco(tmp_path / "coco", PARTS))
    features = {**IMAGE, "objects": {"feature": {"category": {"_type": "ClassLabel", "names": datasets.NAMES}}}}
    for split, those in PARTS.items():
        parquet(tmp_path / "d" / f"{split}.parquet", detection_rows(those, corners, columnar), features)
    task, log = inspect(tmp_path / "d")
    for ours, theirs in zip(arrays(task), arrays(coco), strict=True):
        assert np.array_equal(ours, theirs)
    assert [event.name for event in log.events] == (["all boxes"] if corners else [])


def test_boxes_that_are_neither_are_refused(tmp_path: Path) -> None:
    rows = detection_rows(PARTS["train"], False, True)
    for value in rows["objects"]:
        value["bbox"] = [[x + 100, y + 100, 20, 20] for x, y, _, _ in value["bbox"]]
    parquet(tmp_path / "d.parquet", rows, IMAGE)
    with pytest.raises(TaskError, match="neither can be meant"):
        prepare(tmp_path / "d.parquet")


def test_one_parquet_file_and_a_saved_folder_are_split_by_content(tmp_path: Path) -> None:
    those = datasets.digits("train", 40)
    rows = {"img": cells([p for p, _ in those]), "fine_label": [n for _, n in those], "coarse_label": [0] * 40}
    parquet(tmp_path / "d.parquet", rows, {})
    one = prepare(tmp_path / "d.parquet")
    folder = tmp_path / "saved"
    folder.mkdir()
    table = pa.table(rows)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as to,
    ):
        to.write_table(table)
    (folder / "state.json").write_text("{}")
    saved = prepare(folder)
    assert one.facts["own_split"] is None
    assert one.name == saved.name  # the same content, wherever it comes from


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"label": [1, 2]}, "0 of them hold pictures"),
        ({"image": cells([np.zeros((8, 8, 3), np.uint8)] * 2), "text": ["a", "b"]}, "either a class"),
        ({"image": cells([np.zeros((8, 8, 3), np.uint8)] * 2), "label": [0.5, 1.5]}, "where one class is needed"),
    ],
)  # fmt: skip
def test_parquet_files_without_pictures_or_classes_name_their_columns(tmp_path: Path, rows: Any, message: str) -> None:
    parquet(tmp_path / "d.parquet", rows, {})
    with pytest.raises(TaskError, match=message):
        prepare(tmp_path / "d.parquet")


def test_a_parquet_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(TaskError, match=r"'d\.parquet' of the data cannot be read"):
        prepare(tmp_path / "d.parquet")


def test_without_the_extra_a_parquet_file_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet(tmp_path / "d.parquet", {"image": cells([np.zeros((8, 8, 3), np.uint8)]), "label": [1]}, {})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(TaskError, match=r"pip install 'csp-explorer\[huggingface\]'"):
        prepare(tmp_path / "d.parquet")


# -- splits by name


def test_parts_are_told_by_whole_words() -> None:
    assert [split_of(n) for n in ("instances_train2017", "valid", "test-dev", "constraint", "train_val", "data")] == [
        "train", "val", "test", None, None, None,
    ]  # fmt: skip
    assert own_split(["train", "val", "test"], Log()) == {"train": "train", "val": "val"}
    assert own_split(["train", "test"], Log()) == {"train": "train", "test": "val"}
    assert own_split(["val"], Log()) == {"val": None}
    assert own_split([None], Log()) == {None: None}
