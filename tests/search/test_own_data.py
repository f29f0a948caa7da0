"""A search on the user's own data, made of the real pictures at hand: real processes, real training, wrong input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from evaluator.data import files
from evaluator.data.__main__ import main as look
from evaluator.tasks import TaskError
from search.run import main
from search.store import Store
from search.study import DEFAULT, StudyError, load
from tests import datasets

TEXT = DEFAULT.read_text()
TASK = next(line for line in TEXT.splitlines() if line.startswith("task = "))
VISITS = next(line for line in TEXT.splitlines() if line.startswith("image_visits = "))
SAMPLER = next(line for line in TEXT.splitlines() if line.startswith('name = "screen'))
TINY = TEXT.replace(VISITS, "image_visits = [64]").replace(SAMPLER, f"{SAMPLER}\npopulation = 4")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CSP_EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "SETTLED_SECONDS", -1.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


def run(capsys, *arguments):
    """The command line in this process: its exit code, stdout and stderr."""
    try:
        code = main(["--workers", "1", "--budget", "2", *arguments])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def refused(done, message):
    code, out, errors = done
    assert code == 2, errors
    last = errors.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in errors
    assert not out


def test_a_search_on_a_coco_data_set_goes_on_after_a_move_and_not_after_a_change(folder, capsys):
    root = datasets.coco(
        folder / "mine", {"train2017": datasets.scenes("train", 40), "val2017": datasets.scenes("val", 20)}
    )
    tiny = ["--study", "tiny.toml"]
    command = [sys.executable, "-m", "search.run", *tiny, "--budget", "2", "--workers", "1", "--data", "mine"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "data mine: COCO, detection, 10 classes, 60 pictures" in done.stderr
    assert "20 validation pictures with" in done.stderr  # too few, and how many would do
    with Store.open("csp.db", create=False) as store:
        frame = store.frame("default")
        task = store.study("default").config["task"]
    assert (frame["state"] == "complete").sum() == 2
    assert frame[["ap", "macs", "latency_ms"]].notna().all().all()
    shutil.move(root, folder / "moved")
    code, _, errors = run(capsys, *tiny, "--data", "moved", "--resume")
    assert code == 0, errors
    assert "[  1/2]" not in errors  # nothing was trained once more
    shutil.rmtree(folder / "moved")
    code, _, errors = run(capsys, *tiny, "--task", task, "--resume")  # the cache is enough
    assert code == 0, errors
    datasets.coco(folder / "other", {"train2017": datasets.scenes("train", 41), "val2017": datasets.scenes("val", 20)})
    other = [*tiny, "--data", "other"]
    refused(run(capsys, *other), "was run on other pictures: the data have changed since; add --new")
    refused(run(capsys, *other, "--data-size", "96"), "was run with pictures of 64 pixels, these are of 96")
    refused(run(capsys, *tiny, "--task", "digits"), "was run with another task")


def test_a_search_on_image_folders_from_the_study_file(folder, capsys):
    datasets.folders(folder / "studies" / "mine", {"": datasets.digits("train", 100)})
    study = TINY.replace(TASK, 'data = "mine"\ndata_size = 32').replace('"ap"', '"accuracy"')
    (folder / "studies" / "own.toml").write_text(study)
    code, _, errors = run(capsys, "--study", "studies/own.toml", "--engine", "inline")
    assert code == 0, errors
    assert "image folders, classification" in errors
    assert "32x32 pixels" in errors
    with Store.open("csp.db", create=False) as store:
        frame = store.frame("default")
        config = store.study("default").config
    assert (frame["state"] == "complete").sum() == 2
    assert frame["accuracy"].between(0, 1).all()
    assert (frame["head"] == "classifier").all()
    assert config["data"]["size"] == 32
    assert config["deployment"]["num_classes"] == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none"], "data 'none' does not exist"),
        (["--data", "empty"], "holds no file"),
        (["--data", "mine", "--task", "digits"], "--task and --data exclude each other"),
        (["--data", "mine", "--data-size", "50"], "multiple of 32 from 32 to 512"),
        (["--data-size", "64"], "a data size needs 'data'"),
        (["--task", "digits", "--data-size", "64"], "exclude each other"),
        (["--task", "data:0123456789abcdef"], "was missing; run once more with --data"),
    ],
)
def test_bad_input_is_one_line_and_code_2(folder, capsys, arguments, message):
    datasets.folders(folder / "mine", {"": datasets.digits("train", 20)})
    (folder / "empty").mkdir()
    refused(run(capsys, *arguments), message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (TASK, TASK + '\ndata = "mine"', "'task' and 'data' exclude each other"),
        (TASK, "data = 7", "data is 7; it must be the path of a folder"),
        (TASK, 'data = "mine"\ndata_size = "big"', "data_size is 'big'"),
        (TASK, 'data = "mine"\ndata_size = 40', "data size 40 must be a multiple of 32"),
        (TASK, TASK + "\ndata_size = 64", "a data size needs 'data'"),
        (TASK, 'data = "mine"', "the first objective is 'ap', but a classifier has 'accuracy'"),
    ],
)
def test_bad_studies_get_one_line(folder, old, new, message):
    datasets.folders(folder / "mine", {"": datasets.digits("train", 20)})
    (folder / "bad.toml").write_text(TINY.replace(old, new, 1))
    with pytest.raises((StudyError, TaskError)) as error:
        load(folder / "bad.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_score_follows_the_data_and_the_identity_their_content(folder):
    root = datasets.folders(folder / "mine", {"": datasets.digits("train", 40)})
    study = load(data=root)
    assert study.score.metric == "accuracy"
    assert study.space.head == "classifier"
    os.rename(root, folder / "elsewhere")
    assert load(data=folder / "elsewhere").identity() == study.identity()
    assert load(data=folder / "elsewhere", data_size=32).identity() != study.identity()
    assert "data" not in load().identity()  # studies of earlier versions go on


def inspect(capsys, *arguments):
    code = look(list(arguments))
    return code, *capsys.readouterr()


def test_data_can_be_looked_at_without_a_search(folder, capsys):
    root = datasets.coco(folder / "mine", {"train": datasets.scenes("train", 12), "val": datasets.scenes("val", 6)})
    for index in range(5):
        (root / "train" / f"000{index}.png").write_bytes(b"")
    code, out, errors = inspect(capsys, "mine")
    assert code == 0, errors
    left_out = "5 pictures left out: empty file (train/0000.png, train/0001.png, train/0002.png, …)"
    for text in ("COCO, detection, 10 classes", "digit 7", "anchors: ", "standard deviation", "warning: ", left_out):
        assert text in out
    assert "train/0004.png" in inspect(capsys, "mine", "--left-out")[1]
    found = json.loads(inspect(capsys, "mine", "--size", "96", "--json")[1])
    assert found["counts"] == {"image: empty file": 5}
    assert [entry["name"] for entry in found["left_out"]] == [f"train/000{index}.png" for index in range(5)]
    assert found["size"] == 96
    for arguments, message in ((["none"], "does not exist"), (["mine", "--size", "7"], "multiple of 32"),
                               ([], "PATH"), (["mine", "--json", "--left-out"], "--json lists")):  # fmt: skip
        refused(inspect(capsys, *arguments), message)


def test_help_imports_no_torch_and_lists_what_the_readme_does(folder):
    code = (
        "import sys; from evaluator.data.__main__ import main; main(['--help']);"
        "assert not {'torch', 'PIL', 'pandas', 'pyarrow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    readme = (DEFAULT.parents[1] / "README.md").read_text()
    for option in ("--size", "--left-out", "--json"):
        assert option in done.stdout
        assert f"`{option}" in readme or f"{option}" in readme.partition("evaluator.data")[2]
