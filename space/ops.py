"""The operators of a graph, as data. A convolution carries its normalisation and activation.

One fused unit instead of three nodes keeps graphs short: a network of 72 convolutions is costed in well
under a millisecond, and every runtime fuses them anyway.
"""

from __future__ import annotations

from typing import NamedTuple

ACTIVATIONS = ("relu", "leaky_relu", "leaky_relu_0.01", "silu", "mish", "hard_swish")
"""Activations that an architecture may have."""
OTHER_ACTIVATIONS = ("logistic", "relu6")
"""Activations of single layers: attention's gate, and what darknet files bring along."""
LEAKY_SLOPES = {"leaky_relu": 0.1, "leaky_relu_0.01": 0.01}
"""Slope of the leaky activations: darknet's is 0.1; timm's networks of the family have 0.01."""

Shape = tuple[int, int, int]
"""Channels, height, width. The batch is not part of a graph."""


class Input(NamedTuple):
    """The image."""


class Conv(NamedTuple):
    """Convolution, then batch normalisation where `norm`, then the activation. `bias` only without `norm`."""

    kernel: int
    stride: int
    groups: int
    norm: bool
    activation: str | None
    bias: bool
    padding: int


class Norm(NamedTuple):
    """Batch normalisation and activation without a convolution: what pre-activation networks begin a layer with."""

    activation: str | None


class Linear(NamedTuple):
    """Fully connected layer with bias, on the flattened input; its output is (n, 1, 1), without axes of its own."""


class MaxPool(NamedTuple):
    """Max-pooling in darknet's geometry: ceil(size / stride) outputs, output i looks at
    i * stride - (kernel - 1) // 2 and the `kernel - 1` places after it; what lies outside does not count.

    So a 2x2 pool of stride 2 makes one more output of an odd border, as stride-2 convolutions do; 3x3 pads one
    place on each side; stride 1 keeps the size (spatial pyramid pooling).
    """

    kernel: int
    stride: int


class AvgPool(NamedTuple):
    """Average pooling in the geometry of `MaxPool`; the mean is over the places inside the map."""

    kernel: int
    stride: int


class GlobalPool(NamedTuple):
    """Mean over height and width, which stay as axes of one."""


class Stride(NamedTuple):
    """Every `step`-th row and column: how darknet's shortcut reads a larger map."""

    step: int


class Act(NamedTuple):
    """Activation alone; in place where nothing else reads its input later (`Graph.in_place`)."""

    activation: str


class Add(NamedTuple):
    """The second map added onto the first, which gives the output its channels.

    With different channels the first min(a, b) of them are summed and the rest of the first map stay as they are:
    the partial residual of darknet's shortcut. Height and width are equal.
    """


class Mul(NamedTuple):
    """Product of a map with one of its own shape (spatial attention) or of one place (squeeze-and-excitation)."""


class Concat(NamedTuple):
    """Channels of all inputs, in order."""


class Slice(NamedTuple):
    """Channels `start` to `stop`: a view, no memory and no work of its own."""

    start: int
    stop: int


class Maxout(NamedTuple):
    """Element-wise maximum over `groups` channel groups, no weights.

    Output channel c is the maximum of channels c, c + n, c + 2n, … with n = C / groups: darknet's
    maxpool_depth, which the author of CSPNet names as what EFM uses (repository issue 1).
    """

    groups: int


class Resize(NamedTuple):
    """Nearest-neighbour resize to a fixed size."""

    height: int
    width: int


Op = (
    Input | Conv | Norm | Linear | MaxPool | AvgPool | GlobalPool | Stride | Act | Add | Mul | Concat | Slice | Maxout
    | Resize
)  # fmt: skip


def window(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """Outputs, and places outside before and after, of a pool along an axis of `size` (see `MaxPool`)."""
    outputs = -(-size // stride)
    before = (kernel - 1) // 2
    return outputs, before, max(0, (outputs - 1) * stride + kernel - before - size)
