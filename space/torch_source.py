"""Graph -> the source of one PyTorch file that needs torch alone, with the parameter names of our `Network`.

Scopes become modules: a scope whose nodes can run as one call is a class with a forward that reads like the graph;
scopes of one structure share a class, and the channel counts in which they differ are its parameters. A scope
without weights is written out where it stands, and so is one that the rest of the network interrupts.

Deviation from `space.module`: an activation that stands alone is not in place, so a map that others read stays whole.
"""

from __future__ import annotations

import heapq
import itertools
import json
import keyword
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from textwrap import indent

from space.cost import cost
from space.graph import Graph, Node, Ref
from space.ops import (
    LEAKY_SLOPES,
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
    Resize,
    Slice,
    Stride,
)

WIDTH = 120
MOST_PARAMETERS = 4
"""Scopes of one structure that differ in more numbers than this get a class each."""

Path = tuple[str, ...]

_FUNCTIONS = {
    "relu": "F.relu({})",
    "relu6": "F.relu6({})",
    "silu": "F.silu({})",
    "mish": "F.mish({})",
    "hard_swish": "F.hardswish({})",
    "logistic": "torch.sigmoid({})",
} | {name: f"F.leaky_relu({{}}, {slope})" for name, slope in LEAKY_SLOPES.items()}

_MODULES = {
    "relu": "nn.ReLU(inplace=True)",
    "relu6": "nn.ReLU6(inplace=True)",
    "silu": "nn.SiLU(inplace=True)",
    "mish": "nn.Mish(inplace=True)",
    "hard_swish": "nn.Hardswish(inplace=True)",
    "logistic": "nn.Sigmoid()",
} | {name: f"nn.LeakyReLU({slope}, inplace=True)" for name, slope in LEAKY_SLOPES.items()}

_CONV = '''
class ConvBNAct(nn.Module):
    """Convolution, batch normalisation where `norm`, activation where `act`."""

{init}
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        bias = not norm if bias is None else bias
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)
        self.bn = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.act = activation(act)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))
'''

_NORM = '''
class BNAct(nn.Module):
    """Batch normalisation, activation where `act`."""

    def __init__(self, channels, act={act}):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.act = activation(act)

    def forward(self, x):
        return self.act(self.bn(x))
'''

_HELPERS = {
    "add_partial": '''
def add_partial(a, b):
    """Add `b` onto the first channels of the wider `a`."""
    channels = b.shape[1]
    return torch.cat((a[:, :channels] + b, a[:, channels:]), 1)
''',
    "maxout": '''
def maxout(x, groups):
    """Maximum over channel groups: channel c of n is the maximum of c, c + n, c + 2n, ..."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, groups, channels // groups, height, width).amax(1)
''',
    "pool_padding": '''
def pool_padding(x, kernel, stride):
    """Places outside the map (left, right, top, bottom) for ceil(size / stride) outputs of a pool."""
    before = (kernel - 1) // 2
    height, width = (max(0, (-(-n // stride) - 1) * stride + kernel - before - n) for n in x.shape[2:])
    return before, width, before, height
''',
    "max_pool": '''
def max_pool(x, kernel, stride):
    """Max-pooling with an even kernel: ceil(size / stride) outputs, what lies outside does not count."""
    x = F.pad(x, pool_padding(x, kernel, stride), value=float("-inf"))
    return F.max_pool2d(x, kernel, stride)
''',
    "avg_pool": '''
def avg_pool(x, kernel, stride):
    """Average pooling with an even kernel: ceil(size / stride) outputs, the mean of the places inside."""
    padding = pool_padding(x, kernel, stride)
    inside = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), padding), kernel, stride)
    return F.avg_pool2d(F.pad(x, padding), kernel, stride) / inside
''',
}
_NEEDS = {"max_pool": "pool_padding", "avg_pool": "pool_padding"}
_RESERVED = {
    "self",
    "super",
    "list",
    "max",
    "print",
    "tuple",
    "torch",
    "nn",
    "F",
    "activation",
    "ConvBNAct",
    "BNAct",
    *_HELPERS,
}


