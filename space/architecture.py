"""An architecture as data: frozen, hashable by content, with one canonical form.

The terms are those of CSPNet (Wang et al. 2020). `partial_ratio` (gamma) is the share of a stage's base
channels that bypasses the blocks; larger gamma, fewer MACs; 0 means that there is no cross-stage path.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

FUSIONS = ("csp", "last", "first", "none")
SPLITS = ("slice", "conv")
BLOCK_AXES = ("bottleneck_ratio", "growth_rate", "cardinality")
"""Axes of a stage that only some blocks read; `Block.reads` says which."""
DETECTOR_LEVELS = 3
"""Feature maps that a detection head reads: the outputs of the last three stages."""


class ArchitectureError(ValueError):
    """An architecture that cannot exist; the message names the rule that it breaks."""


@dataclass(frozen=True, kw_only=True)
class Stem:
    """Entry convolutions: 3x3 stride 2 to `width`, then 3x3 to the first stage's width.

    The second convolution has stride 2 when `stride` is 4, 1 when it is 2.
    """

    width: int = 32
    stride: int = 4


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks at one resolution, with or without a cross-stage path around them.

    `width` is the number of base channels. An axis that the block does not read is None in the
    canonical form. See `space.stages` for what each fusion builds and `space.blocks` for the blocks.
    """

    block: str = "res"
    depth: int = 2
    width: int = 64
    fusion: str = "csp"
    partial_ratio: float = 0.5
    split: str = "slice"
    bottleneck_ratio: float | None = 0.5
    """Inner width over outer width; the outer width of a dense layer is its growth rate."""
    growth_rate: int | None = None
    """Channels that each dense layer adds."""
    cardinality: int | None = None
    """Groups of a resx block's 3x3 convolution."""

    @property
    def cross(self) -> int:
        """Channels that bypass the blocks."""
        return 0 if self.fusion == "none" else round(self.width * self.partial_ratio)

    @property
    def main(self) -> int:
        """Base channels that pass through the blocks."""
        return self.width - self.cross


@dataclass(frozen=True, kw_only=True)
class Head:
    """Task layers, neck included. `kind` is a file of `space.heads`; a classifier reads no other field."""

    kind: str = "detector"
    fusion: str | None = "fpn"
    width: int | None = 64
    maxout: int | None = 1
    """Channel groups of the Maxout on each map before concatenation; 1 is none, 4 the paper's 4:1."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A point of the design space. Equal networks have equal `id` once `canonical()`."""

    stem: Stem
    stages: tuple[Stage, ...]
    head: Head
    activation: str = "relu"

    @cached_property
    def id(self) -> str:
        """12 hex digits of the SHA-256 of the canonical form's JSON."""
        text = json.dumps(self.canonical().to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON or TOML; `from_dict` is the inverse."""
        data = asdict(self)
        data["stages"] = list(data["stages"])
        return data

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Architecture:
        """The architecture described by `data`. Raises ArchitectureError on unknown or missing keys."""
        try:
            architecture = Architecture(
                stem=_build(Stem, data["stem"]),
                stages=tuple(_build(Stage, stage) for stage in data["stages"]),
                head=_build(Head, data["head"]),
                activation=data["activation"],
            )
        except (KeyError, TypeError) as error:
            raise ArchitectureError(f"not an architecture: {error!r}") from error
        extra = set(data) - {field.name for field in fields(Architecture)}
        if extra:
            raise ArchitectureError(f"an architecture has no {', '.join(sorted(extra))}")
        return architecture

    def canonical(self) -> Architecture:
        """The one spelling of this network: ignored axes are None, no cross path is `none` with gamma 0.

        Raises ArchitectureError if the architecture cannot exist.
        """
        from space.heads import HEADS

        stages = tuple(canonical_stage(stage) for stage in self.stages)
        for stage, following in itertools.pairwise(stages):
            if following.width <= widest_cross(stage):
                raise ArchitectureError(
                    f"fusion 'last' of growing blocks has no T2, so the next stage's width {following.width} must "
                    f"exceed the cross path's {stage.cross}; widen it or lower the partial ratio"
                )
        reads = HEADS.get(self.head.kind).reads
        ignored: dict[str, Any] = {axis: None for axis in ("fusion", "width", "maxout") if axis not in reads}
        head = replace(self.head, **ignored)
        if head.width is not None and head.maxout is not None and head.width % head.maxout:
            raise ArchitectureError(f"maxout {head.maxout}:1 does not divide the head's width {head.width}")
        return replace(self, stages=stages, head=head)

    def words(self) -> str:
        """The architecture in one line: `stem 16 → dense/csp γ0.5 32×2 → … → efm 48 maxout 2:1 (silu)`."""
        parts = []
        for stage in self.stages:
            gamma = f" γ{stage.partial_ratio:.2g}" if stage.fusion != "none" else ""
            split = " conv-split" if stage.fusion != "none" and stage.split == "conv" else ""
            parts.append(f"{stage.block}/{stage.fusion}{gamma}{split} {stage.width}×{stage.depth}")
        head = self.head.kind
        if self.head.fusion:
            maxout = f" maxout {self.head.maxout}:1" if (self.head.maxout or 1) > 1 else ""
            head = f"{self.head.fusion} {self.head.width}{maxout}"
        return f"stem {self.stem.width} → {' → '.join(parts)} → {head} ({self.activation})"


def canonical_stage(stage: Stage) -> Stage:
    """The one spelling of a stage. Raises ArchitectureError if it cannot exist."""
    from space.blocks import BLOCKS

    if not 0 <= stage.partial_ratio < 1 or stage.cross >= stage.width:
        raise ArchitectureError(f"partial ratio {stage.partial_ratio} leaves no channel to the blocks")
    if stage.depth < 1 or stage.width < 1:
        raise ArchitectureError(f"a stage of depth {stage.depth} and width {stage.width} is empty")
    reads = BLOCKS.get(stage.block).reads
    changes: dict[str, Any] = {axis: None for axis in BLOCK_AXES if axis not in reads}
    for axis in reads:
        if getattr(stage, axis) is None:
            raise ArchitectureError(f"block '{stage.block}' needs the axis '{axis}'")
    if "bottleneck_ratio" in reads:
        changes["bottleneck_ratio"] = round(float(stage.bottleneck_ratio or 0), 6)
    if stage.cross == 0:
        changes |= {"fusion": "none", "partial_ratio": 0.0, "split": "slice"}
    else:
        # The share itself, so that two roundings of the same widths spell alike.
        changes["partial_ratio"] = round(stage.cross / stage.width, 6)
    return replace(stage, **changes)


def widest_cross(stage: Stage) -> int:
    """Channels that the next stage's width must exceed, 0 where there is no such rule.

    After `last` on growing blocks nothing projects the concatenation to the next width: T1 fills it up.
    """
    from space.blocks import BLOCKS

    return stage.cross if stage.fusion == "last" and BLOCKS.get(stage.block).grows else 0


def _build(kind: type[Any], data: dict[str, Any]) -> Any:
    return kind(**data)
