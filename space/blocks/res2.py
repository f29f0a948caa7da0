"""Res2Net block in the form of the published res2netlite72 file.

1x1; the channels in four quarters: the first passes, each of the others has a grouped 3x3 of itself plus the
result of the quarter before; concatenation, 1x1, shortcut. A unit that changes width or resolution is a plain
bottleneck of a quarter's width without shortcut, as in that file. Source: CrossStagePartialNetworks,
cfg/res2netlite72.cfg; Gao et al. 2019.
"""

from __future__ import annotations

from space.architecture import ArchitectureError, Stage
from space.blocks import block
from space.graph import Builder, Ref

QUARTERS = 4


@block("res2", reads=("cardinality",), projects=True)
def res2(g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
    """x + 1x1([q1, 3x3(q2), 3x3(q3 + …), 3x3(q4 + …)]), q of 1x1(x); `cardinality` groups in each 3x3."""
    if width % QUARTERS:
        raise ArchitectureError(f"block 'res2' needs a main path that {QUARTERS} divides, not {width} channels")
    groups, quarter = stage.cardinality or 1, width // QUARTERS
    if g.channels(x) != width or stride != 1:
        y = g.conv(x, quarter, 1, name="conv1")
        y = g.conv(y, quarter, 3, groups=groups, stride=stride, name="conv2")
        return g.conv(y, width, 1, name="conv3")
    y = g.conv(x, width, 1, name="conv1")
    parts = [g.slice(y, k * quarter, (k + 1) * quarter, name=f"part{k + 1}") for k in range(QUARTERS)]
    for k in range(1, QUARTERS):
        z = parts[k] if k == 1 else g.add(parts[k], parts[k - 1], name=f"add{k + 1}")
        parts[k] = g.conv(z, quarter, 3, groups=groups, name=f"conv2_{k + 1}")
    return g.add(g.conv(g.concat(parts), width, 1, name="conv3"), x)
