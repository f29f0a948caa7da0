"""What there is to draw, read off the graph: top-level scopes as groups, their main path, and what by-passes it.

The main path of a scope is found backwards from its last node; where paths join, it is the one with more nodes, and
the others are by-passes. Consecutive child scopes of one structure are one item with a count. A scope that does not
read as one path with by-passes is summed up in words.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from space.cost import breakdown
from space.graph import Graph, Node, Ref
from space.ops import (
    Act,
    Add,
    AvgPool,
    Concat,
    Conv,
    GlobalPool,
    Input,
    Linear,
    Maxout,
    MaxPool,
    Mul,
    Norm,
    Op,
    Resize,
    Slice,
    Stride,
)

MOST_ITEMS, MOST_BYPASSES = 12, 4
"""A scope with more on its main path, or beside it, is drawn as one box with a summary."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One mark: a block with its repeats, a transition, a join, a down-sampling."""

    kind: str
    lines: tuple[str, ...]
    nodes: tuple[Ref, ...]
    channels: int
    """Channels that leave it."""
    key: tuple[object, ...] = ()
    """Equal for neighbours that are one item with a count."""
    count: int = 1

    @property
    def last(self) -> Ref:
        """The node whose value leaves."""
        return self.nodes[-1]


@dataclass(frozen=True, kw_only=True)
class Bypass:
    """A path around items: it leaves the main path before item `start` and joins it at item `stop`."""

    start: int
    stop: int
    items: tuple[Item, ...]
    channels: int
    nodes: tuple[Ref, ...] = ()
    """What of it is not drawn: slices."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """One top-level scope. `size` and `channels` are those of the map that its blocks, or its paths, begin with."""

    name: str
    items: tuple[Item, ...]
    bypasses: tuple[Bypass, ...]
    size: tuple[int, int]
    channels: int
    macs: int
    nodes: tuple[Ref, ...] = field(repr=False, default=())

    @property
    def is_stage(self) -> bool:
        """Whether the scope is named as a stage."""
        return re.fullmatch(r"stage\d+", self.name) is not None


def groups(graph: Graph) -> list[Group]:
    """The top-level scopes of `graph` in order. Nodes without a scope are grouped by their resolution."""
    macs = {row.name: row.cost.macs for row in breakdown(graph)}
    found: dict[str, list[Ref]] = defaultdict(list)
    for index, node in enumerate(graph.nodes):
        if not isinstance(node.op, Input):
            found[scope_of(node)].append(index)
    return [_group(graph, name, refs, sum(macs[graph.nodes[ref].name] for ref in refs)) for name, refs in found.items()]


def scope_of(node: Node) -> str:
    """First element of the node's name, or its resolution where it stands in no scope."""
    first, dot, _ = node.name.partition(".")
    return first if dot else f"{node.shape[1]} × {node.shape[2]}"


def _group(graph: Graph, name: str, refs: list[Ref], macs: int) -> Group:
    nodes = graph.nodes
    path = _Paths(graph, refs)
    items = path.main()
    bypasses: tuple[Bypass, ...] = ()
    if items is not None:
        found = path.bypasses(items)
        if found is not None and len(items) <= MOST_ITEMS and len(found) <= MOST_BYPASSES:
            bypasses = tuple(found)
        else:
            items = None
    begins = next((ref for item in items or () if item.kind == "block" for ref in item.nodes), refs[-1])
    fork = min((bypass.start for bypass in bypasses), default=None)
    source = nodes[begins].inputs[0]
    if items and fork is not None:
        source = path.source(items, fork)
    if items is None:
        items = [_summary(graph, refs)]
    if not bypasses and not any(item.kind == "block" for item in items):
        source = refs[-1]
    return Group(name=name, items=tuple(items), bypasses=bypasses, size=nodes[source].shape[1:],
                 channels=nodes[source].shape[0], macs=macs, nodes=tuple(refs))  # fmt: skip