def to_torch_source(graph: Graph, *, name: str = "CSPNet") -> str:
    """Python source of `graph` as class `name`: same outputs, and `Network(graph).state_dict()` loads as it is.

    The file depends on torch alone, runs at other input sizes where the graph allows it, and prints its output
    shapes when run. Raises ValueError if `name` is not a class name.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name in _RESERVED:
        raise ValueError(f"'{name}' cannot be the name of the network's class; give a Python name such as CSPNet")
    return _Writer(graph, name).source()


@dataclass(frozen=True)
class _Unit:
    """One call of a forward: a node, or a scope as a whole. `path` is relative to the scope around it."""

    path: Path
    nodes: tuple[Ref, ...]
    scope: _Scope | None = None


@dataclass
class _Scope:
    """A scope that is one class instance. `numbers` are its channel counts, in the order of construction."""

    path: Path
    units: list[_Unit]
    inputs: list[Ref]
    outputs: list[Ref]
    numbers: list[int] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    structure: tuple[object, ...] = ()


@dataclass
class _Class:
    """A class of the file: its name, and for each number either its value or its parameter."""

    name: str
    scopes: list[_Scope]
    columns: list[int | str]

    @cached_property
    def parameters(self) -> list[str]:
        return list(dict.fromkeys(column for column in self.columns if isinstance(column, str)))


class _Writer:
    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name, self.nodes = graph, name, graph.nodes
        acts = Counter(node.op.activation for node in self.nodes if isinstance(node.op, Conv | Norm))
        self.default = next((act for act, _ in acts.most_common() if act), None)
        self.reads = [self._reads(index) for index in range(len(self.nodes))]
        self.live = self._live()
        self.readers: dict[Ref, list[Ref]] = defaultdict(list)
        for index in sorted(self.live):
            for ref in self.reads[index]:
                self.readers[ref].append(index)
        self.weighted = {tuple(n.name.split(".")) for n in self.nodes if isinstance(n.op, Conv | Norm | Linear)}
        self.prefixes = {path[:length] for path in self.weighted for length in range(1, len(path))}

    def source(self) -> str:
        """The whole file."""
        inner = tuple(i for i, node in enumerate(self.nodes) if not isinstance(node.op, Input))
        root = self._scope((), inner)
        scopes = list(_walk(root))
        classes = self._classes(scopes)
        where = {id(scope): cls for cls in classes for scope in cls.scopes}
        bodies = [self._class(cls, where) for cls in classes]
        text = "\n\n".join(bodies)
        helpers = [name for name in _HELPERS if f"{name}(" in text.replace(f"F.{name}", "")]
        helpers += [_NEEDS[name] for name in helpers if name in _NEEDS]
        parts = [self._header()]
        if "ConvBNAct(" in text or "BNAct(" in text:
            parts.append(self._activation())
        default = _quoted(self.default)
        init = ["self", "in_channels", "out_channels", "kernel", "stride=1", "groups=1", f"act={default}", "norm=True"]
        first = indent(_wrap(_call("def __init__", [*init, "bias=None", "padding=None"]) + ":", 4), "    ")
        parts += [_CONV.strip("\n").format(init=first)] if "ConvBNAct(" in text else []
        parts += [_NORM.strip("\n").format(act=default)] if "BNAct(" in text.replace("ConvBNAct(", "") else []
        parts += [body.strip("\n") for name, body in _HELPERS.items() if name in helpers]
        c, h, w = self.nodes[0].shape
        main = f"""if __name__ == "__main__":
    for output in {self.name}().eval()(torch.rand(1, {c}, {h}, {w})):
        print(tuple(output.shape))
