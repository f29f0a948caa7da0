"""A head of several scales, read off the graph: marks in columns of scale and rows of rank, and arrows between them.

Resizing and pooling between scales are arrows, not marks; a chain of convolutions is one mark; parallel max-pools
that are concatenated are spatial pyramid pooling; a gate with its convolution is one mark.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from space.graph import Graph, Ref
from space.ops import Act, AvgPool, Concat, Conv, Linear, Maxout, MaxPool, Mul, Norm, Resize, Slice, Stride


@dataclass
class Mark:
    """One box of the head. `sources` are values: of other marks, or of the backbone."""

    kind: str
    lines: list[str]
    level: int
    nodes: list[Ref]
    sources: list[Ref]
    rank: int = 0


@dataclass
class Pyramid:
    """Marks of a head. `home` says which mark makes a value; what has none comes from the backbone."""

    sizes: list[tuple[int, int]]
    marks: list[Mark] = field(default_factory=list)
    home: dict[Ref, Mark] = field(default_factory=dict)

    def taps(self) -> list[tuple[Ref, Mark]]:
        """Values of the backbone and the marks that read them."""
        return [(ref, mark) for mark in self.marks for ref in mark.sources if ref not in self.home]

    def directions(self) -> set[str]:
        """`up` and `pooled`, as far as there are arrows of that kind."""
        levels = [(self.home[ref].level, mark.level) for mark in self.marks for ref in mark.sources if ref in self.home]
        return {"up" if start > end else "pooled" for start, end in levels if start != end}


def pyramid(graph: Graph, refs: Sequence[Ref]) -> Pyramid:
    """The marks of the nodes `refs`."""
    nodes, inside = graph.nodes, set(refs)
    finest = sorted({nodes[ref].shape[1:] for ref in graph.outputs if ref in inside}, reverse=True)
    found = Pyramid(sizes=finest or [nodes[refs[-1]].shape[1:]])
    readers: dict[Ref, list[Ref]] = defaultdict(list)
    for index, node in enumerate(nodes):
        for ref in node.inputs:
            readers[ref].append(index)
    taken: set[tuple[int, int]] = set()
    for ref in refs:
        if _is_arrow(graph, ref, readers) and ref not in graph.outputs:
            continue
        mark = _mark(graph, ref, found.sizes, inside, readers)
        before = found.home.get(mark.sources[0]) if len(mark.sources) == 1 else None
        alone = readers[mark.sources[0]] == [ref] and mark.sources[0] not in graph.outputs
        if before and alone and mark.kind == before.kind == "conv" and mark.level == before.level:
            _append(before, mark)
            found.home[ref] = before
            continue
        ranks = [found.home[source].rank for source in mark.sources if source in found.home]
        mark.rank = max(ranks, default=-1) + 1
        while (mark.level, mark.rank) in taken:
            mark.rank += 1
        taken.add((mark.level, mark.rank))
        found.marks.append(mark)
        found.home[ref] = mark
    return found


def _append(mark: Mark, more: Mark) -> None:
    mark.nodes += more.nodes
    count = len(mark.nodes)
    mark.lines = [f"{mark.lines[0]} · {more.lines[0]}" if count <= 3 else f"{count} convs", more.lines[1]]


def _is_arrow(graph: Graph, ref: Ref, readers: dict[Ref, list[Ref]]) -> bool:
    """Whether the node only changes scale, passes its input on, or is part of the mark that reads it."""
    op = graph.nodes[ref].op
    if isinstance(op, Resize | Slice | Stride | Act | Norm | MaxPool | AvgPool):
        return True
    return isinstance(op, Conv) and any(
        isinstance(graph.nodes[index].op, Mul) and graph.nodes[index].inputs[1] == ref for index in readers[ref]
    )


def _source(graph: Graph, ref: Ref, inside: set[Ref], readers: dict[Ref, list[Ref]]) -> Ref:
    while ref in inside and ref not in graph.outputs and _is_arrow(graph, ref, readers):
        ref = graph.nodes[ref].inputs[0]
    return ref


def _mark(
    graph: Graph, ref: Ref, sizes: list[tuple[int, int]], inside: set[Ref], readers: dict[Ref, list[Ref]]
) -> Mark:
    node = graph.nodes[ref]
    op, c = node.op, node.shape[0]
    kind, lines = "plain", [type(op).__name__.lower(), f"{c} ch"]
    if isinstance(op, Conv):
        last = ref in graph.outputs
        kind, lines = ("predict" if last else "conv"), [f"{op.kernel}×{op.kernel}", f"{c} ch"]
        lines = ["predict", f"{lines[0]}, {lines[1]}"] if last else lines
    elif isinstance(op, Linear):
        kind, lines = "predict", ["linear", f"{c}"]
    elif isinstance(op, Maxout):
        kind, lines = "extra", [f"maxout {op.groups}:1", f"{c} ch"]
    elif isinstance(op, Mul):
        words = "SE" if graph.nodes[node.inputs[1]].shape[1:] == (1, 1) else "SAM"
        kind, lines = "extra", [words, f"{c} ch"]
    elif isinstance(op, Concat):
        pools = [graph.nodes[r].op for r in node.inputs if r in inside]
        kernels = [pool.kernel for pool in pools if isinstance(pool, MaxPool) and pool.stride == 1]
        kind, lines = "join", ["concat", f"{c} ch"]
        if len(kernels) > 1:
            kind, lines = "extra", [f"SPP {' · '.join(map(str, sorted(kernels)))}", f"{c} ch"]
    sources = list(dict.fromkeys(_source(graph, r, inside, readers) for r in node.inputs))
    height = node.shape[1]
    level = min(range(len(sizes)), key=lambda i: abs(math.log(max(1, sizes[i][0]) / max(1, height))))
    return Mark(kind, lines, level, [ref], sources)