class _Paths:
    """The units (nodes and child scopes) of one scope and how they follow each other."""

    def __init__(self, graph: Graph, refs: Sequence[Ref]) -> None:
        self.graph, self.nodes = graph, graph.nodes
        units: dict[str, list[Ref]] = defaultdict(list)
        for ref in refs:
            parts = self.nodes[ref].name.split(".")
            units[".".join(parts[:2])].append(ref)
        self.units = {name: tuple(unit) for name, unit in units.items()}
        self.home = {ref: name for name, unit in units.items() for ref in unit}
        self.finish = self.home[refs[-1]]

    def inputs(self, unit: str) -> list[Ref]:
        """Values from outside the unit, in order."""
        inside = set(self.units[unit])
        return list(dict.fromkeys(r for ref in inside for r in self.nodes[ref].inputs if r not in inside))

    def chain(self, unit: str | None, stop: Sequence[str] = ()) -> list[str]:
        """Units from `unit` back along the longest way, until out of the scope or at one of `stop`; in order."""
        chain: list[str] = []
        while unit is not None and unit not in stop and unit not in chain:
            chain.append(unit)
            before = [self.home.get(ref) for ref in self.inputs(unit)]
            unit = max((name for name in before if name), key=self._reach, default=None)
        return chain[::-1]

    def _reach(self, unit: str) -> tuple[int, int]:
        todo, seen = [unit], set[str]()
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(self.home[ref] for ref in self.inputs(name) if ref in self.home)
        return sum(len(self.units[name]) for name in seen), self.units[unit][-1]

    def main(self) -> list[Item] | None:
        """Items of the main path."""
        self.path = self.chain(self.finish)
        items: list[Item] = []
        self.place: dict[str, int] = {}
        for unit in self.path:
            item = self.item(unit)
            if item is None:
                self.place[unit] = len(items) - 1
                continue
            if items and item.key and items[-1].key == item.key:
                kept = items.pop()
                item = replace(item, count=kept.count + 1, nodes=kept.nodes + item.nodes)
            items.append(item)
            self.place[unit] = len(items) - 1
        return items or None

    def bypasses(self, items: Sequence[Item]) -> list[Bypass] | None:
        """Ways around the main path; None if some unit is on none of them."""
        found, seen = [], set(self.path)
        for before, unit in zip([None, *self.path], self.path):
            for ref in self.inputs(unit):
                name = self.home.get(ref)
                if name == before and name is not None:
                    continue
                if before is None and ref == self.inputs(unit)[0]:
                    continue
                beside = self.chain(name, self.path) if name else []
                first = self.inputs(beside[0])[0] if beside else ref
                start = self.place.get(self.home.get(first, ""), -1) + 1
                marks = tuple(item for item in map(self.item, beside) if item)
                silent = tuple(r for side in beside if self.item(side) is None for r in self.units[side])
                seen |= set(beside)
                if start <= self.place[unit]:
                    found.append(Bypass(start=start, stop=self.place[unit], items=marks,
                                        channels=self.nodes[ref].shape[0], nodes=silent))  # fmt: skip
        missing = [unit for unit in self.units if unit not in seen]
        return (
            None if any(isinstance(self.nodes[r].op, Conv | Linear) for u in missing for r in self.units[u]) else found
        )

    def source(self, items: Sequence[Item], fork: int) -> Ref:
        """The value that item `fork` of the main path begins with, before any slice."""
        return items[fork - 1].last if fork else self.inputs(self.path[0])[0]

    def item(self, unit: str) -> Item | None:
        """The mark of a unit; None for what is not drawn (slices, activations alone)."""
        refs = self.units[unit]
        node = self.nodes[refs[-1]]
        if len(refs) > 1 or node.name.count(".") > 1:
            return block_item(self.graph, unit, refs)
        return node_item(self.graph, refs[0])


