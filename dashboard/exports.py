"""What can be had of an architecture without torch: files made while one waits, and commands for the rest."""

from __future__ import annotations

import json
from collections.abc import Callable

from dashboard.diagram import download
from dashboard.layers import as_csv, layers
from dashboard.pages.message import option
from dashboard.texts import quoted
from evaluator.record import Deployment
from space.architecture import Architecture
from space.graph import Graph
from space.lower import NUM_ANCHORS, lower

FORMATS = {
    ".json": ("Architecture", "for every command that takes a network"),
    ".py": ("PyTorch source", "a class that needs torch alone"),
    ".onnx": ("ONNX", "random weights, for timing"),
    ".cfg": ("darknet cfg", "where darknet can say it"),
    ".svg": ("Diagram", "as above"),
    ".csv": ("Layers", "every layer's cost"),
}
"""Label and meaning by the ending of the file."""
_TYPES = {".json": "application/json", ".py": "text/x-python", ".onnx": "application/octet-stream",
          ".cfg": "text/plain", ".svg": "image/svg+xml", ".csv": "text/csv"}  # fmt: skip


def commands(architecture_id: str, database: str | None, study: str) -> list[str]:
    """Command lines that export a candidate with its trained weights; none for a database no command may read."""
    if database is None:
        return []
    where = option(database) + (f" --name {quoted(study)}" if study else "")
    wanted = ("--to onnx", "--to torch --to safetensors", "--to openvino --to darknet")
    return [f"python -m search.export {architecture_id} {formats} -o {architecture_id}{where}" for formats in wanted]


def export(architecture: Architecture, deployment: Deployment, ending: str) -> tuple[bytes, str]:
    """The bytes of a file and its media type.

    Raises KeyError for an ending that FORMATS lacks, and ValueError (ArchitectureError and DarknetError are such)
    where a format cannot say this network.
    """
    makers: dict[str, Callable[[Graph], bytes]] = {
        ".json": lambda graph: _json(architecture, deployment),
        ".py": lambda graph: _source(graph, architecture.id),
        ".onnx": lambda graph: _onnx(graph, deployment),
        ".cfg": lambda graph: _cfg(graph, deployment),
        ".svg": lambda graph: download(graph, architecture.id),
        ".csv": lambda graph: as_csv(layers(graph, batch=deployment.batch, precision=deployment.precision)),
    }
    make = makers[ending]
    graph = lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)
    return make(graph), _TYPES[ending]


def _json(architecture: Architecture, deployment: Deployment) -> bytes:
    found = {"architecture": architecture.canonical().to_dict(), "height": deployment.height,
             "width": deployment.width, "num_classes": deployment.num_classes, "num_anchors": NUM_ANCHORS}  # fmt: skip
    return (json.dumps(found, indent=2) + "\n").encode()


def _source(graph: Graph, architecture_id: str) -> bytes:
    from space.torch_source import to_torch_source

    return to_torch_source(graph, name=f"Net_{architecture_id}").encode()


def _onnx(graph: Graph, deployment: Deployment) -> bytes:
    from space.onnx import to_onnx

    data: bytes = to_onnx(graph, batch=deployment.batch).SerializeToString()
    return data


def _cfg(graph: Graph, deployment: Deployment) -> bytes:
    from space.darknet import write

    return write(graph, num_classes=deployment.num_classes).text.encode()
