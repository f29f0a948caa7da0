"""Write a network with its weights in other tools' formats, then load each file and compare it. What a worker calls.

Every file is loaded by its own runtime and given the same random picture as our module; outputs must agree within
`TOLERANCE` of the largest magnitude, or ExportError says which file did not. Nothing here imports torch until a
worker writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluator.interface import Interface
from space.architecture import Architecture
from space.graph import Graph
from space.lower import lower

TOLERANCE = 1e-4
"""Largest difference of two outputs, relative to the largest magnitude of the reference."""

FORMATS = {
    "onnx": "opset 17, normalisation folded",
    "openvino": "intermediate representation, fp32",
    "torchscript": "traced and frozen",
    "torch": "a state_dict, and the source of a module that needs torch alone",
    "safetensors": "a state_dict with what it is of, which `--weights` reads",
    "ncnn": "network and weights as ncnn reads them, fp32",
    "darknet": "network and weights as darknet reads them",
}
"""What a network with weights can be written as."""
WITH_OUTPUTS = ("onnx", "openvino", "torchscript")
"""Formats that hold normalisation of pixels, decoding and suppression as well."""


class ExportError(ValueError):
    """An export that failed or does not agree with our module; the message names the file."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to export."""

    architecture: Architecture
    interface: Interface
    formats: tuple[str, ...]
    folder: str
    height: int
    width: int
    num_anchors: int = 2
    batch: int = 1
    outputs: str = "raw"
    """One of `evaluator.interface.OUTPUTS`."""
    normalise: bool = True
    """Whether the model takes pixels from 0 to 255, or normalised ones."""
    weights: str | None = None
    """A file; None are random weights from `seed`."""
    seed: int = 0
    about: dict[str, Any]
    """What the files say of themselves."""

    @property
    def graph(self) -> Graph:
        return lower(self.architecture, self.height, self.width, num_classes=len(self.interface.classes),
                     num_anchors=self.num_anchors)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Written:
    """Files of one format, and how they compared."""

    format: str
    files: tuple[str, ...]
    runtime: str
    """What loaded them."""
    difference: float
    """Of the outputs, the largest, relative to the largest magnitude."""
    note: str = ""


def export(plan: Plan) -> list[Written]:
    """Write and check every format of `plan` in its folder. Raises ExportError, WeightsError, ImportError."""
    from evaluator.formats import write_all

    return write_all(plan)
