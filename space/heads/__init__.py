"""Heads: one file each, and the pyramid fusions that a detector chooses from.

A pyramid is `pyramid(g, laterals, compress) -> list[Ref]`: it gets one map a level (finest first, equal widths)
and returns one fused concatenation a level. `compress` is the Maxout, to be applied to each map before it is
concatenated, as the paper says. Definitions are the paper's (section 3.3): FPN fuses scales s and s+1, GFM all
scales at every scale, EFM s-1, s and s+1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from space.architecture import Head
from space.graph import Builder, Ref
from space.registry import Registry


class HeadBuilder(Protocol):
    """Task layers on the features of the stages."""

    reads: frozenset[str]
    """Axes of `Head` that it uses; the others are None in the canonical form."""

    def __call__(
        self, g: Builder, features: Sequence[Ref], head: Head, *, num_classes: int, num_anchors: int
    ) -> list[Ref]:
        """Add the head; returns the outputs, finest level first."""
        ...


Pyramid = Callable[[Builder, Sequence[Ref], Callable[[Ref], Ref]], list[Ref]]

HEADS: Registry[HeadBuilder] = Registry("head", "space.heads")
PYRAMIDS: Registry[Pyramid] = Registry("pyramid fusion", "space.heads")


def fuse_near(g: Builder, laterals: Sequence[Ref], compress: Callable[[Ref], Ref], reach: int) -> list[Ref]:
    """For each level the concatenation of the levels at most `reach` away, brought to its size."""
    maps = [compress(lateral) for lateral in laterals]
    fused = []
    for level in range(len(maps)):
        near = range(max(0, level - reach), min(len(maps), level + reach + 1))
        with g.scope(f"p{level}"):
            fused.append(g.concat([_bring(g, maps, k, level) for k in near]))
    return fused


def _bring(g: Builder, maps: Sequence[Ref], k: int, level: int) -> Ref:
    """Map `k` at the size of `level`."""
    x = maps[k]
    _, height, width = g.shape(x)
    _, *target = g.shape(maps[level])
    if target[0] % height or target[1] % width:
        # An odd size on the way (100 -> 25, 13, 7): level by level, because nearest neighbours of a ratio
        # such as 22/6 fall between pixels, where runtimes round differently.
        step = -1 if k > level else 1
        for j in range(k + step, level, step):
            x = g.resize_like(x, maps[j], name=f"from{k}")
    return g.resize_like(x, maps[level], name=f"from{k}")