"""
        return "\n\n\n".join([*parts, *bodies, main])

    # What the graph says

    def _reads(self, index: Ref) -> tuple[Ref, ...]:
        """Inputs of a node, and of a resize also the map that gives it its size."""
        node = self.nodes[index]
        if not isinstance(node.op, Resize):
            return node.inputs
        like = self._like(index)
        return node.inputs if like is None else (*node.inputs, like)

    def _like(self, index: Ref) -> Ref | None:
        """The map that a resized one is to meet: what it is joined with, else the nearest one of its size."""
        nodes, size = self.nodes, self.nodes[index].shape[1:]
        for reader in nodes[index + 1 :]:
            if index in reader.inputs and isinstance(reader.op, Concat | Add | Mul):
                for ref in reader.inputs:
                    while ref > index and nodes[ref].inputs and nodes[nodes[ref].inputs[0]].shape[1:] == size:
                        ref = nodes[ref].inputs[0]
                    if ref < index and nodes[ref].shape[1:] == size:
                        return ref
        return next((ref for ref in range(index - 1, -1, -1) if nodes[ref].shape[1:] == size), None)

    def _live(self) -> set[Ref]:
        todo, live = list(self.graph.outputs), set[Ref]()
        while todo:
            ref = todo.pop()
            if ref not in live:
                live.add(ref)
                todo.extend(self.reads[ref])
        return live

    # Scopes: what is one call

    def _scope(self, path: Path, indices: tuple[Ref, ...]) -> _Scope:
        inside, live = set(indices), [index for index in indices if index in self.live]
        inputs = list(dict.fromkeys(ref for index in live for ref in self.reads[index] if ref not in inside))
        outputs = [index for index in live if index in self.graph.outputs or set(self.readers[index]) - inside]
        scope = _Scope(path, self._units(path, indices), inputs or [0], outputs)
        if not path:
            scope.inputs, scope.outputs = [0], list(self.graph.outputs)
        self._describe(scope)
        scope.forward = _Forward(self, scope).lines()
        members = [
            (unit.path, unit.scope.structure if unit.scope else self._fixed(unit.nodes[0])) for unit in scope.units
        ]
        scope.structure = (tuple(members), tuple(scope.forward))
        return scope

    def _units(self, path: Path, indices: tuple[Ref, ...]) -> list[_Unit]:
        """Calls in an order in which they can run; scopes of which that is not true are opened."""
        opened: set[Path] = set()
        while True:
            groups: dict[Path, list[Ref]] = defaultdict(list)
            for index in indices:
                full = tuple(self.nodes[index].name.split("."))
                length = len(path) + 1
                while length < len(full) and (
                    full[:length] in opened or full[:length] not in self.prefixes or full[:length] in self.weighted
                ):
                    length += 1
                key = full[:length] if length < len(full) else (*full, "")  # a node is a key of its own
                groups[key].append(index)
            order = self._order(groups)
            if isinstance(order, list):
                break
            opened |= order
        depth = len(path)
        return [
            _Unit(key[depth:-1], (groups[key][0],)) if key[-1] == "" else
            _Unit(key[depth:], tuple(groups[key]), self._scope(key, tuple(groups[key])))
            for key in order
        ]  # fmt: skip

    def _order(self, groups: dict[Path, list[Ref]]) -> list[Path] | set[Path]:
        """Keys of `groups` in running order, or the scopes to open because they are in a circle."""
        home = {index: key for key, group in groups.items() for index in group}
        after: dict[Path, set[Path]] = {key: set() for key in groups}
        for index, key in home.items():
            for ref in self.reads[index]:
                if ref in home and home[ref] != key:
                    after[home[ref]].add(key)
        waits = Counter(key for keys in after.values() for key in keys)
        ready = [(group[0], key) for key, group in groups.items() if not waits[key]]
        heapq.heapify(ready)
        order = []
        while ready:
            _, key = heapq.heappop(ready)
            order.append(key)
            for other in after[key]:
                waits[other] -= 1
                if not waits[other]:
                    heapq.heappush(ready, (groups[other][0], other))
        if len(order) == len(groups):
            return order
        return next({key} for key in groups if key[-1] != "" and key in _reachable(after, key))

    # Constructors

    def _fixed(self, index: Ref) -> tuple[object, ...]:
        """What the constructor of a node says beside channel counts; nothing for an operator without weights."""
        op = self.nodes[index].op
        return tuple(op) if isinstance(op, Conv | Norm) else ("linear",) if isinstance(op, Linear) else ()

    def _num_numbers(self, unit: _Unit) -> int:
        if unit.scope:
            return len(unit.scope.numbers)
        op = self.nodes[unit.nodes[0]].op
        return 1 if isinstance(op, Norm) else 2 if isinstance(op, Conv | Linear) else 0

    def _describe(self, scope: _Scope) -> None:
        for unit in scope.units:
            if unit.scope:
                scope.numbers += unit.scope.numbers
                scope.hints += [self._outer(hint, unit.scope, scope) for hint in unit.scope.hints]
                continue
            node = self.nodes[unit.nodes[0]]
            if isinstance(node.op, Conv | Norm | Linear):
                source, leaf = node.inputs[0], unit.path[-1]
                c, h, w = self.nodes[source].shape
                fan_in = c * h * w if isinstance(node.op, Linear) else c
                scope.numbers.append(fan_in)
                scope.hints.append("in_channels" if source in scope.inputs else f"{_word(leaf)}_in")
                if not isinstance(node.op, Norm):
                    scope.numbers.append(node.shape[0])
                    scope.hints.append("out_channels" if unit.nodes[0] in scope.outputs else f"{_word(leaf)}_channels")

    def _outer(self, hint: str, inner: _Scope, scope: _Scope) -> str:
        """What the scope around calls a number that `inner` calls `hint`."""
        if hint == "in_channels" and set(inner.inputs) <= set(scope.inputs):
            return hint
        if hint == "out_channels" and set(inner.outputs) <= set(scope.outputs):
            return hint
        return f"{_word(inner.path[-1])}_{hint}"

    def _classes(self, scopes: list[_Scope]) -> list[_Class]:
        """One class a structure, or one a distinct scope where a structure has too many parameters."""
        classes: list[_Class] = []
        where: dict[int, int] = {}  # number of a scope's class
        taken = {self.name} | _RESERVED
        for _, level in itertools.groupby(sorted(scopes, key=_height), key=_height):
            groups: dict[tuple[object, ...], list[_Scope]] = defaultdict(list)
            for scope in level:
                inner = tuple(where[id(unit.scope)] for unit in scope.units if unit.scope)
                groups[scope.structure, inner].append(scope)
            for group in groups.values():
                for part in _alike(group):
                    name = self.name if not part[0].path else _unused(self._title(part), taken)
                    taken.add(name)
                    where |= {id(scope): len(classes) for scope in part}
                    classes.append(_Class(name, part, _columns(part)))
        return classes

    def _title(self, group: list[_Scope]) -> str:
        leaf = group[0].path[-1]
        leaf = leaf if len(group) == 1 and len(group[0].path) == 1 else leaf.rstrip("0123456789") or leaf
        kind = ""
        if leaf == "block" and len(group[0].outputs) == 1:
            node = self.nodes[group[0].outputs[0]]
            node = self.nodes[node.inputs[0]] if isinstance(node.op, Act) else node
            kind = "Residual" if isinstance(node.op, Add) else "Dense" if isinstance(node.op, Concat) else ""
        title = "".join(part[:1].upper() + part[1:] for part in _word(leaf).split("_"))
        return f"Scope{title}" if keyword.iskeyword(kind + title) else kind + title

    def _class(self, cls: _Class, where: dict[int, _Class]) -> str:
        scope = cls.scopes[0]
        body = [f'"""{self._says(cls)}"""', ""]
        body += [_wrap(_call("def __init__", ["self", *cls.parameters]) + ":", 4), "    super().__init__()"]
        offset, paths = 0, {unit.path for unit in scope.units}
        built: list[tuple[_Unit, Sequence[int | str]]] = []
        for unit in scope.units:
            size = self._num_numbers(unit)
            built.append((unit, cls.columns[offset : offset + size]))
            offset += size
        # A layer whose name is also a scope comes before what hangs in it.
        built.sort(key=lambda pair: sum(pair[0].path[:length] in paths for length in range(1, len(pair[0].path))))
        made: set[Path] = set()
        lines: list[str] = []
        for unit, numbers in built:
            if not unit.scope and not self._fixed(unit.nodes[0]):
                continue
            for length in range(1, len(unit.path)):
                if unit.path[:length] not in made and (*scope.path, *unit.path[:length]) not in self.weighted:
                    made.add(unit.path[:length])
                    lines.append(_assign(unit.path[:length], "nn.Module()"))
            lines.append(_assign(unit.path, self._construct(unit, numbers, where)))
        body += [indent(line, "    ") for line in lines]
        if scope.outputs:
            body += ["", _wrap(_call("def forward", ["self", *_arguments(scope)]) + ":", 4)]
            body += [indent(line, "    ") for line in scope.forward]
        return f"class {cls.name}(nn.Module):\n" + "\n".join(indent(line, "    ") if line else "" for line in body)

    def _construct(self, unit: _Unit, numbers: Sequence[int | str], where: dict[int, _Class]) -> str:
        if unit.scope:
            cls = where[id(unit.scope)]
            values = {p: numbers[cls.columns.index(p)] for p in cls.parameters}
            few = len(values) <= 2
            return _call(cls.name, [str(value) if few else f"{key}={value}" for key, value in values.items()])
        op, shown = self.nodes[unit.nodes[0]].op, [str(number) for number in numbers]
        if isinstance(op, Linear):
            return _call("nn.Linear", shown)
        assert isinstance(op, Conv | Norm)
        act = [] if op.activation == self.default else [f"act={_quoted(op.activation)}"]
        if isinstance(op, Norm):
            return _call("BNAct", shown + act)
        named = {"stride": (op.stride, 1), "groups": (op.groups, 1)}
        after = {"norm": (op.norm, True), "bias": (op.bias, not op.norm), "padding": (op.padding, op.kernel // 2)}
        shown.append(str(op.kernel))
        shown += [f"{key}={value}" for key, (value, usual) in named.items() if value != usual] + act
        return _call("ConvBNAct", shown + [f"{k}={value}" for k, (value, usual) in after.items() if value != usual])

    # Words

    def _says(self, cls: _Class) -> str:
        names = [".".join(scope.path) for scope in cls.scopes]
        if not names[0]:
            return "The network: image [B, C, H, W] -> list of outputs."
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return _plain(f"{', '.join(names[:2])}{more}.")

    def _header(self) -> str:
        c, h, w = self.nodes[0].shape
        total = cost(self.graph)
        return f'''"""{self.name}: {c} x {h} x {w} input, {total.macs:,} MACs, {total.params:,} parameters.

