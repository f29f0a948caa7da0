"""`python -m search.train` as a user types it: a full training that stops, goes on, and gives what it would have."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluator.data.build import prepare
from evaluator.evaluate import evaluate
from evaluator.full import mosaic, train_full
from evaluator.full_recipe import FullRecipe, full_recipe
from evaluator.interface import about
from evaluator.recipe import recipe_for
from evaluator.record import Fidelity, Job, Measurement
from evaluator.tasks import TASKS, TaskError
from evaluator.tasks.scenes import scene
from evaluator.weights import read
from search.export import main as export
from search.store import Proposal, Store
from search.train import main
from search.weights import cached
from space.lower import lower
from space.module import Network
from tests.databases import MACHINE, RECIPE, config, trained
from tests.datasets import digits, folders, scenes, yolo
from tests.evaluator.test_state import CLASSIFIER, DETECTOR

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Small data of both kinds, and files of networks for them."""
    root = tmp_path_factory.mktemp("train")
    yolo(root / "boxes", {"train": scenes("train", 24), "val": scenes("val", 6)})
    folders(root / "pictures", {"train": digits("train", 24), "val": digits("val", 12)})
    for name, architecture in (("detector", DETECTOR), ("classifier", CLASSIFIER)):
        (root / f"{name}.json").write_text(json.dumps({"architecture": architecture.to_dict()}))
    return root


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)
    torch.set_num_threads(1)


def _train(task, architecture, folder, *, cut: int | None = None, epochs: int = 2):
    """Train in full, in one go or with a stop before step `cut`; the history."""
    full = full_recipe(task, epochs=epochs, batch=8)
    steps = iter(range(10**6))
    network = lambda: Network(lower(architecture, task.size, task.size, num_classes=task.num_classes))  # noqa: E731
    shared = {"seed": 5, "device": "cpu", "folder": folder, "about": {"id": architecture.id}, "watch": lambda _: None}
    folder.mkdir()
    if cut is not None:
        assert train_full(network(), task, full, stopped=lambda: next(steps) == cut, **shared) is None
    return train_full(network(), task, full, stopped=lambda: False, **shared)


@pytest.mark.parametrize(("data", "architecture"), [("boxes", DETECTOR), ("pictures", CLASSIFIER)])
def test_a_training_that_was_stopped_ends_as_if_it_never_had_been(data, architecture, place, tmp_path):
    task = prepare(place / data, 64)
    whole = _train(task, architecture, tmp_path / "whole")
    for cut in (0, 2, 3, 5):  # three steps an epoch: before, within, between, within
        parts = _train(task, architecture, tmp_path / f"cut{cut}", cut=cut)
        assert [{**point, "seconds": 0.0} for point in parts] == [{**point, "seconds": 0.0} for point in whole]
        for name in ("best", "last"):
            graph = lower(architecture, 64, 64, num_classes=task.num_classes)
            one, other = (read(tmp_path / folder / f"{name}.safetensors", graph) for folder in ("whole", f"cut{cut}"))
            assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_parts_of_the_recipe_take_turns(place):
    task = prepare(place / "boxes", 64)
    full = FullRecipe(epochs=4, batch=8, mosaic=1.0, plain=0.5)
    rates = [full.rate(step, 100, recipe_for(task)) for step in range(100)]
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.02
    assert full.id(task) != recipe_for(task).id(task)


