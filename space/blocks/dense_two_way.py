"""PeleeNet's two-way dense layer (Wang et al. 2018): two receptive fields, half of the growth rate each.

`bottleneck_ratio` is the inner width over the way's growth rate, k / 2. PeleeNet's PyTorch code caps the inner
width; the authors' darknet networks do not (2.391 M and 0.904 BFLOPs of SparsePeleeNet fix this), nor do we.
`dense_sparse` takes its inputs from the layers 1, 2, 4, 8, … before it (SparsePeleeNet; Zhu et al. 2018).
"""

from __future__ import annotations

from space.architecture import ArchitectureError, Stage
from space.blocks import block
from space.blocks.dense import READS
from space.graph import Builder, Ref


def two_ways(g: Builder, x: Ref, stage: Stage) -> list[Ref]:
    """3x3(1x1(x)) and 3x3(3x3(1x1(x))), half of the growth rate each."""
    assert stage.growth_rate is not None
    assert stage.bottleneck_ratio is not None
    if stage.growth_rate < 2:
        raise ArchitectureError(f"a two-way dense layer needs a growth rate of 2 or more, not {stage.growth_rate}")
    near, far = stage.growth_rate - stage.growth_rate // 2, stage.growth_rate // 2
    inner = max(1, round(far * stage.bottleneck_ratio))
    a = g.conv(g.conv(x, inner, 1, name="conv1_a"), near, 3, name="conv2_a")
    b = g.conv(g.conv(x, inner, 1, name="conv1_b"), far, 3, name="conv2_b")
    return [a, g.conv(b, far, 3, name="conv3_b")]


@block("dense_two_way", reads=READS, grows=True)
def dense_two_way(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """[x, a, b]."""
    return g.concat([x, *two_ways(g, x, stage)])


@block("dense_sparse", reads=READS, grows=True)
def dense_sparse(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """[x, a, b], where a and b see only the outputs of the layers 1, 2, 4, … before; layer 0 is the base."""
    assert stage.growth_rate is not None
    growth, channels = stage.growth_rate, g.channels(x)
    done = (channels - width) // growth
    seen, distance = [], 1
    while distance <= done + 1:
        layer = done + 1 - distance
        start, stop = (0, width) if layer == 0 else (width + (layer - 1) * growth, width + layer * growth)
        seen.append(g.slice(x, start, stop, name=f"back{distance}"))
        distance *= 2
    return g.concat([x, *two_ways(g, g.concat(seen, name="seen"), stage)])
