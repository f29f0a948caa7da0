"""The graph that every reader reads (cost, module, ONNX, drawing), and its builder with scoped names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from space.architecture import ArchitectureError
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
    Shape,
    Slice,
    Stride,
)

Ref = int
"""A value of the graph: the index of the node that makes it."""


class Node(NamedTuple):
    """One operator: its dotted scope name, its inputs (node indices) and the shape of its one output."""

    name: str
    op: Op
    inputs: tuple[Ref, ...]
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in an order in which they can run; node 0 is the input."""

    nodes: tuple[Node, ...]
    outputs: tuple[Ref, ...]

    @property
    def output_shapes(self) -> list[Shape]:
        """Shape of each output: for a detector one map a level, finest first; for a classifier the logits."""
        return [self.nodes[ref].shape for ref in self.outputs]

    def last_use(self) -> list[int]:
        """For each node the index of the last node that reads it; outputs live to the end."""
        last = list(range(len(self.nodes)))
        for index, node in enumerate(self.nodes):
            for ref in node.inputs:
                last[ref] = index
        for ref in self.outputs:
            last[ref] = len(self.nodes)
        return last

    def in_place(self, last_use: Sequence[int] | None = None) -> list[bool]:
        """For each node whether it may overwrite its input: an activation alone that reads a whole map last."""
        last = self.last_use() if last_use is None else last_use
        nodes = self.nodes
        return [
            isinstance(node.op, Act)
            and last[node.inputs[0]] == index
            and not isinstance(nodes[node.inputs[0]].op, Input | Slice | Stride)
            for index, node in enumerate(nodes)
        ]


