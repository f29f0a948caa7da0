"""Darknet's .weights files: the numbers of a graph's layers in the order of its nodes, single precision.

Source of the layout: AlexeyAB/darknet, src/parser.c (version 0.2.5): three 32-bit integers, a 64-bit count of images,
then for a convolution its biases, with normalisation the scales, running means and variances, and the kernels; a fully
connected layer likewise; a [batchnorm] its biases, scales, means and variances. A normalised convolution has no bias
there: ours is taken off the running mean.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from space.darknet.syntax import DarknetError
from space.graph import Graph
from space.ops import Conv, Linear, Norm

Array = np.ndarray[Any, Any]
HEADER = struct.pack("<iiiq", 0, 2, 5, 0)
_NORM = ("bias", "weight", "running_mean", "running_var")


def to_bytes(graph: Graph, weights: Mapping[str, Array]) -> bytes:
    """The file for `graph`, which `space.darknet.write` wrote, from arrays by the names of `Network.state_dict()`."""
    parts = []
    for name, shape in _arrays(graph):
        value = weights.get(name)
        if value is None:  # darknet has a bias where we have none
            value = np.zeros(shape, np.float32)
        if name.endswith(".bn.running_mean"):
            bias = weights.get(name.replace(".bn.running_mean", ".conv.bias"))
            value = value if bias is None else value - bias
        parts.append(np.ascontiguousarray(value, np.float32).tobytes())
    return HEADER + b"".join(parts)


def from_bytes(graph: Graph, data: bytes) -> dict[str, Array]:
    """Arrays by the names of `Network.state_dict()` from the file of `graph`. Raises DarknetError."""
    values = np.frombuffer(data, np.float32, offset=len(HEADER))
    found, at = {}, 0
    for name, shape in _arrays(graph):
        size = math.prod(shape)
        found[name], at = values[at : at + size].reshape(shape).copy(), at + size
    if at != len(values):
        raise DarknetError(f"the weights are {len(values)} numbers, the network has {at}")
    return found


def _arrays(graph: Graph) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes in the order of the file."""
    for node in graph.nodes:
        op, channels = node.op, node.shape[0]
        if isinstance(op, Conv):
            yield from (((f"{node.name}.bn.{key}", (channels,)) for key in _NORM) if op.norm
                        else [(f"{node.name}.conv.bias", (channels,))])  # fmt: skip
            inputs = graph.nodes[node.inputs[0]].shape[0] // op.groups
            yield f"{node.name}.conv.weight", (channels, inputs, op.kernel, op.kernel)
        elif isinstance(op, Linear):
            yield f"{node.name}.bias", (channels,)
            yield f"{node.name}.weight", (channels, math.prod(graph.nodes[node.inputs[0]].shape))
        elif isinstance(op, Norm):
            yield from ((f"{node.name}.bn.{key}", (channels,)) for key in _NORM)
