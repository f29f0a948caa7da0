"""Stage diagrams as SVG, derived from the graph alone: `draw(graph)`; `python -m space.draw` is the command line."""

from __future__ import annotations

from space.architecture import Architecture
from space.cost import cost
from space.draw.canvas import CROSS, DOWN, FILLS, MUTED, UP, Canvas, text_width
from space.draw.head import Head
from space.draw.marks import BODY, SMALL
from space.draw.outline import Group, groups
from space.draw.pyramid import pyramid
from space.draw.row import WIDEST, Plan, Row, wrap
from space.graph import Graph, Ref
from space.lower import lower

__all__ = ["draw", "layout"]


def draw(network: Architecture | Graph, *, title: str = "", height: int = 256, width: int = 256) -> str:
    """SVG text of the stage diagram of a graph, or of an architecture at `height` x `width`.

    Raises ArchitectureError if the architecture cannot exist.
    """
    graph = lower(network, height, width) if isinstance(network, Architecture) else network
    canvas, title = layout(graph, title=title), title or "Network"
    return canvas.svg(title=f"Stage diagram of {title}", description=describe(graph),
                      names=[node.name for node in graph.nodes])  # fmt: skip


def describe(graph: Graph) -> str:
    """The drawing in words: totals and parts."""
    names = ", ".join(f"{group.name} at {group.size[0]} x {group.size[1]}" for group in groups(graph))
    return f"{caption(graph)} Parts: {names}."


def layout(graph: Graph, *, title: str = "", widest: float = WIDEST) -> Canvas:
    """The finished drawing of `graph`; its `texts` are all text with its rectangles, its `marks` name each node once.

    A backbone wider than `widest` goes over several rows.
    """
    canvas = Canvas()
    found = groups(graph)
    backbone, head = _split(graph, found)
    total = max(1, cost(graph).macs)
    top = 16.0
    if title:
        canvas.text(16, top + 14, title, size=16, anchor="start", bold=True)
        top += 34
    marks = pyramid(graph, sorted(ref for group in head for ref in group.nodes)) if head else None
    tapped = {ref for ref, _ in marks.taps()} if marks else set()
    together = {number for number, group in enumerate(backbone) if tapped & set(group.nodes)}
    rows = wrap([Plan(group, total) for group in backbone], together, widest)
    row = Row(canvas, graph, rows, 16, top, tapped=bool(head))
    kinds = {item.kind for group in backbone for item in group.items}
    kinds |= {item.lines[0] for group in backbone for item in group.items if item.kind == "join"}
    kinds |= {item.kind for group in backbone for bypass in group.bypasses for item in bypass.items}
    kinds |= {"cross" for group in backbone if group.bypasses}
    if marks:
        share = sum(group.macs for group in head) / total
        Head(canvas, graph, marks, row, 16, share, " + ".join(group.name for group in head))
        kinds |= {mark.kind for mark in marks.marks} | marks.directions()
    bottom = canvas.bottom + 28
    canvas.text(16, bottom, caption(graph), size=BODY, anchor="start")
    _legend(canvas, bottom + 26, kinds)
    _complete(graph, canvas.marks)
    return canvas


def _complete(graph: Graph, marks: list[list[Ref]]) -> None:
    """Give each node that is not drawn (a slice, a resize that is an arrow) to the mark that reads it first.

    What nothing drawn reads goes to the mark that it reads from.
    """
    home: dict[Ref, int] = {}
    for number, mark in enumerate(marks):
        mark[:] = [ref for ref in mark if home.setdefault(ref, number) == number]
    readers: dict[Ref, Ref] = {}
    for index, node in enumerate(graph.nodes):
        for ref in node.inputs:
            readers.setdefault(ref, index)
    for ref in reversed(range(len(graph.nodes))):
        if ref not in home and readers.get(ref) in home:
            home[ref] = home[readers[ref]]
            marks[home[ref]].append(ref)
    for ref, node in enumerate(graph.nodes):
        if ref not in home and node.inputs:
            home[ref] = home[node.inputs[0]]
            marks[home[ref]].append(ref)


def caption(graph: Graph) -> str:
    """Totals in one line."""
    total = cost(graph)
    _, h, w = graph.nodes[0].shape
    return (
        f"Input {h} × {w}. {_short(total.macs)} MACs, {_short(total.params)} parameters, "
        f"peak activation memory {total.peak_bytes / 2**20:.1f} MiB (fp32, one image)."
    )


def _short(number: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}" if number < 999.5 * size else f"{number / size:,.0f} {unit}"
    return str(number)


def _split(graph: Graph, found: list[Group]) -> tuple[list[Group], list[Group]]:
    """Scopes of the backbone, and those of the head: from the first one that reads several scales or has several
    outputs."""
    for number, group in enumerate(found):
        inside = set(group.nodes)
        reads = {ref for index in inside for ref in graph.nodes[index].inputs if ref not in inside and ref}
        scales = {graph.nodes[ref].shape[1:] for ref in reads}
        outputs = sum(ref in inside for ref in graph.outputs)
        if number and not group.is_stage and (len(scales) > 1 or outputs > 1):
            return found[:number], found[number:]
    return found, []


def _legend(canvas: Canvas, y: float, kinds: set[str]) -> None:
    """What the marks mean; only those that are in the drawing."""
    x = 16.0
    boxes = {"block": "block, × repeats", "transition": "transition", "down": "down-sampling", "conv": "convolution",
             "extra": "maxout, SPP, attention", "predict": "prediction"}  # fmt: skip
    for kind in (kind for kind in boxes if kind in kinds):
        fill, line = FILLS[kind]
        (canvas.trapezoid if kind == "down" else canvas.box)(x, y - 9, 16, 11, fill=fill, line=line)
        x = _word(canvas, x + 22, y, boxes[kind])
    signs = {"C": "concatenation", "+": "addition", "×": "product"}
    for sign in (sign for sign in signs if sign in kinds):
        canvas.circle(x + 6, y - 4, 6)
        canvas.text(x + 6, y - 1, sign, size=8, bold=True)
        x = _word(canvas, x + 18, y, signs[sign])
    lines = {"cross": (CROSS, "cross path"), "up": (UP, "up-sampled"), "pooled": (DOWN, "down-sampled")}
    for colour, words in (line for name, line in lines.items() if name in kinds):
        canvas.path((x, y - 4), (x + 20, y - 4), colour=colour)
        x = _word(canvas, x + 26, y, words)
    _word(canvas, x, y, "number beneath a mark: its channels")


def _word(canvas: Canvas, x: float, y: float, words: str) -> float:
    canvas.text(x, y, words, size=SMALL, anchor="start", colour=MUTED)
    return x + text_width(words, SMALL) + 16
