"""Weights as files: safetensors with what they are of inside, and foreign state dicts. No code is ever unpickled.

WeightsError is the one exception: a file that cannot be read, or is of another network, in one line.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from evaluator.interface import ABOUT
from space.graph import Graph
from space.module import Network


class WeightsError(ValueError):
    """Weights that cannot be used; the message says why."""


def write(path: Path | str, weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write weights as safetensors, and `about` inside and as JSON beside. Each file appears whole or not at all."""
    path = Path(path)
    text = json.dumps(about, indent=1)
    data = save({name: value.detach().cpu().contiguous() for name, value in weights.items()}, {ABOUT: text})
    for target, content in ((path, data), (path.with_suffix(".json"), text.encode() + b"\n")):
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with scratch.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)


def read(path: Path | str, graph: Graph) -> dict[str, Tensor]:
    """Weights for `Network(graph)`: safetensors, or a torch file that holds tensors alone. Raises WeightsError.

    A file that would run code is refused, not run.
    """
    path = Path(path)
    found: Any
    try:
        with path.open("rb"):
            archive = zipfile.is_zipfile(path)
        if path.suffix != ".safetensors" and not archive:
            raise WeightsError(f"weights '{path}' are neither safetensors nor a torch file (1.6 or newer): refused")
        found = torch.load(path, map_location="cpu", weights_only=True) if archive else load_file(path)
    except OSError as error:
        raise WeightsError(f"weights '{path}' cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(f"weights '{path}' hold more than tensors, which could run code, or are damaged: refused; "
                           "save the state_dict alone, or as safetensors") from error  # fmt: skip
    except (SafetensorError, RuntimeError, LookupError, AttributeError, EOFError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"weights '{path}' are damaged: {reason}") from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"weights '{path}' hold no state_dict: names and their tensors")
    return _fitting(found, graph, path)


def _fitting(found: Mapping[str, Tensor], graph: Graph, path: Path) -> dict[str, Tensor]:
    """`found` if it is all that the network needs and nothing else. Counters of batches may be missing."""
    with torch.device("meta"):
        wanted = Network(graph).state_dict()
    missing = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    extra = [name for name in found if name not in wanted]
    other = [name for name, value in found.items() if name in wanted and value.shape != wanted[name].shape]
    problems = [("lack", missing), ("have besides", extra), ("have in another shape", other)]
    said = [f"{what} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            for what, names in problems if names]  # fmt: skip
    if said:
        raise WeightsError(f"weights '{path}' are of another network: they {'; they '.join(said)}")
    counters = {name: torch.zeros((), dtype=torch.int64) for name in wanted if name not in found}
    return {**found, **counters}