def test_a_mosaic_shows_every_box_where_its_object_is():
    """Each object is a rectangle of a brightness of its own, which fills its box."""
    size, number = 32, 12
    images, targets = torch.zeros(number, size, size, 3, dtype=torch.uint8), torch.full((number, 2, 5), -1.0)
    generator = torch.Generator().manual_seed(0)
    for index in range(number):
        x, y, w, h = (4 + torch.randint(0, 9, (4,), generator=generator)).tolist()
        images[index, y : y + h, x : x + w] = 100 + index
        targets[index, 0] = torch.tensor([index, x, y, w, h])
    recipe = FullRecipe(epochs=1, batch=4).base(TASKS.get("scenes"))
    plain = recipe.__class__(**{**vars(recipe), "shuffle_colours": 0, "gain": 0.0})
    seen = 0
    for _ in range(20):
        pictures, found = mosaic(images, targets, torch.arange(number), plain, generator)
        for picture, rows in zip(pictures[..., 0], found, strict=True):
            for label, left, top, right, bottom in rows[rows[:, 0] >= 0].tolist():
                inner = picture[round(top + 0.6) : round(bottom - 0.6), round(left + 0.6) : round(right - 0.6)]
                assert bool((inner == 100 + label).all())
            seen += int((rows[:, 0] >= 0).sum())
    assert seen > 20 * number  # more than one picture's objects in a window


def test_scenes_are_drawn_larger_and_at_64_pixels_are_what_they_were():
    proxy, larger = TASKS.get("scenes"), TASKS.get("scenes@128")
    assert (proxy.name, proxy.version, recipe_for(proxy).id(proxy)) == ("scenes", "3", "1a2089bb6a65")
    assert larger.size == 128
    assert larger.area_limits == tuple(4 * limit for limit in proxy.area_limits)
    assert recipe_for(larger).shift == 2 * recipe_for(proxy).shift
    small, large = ([scene("val", index, size)[1] for index in range(60)] for size in (64, 128))
    sides = [sum((t[t[:, 0] >= 0, 3:].prod(1) ** 0.5).sum() for t in made) for made in (small, large)]
    assert sides[1] / sides[0] == pytest.approx(2, abs=0.2)
    for targets in large:  # int16 would overflow in the areas that digits share
        rows = targets[targets[:, 0] >= 0].astype(int)
        for a in range(len(rows)):
            for b in range(a):
                ends = [min(rows[a, k] + rows[a, k + 2], rows[b, k] + rows[b, k + 2]) - max(rows[a, k], rows[b, k])
                        for k in (1, 2)]  # fmt: skip
                shared = max(0, ends[0]) * max(0, ends[1])
                assert 10 * shared <= min(rows[a, 3] * rows[a, 4], rows[b, 3] * rows[b, 4])
    with pytest.raises(TaskError, match="64 to 256"):
        TASKS.get("scenes@320")


def test_ctrl_c_stops_with_130_and_the_same_command_ends_it_and_is_found_again(place, tmp_path):
    identity = DETECTOR.id
    with Store.open("csp.db") as store:
        row = store.create_study("default", config(), seed=0)
        store.propose(row.id, [Proposal(number=0, generation=0, architecture=DETECTOR, genes={}, sampler={})])
        job, evaluation = trained(DETECTOR, 1, np.random.default_rng(0))
        store.record_evaluation(job, RECIPE, evaluation, MACHINE)
        store.finish(row.id, 0, "complete")
        store.record(DETECTOR, [Measurement(metric="ap", value=0.999, task="other data", detail={
            "training": "full", "weights": "other"})])  # fmt: skip
        before = store.frame("default").set_index("id").loc[identity]
    arguments = [identity, "--data", "boxes", "--size", "64", "--epochs", "3", "--batch", "4", "--threads", "1", "-o",
                 str(tmp_path / "run")]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "search.train", *arguments], text=True, stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    assert any("[  1/3]" in line for line in process.stderr), "it ended early"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the same command goes on from here" in errors
    assert main([*arguments, "--resume"]) == 0
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1.0", "2.0", "3.0"]
    said = about(tmp_path / "run" / "best.safetensors")
    assert said == json.loads((tmp_path / "run" / "best.json").read_text())
    assert {"id", "architecture", "task", "data", "recipe", "seed", "epochs", "history", "environment", "command",
            "interface", "scores"} <= said.keys()  # fmt: skip
    with Store.open("csp.db") as store:
        found = [row for row in store.evaluations(identity) if row["task"].startswith("data:")]
        assert len(found) == 1
        assert found[0]["image_visits"] == 3 * 24
        after = store.frame("default").set_index("id").loc[identity]
        assert after["ap"] == before["ap"]  # on its own recipe: no score of the search's
        assert after["verdict"] == before["verdict"]
    assert main(arguments) == 0  # nothing is left to do, and nothing is recorded twice
    with Store.open("csp.db") as store:
        assert len([row for row in store.evaluations(identity) if row["task"].startswith("data:")]) == 1
    shutil.copy(tmp_path / "run" / "best.safetensors", cached("other"))
    assert export([identity, "--to", "onnx", "-o", str(tmp_path / "out")]) == 0
    card = json.loads((tmp_path / "out" / "card.json").read_text())["weights"]
    assert card[0][1].startswith("of a full training")
    assert "0.999" not in str(card), "an earlier training on other data, whose score does not compare"


