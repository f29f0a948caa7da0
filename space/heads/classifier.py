"""Classification head: global average pool and one linear layer, after a 1x1 convolution where `last_width` says so."""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import Head
from space.graph import Builder, Ref
from space.heads import HEADS
from space.registry import part


@part(HEADS, "classifier", reads=frozenset({"last_width"}))
def classifier(g: Builder, features: Sequence[Ref], head: Head, *, num_classes: int, num_anchors: int) -> list[Ref]:
    """Class logits."""
    x = features[-1]
    if head.last_width is not None:  # MobileNetV2's last convolution
        x = g.conv(x, head.last_width, 1, name="conv")
    return [g.linear(g.global_pool(x), num_classes, name="fc")]
