"""The operators of a graph, as data. A convolution carries its normalisation and activation.

One fused unit instead of three nodes keeps graphs short: a network of 72 convolutions is costed in well
under a millisecond, and every runtime fuses them anyway.
"""

from __future__ import annotations

from typing import NamedTuple

LEAKY_SLOPE = 0.1
"""Slope of leaky_relu: darknet's."""

Shape = tuple[int, int, int]
"""Channels, height, width. A flat vector is (n, 1, 1). The batch is not part of a graph."""


class Input(NamedTuple):
    """The image."""


class Conv(NamedTuple):
    """Convolution with padding kernel // 2; with `norm` it has no bias and a batch normalisation follows."""

    kernel: int
    stride: int
    groups: int
    norm: bool
    activation: str | None


class Linear(NamedTuple):
    """Fully connected layer with bias, on a flat input."""


class MaxPool(NamedTuple):
    """Max-pooling without padding; an odd border makes one more output (ceil), as stride-2 convolutions do."""

    kernel: int
    stride: int


class GlobalPool(NamedTuple):
    """Mean over height and width."""


class Act(NamedTuple):
    """Activation alone, in place."""

    activation: str


class Add(NamedTuple):
    """Sum of two maps of one shape."""


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


Op = Input | Conv | Linear | MaxPool | GlobalPool | Act | Add | Concat | Slice | Maxout | Resize
