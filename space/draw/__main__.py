"""python -m space.draw: the stage diagram of a named network, an architecture's JSON file or a darknet file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from space import cli

app = App(
    name="python -m space.draw",
    help="Draw a network as a stage diagram (SVG), derived from its graph.",
    version_flags=[],
)


@app.default
def run(
    network: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    resolution: str | None = None,
    title: str | None = None,
) -> int:
    """Draw a network as a stage diagram.

    Parameters
    ----------
    network
        Name of a published network, a .json file with an architecture, or a darknet .cfg file.
    output
        SVG file to write; standard output by default.
    resolution
        Size of the image, such as 256 or 384x640 (height x width); the network's own by default.
    title
        Heading of the drawing; the name of the network by default.
    """
    from space.draw import draw
    from space.source import graph_of, title_of

    graph = graph_of(network, cli.image_size(resolution))
    svg = draw(graph, title=title_of(network) if title is None else title)
    if output is None:
        sys.stdout.write(svg)
        return 0
    try:
        output.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise cli.UsageError(f"cannot write {output}: {error.strerror or error}") from error
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return cli.run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
