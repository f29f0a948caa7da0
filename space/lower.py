"""lower(architecture) -> Graph: stem, stages, head, in order. Source of the structures: CSPNet section 3.

A stage starts from base channels X of `width`. The cross path is the share `partial_ratio` of X, either a
slice of its channels or a 1x1 convolution of all of X (`split="conv"`, as in the published darknet files);
the blocks see the rest.
"""

from __future__ import annotations

from space.architecture import Architecture, ArchitectureError, Stage
from space.blocks import BLOCKS
from space.graph import Builder, Graph, Ref
from space.heads import HEADS
from space.stages import FUSIONS

NUM_ANCHORS = 2
"""Anchors per cell and level of a detector, unless the task says otherwise."""


def lower(architecture: Architecture, height: int = 256, width: int = 256, *, num_classes: int = 10,
          num_anchors: int = NUM_ANCHORS, in_channels: int = 3) -> Graph:  # fmt: skip
    """The graph of `architecture` for an image of `in_channels` x `height` x `width`.

    Raises ArchitectureError that names the rule when the architecture cannot exist.
    """
    architecture = architecture.canonical()
    if height < 1 or width < 1 or not architecture.stages:
        raise ArchitectureError(f"nothing to build: {len(architecture.stages)} stages at {height}x{width}")
    if architecture.stem.stride not in (2, 4):
        raise ArchitectureError(f"stem stride {architecture.stem.stride} is not 2 or 4")
    g = Builder((in_channels, height, width), activation=architecture.activation)
    stages = architecture.stages
    with g.scope("stem"):
        x = g.conv(0, architecture.stem.width, 3, stride=2, name="conv1")
        x = g.conv(x, stages[0].width, 3, stride=architecture.stem.stride // 2, name="conv2")
    features = []
    for index, stage in enumerate(stages):
        following = stages[index + 1].width if index + 1 < len(stages) else None
        with g.scope(f"stage{index + 1}"):
            feature, x = _stage(g, x, stage, following)
        features.append(feature)
    with g.scope("head"):
        outputs = HEADS.get(architecture.head.kind)(
            g, features, architecture.head, num_classes=num_classes, num_anchors=num_anchors
        )
    return g.graph(outputs)


def _stage(g: Builder, x: Ref, stage: Stage, following: int | None) -> tuple[Ref, Ref]:
    """The stage's feature for the head, and the base channels of the next stage (`following` wide)."""
    block, fusion = BLOCKS.get(stage.block), FUSIONS.get(stage.fusion)
    cross: Ref | None = None
    main = x
    if stage.cross:
        if stage.split == "conv":
            cross = g.conv(x, stage.cross, 1, name="cross")
            main = g.conv(x, stage.main, 1, name="main")
        else:
            cross = g.slice(x, 0, stage.cross, name="cross")
            main = g.slice(x, stage.cross, stage.width, name="main")
    for index in range(stage.depth):
        with g.scope(f"block{index + 1}"):
            main = block(g, main, stage)
    fills = block.grows and following is not None  # T1 of `last` makes the joined map `following` wide
    t1_width = following - stage.cross if fills and following is not None else g.channels(main)
    joined = fusion(g, main, cross, t1_width)
    if block.grows:
        return exit_growing(g, joined, stage, following)
    feature = g.conv(joined, stage.width, 1, name="t2") if fusion.t2 else joined
    if following is None:
        return feature, feature
    return feature, g.conv(feature, following, 3, stride=2, name="down")


def exit_growing(g: Builder, joined: Ref, stage: Stage, following: int | None) -> tuple[Ref, Ref]:
    """Transition and pool after a stage of growing blocks; see `space.stages` for where they stand."""
    t2 = FUSIONS.get(stage.fusion).t2
    if stage.fusion == "none":
        feature = g.conv(joined, following or g.channels(joined), 1, name="transition")
        return feature, feature if following is None else g.max_pool(feature)
    if following is None:
        feature = g.conv(joined, g.channels(joined), 1, name="t2") if t2 else joined
        return feature, feature
    pooled = g.max_pool(joined)
    return joined, g.conv(pooled, following, 1, name="t2") if t2 else pooled