Generated by csp-explorer. Depends on torch only; run the file to see its output shapes.
"""

import torch
from torch import nn
from torch.nn import functional as F'''

    def _activation(self) -> str:
        names = {node.op.activation for node in self.nodes if isinstance(node.op, Conv | Norm)}
        rows = [f'    if name == "{name}":\n        return {_MODULES[name]}' for name in sorted(filter(None, names))]
        last = ["    return nn.Identity()"]
        return "\n".join(
            ["def activation(name):", '    """Activation module by its name; None is none."""', *rows, *last]
        )


class _Forward:
    """Statements of one forward. A value that is read no more hands its name on to what is made of it."""

    def __init__(self, writer: _Writer, scope: _Scope) -> None:
        self.writer, self.scope, self.nodes = writer, scope, writer.nodes
        self.names = dict(zip(scope.inputs, _arguments(scope)))
        self.units = [unit for unit in scope.units if set(unit.nodes) & writer.live]
        self.inlined: dict[Ref, str] = {}
        last: dict[Ref, int] = {}
        for place, unit in enumerate(self.units):
            last |= dict.fromkeys(self._inputs(unit), place)
        self.last = last | dict.fromkeys(scope.outputs, len(self.units))

    def lines(self) -> list[str]:
        statements: list[tuple[str, str]] = []
        for place, unit in enumerate(self.units):
            expression = self._expression(unit)
            outputs = unit.scope.outputs if unit.scope else [unit.nodes[0]]
            if self._joins_next(place):
                self.inlined[unit.nodes[0]] = expression
                continue
            statements.append((self._bind(place, unit, outputs), expression))
        returned = ", ".join(self.names[ref] for ref in self.scope.outputs)
        lines = [_wrap(f"{target} = {expression}", 8) for target, expression in statements]
        whole = bool(statements) and statements[-1][0] == returned
        if not self.scope.path and whole:
            call = statements[-1][1]
            return [*lines[:-1], _wrap(f"return list({call})" if ", " in returned else f"return [{call}]", 8)]
        if not self.scope.path:
            return [*lines, _wrap(f"return [{returned}]", 8)]
        if whole:
            return [*lines[:-1], _wrap(f"return {statements[-1][1]}", 8)]
        return [*lines, f"return {returned}"]

    def _inputs(self, unit: _Unit) -> list[Ref]:
        return unit.scope.inputs if unit.scope else list(self.writer.reads[unit.nodes[0]])

    def _joins_next(self, place: int) -> bool:
        """An addition that only the activation right after it reads is written inside it."""
        unit = self.units[place]
        if unit.scope or place + 1 == len(self.units) or not isinstance(self.nodes[unit.nodes[0]].op, Add):
            return False
        after, ref = self.units[place + 1], unit.nodes[0]
        alone = self.writer.readers[ref] == [after.nodes[0]] and ref not in self.writer.graph.outputs
        return alone and after.scope is None and isinstance(self.nodes[after.nodes[0]].op, Act)

    def _bind(self, place: int, unit: _Unit, outputs: list[Ref]) -> str:
        sources = self._inputs(unit)
        if sources[0] in self.inlined:
            sources = list(self.writer.reads[sources[0]])
        dying = [ref for ref in dict.fromkeys(sources) if ref in self.names and self.last[ref] <= place]
        free = [self.names.pop(ref) for ref in dying]
        op = None if unit.scope else self.nodes[unit.nodes[0]].op
        several = len(self._inputs(unit)) > 1 and not isinstance(op, Add | Mul | Resize)
        if several:  # a map made of several ones is the main flow, x, or something new
            free = [name for name in free if name == "x"]
        for ref in reversed(outputs):
            self.names[ref] = free.pop(0) if free else self._fresh(unit, ref, len(outputs))
        return ", ".join(self.names[ref] for ref in outputs)

    def _fresh(self, unit: _Unit, ref: Ref, siblings: int) -> str:
        leaf = _word(unit.path[-1])
        if siblings > 1:
            leaf = f"{leaf}_{_word(self.nodes[ref].name.split('.')[-1])}"
        elif unit.scope is None and isinstance(self.nodes[ref].op, Conv) and leaf.startswith("conv"):
            leaf = "y"
        elif unit.scope is None and len(unit.path) > 1 and leaf.startswith("concat"):
            leaf = _word(unit.path[-2])
        return _unused(leaf, set(self.names.values()) | _RESERVED)

    def _expression(self, unit: _Unit) -> str:
        if unit.scope:
            return _call(_member(unit.path), [self.names[ref] for ref in unit.scope.inputs])
        node = self.nodes[unit.nodes[0]]
        x, *others = (self.inlined.get(ref) or self.names[ref] for ref in self.writer.reads[unit.nodes[0]])
        return self._node(unit, node, x, others)

    def _node(self, unit: _Unit, node: Node, x: str, others: list[str]) -> str:
        op, (c, h, w) = node.op, self.nodes[node.inputs[0]].shape
        if isinstance(op, Conv | Norm):
            return f"{_member(unit.path)}({x})"
        if isinstance(op, Linear):
            return f"{_member(unit.path)}({x}.flatten(1))"
        if isinstance(op, Concat):
            return _call("torch.cat", [_call("", [x, *others]), "1"]) if others else x
        if isinstance(op, Add):
            wide, narrow = self.nodes[node.inputs[1]].shape[0], c
            if wide < narrow:
                return f"add_partial({x}, {others[0]})"
            return f"{x} + {others[0]}" if wide == narrow else f"{x} + {others[0]}[:, :{narrow}]"
        if isinstance(op, Resize):
            if others:
                return f"F.interpolate({x}, size={others[0]}.shape[2:])"
            if op.height % h == op.width % w == 0 and op.height // h == op.width // w:
                return f"F.interpolate({x}, scale_factor={op.height // h})"
            return f"F.interpolate({x}, size=({op.height}, {op.width}))"
        if isinstance(op, MaxPool | AvgPool):
            return _pool(op, x)
        if isinstance(op, Act):
            return _FUNCTIONS[op.activation].format(x)
        if isinstance(op, Mul):
            return f"{x} * {others[0]}"
        if isinstance(op, Slice):
            start, stop = op.start or "", "" if op.stop == c else op.stop
            return f"{x}[:, {start}:{stop}]"
        if isinstance(op, Stride):
            return f"{x}[:, :, ::{op.step}, ::{op.step}]"
        if isinstance(op, Maxout):
            return f"maxout({x}, {op.groups})"
        assert isinstance(op, GlobalPool), op
        return f"{x}.mean((2, 3), keepdim=True)"


def _pool(op: MaxPool | AvgPool, x: str) -> str:
    """Torch's own pool where it has the geometry of `ops.MaxPool`, else the helper that pads."""
    kind, more = ("max", "") if isinstance(op, MaxPool) else ("avg", ", count_include_pad=False")
    if op.kernel % 2:
        return f"F.{kind}_pool2d({x}, {op.kernel}, {op.stride}, {op.kernel // 2}{more})"
    if (op.kernel, op.stride) == (2, 2):
        return f"F.{kind}_pool2d({x}, 2, 2, ceil_mode=True{more})"
    return f"{kind}_pool({x}, {op.kernel}, {op.stride})"


