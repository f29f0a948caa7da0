"""Weights as files: nothing in them ever runs, and what does not fit is one line."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from evaluator.interface import about
from evaluator.weights import WeightsError, read, write
from space.lower import lower
from space.module import Network, initialise
from tests.evaluator.test_state import DETECTOR

GRAPH = lower(DETECTOR, 64, 64, num_classes=3)


@pytest.fixture
def state():
    return initialise(Network(GRAPH), 1).state_dict()


class Trap:
    """Unpickling it leaves a mark."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["torch", "pickle", "nested"])
def test_a_file_with_code_is_refused_and_does_not_run(how, state, tmp_path):
    mark, file = tmp_path / "ran", tmp_path / "w.pt"
    if how == "pickle":
        file.write_bytes(pickle.dumps({"a": Trap(mark)}))
    else:
        torch.save(Trap(mark) if how == "torch" else {"state_dict": state, "args": Trap(mark)}, file)
    with pytest.raises(WeightsError, match="refused"):
        read(file, GRAPH)
    assert not mark.exists()


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 3}])
def test_state_dicts_of_torch_and_of_others_are_read(wrap, state, tmp_path):
    torch.save(wrap(state), tmp_path / "w.pt")
    found = read(tmp_path / "w.pt", GRAPH)
    assert all(torch.equal(found[name], value) for name, value in state.items())
    without = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    save_file(without, tmp_path / "w.safetensors")
    assert read(tmp_path / "w.safetensors", GRAPH).keys() == state.keys()
    assert about(tmp_path / "w.safetensors") is None


def test_ours_say_what_they_are_of_inside_and_beside(state, tmp_path):
    write(tmp_path / "w.safetensors", state, {"id": DETECTOR.id, "scores": {"ap": 0.5}})
    assert about(tmp_path / "w.safetensors") == {"id": DETECTOR.id, "scores": {"ap": 0.5}}
    assert DETECTOR.id in (tmp_path / "w.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.json", "w.safetensors"]


def test_what_does_not_fit_or_is_damaged_is_one_line(state, tmp_path):
    first = next(iter(state))
    changed = {
        f"lack {first}": {k: v for k, v in state.items() if k != first},
        "have besides extra": {**state, "extra": torch.zeros(1)},
        f"in another shape {first}": {**state, first: torch.zeros(1)},
    }
    for message, wrong in changed.items():
        torch.save(wrong, tmp_path / "w.pt")
        with pytest.raises(WeightsError, match=re.escape(message)):
            read(tmp_path / "w.pt", GRAPH)
    write(tmp_path / "w.safetensors", state, {})
    whole = (tmp_path / "w.safetensors").read_bytes()
    for name, data in (("w.safetensors", whole[:-9]), ("x.safetensors", b""), ("x.pt", whole), ("y.pt", b"\x80junk")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError) as error:
            read(tmp_path / name, GRAPH)
        assert "\n" not in str(error.value)
    with pytest.raises(WeightsError, match="cannot be read"):
        read(tmp_path / "none.pt", GRAPH)
    torch.save([torch.zeros(1)], tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="no state_dict"):
        read(tmp_path / "w.pt", GRAPH)
