"""python -m space.export NETWORK -o FILE: any network as ONNX, standalone PyTorch source, or a darknet file.

NETWORK is a name of the zoo, an architecture's JSON file (the dashboard and the database give it), or a .cfg. The
ending of FILE says the format: .onnx, .py, .cfg, or .json for the architecture itself. Weights are random here:
trained ones come with the candidate's bundle.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from space import cli

if TYPE_CHECKING:
    from space.graph import Graph

app = App(name="python -m space.export", help="Write a network as ONNX, PyTorch source or a darknet file.",
          version_flags=[])  # fmt: skip


MOST_CLASSES, MOST_IMAGES = 100_000, 65_536


@app.default
def export(
    network: str,
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    resolution: str | None = None,
    classes: int | None = None,
    batch: str = "1",
    fold: bool = True,
    seed: int = 0,
) -> int:
    """Write a network to a file; its ending says the format: .onnx, .py, .cfg or .json.

    Parameters
    ----------
    network
        Name of a published network, a .json file with an architecture, or a darknet .cfg file.
    output
        File to write.
    resolution
        Size of the image, such as 256 or 384x640 (height x width); the network's own by default.
    classes
        Classes to predict; the network's own by default (10 for an architecture's file).
    batch
        ONNX: images in a batch, or a word such as batch for any number.
    fold
        ONNX: merge normalisation into the convolutions.
    seed
        ONNX: seed of the random weights.
    """
    from space.source import classes_of, graph_of

    writers: dict[str, Callable[[], bytes]] = {
        ".onnx": lambda: _onnx(graph(), batch, fold, seed),
        ".py": lambda: _source(graph(), network),
        ".cfg": lambda: _cfg(graph(), classes or classes_of(network)),
        ".json": lambda: _json(network, graph(), classes or classes_of(network)),
    }

    def graph() -> Graph:
        return graph_of(network, cli.image_size(resolution), num_classes=classes)

    if classes is not None and not 1 <= classes <= MOST_CLASSES:
        raise cli.UsageError(f"--classes is {classes}; it must be from 1 to {MOST_CLASSES}")
    if seed < 0:
        raise cli.UsageError(f"--seed is {seed}; it must be 0 or more")
    if output.suffix.lower() not in writers:
        raise cli.UsageError(f"--output is '{output}'; its ending says the format: {', '.join(writers)}")
    data = writers[output.suffix.lower()]()
    try:
        output.write_bytes(data)
    except OSError as error:
        raise cli.UsageError(f"cannot write {output}: {error.strerror or error}") from error
    print(f"{output}: {len(data) / 2**20:.2f} MiB")
    return 0


def _onnx(graph: Graph, batch: str, fold: bool, seed: int) -> bytes:
    from space.onnx import to_onnx

    number = int(batch) if batch.isascii() and batch.isdigit() else None
    if (number is None and not batch.isidentifier()) or (number is not None and not 1 <= number <= MOST_IMAGES):
        raise cli.UsageError(f"--batch is '{batch}'; give 1 to {MOST_IMAGES}, or a word for any number")
    data: bytes = to_onnx(graph, batch=number or batch, fold=fold, seed=seed).SerializeToString()
    return data


def _source(graph: Graph, network: str) -> bytes:
    from space.source import title_of
    from space.torch_source import to_torch_source

    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in title_of(network)).strip("_")
    return to_torch_source(graph, name=name if name[:1].isalpha() else f"Net_{name}").encode()


def _cfg(graph: Graph, classes: int | None) -> bytes:
    from space.darknet import write

    written = write(graph, num_classes=classes)
    for note in written.notes:
        print(f"note: {note}", file=sys.stderr)
    return written.text.encode()


def _json(network: str, graph: Graph, classes: int | None) -> bytes:
    from space.source import anchors_of, architecture_of

    _, height, width = graph.nodes[0].shape
    found = {"architecture": architecture_of(network).to_dict(), "height": height, "width": width,
             "num_classes": classes, "num_anchors": anchors_of(network)}  # fmt: skip
    return (json.dumps(found, indent=2) + "\n").encode()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return cli.run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