def block_item(graph: Graph, name: str, refs: tuple[Ref, ...]) -> Item:
    """A child scope as one box: what it is, its kernels, its channels."""
    ops = [graph.nodes[ref].op for ref in refs]
    convs = [(op, graph.nodes[ref].shape[0]) for op, ref in zip(ops, refs) if isinstance(op, Conv)]
    kind = "residual" if any(isinstance(op, Add) for op in ops) else "dense" if _ends(ops, Concat) else ""
    lines = [kind or re.sub(r"\d+$", "", name.rsplit(".", 1)[-1])]
    if 1 <= len(convs) <= 4:
        lines.append(" → ".join(f"{op.kernel}×{op.kernel}" for op, _ in convs))
        grown = f"+{convs[-1][1]}" if kind == "dense" else f"{convs[-1][1]}"
        lines.append(" → ".join([*(str(channels) for _, channels in convs[:-1]), grown]))
    elif convs:
        lines.append(f"{len(convs)} convolutions")
    grouped = [op.groups for op, _ in convs if op.groups > 1]
    if grouped:
        lines.append(f"{grouped[0]} groups")
    lines += attention(graph, refs)
    key = (*ops, *(channels for _, channels in convs), re.sub(r"\d+$", "", name))
    key = tuple(op for op in key if not isinstance(op, Slice))
    return Item(kind="block", lines=tuple(lines), nodes=refs, channels=graph.nodes[refs[-1]].shape[0], key=key)


def _ends(ops: Sequence[Op], kind: type) -> bool:
    return any(isinstance(op, kind) for op in ops[-2:])


def attention(graph: Graph, refs: Sequence[Ref]) -> list[str]:
    """Words for the gates among `refs`."""
    gates = [graph.nodes[graph.nodes[ref].inputs[1]].shape for ref in refs if isinstance(graph.nodes[ref].op, Mul)]
    return list(dict.fromkeys("squeeze & excite" if shape[1:] == (1, 1) else "spatial attention" for shape in gates))


def node_item(graph: Graph, ref: Ref) -> Item | None:
    """One node as a mark, None for slices, norms and activations alone."""
    node = graph.nodes[ref]
    op, leaf = node.op, node.name.rsplit(".", 1)[-1]
    kind = "plain"
    lines: tuple[str, ...] = (leaf,)
    if isinstance(op, Slice | Act | Norm | Input | Stride):
        return None
    if isinstance(op, Conv):
        size = f"{op.kernel}×{op.kernel}"
        named = {"t1": "T1", "t2": "T2", "transition": "T"}
        if leaf in named:
            kind, lines = "transition", (named[leaf], size if op.stride == 1 else f"{size} /{op.stride}")
        elif op.stride > 1:
            kind, lines = "down", (size, f"/{op.stride}")
        else:
            kind, lines = "conv", (size,)
    elif isinstance(op, MaxPool | AvgPool):
        word = "max" if isinstance(op, MaxPool) else "mean"
        kind, lines = (
            ("down", (word, f"/{op.stride}")) if op.stride > 1 else ("plain", (word, f"{op.kernel}×{op.kernel}"))
        )
    elif isinstance(op, Concat | Add | Mul):
        kind, lines = "join", ("C" if isinstance(op, Concat) else "+" if isinstance(op, Add) else "×",)
    elif isinstance(op, Maxout):
        kind, lines = "extra", ("maxout", f"{op.groups}:1")
    elif isinstance(op, GlobalPool):
        kind, lines = "down", ("global", "mean")
    elif isinstance(op, Linear):
        kind, lines = "predict", ("linear", f"{node.shape[0]}")
    elif isinstance(op, Resize):
        kind, lines = "plain", ("resize", f"{op.height}×{op.width}")
    return Item(kind=kind, lines=lines, nodes=(ref,), channels=node.shape[0])


def _summary(graph: Graph, refs: Sequence[Ref]) -> Item:
    """A scope in words: how many of which operators."""
    names = {Conv: "convolution", Add: "addition", Concat: "concatenation", MaxPool: "max-pool", Linear: "linear layer"}
    counts = Counter(type(graph.nodes[ref].op) for ref in refs)
    lines = [f"{count} {names[kind]}{'s' * (count > 1)}" for kind, count in counts.most_common() if kind in names]
    return Item(kind="plain", lines=tuple(lines) or (f"{len(refs)} operators",), nodes=tuple(refs),
                channels=graph.nodes[refs[-1]].shape[0])  # fmt: skip