class Builder:
    """Builds a graph node by node. Every method returns the `Ref` of what it adds.

    `activation` is the default of `conv`. Names are scopes joined by dots; a repeated name gets a number.
    """

    def __init__(self, shape: Shape, *, activation: str) -> None:
        self.activation = activation
        self._nodes: list[Node] = [Node("input", Input(), (), shape)]
        self._scope: list[str] = []
        self._names: set[str] = set()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of all nodes added inside."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def shape(self, ref: Ref) -> Shape:
        """Channels, height, width of a value."""
        return self._nodes[ref].shape

    def channels(self, ref: Ref) -> int:
        """Channels of a value."""
        return self._nodes[ref].shape[0]

    def _add(self, name: str, op: Op, inputs: tuple[Ref, ...], shape: Shape) -> Ref:
        full = ".".join([*self._scope, name])
        unique, number = full, 2
        while unique in self._names:
            unique, number = f"{full}{number}", number + 1
        self._names.add(unique)
        self._nodes.append(Node(unique, op, inputs, shape))
        return len(self._nodes) - 1

    def conv(self, x: Ref, channels: int, kernel: int = 3, *, name: str, stride: int = 1, groups: int = 1,
             norm: bool = True, linear: bool = False, activation: str | None = None, bias: bool | None = None,
             padding: int | None = None) -> Ref:  # fmt: skip
        """Convolution, normalisation and activation; `linear` leaves the activation out.

        `bias` is there without `norm` unless said otherwise; `padding` is kernel // 2.
        """
        c, h, w = self.shape(x)
        if channels < 1 or c % groups or channels % groups:
            raise ArchitectureError(f"{name}: {groups} groups do not divide {c} -> {channels} channels")
        pad = kernel // 2 if padding is None else padding
        height, width = (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1
        if height < 1 or width < 1:
            raise ArchitectureError(f"{name}: a {kernel}x{kernel} kernel does not fit a map of {h}x{w}")
        act = None if linear else activation or self.activation
        op = Conv(kernel, stride, groups, norm, act, not norm if bias is None else bias, pad)
        return self._add(name, op, (x,), (channels, height, width))

    def norm(self, x: Ref, *, name: str = "norm", linear: bool = False) -> Ref:
        """Batch normalisation and activation."""
        return self._add(name, Norm(None if linear else self.activation), (x,), self.shape(x))

    def linear(self, x: Ref, features: int, *, name: str) -> Ref:
        """Fully connected layer with bias."""
        return self._add(name, Linear(), (x,), (features, 1, 1))

    def max_pool(self, x: Ref, kernel: int = 2, *, stride: int = 2, name: str = "pool") -> Ref:
        """Max-pooling; see `ops.MaxPool` for its borders."""
        c, h, w = self.shape(x)
        return self._add(name, MaxPool(kernel, stride), (x,), (c, -(-h // stride), -(-w // stride)))

    def avg_pool(self, x: Ref, kernel: int = 2, *, stride: int = 2, name: str = "pool") -> Ref:
        """Average pooling in the same geometry."""
        c, h, w = self.shape(x)
        return self._add(name, AvgPool(kernel, stride), (x,), (c, -(-h // stride), -(-w // stride)))

    def global_pool(self, x: Ref, *, name: str = "pool") -> Ref:
        """Mean over height and width."""
        return self._add(name, GlobalPool(), (x,), (self.channels(x), 1, 1))

    def act(self, x: Ref, *, name: str = "act", activation: str | None = None) -> Ref:
        """An activation alone; the default one unless named."""
        return self._add(name, Act(activation or self.activation), (x,), self.shape(x))

    def add(self, a: Ref, b: Ref, *, name: str = "add") -> Ref:
        """`b` added onto `a`: a shortcut.

        A larger `b` is read at a stride; where the channels differ, the first min(a, b) are summed
        (`ops.Add`). Raises ArchitectureError where no stride leads from one size to the other.
        """
        (_, height, width), (_, h, w) = self.shape(a), self.shape(b)
        if (h, w) != (height, width):
            step = max(1, -(-h // height), -(-w // width))
            if (-(-h // step), -(-w // step)) != (height, width):
                raise ArchitectureError(f"{name}: no stride leads from a map of {h}x{w} to one of {height}x{width}")
            b = self.stride(b, step, name=f"{name}_stride")
        return self._add(name, Add(), (a, b), self.shape(a))

    def mul(self, x: Ref, gate: Ref, *, name: str = "mul") -> Ref:
        """Product of `x` with a gate of its shape or of shape (C, 1, 1)."""
        if self.shape(gate) not in (self.shape(x), (self.channels(x), 1, 1)):
            raise ArchitectureError(f"{name}: a gate of {self.shape(gate)} does not fit a map of {self.shape(x)}")
        return self._add(name, Mul(), (x, gate), self.shape(x))

    def concat(self, refs: Sequence[Ref], *, name: str = "concat") -> Ref:
        """Channels of all inputs in order; of one input, that input."""
        if len(refs) == 1:
            return refs[0]
        _, h, w = self.shape(refs[0])
        assert all(self.shape(ref)[1:] == (h, w) for ref in refs), name
        return self._add(name, Concat(), tuple(refs), (sum(map(self.channels, refs)), h, w))

    def slice(self, x: Ref, start: int, stop: int, *, name: str) -> Ref:
        """Channels `start` to `stop`; all of them is `x` itself."""
        c, h, w = self.shape(x)
        assert 0 <= start < stop <= c, name
        if stop - start == c:
            return x
        return self._add(name, Slice(start, stop), (x,), (stop - start, h, w))

    def maxout(self, x: Ref, groups: int, *, name: str = "maxout") -> Ref:
        """Maximum over channel groups; one group is `x` itself."""
        if groups == 1:
            return x
        c, h, w = self.shape(x)
        if c % groups:
            raise ArchitectureError(f"{name}: maxout {groups}:1 does not divide {c} channels")
        return self._add(name, Maxout(groups), (x,), (c // groups, h, w))

    def stride(self, x: Ref, step: int, *, name: str = "stride") -> Ref:
        """Every `step`-th row and column."""
        c, h, w = self.shape(x)
        return self._add(name, Stride(step), (x,), (c, -(-h // step), -(-w // step)))

    def resize(self, x: Ref, height: int, width: int, *, name: str = "resize") -> Ref:
        """Nearest-neighbour resize."""
        return self._add(name, Resize(height, width), (x,), (self.channels(x), height, width))

    def resize_like(self, x: Ref, like: Ref, *, name: str) -> Ref:
        """`x` at the height and width of `like`: nearest neighbour up, max-pooling 2x2 down."""
        _, h, w = self.shape(x)
        _, height, width = self.shape(like)
        if (h, w) == (height, width):
            return x
        if h < height or w < width:
            return self.resize(x, height, width, name=name)
        while self.shape(x)[1:] != (height, width):
            x = self.max_pool(x, name=f"{name}_pool")
            assert self.shape(x)[1] >= height, f"{name}: no power of two leads to {height}x{width}"
        return x

    def graph(self, outputs: Sequence[Ref]) -> Graph:
        """The finished graph."""
        return Graph(nodes=tuple(self._nodes), outputs=tuple(outputs))
