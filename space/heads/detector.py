"""Anchor-based detection head: laterals, pyramid fusion with Maxout, 3x3, prediction (YOLOv3's layout)."""

from __future__ import annotations

from collections.abc import Sequence

from space.architecture import DETECTOR_LEVELS, ArchitectureError, Head
from space.graph import Builder, Ref
from space.heads import HEADS, PYRAMIDS
from space.registry import part


@part(HEADS, "detector", reads=frozenset({"fusion", "width", "maxout"}))
def detector(g: Builder, features: Sequence[Ref], head: Head, *, num_classes: int, num_anchors: int) -> list[Ref]:
    """One map a level with num_anchors x (5 + num_classes) channels.

    Per anchor: four box terms, objectness, class logits; no activation, no normalisation.
    """
    assert head.fusion is not None
    assert head.width is not None
    assert head.maxout is not None
    if len(features) < DETECTOR_LEVELS:
        raise ArchitectureError(f"a detector needs {DETECTOR_LEVELS} stages, not {len(features)}")
    maxout = head.maxout
    levels = features[-DETECTOR_LEVELS:]
    laterals = [g.conv(x, head.width, 1, name=f"lateral{level}") for level, x in enumerate(levels)]
    fused = PYRAMIDS.get(head.fusion)(g, laterals, lambda x: g.maxout(x, maxout))
    outputs = []
    for level, x in enumerate(fused):
        y = g.conv(x, head.width, 3, name=f"fuse{level}")
        channels = num_anchors * (5 + num_classes)
        outputs.append(g.conv(y, channels, 1, norm=False, linear=True, name=f"predict{level}"))
    return outputs
