"""Fusion `csp`: T1, concatenation, T2 (CSPNet Fig. 3b)."""

from __future__ import annotations

from space.graph import Builder, Ref
from space.registry import part
from space.stages import FUSIONS, paths


@part(FUSIONS, "csp", t2=True)
def csp(g: Builder, main: Ref, cross: Ref | None, width: int) -> Ref:
    """Partial transition before the concatenation, and another after it. T1 keeps the main path's width."""
    return paths(g, g.conv(main, g.channels(main), 1, name="t1"), cross)
