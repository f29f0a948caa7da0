"""Graph -> ONNX ModelProto, emitted directly: no torch, no tracing. Normalisation is folded into convolutions.

Opset 17 (ONNX 1.12, 2022): what the runtimes on edge devices of the last years read. A model takes `image`
[batch, C, H, W] float32 and gives `output0`, `output1`, … as `Graph.outputs` orders them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from space.graph import Graph, Node
from space.ops import LEAKY_SLOPE, Act, Add, Concat, Conv, GlobalPool, Input, Linear, Maxout, MaxPool, Resize, Slice

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
EPS = 1e-5
"""torch.nn.BatchNorm2d's default."""

Weights = Mapping[str, np.ndarray[Any, Any]]


def random_weights(graph: Graph, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Kaiming-normal kernels and zero biases by parameter name, normalisation already folded.

    Enough to time a network: latency does not depend on the values, as long as none is denormal.
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray[Any, Any]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv):
            c = graph.nodes[node.inputs[0]].shape[0] // node.op.groups
            shape: tuple[int, ...] = (node.shape[0], c, node.op.kernel, node.op.kernel)
            name = f"{node.name}.conv"
        elif isinstance(node.op, Linear):
            shape, name = (node.shape[0], graph.nodes[node.inputs[0]].shape[0]), node.name
        else:
            continue
        std = (2.0 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.weight"] = rng.standard_normal(shape, dtype=np.float32) * np.float32(std)
        weights[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return weights


def _folded(weights: Weights, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Kernel and bias of a convolution unit, from folded or unfolded weights in torch's names."""
    kernel = np.asarray(weights[f"{name}.conv.weight"], np.float32)
    if f"{name}.bn.weight" not in weights:
        return kernel, np.asarray(weights[f"{name}.conv.bias"], np.float32)
    bn = {key: weights[f"{name}.bn.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
    scale = bn["weight"] / np.sqrt(bn["running_var"] + EPS)
    return kernel * scale[:, None, None, None], bn["bias"] - bn["running_mean"] * scale


def to_onnx(graph: Graph, weights: Weights | None = None, *, name: str = "csp", batch: int | str = 1,
            seed: int = 0) -> onnx.ModelProto:  # fmt: skip
    """The graph as an ONNX model.

    `weights` maps the names of `Network.state_dict()` to arrays (folded or not); without it they are random
    from `seed`. `batch` is a number, or a name for a dynamic axis. Raises KeyError on a missing weight.
    """
    from onnx import TensorProto, helper, numpy_helper

    if weights is None:
        weights = random_weights(graph, seed)
    out = _Emitter(helper, numpy_helper)
    for index, node in enumerate(graph.nodes):
        out.emit(index, node, graph, weights)
    outputs = []
    for number, ref in enumerate(graph.outputs):
        shape = graph.nodes[ref].shape
        dims = [batch, shape[0]] if shape[1:] == (1, 1) and _flat(graph.nodes[ref]) else [batch, *shape]
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


def _flat(node: Node) -> bool:
    return isinstance(node.op, Linear | GlobalPool)


class _Emitter:
    """Collects ONNX nodes and initializers; value `i` of the graph is called `v<i>`."""

    def __init__(self, helper: Any, numpy_helper: Any) -> None:
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
            kernel, bias = _folded(weights, node.name)
            inputs = [*xs, self.constant(f"{node.name}.weight", kernel), self.constant(f"{node.name}.bias", bias)]
            pad = op.kernel // 2
            plain = self.node("Conv", inputs, f"{v}_conv" if op.activation else v,
                              kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, pads=[pad] * 4,
                              group=op.groups)  # fmt: skip
            if op.activation:
                self.activate(op.activation, plain, v)
        elif isinstance(op, Linear):
            inputs = [self.constant(f"{node.name}.{key}", np.asarray(weights[f"{node.name}.{key}"], np.float32))
                      for key in ("weight", "bias")]  # fmt: skip
            self.node("Gemm", [*xs, *inputs], v, transB=1)
        elif isinstance(op, MaxPool):
            self.node("MaxPool", xs, v, kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, ceil_mode=1)
        elif isinstance(op, GlobalPool):
            self.node("Flatten", [self.node("GlobalAveragePool", xs, f"{v}_map")], v)
        elif isinstance(op, Act):
            self.activate(op.activation, xs[0], v)
        elif isinstance(op, Add):
            self.node("Add", xs, v)
        elif isinstance(op, Concat):
            self.node("Concat", xs, v, axis=1)
        elif isinstance(op, Slice):
            bounds = [self.constant(f"{v}_{key}", np.array([value], np.int64))
                      for key, value in (("start", op.start), ("stop", op.stop), ("axis", 1))]  # fmt: skip
            self.node("Slice", [*xs, *bounds], v)
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

    def sizes(self, v: str, x: str, op: Resize) -> str:
        """Target size of a Resize: batch and channels are read from the value, so that the batch may be free."""
        # Not `scales`: 13/7 in float32 times 7 is 12.99…, and ONNX would take its floor.
        head = self.node("Shape", [x], f"{v}_head", start=0, end=2)
        tail = self.constant(f"{v}_tail", np.array([op.height, op.width], np.int64))
        return self.node("Concat", [head, tail], f"{v}_sizes", axis=0)

    def activate(self, activation: str, x: str, v: str) -> None:
        if activation == "relu":
            self.node("Relu", [x], v)
        elif activation == "leaky_relu":
            self.node("LeakyRelu", [x], v, alpha=LEAKY_SLOPE)
        elif activation == "silu":
            self.node("Mul", [x, self.node("Sigmoid", [x], f"{v}_sigmoid")], v)
        else:
            assert activation == "hard_swish", activation
            self.node("HardSwish", [x], v)
