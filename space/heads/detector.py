"""Anchor-based detection head: a neck, spatial attention where asked for, one prediction a level (YOLOv3's layout)."""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import ArchitectureError, Head
from space.graph import Builder, Ref
from space.heads import HEADS, NECKS
from space.registry import part


@part(HEADS, "detector", reads=frozenset({"fusion", "width", "levels", "attention", "spp"}))
def detector(g: Builder, features: Sequence[Ref], head: Head, *, num_classes: int, num_anchors: int) -> list[Ref]:
    """One map a level with num_anchors x (5 + num_classes) channels.

    Per anchor: four box terms, objectness, class logits; no activation, no normalisation.
    """
    assert head.fusion is not None
    if len(features) < head.levels:
        raise ArchitectureError(f"a detector of {head.levels} levels needs as many resolutions, not {len(features)}")
    maps = NECKS.get(head.fusion)(g, features[-head.levels :], head)
    outputs = []
    for level, x in enumerate(maps):
        if head.attention == "sam":  # CBAM's spatial attention as YOLOv4 and the paper's EFM(SAM) have it: point-wise
            x = g.mul(x, g.conv(x, g.channels(x), 1, activation="logistic", name=f"gate{level}"), name=f"sam{level}")
        channels = num_anchors * (5 + num_classes)
        outputs.append(g.conv(x, channels, 1, norm=False, linear=True, name=f"predict{level}"))
    return outputs
