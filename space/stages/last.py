"""Fusion `last`: T1, then concatenation; no transition after it (CSPNet Fig. 3d)."""

from __future__ import annotations

from space.graph import Builder, Ref
from space.registry import part
from space.stages import FUSIONS, paths


@part(FUSIONS, "last", t2=False)
def last(g: Builder, main: Ref, cross: Ref | None, width: int) -> Ref:
    """Transition on the main path only. T1's `width` makes the joined map as wide as the next stage needs it."""
    return paths(g, g.conv(main, width, 1, name="t1"), cross)
