"""A .cfg as a graph and a table: one pass over the sections, as darknet's parser goes.

Outputs are the raw maps that enter [yolo], [region], [detection] or [softmax], finest first; without any of those,
what the last layer makes. Sizes are bounded and memory is counted on paper: reading allocates nothing.
"""

from __future__ import annotations

import math
import stat
from dataclasses import dataclass
from pathlib import Path

from space.architecture import ArchitectureError
from space.cost import LayerCost, layer_cost, peak_elements
from space.darknet.layers import LAYERS, MAX_FILTERS, MAX_SIDE, State
from space.darknet.syntax import DarknetError, Section, sections, shown
from space.graph import Graph
from space.ops import Shape
from space.registry import unknown

MAX_LAYERS = 10_000
MAX_NOTES = 20
MAX_FILE_BYTES = 2 * 2**20
MAX_BYTES = 64 * 2**30
"""Bound of the activations alive at once for one image, and of the weights, both in float32."""

ALIASES = {
    "network": "net", "conv": "convolutional", "max": "maxpool", "avg": "avgpool", "local_avg": "local_avgpool",
    "soft": "softmax", "conn": "connected", "activeation": "activation",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """One layer of the file: its darknet index, where it stands, what it reads and makes, what it costs."""

    index: int
    kind: str
    line: int
    size: int | None
    stride: int | None
    groups: int
    sources: tuple[int, ...]
    """Layers named by `layers=` or `from=`; but for [route], a layer also reads the one before it."""
    input: Shape
    output: Shape
    cost: LayerCost


@dataclass(frozen=True, kw_only=True)
class Darknet:
    """What a file says: the graph, its layers, and notes for the user."""

    name: str
    graph: Graph
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def total(self) -> LayerCost:
        """Sum over all layers."""
        return add_up([row.cost for row in self.rows])


def add_up(costs: list[LayerCost]) -> LayerCost:
    """The sum of layers' costs."""
    return LayerCost(*map(sum, zip(LayerCost(0, 0, 0, 0, 0, 0, 0), *costs)))


def read(path: str | Path, *, resolution: int | tuple[int, int] | None = None) -> Darknet:
    """The network of a .cfg file; `resolution` (one side, or height and width) replaces the one in [net].

    Raises DarknetError, one line with file and line, for a file that cannot be read.
    """
    return parse(_text(path), file=_named(path), name=Path(path).stem, resolution=resolution)


def _named(path: str | Path) -> str:
    return shown(str(path), 400)


def _text(path: str | Path) -> str:
    try:
        mode = Path(path).stat().st_mode
        data = b""
        if stat.S_ISREG(mode):
            with Path(path).open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise DarknetError(f"{_named(path)}: {reason}; give the path of a .cfg file") from error
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise DarknetError(f"{_named(path)}: is {kind}; give a .cfg file")
    if len(data) > MAX_FILE_BYTES or b"\0" in data:
        what = "is binary" if b"\0" in data else f"has more than {MAX_FILE_BYTES >> 20} MiB"
        raise DarknetError(f"{_named(path)}: {what}; give the network as text (.cfg), not its weights")
    return data.decode("utf-8", errors="replace")


def parse(text: str, *, file: str = "cfg", name: str = "cfg",
          resolution: int | tuple[int, int] | None = None) -> Darknet:  # fmt: skip
    """The network that `text` describes; `file` is what errors call it. See `read`."""
    net, *layers = _sections(text, file)
    shape = (net.integer("channels", None, 1, MAX_FILTERS), *_resolution(net, resolution))
    state = State(layers, shape)
    for section in layers:
        try:
            state.add(section)
        except DarknetError:
            raise
        except ArchitectureError as error:
            raise section.error(str(error)) from error
        _check_bytes(section, "a map", math.prod(state.shape(state.index - 1)))
    areas = {ref: state.g.shape(ref)[1] * state.g.shape(ref)[2] for ref in state.outputs}
    graph = state.g.graph(sorted(areas, key=lambda ref: -areas[ref]) or [state.ref(state.values[-1])])
    return Darknet(name=name, graph=graph, rows=_rows(graph, state, net), notes=tuple(state.notes[:MAX_NOTES]))


def _resolution(net: Section, given: int | tuple[int, int] | None) -> tuple[int, int]:
    if given is None:
        return net.integer("height", None, 1, MAX_SIDE), net.integer("width", None, 1, MAX_SIDE)
    height, width = given if isinstance(given, tuple) else (given, given)
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise net.error(f"cannot have a resolution of {height}x{width}; allowed: 1 to {MAX_SIDE} a side")
    return height, width


def _sections(text: str, file: str) -> list[Section]:
    """[net] and the layers under their full names: one [net], first, then 1 to MAX_LAYERS layers."""
    found = [Section(file=file, kind=ALIASES.get(section.kind, section.kind), line=section.line,
                     options=section.options) for section in sections(text, file)]  # fmt: skip
    if not found:
        raise DarknetError(f"{file}:1: there is no section; begin with [net] and its width, height and channels")
    allowed = ["net", *LAYERS]
    for number, section in enumerate(found):
        if section.kind not in allowed:
            raise DarknetError(f"{file}:{section.line}: {unknown('section', f'[{section.kind}]', allowed)}")
        if number == 0 and section.kind != "net":
            raise section.error("stands first; the first section must be [net]")
        if number and section.kind == "net":
            raise section.error(f"is the second one (the first is in line {found[0].line}); remove one")
    if len(found) == 1:
        raise found[0].error("has no layers after it; add at least one, such as [convolutional]")
    if len(found) > MAX_LAYERS + 1:
        raise found[0].error(f"has {len(found) - 1:,} layers after it; allowed: {MAX_LAYERS:,}")
    return found


def _rows(graph: Graph, state: State, net: Section) -> tuple[Row, ...]:
    """The table. Raises DarknetError where the network passes the bounds of memory."""
    costs: dict[str, list[LayerCost]] = {}
    for node in graph.nodes[1:]:
        costs.setdefault(node.name.partition(".")[0], []).append(layer_cost(graph, node))
    rows, weights = [], 0
    for index, section in enumerate(state.layers):
        total = add_up(costs.get(f"layer{index}", []))
        weights += total.weights
        _check_bytes(section, "the weights so far", weights)
        size, stride, groups = _geometry(section)
        rows.append(Row(index=index, kind=section.kind, line=section.line, size=size, stride=stride, groups=groups,
                        sources=state.sources[index], input=state.shape(index - 1), output=state.shape(index),
                        cost=total))  # fmt: skip
    _check_bytes(net, "the activations alive at once", peak_elements(graph))
    return tuple(rows)


def _check_bytes(section: Section, what: str, elements: int) -> None:
    if 4 * elements > MAX_BYTES:
        needs = f"needs {4 * elements >> 30:,} GiB for {what}"
        raise section.error(f"{needs}; allowed: {MAX_BYTES >> 30} GiB; make the network or the image smaller")


def _geometry(section: Section) -> tuple[int | None, int | None, int]:
    """Kernel, stride and groups as the table shows them."""
    groups = section.integer("groups", 1, 1, MAX_FILTERS) if section.kind in ("convolutional", "route") else 1
    if section.kind == "upsample":
        return None, section.integer("stride", 2, 1, MAX_SIDE), groups
    if section.kind not in ("convolutional", "maxpool", "local_avgpool"):
        return None, None, groups
    stride = section.integer("stride", 1, 1, MAX_SIDE)
    return section.integer("size", 1 if section.kind == "convolutional" else stride, 1, MAX_SIDE), stride, groups
