"""lower(architecture) -> Graph: stem, stages, head, in order. Source of the structures: CSPNet section 3.

A stage comes to its resolution (`down`), parts its base channels into a cross path, the share `partial_ratio` of
them, and a main path, runs the blocks on the main path and joins the two (`space.stages`).

`down`, before the stage: `conv` 3x3 of stride 2; `pool` 2x2 max-pool (average-pool after pre-activated blocks);
`pool_stride1` 2x2 max-pool of stride 1 (Darknet reference network); `block` the first block strides (ResNet);
`none` the resolution stays.

`split`: `slice` parts the channels (the paper's figure); `conv` makes both paths with 1x1 convolutions of all
channels (the published darknet files); `cross` makes the cross path with such a convolution and slices the main
path; `early` likewise, but the main path is what the transition of the stage before made, ahead of its pool. The
last two are the reading that meets the paper's BFLOPs of its Table 1.
"""

from __future__ import annotations

from typing import NamedTuple

from space.architecture import Architecture, ArchitectureError, Stage, default_down
from space.blocks import BLOCKS
from space.graph import Builder, Graph, Ref
from space.heads import HEADS
from space.stages import FUSIONS
from space.stems import STEMS

NUM_ANCHORS = 2
"""Anchors per cell and level of a detector, unless the task says otherwise."""

SAME_RESOLUTION = ("none", "pool_stride1")
"""Values of `down` that keep the resolution of the stage before."""


class _Flow(NamedTuple):
    """What leaves a stage: its feature for the head, the next stage's input, and its main path where made early."""

    feature: Ref
    x: Ref
    main: Ref | None = None


def lower(architecture: Architecture, height: int = 256, width: int = 256, *, num_classes: int = 10,
          num_anchors: int = NUM_ANCHORS, in_channels: int = 3) -> Graph:  # fmt: skip
    """The graph of `architecture` for an image of `in_channels` x `height` x `width`.

    Raises ArchitectureError that names the rule when the architecture cannot exist.
    """
    architecture = architecture.canonical()
    if height < 1 or width < 1:
        raise ArchitectureError(f"nothing to build at {height}x{width}")
    g = Builder((in_channels, height, width), activation=architecture.activation)
    stages = architecture.stages
    with g.scope("stem"):
        first = stages[0]
        x = STEMS[architecture.stem.kind][0](g, architecture.stem, first.entry or first.width)
    features: list[Ref] = []
    flow = _Flow(x, x)
    for index, stage in enumerate(stages):
        following = stages[index + 1] if index + 1 < len(stages) else None
        down = stage.down or default_down(stages, index)
        pools_after = following is not None and (following.down or default_down(stages, index + 1)) == "pool"
        with g.scope(f"stage{index + 1}"):
            pooled = index > 0 and BLOCKS.get(stages[index - 1].block).grows  # `exit_growing` saw to it
            base, stride = (flow.x, 1) if pooled else _down(g, flow.x, stage, down)
            cross, main = _split(g, base, flow.main, stage)
            main = _blocks(g, main, stage, stride)
            flow = _exit(g, main, cross, stage, following, pools_after)
        if down in SAME_RESOLUTION and features:
            features[-1] = flow.feature  # a head reads the last stage of each resolution
        else:
            features.append(flow.feature)
    with g.scope("head"):
        outputs = HEADS.get(architecture.head.kind)(
            g, features, architecture.head, num_classes=num_classes, num_anchors=num_anchors
        )
    return g.graph(outputs)


def _down(g: Builder, x: Ref, stage: Stage, down: str) -> tuple[Ref, int]:
    """The stage's input at its resolution, and the stride that is left for its first block."""
    if down == "conv":
        return g.conv(x, stage.entry or stage.width, 3, stride=2, groups=stage.down_groups or 1, name="down"), 1
    if down.startswith("pool"):
        return g.max_pool(x, stride=1 if down == "pool_stride1" else 2, name="down"), 1
    return x, 2 if down == "block" else 1


