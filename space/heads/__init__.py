"""Heads and necks: one file each.

A head (`HEADS`) makes the outputs. A detector's neck (`NECKS`) is `neck(g, features, head) -> list[Ref]`: it gets
the features of the last `levels` stages, finest first, and gives one map a level, from which the detector
predicts. Definitions of FPN, GFM and EFM are the paper's (section 3.3): scales s and s+1; all scales at every
scale; s-1, s and s+1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from space.architecture import ArchitectureError, Head, changed, check_values
from space.graph import Builder, Ref
from space.registry import Registry, unknown

ATTENTIONS = ("sam",)
SPP_KERNELS = (5, 9, 13)
"""Max-pools of spatial pyramid pooling (YOLOv3-SPP and the published PANet-SPP files)."""


class HeadBuilder(Protocol):
    """Task layers on the features of the stages."""

    reads: frozenset[str]
    """Fields of `Head` that it uses; the others are None or off in the canonical form."""

    def __call__(
        self, g: Builder, features: Sequence[Ref], head: Head, *, num_classes: int, num_anchors: int
    ) -> list[Ref]:
        """Add the head; returns the outputs, finest level first."""
        ...


class Neck(Protocol):
    """Fusion of the scales."""

    reads: frozenset[str]
    """Fields of `Head` that it uses beside `width`, `levels`, `attention` and `spp`, which all necks have."""

    def __call__(self, g: Builder, features: Sequence[Ref], head: Head) -> list[Ref]:
        """One map a level to predict from, finest first."""
        ...


HEADS: Registry[HeadBuilder] = Registry("head", "space.heads")
NECKS: Registry[Neck] = Registry("head fusion", "space.heads")


def canonical_head(head: Head) -> Head:
    """The one spelling of a head. Raises ArchitectureError if it cannot exist."""
    check_values(head)
    reads = set(HEADS.get(head.kind).reads)
    if "fusion" in reads:
        if head.fusion is None:
            raise ArchitectureError(f"head '{head.kind}' needs a fusion: {', '.join(NECKS.names())}")
        reads |= NECKS.get(head.fusion).reads
    changes: dict[str, Any] = {axis: None for axis in ("fusion", "width", "maxout", "last_width") if axis not in reads}
    if "levels" not in reads:
        changes |= {"levels": 3, "attention": None, "spp": False}
    head = changed(head, changes)
    if "fusion" in reads and head.width is None:
        raise ArchitectureError(f"head '{head.kind}' needs a width")
    if "maxout" in reads and (head.maxout is None or head.maxout < 1 or (head.width or 0) % head.maxout):
        raise ArchitectureError(f"maxout {head.maxout}:1 does not divide the head's width {head.width}")
    if head.attention not in (None, *ATTENTIONS):
        raise ArchitectureError(unknown("attention", head.attention, list(ATTENTIONS)))
    if head.fusion == "gfm" and head.levels == 2:
        head = changed(head, {"fusion": "efm"})  # of two scales, all are neighbours
    return head


def width_at(head: Head, level: int) -> int:
    """`width` doubled with every coarser level, as in YOLOv3."""
    assert head.width is not None
    return int(head.width * 2**level)


def mix(g: Builder, features: Sequence[Ref], head: Head,
        fuse: Callable[[Sequence[Ref], Callable[[Ref], Ref]], list[Ref]]) -> list[Ref]:  # fmt: skip
    """Laterals of one width, `fuse` with the Maxout to apply before each concatenation, then a 3x3."""
    assert head.width is not None
    laterals = [g.conv(x, head.width, 1, name=f"lateral{level}") for level, x in enumerate(features)]
    if head.spp:
        laterals[-1] = g.conv(pyramid_pool(g, laterals[-1]), head.width, 1, name="spp_out")
    fused = fuse(laterals, lambda x: g.maxout(x, head.maxout or 1))
    return [g.conv(x, head.width, 3, name=f"fuse{level}") for level, x in enumerate(fused)]


def pyramid_pool(g: Builder, x: Ref) -> Ref:
    """Spatial pyramid pooling: [13x13, 9x9, 5x5 max-pools of stride 1, x], in the order of the published files."""
    with g.scope("spp"):
        pools = [g.max_pool(x, kernel, stride=1, name=f"pool{kernel}") for kernel in SPP_KERNELS]
        return g.concat([*reversed(pools), x])


def fuse_near(g: Builder, laterals: Sequence[Ref], compress: Callable[[Ref], Ref], reach: int) -> list[Ref]:
    """For each level the concatenation of the levels at most `reach` away, brought to its size."""
    maps = [compress(lateral) for lateral in laterals]
    fused = []
    for level in range(len(maps)):
        near = range(max(0, level - reach), min(len(maps), level + reach + 1))
        with g.scope(f"p{level}"):
            fused.append(g.concat([bring(g, maps, k, level) for k in near]))
    return fused


def bring(g: Builder, maps: Sequence[Ref], k: int, level: int) -> Ref:
    """Map `k` at the size of `level`."""
    x = maps[k]
    _, height, width = g.shape(x)
    _, *target = g.shape(maps[level])
    if target[0] % height or target[1] % width:
        # An odd size on the way (100 -> 25, 13, 7): level by level, because nearest neighbours of a ratio
        # such as 22/6 fall between pixels, where runtimes round differently.
        step = -1 if k > level else 1
        for j in range(k + step, level, step):
            x = g.resize_like(x, maps[j], name=f"from{k}")
    return g.resize_like(x, maps[level], name=f"from{k}")