def test_what_trains_is_logged_for_tensorboard(place, tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert main(["classifier.json", "--data", "pictures", "--size", "32", "--epochs", "2", "--batch", "8", "-o",
                 str(tmp_path / "run"), "--threads", "1"]) == 0  # fmt: skip
    events = loader.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("loss")]
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert logged == pytest.approx([float(row["loss"]) for row in rows])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detector.json", "--epochs", "0", "--data", "boxes"], "--epochs is 0"),
        (["detector.json", "--epochs", "1"], "say what to train on"),
        (["detector.json", "--epochs", "1", "--task", "digits"], "has a detector's head"),
        (["detector.json", "--epochs", "1", "--task", "synthetic"], "is a formula"),
        (["detector.json", "--epochs", "1", "--task", "scenes", "--size", "100"], "a multiple of 32"),
        (["classifier.json", "--epochs", "1", "--task", "digits", "--size", "128"], "have 64 pixels"),
        (["detector.json", "--epochs", "1", "--task", "scenes", "--data", "boxes"], "exclude each other"),
        (["detector.json", "--epochs", "1", "--data", "none"], "does not exist"),
        (["detector.json", "--epochs", "1", "--data", "boxes", "--size", "64", "--resume"], "no run in"),
        (["detector.json", "--epochs", "1", "--data", "boxes", "--size", "64", "-o", "."], "something else than a run"),
        (["detector.json", "--epochs", "1", "--data", "boxes", "--device", "tpu"], "--device is 'tpu'"),
        (["0123456789ab", "--epochs", "1", "--data", "boxes", "--db", "none.db"], "none.db"),
        (["detector.json", "--epochs", "1", "--data", "boxes", "--size", "64", "-o", "/dev/null/x"], "cannot write"),
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("error: ")
    assert message in error[-1]


def test_a_folder_with_another_run_is_refused(place, tmp_path, capsys):
    arguments = ["detector.json", "--data", "boxes", "--size", "64", "--batch", "24", "--threads", "1", "-o",
                 str(tmp_path / "run")]  # fmt: skip
    assert main([*arguments, "--epochs", "1"]) == 0
    assert main([*arguments, "--epochs", "2"]) == 2
    assert "holds another run (epochs 1, not 2)" in capsys.readouterr().err
    mark = tmp_path / "run" / "run.json"
    before = mark.stat().st_mtime_ns
    assert main([*arguments, "--epochs", "1"]) == 0
    assert mark.stat().st_mtime_ns == before, "a full disk would leave it half-written"


def test_a_training_is_kept_where_it_is_asked_for():
    held = []
    job = Job(architecture=CLASSIFIER, task="digits", fidelity=Fidelity(image_visits=32), seed=1, recipe={"batch": 16})
    evaluate(job, held.append)
    assert [network.graph.nodes[0].shape for network in held] == [(3, 64, 64)]


def test_help_imports_no_torch_and_the_readme_lists_every_option():
    code = "import sys; from search.train import main; main(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    options = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", done.stdout)) - {"--help"}
    assert options == {"--epochs", "--data", "--task", "--size", "--batch", "--device", "--threads", "--seed",
                       "--output", "--resume", "--db", "--name"}  # fmt: skip
    section = README.read_text().partition("### Train the chosen variant")[2].partition("\n## ")[0]
    assert [option for option in options if f"`{option}" not in section] == []
