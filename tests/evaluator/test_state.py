"""Continued trainings: bit for bit what an uninterrupted one gives, whatever became of the state file."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluator import state
from evaluator.evaluate import evaluate
from evaluator.record import Evaluation, Fidelity, Job
from evaluator.train import Order
from space.architecture import Architecture, Head, Stage, Stem

DETECTOR = Architecture(
    stem=Stem(width=16),
    stages=(
        Stage(width=16, depth=1),
        Stage(width=32, depth=1, block="dense", growth_rate=16),
        Stage(width=16, depth=1),
    ),
    head=Head(width=16),
)
CLASSIFIER = replace(DETECTOR, head=Head(kind="classifier"))
BATCH = 8


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _job(visits: int, task: str = "digits", *, resume: Path | None = None, keep: Path | None = None,
         seed: int = 3, architecture: Architecture | None = None, **recipe: Any) -> Job:  # fmt: skip
    return Job(
        architecture=architecture or (CLASSIFIER if task == "digits" else DETECTOR), task=task, seed=seed,
        fidelity=Fidelity(image_visits=visits), recipe={"batch": BATCH, "warm_up": 100, **recipe},
        resume=str(resume) if resume else None, keep=str(keep) if keep else None,
    )  # fmt: skip


def _numbers(evaluation: Evaluation) -> Any:
    values = {m.metric: m.value for m in evaluation.measurements if not m.metric.endswith("_seconds")}
    return evaluation.state, values, evaluation.curve


def _detail(evaluation: Evaluation) -> dict[str, Any]:
    return next(m.detail for m in evaluation.measurements if m.metric == "train_cpu_seconds")


@pytest.mark.parametrize(("task", "lengths"), [("scenes", (48, 112)), ("digits", (96, 240, 400))])
def test_a_continued_training_is_the_uninterrupted_one_bit_for_bit(
    task: str, lengths: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "a.state"
    went = {}
    for visits in lengths:
        continued = evaluate(_job(visits, task, resume=path, keep=path))
        assert _numbers(continued) == _numbers(evaluate(_job(visits, task)))
        assert _detail(continued) == went
        went = {"from_image_visits": visits // 2}


def test_an_order_of_images_goes_on_from_any_step_and_shows_all_before_any_again() -> None:
    def begin() -> tuple[Order, torch.Generator]:
        generator = torch.Generator().manual_seed(0)
        return Order(10, 4, generator), generator

    first, _ = begin()
    whole = [first.next() for _ in range(15)]
    assert all(sorted(torch.cat(whole)[n : n + 10].tolist()) == list(range(10)) for n in range(0, 60, 10))
    for cut in range(15):
        left, generator = begin()
        for _ in range(cut):
            left.next()
        second, other = begin()
        other.set_state(generator.get_state())
        second.rest = left.rest.clone()
        assert torch.equal(torch.cat([second.next() for _ in range(cut, 15)]), torch.cat(whole[cut:]))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _pickled(path: Path) -> None:
    """A well-formed file whose pickle would run code."""

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(path.parent / "was run"),)

    state.save(path, "any", {"losses": Evil()})


@pytest.mark.parametrize(
    "spoil", [Path.unlink, _cut, _flip, _pickled, lambda p: p.write_bytes(b""), lambda p: p.write_text("what?" * 99)]
)
def test_a_spoilt_state_costs_time_and_nothing_else(spoil: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    evaluate(_job(96, keep=path))
    spoil(path)
    after = evaluate(_job(160, resume=path))
    assert "from_image_visits" not in _detail(after)
    assert _numbers(after) == _numbers(evaluate(_job(160)))
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize(
    "other",
    [{"seed": 4}, {"clip_norm": 1.0}, {"architecture": replace(CLASSIFIER, activation="silu")}, {"visits": 48}],
)
def test_a_state_of_another_training_is_left_alone(other: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    evaluate(_job(160, keep=path))
    after, whole = (evaluate(_job(**{"visits": 200, **other}, resume=resume)) for resume in (path, None))
    assert "from_image_visits" not in _detail(after)
    assert _numbers(after) == _numbers(whole)


def test_a_state_of_another_thread_count_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    evaluate(_job(48, keep=path))
    torch.set_num_threads(2)
    assert "from_image_visits" not in _detail(evaluate(_job(56, resume=path)))


def test_a_full_disk_costs_the_state_and_nothing_else(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        evaluation = evaluate(_job(96, keep=tmp_path / "a.state"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert _numbers(evaluation) == _numbers(evaluate(_job(96)))
    assert "File too large" in _detail(evaluation)["note"]
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_leaves_no_state_and_is_found_at_the_same_step(tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    broken = {"learning_rate": 1e30, "clip_norm": 1e30}
    reasons = {evaluate(_job(visits, keep=path, **broken)).reason for visits in (96, 1000)}
    assert len(reasons) == 1
    assert "loss is not finite at image visit" in str(reasons)
    assert not path.exists()
