"""Blocks: one file each. A block is one function `block(g, x, stage) -> Ref` that builds ONE unit.

`reads` names the axes of `Stage` that it uses beside depth and width; the others are None in the canonical
form. `fit` returns the channels after the unit, and `grows` says that a unit adds `growth_rate` channels.
"""

from __future__ import annotations

from typing import Protocol

from space.architecture import Stage
from space.graph import Builder, Ref
from space.registry import Registry


class Block(Protocol):
    """One repeated unit on the main path."""

    reads: frozenset[str]
    """Axes of `Stage` that the block uses beside depth and width."""
    grows: bool
    """Each unit adds `growth_rate` channels (dense) instead of keeping the width (residual)."""

    def __call__(self, g: Builder, x: Ref, stage: Stage) -> Ref:
        """Add one unit after `x`."""
        ...


BLOCKS: Registry[Block] = Registry("block", "space.blocks")
