"""Stems: what stands before the first stage. Each returns the map that stage 1 begins from.

| kind | builds | source |
|---|---|---|
| `double` | 3x3 of stride 2 to `width`, 3x3 of stride `stride` / 2 to stage 1's channels | ours |
| `single` | 3x3 of stride `stride` to `width` | Darknet-53 (stride 1), MobileNetV2 (stride 2) |
| `conv_pool` | `kernel` x `kernel` of stride 2 to `width`, max-pool of kernel `pool`, stride 2 | ResNet, csresnet50 |
| `pelee` | 3x3/2 to `width`; 1x1 to half, 3x3/2 beside a 2x2 max-pool; concatenation; 1x1 | PeleeNet, section 2 |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from space.architecture import ArchitectureError, Stem, changed, check_values
from space.graph import Builder, Ref
from space.registry import unknown


def double(g: Builder, stem: Stem, following: int) -> Ref:
    """Two 3x3 convolutions; the second has stride 2 when `stride` is 4, 1 when it is 2."""
    assert stem.width is not None
    assert stem.stride is not None
    x = g.conv(0, stem.width, 3, stride=2, name="conv1")
    return g.conv(x, following, 3, stride=stem.stride // 2, name="conv2")


def single(g: Builder, stem: Stem, following: int) -> Ref:
    """One 3x3 convolution."""
    assert stem.width is not None
    assert stem.stride is not None
    return g.conv(0, stem.width, 3, stride=stem.stride, name="conv1")


def conv_pool(g: Builder, stem: Stem, following: int) -> Ref:
    """One large convolution and a max-pool."""
    assert stem.kernel is not None
    assert stem.pool is not None
    x = g.conv(0, stem.width or following, stem.kernel, stride=2, name="conv1")
    return g.max_pool(x, stem.pool)


def pelee(g: Builder, stem: Stem, following: int) -> Ref:
    """PeleeNet's stem block."""
    width = stem.width or following
    x = g.conv(0, width, 3, stride=2, name="conv1")
    y = g.conv(x, max(1, width // 2), 1, name="conv2")
    y = g.conv(y, width, 3, stride=2, name="conv3")
    return g.conv(g.concat([y, g.max_pool(x)]), width, 1, name="conv4")


STEMS: dict[str, tuple[Callable[[Builder, Stem, int], Ref], dict[str, tuple[int | None, ...]]]] = {
    "double": (double, {"width": (), "stride": (2, 4)}),
    "single": (single, {"width": (), "stride": (1, 2)}),
    "conv_pool": (conv_pool, {"width": (), "kernel": (3, 5, 7), "pool": (2, 3)}),
    "pelee": (pelee, {"width": ()}),
}
"""Builder and the fields that it reads, with their allowed values where these are few.

`width` may be None for `conv_pool` and `pelee`: then it is what stage 1 begins with.
"""


WIDTH_FOLLOWS = ("conv_pool", "pelee")
"""Kinds whose `width` may be left to stage 1."""


def canonical_stem(stem: Stem) -> Stem:
    """The one spelling of a stem: unread fields are None. Raises ArchitectureError for a bad value."""
    check_values(stem)
    if stem.kind not in STEMS:
        raise ArchitectureError(unknown("stem", stem.kind, list(STEMS)))
    reads = STEMS[stem.kind][1]
    for name, allowed in reads.items():
        value = getattr(stem, name)
        if allowed and value not in allowed:
            raise ArchitectureError(f"stem {name} {value} is not {' or '.join(map(str, allowed))}")
        optional = name == "width" and stem.kind in WIDTH_FOLLOWS
        if name == "width" and (value < 1 if value is not None else not optional):
            raise ArchitectureError(f"stem width {value} is not a positive number of channels")
    unread: dict[str, Any] = {name: None for name in ("width", "stride", "kernel", "pool") if name not in reads}
    return changed(stem, unread)
