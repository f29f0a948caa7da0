"""What a graph costs, without building it: MACs, parameters, activations, CIO, peak memory. No torch.

Caveats first. MACs are those of convolutions and linear layers; pooling, additions, resizing, activations and
normalisation count nothing (fvcore's "flops" are these MACs plus normalisation). FLOPs are 2 x MACs. BFLOPs are
darknet's count, which the paper prints: 2 x MACs plus k² C H W of max-pools, in 1e9. Peak memory is of
activations alone, for one image, with slices as views and activations in place, as our module runs under torch; a
runtime with its own arena may need less or more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from space.graph import Graph, Node
from space.ops import AvgPool, Conv, GlobalPool, Input, Linear, Maxout, MaxPool, Norm, Shape, Slice, Stride

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
"""Bytes of one element by precision."""


class LayerCost(NamedTuple):
    """Cost of one node."""

    macs: int
    params: int
    """Trainable parameters: kernels, biases, and normalisation's two vectors."""
    weights: int
    """Numbers kept at deployment, normalisation folded into kernel and bias."""
    activations: int
    cio: int
    kernels: int
    """Weights of convolutions and linear layers alone: the paper's #Parameter."""
    darknet_flops: int
    """Operations as darknet counted them when the paper was written."""

    @property
    def bflops(self) -> float:
        """Operations in 1e9 by darknet's count."""
        return self.darknet_flops / 1e9


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a whole graph for one image; bytes are those of `precision`."""

    macs: int
    params: int
    activations: int
    cio: int
    peak_bytes: int
    weight_bytes: int
    kernels: int
    darknet_flops: int

    @property
    def flops(self) -> int:
        """2 x MACs."""
        return 2 * self.macs

    @property
    def bflops(self) -> float:
        """Operations in 1e9 by darknet's count: the paper's BFLOPs."""
        return self.darknet_flops / 1e9


def _size(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


_FREE = LayerCost(0, 0, 0, 0, 0, 0, 0)


def layer_cost(graph: Graph, node: Node) -> LayerCost:
    """Cost of one node of `graph`."""
    op = node.op
    if isinstance(op, Conv):
        shape = graph.nodes[node.inputs[0]].shape
        c, h, w = node.shape
        kernels = c * (shape[0] // op.groups) * op.kernel * op.kernel
        params = kernels + (2 * c if op.norm else c if op.bias else 0)
        stored = kernels + (c if op.norm or op.bias else 0)
        macs = kernels * h * w
        return LayerCost(macs, params, stored, c * h * w, c * h * w + _size(shape), kernels, 2 * macs)
    if isinstance(op, Linear):
        fan_in, fan_out = _size(graph.nodes[node.inputs[0]].shape), node.shape[0]
        macs, params = fan_in * fan_out, fan_out * (fan_in + 1)
        # In CIO a classifier is the 1x1 convolution that darknet has in its place: so the paper's Fig. 8 is met.
        return LayerCost(macs, params, params, fan_out, fan_in + fan_out, macs, 2 * macs)
    if isinstance(op, MaxPool | AvgPool | GlobalPool):
        cio = _size(node.shape) + _size(graph.nodes[node.inputs[0]].shape)
        flops = op.kernel * op.kernel * _size(node.shape) if isinstance(op, MaxPool) else 0
        return LayerCost(0, 0, 0, 0, cio, 0, flops)
    if isinstance(op, Norm):
        return LayerCost(0, 2 * node.shape[0], 2 * node.shape[0], 0, 0, 0, 0)
    if isinstance(op, Maxout):  # darknet's maxpool_depth is a max-pool of kernel 1 over all input channels
        return LayerCost(0, 0, 0, 0, 0, 0, op.groups * _size(node.shape))
    return _FREE


def norm_elements(graph: Graph) -> int:
    """Elements that normalisation writes: fvcore's surplus over MACs, and part of the paper's DenseNet rows."""
    return sum(_size(node.shape) for node in graph.nodes
               if isinstance(node.op, Norm) or (isinstance(node.op, Conv) and node.op.norm))  # fmt: skip


def cost(graph: Graph, *, batch: int = 1, precision: str = "fp32") -> Cost:
    """Cost of `graph`: counts for one image; `peak_bytes` for the whole batch.

    Raises KeyError for a precision without a size in `BYTES`.
    """
    size = BYTES[precision]
    layers = [layer for node in graph.nodes if (layer := layer_cost(graph, node)) is not _FREE]
    total = LayerCost(*map(sum, zip(*layers))) if layers else _FREE
    return Cost(
        macs=total.macs,
        params=total.params,
        activations=total.activations,
        cio=total.cio,
        peak_bytes=peak_elements(graph) * batch * size,
        weight_bytes=total.weights * size,
        kernels=total.kernels,
        darknet_flops=total.darknet_flops,
    )


def peak_elements(graph: Graph) -> int:
    """Most activation elements alive at once, the image included, when nodes run in order."""
    return max(alive_elements(graph))


def alive_elements(graph: Graph) -> list[int]:
    """For each node the activation elements that are alive while it runs, the image included.

    A node's inputs live until it has run; slices, strides and in-place activations share their source's memory and
    keep it alive. The image lives to the end: its buffer is the caller's.
    """
    nodes, uses = graph.nodes, graph.last_use()
    owner = list(range(len(nodes)))
    for index, in_place in enumerate(graph.in_place(uses)):
        if in_place or isinstance(nodes[index].op, Slice | Stride):
            owner[index] = owner[nodes[index].inputs[0]]
    last = [0] * len(nodes)
    for own, use in zip(owner, uses):
        if use > last[own]:
            last[own] = use
    last[0] = len(nodes)
    sizes = [c * h * w if own == index else 0 for index, (own, (_, _, _, (c, h, w))) in enumerate(zip(owner, nodes))]
    freed = [0] * (len(nodes) + 1)
    for own, use in enumerate(last):
        freed[use] += sizes[own]
    alive, found = 0, []
    for size, gone in zip(sizes, freed):
        alive += size
        found.append(alive)
        alive -= gone
    return found


class Part(NamedTuple):
    """One row of a per-layer or per-stage table."""

    name: str
    kind: str
    shape: Shape
    cost: LayerCost


def breakdown(graph: Graph, *, by: str = "layer") -> list[Part]:
    """Cost rows in graph order, one a node (`by="layer"`) or one a stem, stage and head (`by="stage"`).

    A stage's shape is that of its last node. Raises ValueError for any other `by`.
    """
    rows = [
        Part(node.name, type(node.op).__name__, node.shape, layer_cost(graph, node))
        for node in graph.nodes
        if not isinstance(node.op, Input)
    ]
    if by == "layer":
        return rows
    if by != "stage":
        raise ValueError(f"by is '{by}'; allowed: layer, stage")
    groups: dict[str, list[Part]] = {}
    for row in rows:
        groups.setdefault(row.name.split(".")[0], []).append(row)
    return [
        Part(name, "stage", group[-1].shape, LayerCost(*map(sum, zip(*(row.cost for row in group)))))
        for name, group in groups.items()
    ]
