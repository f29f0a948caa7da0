"""Classification head: global average pool and one linear layer."""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import HEADS
from space.registry import part


@part(HEADS, "classifier", reads=frozenset[str]())
def classifier(g: Builder, features: Sequence[Ref], head: Head, *, num_classes: int, num_anchors: int) -> list[Ref]:
    """Class logits."""
    return [g.linear(g.global_pool(features[-1]), num_classes, name="fc")]
