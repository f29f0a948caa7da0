"""Kernels: what a runtime runs as one unit, told by its shapes, and the plain features that its time is fitted to.

Every feature grows with the kernel's work, so that coefficients of zero or more give a latency that is positive and
never falls when the maps get larger. Beside MACs and elements there are MACs with channels rounded up to 16, 32 and
64 (runtimes work on blocks of channels; ONNX Runtime's NCHWc convolutions on up to four blocks of 16 at a time), the
extra work of an activation, and what flows between two kinds of operators: a runtime may change the layout there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from space.graph import Graph, Node
from space.ops import Act, Conv, GlobalPool, Input, Linear, Norm, Op, Resize, Shape

COPIES = 4
"""Times that an isolated kernel stands in its graph, so that the cost of a call weighs less."""
SOURCE_CHANNELS = 16
IMAGE_CHANNELS = 4
"""A convolution of so few channels reads the image: runtimes have kernels of their own for it."""
BLOCKS = (16, 32, 64)

Kind = str
"""Such as `conv 3x3 s1 g1`, `concat`, `act silu`."""
OPS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Op)}


@dataclass(frozen=True)
class Kernel:
    """One operator with all that its time depends on."""

    op: Op
    inputs: tuple[Shape, ...]
    output: Shape

    def to_dict(self) -> dict[str, Any]:
        """The kernel as plain data."""
        return {"op": type(self.op).__name__, "arguments": list(self.op), "inputs": [list(s) for s in self.inputs],
                "output": list(self.output)}  # fmt: skip

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Kernel:
        """The kernel that `to_dict` gave. Raises ValueError for anything else."""
        try:
            op = OPS[data["op"]](*data["arguments"])
            return Kernel(op, tuple(_shape(s) for s in data["inputs"]), _shape(data["output"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{data!r:.200} is not a kernel: {error}") from error

    def graph(self, copies: int = COPIES) -> Graph:
        """`copies` of the kernel, each fed by 1x1 convolutions of its own, which keep a runtime from merging them."""
        nodes = [Node("input", Input(), (), self._source())]
        outputs = []
        for copy in range(1, copies + 1):
            made = [self._feed(nodes, f"copy{copy}.feed{number}", shape) for number, shape in enumerate(self.inputs)]
            nodes.append(Node(f"copy{copy}.kernel", self.op, tuple(made), self.output))
            outputs.append(len(nodes) - 1)
        return Graph(nodes=tuple(nodes), outputs=tuple(outputs))

    def _source(self) -> Shape:
        channels, height, width = self.inputs[0]
        return (channels if self._reads_image() else SOURCE_CHANNELS, height, width)

    def _reads_image(self) -> bool:
        return isinstance(self.op, Conv) and self.inputs[0][0] <= IMAGE_CHANNELS

    def _feed(self, nodes: list[Node], name: str, shape: Shape) -> int:
        """Index of a map of `shape` that nothing else reads."""
        if self._reads_image():
            return 0
        conv = Conv(kernel=1, stride=1, groups=1, norm=True, activation=None, bias=False, padding=0)
        channels, height, width = shape
        nodes.append(Node(name, conv, (0,), (channels, *nodes[0].shape[1:])))
        if (height, width) != nodes[0].shape[1:]:
            change: Op = GlobalPool() if (height, width) == (1, 1) else Resize(height, width)
            nodes.append(Node(f"{name}_size", change, (len(nodes) - 1,), shape))
        return len(nodes) - 1


def _shape(values: Any) -> Shape:
    channels, height, width = values
    if not all(isinstance(value, int) and 1 <= value <= 2**20 for value in (channels, height, width)):
        raise ValueError(f"{values!r} is not channels, height, width")
    return channels, height, width


def is_isolated(graph: Graph) -> bool:
    """Whether `graph` is a kernel's and not a whole network."""
    return len(graph.nodes) > 1 and graph.nodes[1].name.startswith("copy1.")


def kernels(graph: Graph) -> list[Kernel]:
    """Every operator of `graph` but the input, in order."""
    nodes = graph.nodes
    return [Kernel(node.op, tuple(nodes[ref].shape for ref in node.inputs), node.shape)
            for node in nodes[1:]]  # fmt: skip


def kind_of(kernel: Kernel) -> Kind:
    """Kernels of one kind share coefficients."""
    op = kernel.op
    if isinstance(op, Conv):
        channels = kernel.inputs[0][0]
        groups = "depthwise" if op.groups == channels > 1 else f"g{op.groups}"
        return f"conv {op.kernel}x{op.kernel} s{op.stride} {'image' if channels <= IMAGE_CHANNELS else groups}"
    name = type(op).__name__.lower()
    return f"{name} {op.activation}" if isinstance(op, Act) else name


def work(kernel: Kernel) -> dict[str, float]:
    """Features of one kernel by name: MACs in millions, elements of maps and weights in millions of fp32 bytes."""
    op, (channels, height, width) = kernel.op, kernel.output
    found = {"n": 1.0, "in": sum(map(math.prod, kernel.inputs)) * 4e-6, "out": math.prod(kernel.output) * 4e-6}
    if isinstance(op, Linear):
        weights = channels * math.prod(kernel.inputs[0])
        return {**found, "macs": weights * 1e-6, "weights": weights * 4e-6}
    if isinstance(op, Conv):
        inner, outer = kernel.inputs[0][0] // op.groups, channels // op.groups
        taps = op.kernel**2 * op.groups
        found["weights"] = taps * inner * outer * 4e-6
        found["macs"] = taps * inner * outer * height * width * 1e-6
        for block in BLOCKS:
            padded = _up(inner, BLOCKS[0]) * _up(outer, block)
            found[f"macs{block}"] = taps * padded * height * width * 1e-6
    return found


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


Feature = tuple[Kind, str, float]
"""Kind that it belongs to, name, amount."""


def features(graph: Graph) -> Iterator[tuple[Kernel | None, list[Feature]]]:
    """Each kernel of `graph` with its features; last, without a kernel, those of a call of the whole graph."""
    nodes = graph.nodes
    for node, kernel in zip(nodes[1:], kernels(graph), strict=True):
        kind = kind_of(kernel)
        found: list[Feature] = [(kind, name, amount) for name, amount in work(kernel).items()]
        if isinstance(node.op, Conv | Norm) and node.op.activation:
            fused = f"fused {node.op.activation}"
            found += [(fused, "out", math.prod(node.shape) * 4e-6), (fused, "n", 1.0)]
        to = _side(node.op)
        for ref in node.inputs:
            found.append((f"from {_side(nodes[ref].op)} to {to}", "bytes", math.prod(nodes[ref].shape) * 4e-6))
        yield kernel, found
    out = sum(math.prod(shape) for shape in graph.output_shapes) * 4e-6
    yield None, [("call", "n", 1.0), ("call", "in", math.prod(nodes[0].shape) * 4e-6), ("call", "out", out),
                 ("call", "outputs", float(len(graph.outputs)))]  # fmt: skip


def _side(op: Op) -> str:
    """The side of an edge: grouped convolutions often run in another layout than dense ones."""
    if isinstance(op, Conv):
        return "conv" if op.groups == 1 else "grouped conv"
    return type(op).__name__.lower()
