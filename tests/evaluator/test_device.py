"""Where trainings run. What needs a card is marked `gpu`."""

from __future__ import annotations

import pytest
import torch

from evaluator.device import DeviceError, find, select
from evaluator.evaluate import evaluate
from evaluator.record import Fidelity, Job
from search.engines.process import ProcessEngine
from search.study import load

needs_card = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def _job(device: str, visits: int = 4000, seed: int = 0) -> Job:
    space = load().space
    architecture = space.build(space.extremes()[1])
    return Job(
        architecture=architecture, task="scenes", fidelity=Fidelity(image_visits=visits), seed=seed, device=device
    )


def test_a_device_is_what_is_there_or_one_clear_line() -> None:
    assert find("cpu").kind == "cpu"
    assert find("auto").kind == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DeviceError, match="auto, cpu, cuda"):
        find("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="--device cpu"):
            find("cuda")
    assert select("cpu") == (torch.device("cpu"), False)


@pytest.mark.parametrize("card", [pytest.param("cuda", marks=needs_card)])
def test_a_card_learns_what_a_processor_learns(card: str) -> None:
    """Same seed, same order, same start: scores within the noise of a few seeds, and the card is named."""
    here, there = evaluate(_job("cpu")), evaluate(_job(card))
    scores = [next(m for m in result.measurements if m.metric == "ap") for result in (here, there)]
    assert scores[1].value == pytest.approx(scores[0].value, abs=0.05)
    assert scores[0].device is None
    assert scores[1].device == torch.cuda.get_device_name(0)
    assert scores[1].precision in ("bf16", "fp32")


@pytest.mark.parametrize("card", [pytest.param("cuda", marks=needs_card)])
def test_several_candidates_share_a_card(card: str) -> None:
    engine = ProcessEngine(3, memory_bytes=None)
    try:
        results = [engine.submit(evaluate, _job(card, visits=640, seed=seed)) for seed in range(6)]
        assert {result.result().state for result in results} == {"complete"}
    finally:
        engine.kill()
