"""Fusion `first`: concatenation, then one transition (CSPNet Fig. 3c)."""

from __future__ import annotations

from space.graph import Builder, Ref
from space.registry import part
from space.stages import FUSIONS, paths


@part(FUSIONS, "first", t2=True)
def first(g: Builder, main: Ref, cross: Ref | None, width: int) -> Ref:
    """No transition on the main path."""
    return paths(g, main, cross)