def _split(g: Builder, x: Ref, early: Ref | None, stage: Stage) -> tuple[Ref | None, Ref]:
    """Cross path (None without one) and main path of a stage."""
    channels, linear = g.channels(x), stage.split_linear
    projects = BLOCKS.get(stage.block).projects
    if not stage.cross:
        if channels != stage.width and not projects:
            raise ArchitectureError(f"block '{stage.block}' keeps its width: {channels} channels meet {stage.width}")
        return None, x
    if stage.split == "conv":
        entry = stage.main_entry or stage.main
        if entry != stage.main and not projects:
            raise ArchitectureError(f"block '{stage.block}' keeps its width: main_entry {entry} is not {stage.main}")
        cross = g.conv(x, stage.cross, 1, linear=linear, name="cross")
        return cross, g.conv(x, entry, 1, linear=linear, name="main")
    if stage.split == "early":
        assert early is not None
        return g.conv(x, stage.cross, 1, linear=linear, name="cross"), early
    if channels != stage.width:
        raise ArchitectureError(f"split '{stage.split}' parts {stage.width} channels; {channels} come in")
    if stage.split == "cross":
        cross = g.conv(x, stage.cross, 1, linear=linear, name="cross")
    else:
        cross = g.slice(x, 0, stage.cross, name="cross")
    return cross, g.slice(x, stage.cross, stage.width, name="main")


def _blocks(g: Builder, x: Ref, stage: Stage, stride: int) -> Ref:
    block = BLOCKS.get(stage.block)
    for index in range(stage.depth):
        with g.scope(f"block{index + 1}"):
            x = block(g, x, stage, width=stage.main, stride=stride if index == 0 else 1)
    return x


def _exit(g: Builder, main: Ref, cross: Ref | None, stage: Stage, following: Stage | None, pools: bool) -> _Flow:
    """Join the paths and make what the next stage begins with."""
    block, fusion = BLOCKS.get(stage.block), FUSIONS.get(stage.fusion)
    # T1 of `last` makes the joined map as wide as the next stage wants it: nothing projects after it.
    fills = block.grows and following is not None
    wanted = (following.entry or following.width) if following is not None else 0
    joined = fusion(g, main, cross, wanted - stage.cross if fills else g.channels(main))
    if block.grows:
        return exit_growing(g, joined, stage, following, pools)
    feature = g.conv(joined, stage.exit or stage.width, 1, name="t2") if fusion.t2 else joined
    return _Flow(feature, feature)


def exit_growing(g: Builder, joined: Ref, stage: Stage, following: Stage | None, pools: bool) -> _Flow:
    """Transition and pool after a stage of growing blocks; see `space.stages` for where they stand."""
    plain, pre = stage.fusion == "none", BLOCKS.get(stage.block).pre
    transits = plain or FUSIONS.get(stage.fusion).t2

    def project(x: Ref, channels: int) -> Ref:
        name = "transition" if plain else "t2"
        if pre:
            return g.conv(g.norm(x), channels, 1, norm=False, bias=False, linear=True, name=name)
        return g.conv(x, channels, 1, name=name)

    def pool(x: Ref) -> Ref:
        if not pools:
            return x
        return g.avg_pool(x) if pre else g.max_pool(x)

    if following is None:
        closes = stage.transition if stage.transition is not None else transits
        feature = project(joined, g.channels(joined)) if closes else joined
        feature = g.norm(feature, name="closing_norm") if pre else feature
        return _Flow(feature, feature)
    if following.split == "early":
        if not transits:
            raise ArchitectureError(f"split 'early' needs a transition before it; fusion '{stage.fusion}' has none")
        return _Flow(joined, pool(joined), pool(project(joined, following.main)))
    if not transits:
        return _Flow(joined, pool(joined))
    wanted = following.entry or following.width
    if stage.pool_first if stage.pool_first is not None else not plain:
        return _Flow(joined, project(pool(joined), wanted))
    feature = project(joined, wanted)
    return _Flow(feature, pool(feature))