def _walk(scope: _Scope) -> Iterator[_Scope]:
    """All scopes, inner ones first."""
    for unit in scope.units:
        if unit.scope:
            yield from _walk(unit.scope)
    yield scope


def _reachable(after: dict[Path, set[Path]], start: Path) -> set[Path]:
    todo, seen = list(after[start]), set[Path]()
    while todo:
        key = todo.pop()
        if key not in seen:
            seen.add(key)
            todo.extend(after[key])
    return seen


def _height(scope: _Scope) -> int:
    """How many scopes are nested in it."""
    return max((1 + _height(unit.scope) for unit in scope.units if unit.scope), default=0)


def _alike(group: list[_Scope]) -> list[list[_Scope]]:
    """`group` whole where few parameters tell its scopes apart, else one list for each set of numbers."""
    if sum(isinstance(column, str) for column in dict.fromkeys(_columns(group))) <= MOST_PARAMETERS:
        return [group]
    parts: dict[tuple[int, ...], list[_Scope]] = defaultdict(list)
    for scope in group:
        parts[tuple(scope.numbers)].append(scope)
    return list(parts.values())


def _columns(group: list[_Scope]) -> list[int | str]:
    """For each number of a structure its value, or a parameter where the scopes of `group` differ."""
    table = list(zip(*(scope.numbers for scope in group)))
    hints: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for column, hint in zip(table, group[0].hints):
        if len(set(column)) > 1:
            hints[column].append(hint)
    names: dict[tuple[int, ...], str] = {}
    for column, found in hints.items():
        ends = {"in_channels", "out_channels"} & set(found)
        name = "channels" if len(ends) == 2 else ends.pop() if ends else found[0]
        names[column] = _unused(name, set(names.values()))
    return [names.get(column, column[0]) for column in table]


