"""Graph -> ncnn's network file (text, `.param`) and weight file (binary, `.bin`), written directly: no torch, no pnnx.

The network takes `image` (C, H, W; ncnn has no batch) and gives `output0`, `output1`, … as `Graph.outputs` orders them.
Normalisations are folded, and the activations that ncnn fuses stand in their convolution. Source: ncnn's documents
"param and model file structure" and "operators".
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from space.graph import Graph, Node
from space.onnx import EPS, Weights, folded, normalisation, random_weights
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
    window,
)

MAGIC = 7767517
"""First line of a network file."""
REST = -233
"""Of a Crop: as much as is there."""
FUSED: dict[str, tuple[int, tuple[float, ...]]] = {
    "relu": (1, ()),
    **{name: (2, (slope,)) for name, slope in LEAKY_SLOPES.items()},
    "relu6": (3, (0.0, 6.0)),
    "logistic": (4, ()),
    "mish": (5, ()),
    "hard_swish": (6, (1 / 6, 0.5)),
}
"""Activations inside a convolution: ncnn's number and their parameters."""
LAYERS: dict[str, tuple[str, tuple[float, ...]]] = {
    "relu": ("ReLU", ()),
    **{name: ("ReLU", (slope,)) for name, slope in LEAKY_SLOPES.items()},
    "relu6": ("Clip", (0.0, 6.0)),
    "logistic": ("Sigmoid", ()),
    "mish": ("Mish", ()),
    "hard_swish": ("HardSwish", (1 / 6, 0.5)),
    "silu": ("Swish", ()),
}
"""Activations as layers of their own."""


def to_ncnn(graph: Graph, weights: Weights | None = None, *, seed: int = 0) -> tuple[str, bytes]:
    """The graph as the text of a `.param` file and the content of its `.bin` file, weights in fp32.

    `weights` maps the names of `Network.state_dict()` to arrays (folded or not); without it they are random from
    `seed`. Raises KeyError on a missing weight.
    """
    out = _Emitter(graph, random_weights(graph, seed) if weights is None else weights)
    for index, node in enumerate(graph.nodes):
        out.emit(_name(index), node)
    return out.text(), b"".join(out.weights)


def _name(ref: int) -> str:
    """A value of the graph as ncnn calls it."""
    return f"v{ref}" if ref else "image"


