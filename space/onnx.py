"""Graph -> ONNX ModelProto, emitted directly: no torch, no tracing.

Opset 17 (ONNX 1.12, 2022): what the runtimes on edge devices of the last years read. A model takes `image`
[batch, C, H, W] float32 and gives `output0`, `output1`, … as `Graph.outputs` orders them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from space.architecture import ArchitectureError
from space.cost import cost
from space.graph import Graph, Node
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

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
MOST_BYTES = 2**31 - 2**20
"""Weights that fit into one protobuf message, with room for the graph."""
EPS = 1e-5
"""torch.nn.BatchNorm2d's default."""

Weights = Mapping[str, np.ndarray[Any, Any]]


def random_weights(graph: Graph, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Kaiming-normal kernels, zero biases and identity normalisations by the names of `Network.state_dict()`.

    Enough to time a network: latency does not depend on the values, as long as none is denormal.
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray[Any, Any]] = {}
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Conv | Norm) and getattr(op, "norm", True):
            for key, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
                weights[f"{node.name}.bn.{key}"] = np.full(node.shape[0], value, np.float32)
        if isinstance(op, Conv):
            c = graph.nodes[node.inputs[0]].shape[0] // op.groups
            shape: tuple[int, ...] = (node.shape[0], c, op.kernel, op.kernel)
            name, bias = f"{node.name}.conv", op.bias
        elif isinstance(op, Linear):
            shape, name, bias = (node.shape[0], math.prod(graph.nodes[node.inputs[0]].shape)), node.name, True
        else:
            continue
        std = (2.0 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.weight"] = rng.standard_normal(shape, dtype=np.float32) * np.float32(std)
        if bias:
            weights[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return weights


def normalisation(weights: Weights, name: str) -> dict[str, np.ndarray[Any, Any]]:
    keys = ("weight", "bias", "running_mean", "running_var")
    return {key: np.asarray(weights[f"{name}.bn.{key}"], np.float32) for key in keys}


def folded(weights: Weights, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Kernel and bias of a convolution unit, from folded or unfolded weights in torch's names."""
    kernel = np.asarray(weights[f"{name}.conv.weight"], np.float32)
    if f"{name}.bn.weight" not in weights:
        bias = weights.get(f"{name}.conv.bias")
        return kernel, None if bias is None else np.asarray(bias, np.float32)
    bn = normalisation(weights, name)
    scale = bn["weight"] / np.sqrt(bn["running_var"] + np.float32(EPS))
    return kernel * scale[:, None, None, None], bn["bias"] - bn["running_mean"] * scale


def to_onnx(graph: Graph, weights: Weights | None = None, *, name: str = "csp", batch: int | str = 1,
            seed: int = 0, fold: bool = True) -> onnx.ModelProto:  # fmt: skip
    """The graph as an ONNX model.

    `weights` maps the names of `Network.state_dict()` to arrays (folded or not); without it they are random
    from `seed`. `batch` is a number, or a name for a dynamic axis. `fold` merges each normalisation into its
    convolution; without it they stay nodes of their own. Raises KeyError on a missing weight, ArchitectureError if
    the weights are more than a file can hold, before anything is allocated.
    """
    weight_bytes = cost(graph).weight_bytes
    if weight_bytes > MOST_BYTES:
        raise ArchitectureError(f"the weights need {weight_bytes / 2**30:.1f} GiB; an ONNX file holds less than 2 GiB")
    from onnx import TensorProto, helper, numpy_helper

    if weights is None:
        weights = random_weights(graph, seed)
    out = _Emitter(helper, numpy_helper, fold)
    for index, node in enumerate(graph.nodes):
        out.emit(index, node, graph, weights)
    outputs = []
    for number, ref in enumerate(graph.outputs):
        node = graph.nodes[ref]
        dims = [batch, node.shape[0]] if isinstance(node.op, Linear) else [batch, *node.shape]
        out.node("Identity", [f"v{ref}"], f"output{number}")
        outputs.append(helper.make_tensor_value_info(f"output{number}", TensorProto.FLOAT, dims))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *graph.nodes[0].shape])
    model: onnx.ModelProto = helper.make_model(
        helper.make_graph(out.nodes, name, [image], outputs, out.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="csp-explorer",
        ir_version=IR_VERSION,
    )
    return model


class _Emitter:
    """Collects ONNX nodes and initializers; value `i` of the graph is called `v<i>`."""

    def __init__(self, helper: Any, numpy_helper: Any, fold: bool) -> None:
        self.fold = fold
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._helper, self._numpy = helper, numpy_helper

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self._helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes))
        return output

    def constant(self, name: str, array: Any) -> str:
        self.initializers.append(self._numpy.from_array(np.ascontiguousarray(array), name))
        return name

    def emit(self, index: int, node: Node, graph: Graph, weights: Weights) -> None:
        op, v = node.op, f"v{index}"
        xs = [f"v{ref}" for ref in node.inputs]
        if isinstance(op, Input):
            self.node("Identity", ["image"], v)
        elif isinstance(op, Conv):
            self.conv(op, node.name, xs, v, weights)
        elif isinstance(op, Norm):
            self.norm(node.name, xs[0], v, op.activation, weights)
        elif isinstance(op, Linear):
            inputs = [self.constant(f"{node.name}.{key}", np.asarray(weights[f"{node.name}.{key}"], np.float32))
                      for key in ("weight", "bias")]  # fmt: skip
            self.node("Gemm", [self.node("Flatten", xs, f"{v}_flat"), *inputs], v, transB=1)
        elif isinstance(op, MaxPool | AvgPool):
            _, height, width = graph.nodes[node.inputs[0]].shape
            (_, top, bottom), (_, left, right) = (window(size, op.kernel, op.stride) for size in (height, width))
            self.node("MaxPool" if isinstance(op, MaxPool) else "AveragePool", xs, v, kernel_shape=[op.kernel] * 2,
                      strides=[op.stride] * 2, pads=[top, left, bottom, right])  # fmt: skip
        elif isinstance(op, Stride):  # a pool of one place: every runtime has it, not all have strided slices
            self.node("MaxPool", xs, v, kernel_shape=[1, 1], strides=[op.step] * 2)
        elif isinstance(op, GlobalPool):
            self.node("GlobalAveragePool", xs, v)
        elif isinstance(op, Act):
            self.activate(op.activation, xs[0], v)
        elif isinstance(op, Add):
            self.add(xs[0], xs[1], *(graph.nodes[ref].shape[0] for ref in node.inputs), v=v)
        elif isinstance(op, Mul):
            self.node("Mul", xs, v)
        elif isinstance(op, Concat):
            self.node("Concat", xs, v, axis=1)
        elif isinstance(op, Slice):
            self.slice(xs[0], op.start, op.stop, v)
        elif isinstance(op, Maxout):
            # Max of Split keeps four dimensions, which every runtime handles; a reshape to five would not.
            pieces = [f"{v}_group{k}" for k in range(op.groups)]
            sizes = self.constant(f"{v}_sizes", np.array([node.shape[0]] * op.groups, np.int64))
            self.nodes.append(self._helper.make_node("Split", [*xs, sizes], pieces, name=f"Split_{v}", axis=1))
            self.node("Max", pieces, v)
        else:
            assert isinstance(op, Resize), op
            self.node("Resize", [*xs, "", "", self.sizes(v, xs[0], op)], v, mode="nearest",
                      nearest_mode="floor", coordinate_transformation_mode="asymmetric")  # fmt: skip

    def conv(self, op: Conv, name: str, xs: list[str], v: str, weights: Weights) -> None:
        """A convolution unit: one node with the normalisation folded in, or two."""
        apart = op.norm and not self.fold and f"{name}.bn.weight" in weights
        if apart:
            kernel, bias = np.asarray(weights[f"{name}.conv.weight"], np.float32), None
        else:
            kernel, bias = folded(weights, name)
        inputs = [*xs, self.constant(f"{name}.weight", kernel)]
        if bias is not None:
            inputs.append(self.constant(f"{name}.bias", bias))
        plain = self.node("Conv", inputs, f"{v}_conv" if op.activation or apart else v,
                          kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, pads=[op.padding] * 4,
                          group=op.groups)  # fmt: skip
        if apart:
            self.norm(name, plain, v, op.activation, weights)
        elif op.activation:
            self.activate(op.activation, plain, v)

    def norm(self, name: str, x: str, v: str, activation: str | None, weights: Weights) -> None:
        bn = [self.constant(f"{name}.bn.{key}", array) for key, array in normalisation(weights, name).items()]
        plain = self.node("BatchNormalization", [x, *bn], f"{v}_norm" if activation else v, epsilon=EPS)
        if activation:
            self.activate(activation, plain, v)

    def slice(self, x: str, start: int, stop: int, v: str) -> str:
        bounds = [self.constant(f"{v}_{key}", np.array([value], np.int64))
                  for key, value in (("start", start), ("stop", stop), ("axis", 1))]  # fmt: skip
        return self.node("Slice", [x, *bounds], v)

    def add(self, a: str, b: str, channels: int, other: int, *, v: str) -> None:
        """Sum; with different channels that of the first ones, the rest of `a` as it is."""
        if other > channels:
            b = self.slice(b, 0, channels, f"{v}_part")
        if other >= channels:
            self.node("Add", [a, b], v)
            return
        summed = self.node("Add", [self.slice(a, 0, other, f"{v}_head"), b], f"{v}_sum")
        self.node("Concat", [summed, self.slice(a, other, channels, f"{v}_tail")], v, axis=1)

    def sizes(self, v: str, x: str, op: Resize) -> str:
        """Target size of a Resize: batch and channels are read from the value, so that the batch may be free."""
        # Not `scales`: 13/7 in float32 times 7 is 12.99…, and ONNX would take its floor.
        head = self.node("Shape", [x], f"{v}_head", start=0, end=2)
        tail = self.constant(f"{v}_tail", np.array([op.height, op.width], np.int64))
        return self.node("Concat", [head, tail], f"{v}_sizes", axis=0)

    def activate(self, activation: str, x: str, v: str) -> None:
        if activation == "relu":
            self.node("Relu", [x], v)
        elif activation == "relu6":
            bounds = [self.constant(f"{v}_{key}", np.array(value, np.float32))
                      for key, value in (("low", 0), ("high", 6))]  # fmt: skip
            self.node("Clip", [x, *bounds], v)
        elif activation in LEAKY_SLOPES:
            self.node("LeakyRelu", [x], v, alpha=LEAKY_SLOPES[activation])
        elif activation == "silu":
            self.node("Mul", [x, self.node("Sigmoid", [x], f"{v}_sigmoid")], v)
        elif activation == "mish":  # opset 18 has it as one node
            self.node("Mul", [x, self.node("Tanh", [self.node("Softplus", [x], f"{v}_softplus")], f"{v}_tanh")], v)
        elif activation == "logistic":
            self.node("Sigmoid", [x], v)
        else:
            assert activation == "hard_swish", activation
            self.node("HardSwish", [x], v)