def _arguments(scope: _Scope) -> list[str]:
    return ["x"] if len(scope.inputs) == 1 else [f"x{number}" for number in range(1, len(scope.inputs) + 1)]


def _member(path: Path) -> str:
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in path):
        return ".".join(["self", *path])
    return f"self.get_submodule({_quoted('.'.join(path))})"


def _assign(path: Path, value: str) -> str:
    target = _member(path)
    if "(" not in target:
        return _wrap(f"{target} = {value}", 8)
    parent = _member(path[:-1]) if path[:-1] else "self"
    return _wrap(f"{parent}.add_module({_quoted(path[-1])}, {value})", 8)


def _call(function: str, arguments: Sequence[str], brackets: str = "()") -> str:
    return f"{function}{brackets[0]}{', '.join(arguments)}{brackets[1]}"


def _wrap(line: str, margin: int) -> str:
    """`line` broken at its outermost brackets, as ruff would, where it is too long at an indent of `margin`."""
    start = min((line.index(bracket) for bracket in "([" if bracket in line), default=-1)
    if margin + len(line) <= WIDTH or start < 0:
        return line
    depth, cuts = 0, [start + 1]
    for stop in range(start, len(line)):
        depth += (line[stop] in "([") - (line[stop] in ")]")
        if depth == 1 and line[stop] == ",":
            cuts.append(stop + 1)
        if depth == 0:
            break
    head, inner, tail = line[: start + 1], line[start + 1 : stop], line[stop:]
    if margin + 4 + len(inner) <= WIDTH:
        return f"{head}\n    {inner}\n{tail}"
    parts = [line[a:b].strip().removesuffix(",") for a, b in itertools.pairwise([*cuts, stop])]
    return "\n".join([head, *(indent(_wrap(part, margin + 5) + ",", "    ") for part in parts if part), tail])


def _word(text: str) -> str:
    """`text` as a Python name."""
    word = re.sub(r"\W", "_", text)
    word = word if word.isidentifier() else f"n{word}"
    return f"{word}_" if keyword.iskeyword(word) else word


def _unused(name: str, taken: Collection[str]) -> str:
    return next(
        text
        for text in itertools.chain([name], (f"{name}{number}" for number in itertools.count(2)))
        if text not in taken
    )


def _plain(text: str) -> str:
    """`text` for a docstring of one line."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())[:100]


def _quoted(text: str | None) -> str:
    """A Python literal with double quotes."""
    return "None" if text is None else json.dumps(text, ensure_ascii=False)