def _value(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return ",".join([str(len(value)), *map(_value, value)])
    return str(value) if isinstance(value, int) else f"{value:.8e}"


class _Emitter:
    """Collects layers and weights."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.graph, self.given = graph, weights
        self.layers: list[tuple[str, list[str], list[str], str]] = []
        """Kind, inputs, outputs, parameters."""
        self.weights: list[bytes] = []

    def layer(self, kind: str, inputs: list[str], *outputs: str,
              params: dict[int, float | tuple[float, ...]] | None = None) -> None:  # fmt: skip
        pairs = [f"{-23300 - key if isinstance(value, tuple) else key}={_value(value)}"
                 for key, value in (params or {}).items()]  # fmt: skip
        self.layers.append((kind, inputs, list(outputs), " ".join(pairs)))

    def store(self, *arrays: np.ndarray[Any, Any] | None, flag: bool = False) -> None:
        """Append arrays to the weight file; `flag` says before the first that it is plain fp32."""
        self.weights += [bytes(4)] * flag
        self.weights += [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays if array is not None]

    def text(self) -> str:
        """The network file. A value of several readers goes through a Split, as ncnn wants each to have one."""
        outputs = [_name(ref) for ref in self.graph.outputs]
        readers = Counter([name for _, inputs, _, _ in self.layers for name in inputs] + outputs)
        names = {name: [f"{name}_{k}" for k in range(count)] if count > 1 else [name]
                 for name, count in readers.items()}  # fmt: skip
        for number, name in enumerate(outputs):
            names[name][outputs[:number].count(name)] = f"output{number}"
        lines, blobs = [], 0
        for kind, inputs, made, params in self.layers:
            read = [names[name].pop() for name in inputs]  # the outputs' names stand in front
            written = [names[name][0] if readers[name] == 1 else name for name in made]
            lines.append(_line(kind, made[0], read, written, params))
            several = [name for name in made if readers[name] > 1]
            lines += [_line("Split", f"{name}_split", [name], names[name]) for name in several]
            blobs += len(made) + sum(readers[name] for name in several)
        return "\n".join([str(MAGIC), f"{len(lines)} {blobs}", *lines, ""])

    def emit(self, v: str, node: Node) -> None:
        op = node.op
        xs = [_name(ref) for ref in node.inputs]
        if isinstance(op, Input):
            channels, height, width = node.shape
            self.layer("Input", [], v, params={0: width, 1: height, 2: channels})
        elif isinstance(op, Conv):
            self.conv(op, node, xs, v)
        elif isinstance(op, Norm):
            self.norm(node, xs, v, op.activation)
        elif isinstance(op, Linear):
            kernel, bias = (np.asarray(self.given[f"{node.name}.{key}"], np.float32) for key in ("weight", "bias"))
            self.layer("InnerProduct", xs, v, params={0: node.shape[0], 1: 1, 2: kernel.size})
            self.store(kernel, bias, flag=True)
        elif isinstance(op, MaxPool | AvgPool):
            self.pool(op, node, xs, v)
        elif isinstance(op, Stride):  # a pool of one place; ncnn's Crop with steps has ended the process
            self.layer("Pooling", xs, v, params={0: 0, 1: 1, 2: op.step, 5: 1})
        elif isinstance(op, GlobalPool):
            self.layer("Pooling", xs, f"{v}_mean", params={0: 1, 4: 1})  # of one axis; the others come back:
            self.layer("Reshape", [f"{v}_mean"], v, params={0: 1, 1: 1, 2: node.shape[0]})
        elif isinstance(op, Act):
            self.activate(op.activation, xs[0], v)
        elif isinstance(op, Add):
            self.add(xs[0], xs[1], *(self.graph.nodes[ref].shape[0] for ref in node.inputs), v=v)
        elif isinstance(op, Mul):
            self.layer("BinaryOp", xs, v, params={0: 2})
        elif isinstance(op, Concat):
            self.layer("Concat", xs, v, params={0: 0})
        elif isinstance(op, Slice):
            self.crop(xs[0], op.start, op.stop, v)
        elif isinstance(op, Maxout):
            pieces = [f"{v}_group{k}" for k in range(op.groups)]
            self.layer("Slice", xs, *pieces, params={0: (node.shape[0],) * op.groups, 1: 0})
            self.layer("Eltwise", pieces, v, params={0: 2})
        else:
            assert isinstance(op, Resize), op
            self.layer("Interp", xs, v, params={0: 1, 3: op.height, 4: op.width})

    def conv(self, op: Conv, node: Node, xs: list[str], v: str) -> None:
        kernel, bias = folded(self.given, node.name)
        params: dict[int, float | tuple[float, ...]] = {
            0: node.shape[0], 1: op.kernel, 3: op.stride, 4: op.padding, 5: int(bias is not None), 6: kernel.size
        }  # fmt: skip
        if op.groups > 1:
            params[7] = op.groups
        if fused := FUSED.get(op.activation or ""):
            params[9] = fused[0]
            params |= {10: fused[1]} if fused[1] else {}
        apart = op.activation if op.activation and not fused else None
        self.layer("ConvolutionDepthWise" if op.groups > 1 else "Convolution", xs, f"{v}_conv" if apart else v,
                   params=params)  # fmt: skip
        self.store(kernel, bias, flag=True)
        if apart:
            self.activate(apart, f"{v}_conv", v)

    def norm(self, node: Node, xs: list[str], v: str, activation: str | None) -> None:
        bn = normalisation(self.given, node.name)
        self.layer("BatchNorm", xs, f"{v}_norm" if activation else v, params={0: node.shape[0], 1: EPS})
        self.store(*(bn[key] for key in ("weight", "running_mean", "running_var", "bias")))
        if activation:
            self.activate(activation, f"{v}_norm", v)

    def pool(self, op: MaxPool | AvgPool, node: Node, xs: list[str], v: str) -> None:
        _, height, width = self.graph.nodes[node.inputs[0]].shape
        (_, top, bottom), (_, left, right) = (window(size, op.kernel, op.stride) for size in (height, width))
        self.layer("Pooling", xs, v, params={0: int(isinstance(op, AvgPool)), 1: op.kernel, 2: op.stride, 3: left,
                                             13: top, 14: right, 15: bottom, 5: 1})  # fmt: skip

    def crop(self, x: str, start: int, stop: int, v: str) -> str:
        self.layer("Crop", [x], v, params={2: start, 3: REST, 4: REST, 5: stop - start})
        return v

    def add(self, a: str, b: str, channels: int, other: int, *, v: str) -> None:
        """Sum; with different channels that of the first ones, the rest of `a` as it is."""
        if other > channels:
            b = self.crop(b, 0, channels, f"{v}_part")
        if other >= channels:
            self.layer("BinaryOp", [a, b], v, params={0: 0})
            return
        self.layer("BinaryOp", [self.crop(a, 0, other, f"{v}_head"), b], f"{v}_sum", params={0: 0})
        self.layer("Concat", [f"{v}_sum", self.crop(a, other, channels, f"{v}_tail")], v, params={0: 0})

    def activate(self, activation: str, x: str, v: str) -> None:
        kind, params = LAYERS[activation]
        self.layer(kind, [x], v, params=dict(enumerate(params)))


def _line(kind: str, name: str, inputs: list[str], outputs: list[str], params: str = "") -> str:
    blobs = " ".join([str(len(inputs)), str(len(outputs)), *inputs, *outputs])
    return f"{kind} {name} {blobs} {params}".rstrip()
