"""python -m space.darknet FILE: what darknet prints of a .cfg, without darknet."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from space import cli

if TYPE_CHECKING:
    from space.darknet import Darknet

app = App(
    name="python -m space.darknet",
    help="Count the operations and weights of a darknet .cfg as darknet and the CSPNet paper do.",
    version_flags=[],
)


@app.default
def count(
    file: Path,
    /,
    *,
    layers: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    resolution: str | None = None,
) -> int:
    """Count the operations and weights of a darknet .cfg as darknet and the CSPNet paper do.

    Parameters
    ----------
    file
        Darknet's description of a network (.cfg).
    layers
        One row a layer as well.
    json
        One JSON object instead of text.
    resolution
        Size of the image, such as 416 or 320x416 (height x width), instead of the file's.
    """
    from space.darknet import read

    network = read(file, resolution=cli.image_size(resolution))
    for note in network.notes:
        print(f"note: {file}: {note}", file=sys.stderr)
    if json:
        print(_json(network, layers))
    else:
        from space.darknet.table import show

        show(network, layers=layers)
    return 0


def _json(network: Darknet, layers: bool) -> str:
    from space.darknet.table import facts

    return json.dumps(facts(network, layers=layers))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return cli.run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
