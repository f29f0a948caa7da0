"""Fusion `none`: a plain stage without a cross path, the baseline of every comparison."""

from __future__ import annotations

from space.graph import Builder, Ref
from space.registry import part
from space.stages import FUSIONS


@part(FUSIONS, "none", t2=False)
def none(g: Builder, main: Ref, cross: Ref | None, width: int) -> Ref:
    """What comes out of the blocks."""
    assert cross is None
    return main
