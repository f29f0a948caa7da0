"""An architecture as data: frozen, hashable by content, with one canonical form.

The terms are those of CSPNet (Wang et al. 2020). `partial_ratio` (gamma) is the share of a stage's base
channels that bypasses the blocks; larger gamma, fewer MACs; 0 means that there is no cross-stage path.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

from space.ops import ACTIVATIONS
from space.registry import unknown

T = TypeVar("T", bound="Stem | Stage | Head")

FUSIONS = ("csp", "last", "first", "none")
SPLITS = ("slice", "conv", "cross", "early")
"""How a stage parts its input; `space.lower` says what each builds."""
DOWNS = ("conv", "pool", "pool_stride1", "block", "none")
"""How a stage comes to its resolution; `space.lower` says what each builds."""
BLOCK_AXES = ("bottleneck_ratio", "growth_rate", "cardinality")
"""Axes of a stage that only some blocks read; `Block.reads` says which."""
BLOCK_OPTIONS = ("elastic", "squeeze")
"""Options of a stage that only some blocks read and that can be off."""


class ArchitectureError(ValueError):
    """An architecture that cannot exist; the message names the rule that it breaks."""


MOST_CHANNELS, MOST_DEPTH, MOST_STAGES = 65_536, 512, 16
"""Bounds of what is built at all: far above any network, low enough that counting one on paper takes no time."""

_Kind = tuple[tuple[type, ...], float, float, str]
_CHANNELS: _Kind = ((int,), 1, MOST_CHANNELS, f"a whole number from 1 to {MOST_CHANNELS}")
_WORD: _Kind = ((str,), 0, 0, "a name")
_FLAG: _Kind = ((bool,), 0, 0, "true or false")
_VALUES: dict[str, _Kind] = {
    "depth": ((int,), 1, MOST_DEPTH, f"a whole number from 1 to {MOST_DEPTH}"),
    "partial_ratio": ((int, float), 0, 1, "a share from 0 to below 1"),
    "bottleneck_ratio": ((int, float), 0, 1024, "a ratio above 0 and at most 1024"),
    "squeeze": ((int, float), 0, 1, "a ratio from 0 to 1"),
    "levels": ((int,), 2, 5, "a whole number from 2 to 5"),
    "stride": ((int,), 1, 4, "a whole number from 1 to 4"),
    **dict.fromkeys(("block", "fusion", "split", "down", "kind", "attention"), _WORD),
    **dict.fromkeys(("elastic", "split_linear", "pool_first", "transition", "spp"), _FLAG),
}
"""What a field may hold; those not named here are channels. A field whose declared type has None may be None."""


def check_values(part: Any) -> None:
    """Refuse a value of the wrong type or out of bounds, by its name. Raises ArchitectureError."""
    for name, optional in _OPTIONAL[type(part)]:
        value = getattr(part, name)
        if value is None and optional:
            continue
        types, low, high, allowed = _VALUES.get(name, _CHANNELS)
        if type(value) not in types or (high > low and not low <= value <= high):
            shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:60]}…"
            where = f"{type(part).__name__.lower()} {name}"
            raise ArchitectureError(f"{where} is {shown}; it must be {allowed}{' or none' if optional else ''}")


@dataclass(frozen=True, kw_only=True)
class Stem:
    """Entry convolutions; `space.stems` has the kinds and says which fields each reads."""

    kind: str = "double"
    width: int | None = 32
    stride: int | None = 4
    kernel: int | None = None
    """Kernel of the first convolution (`conv_pool`)."""
    pool: int | None = None
    """Kernel of the max-pool (`conv_pool`): 2 in the darknet files, 3 in ResNet."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks at one resolution, with or without a cross-stage path around them.

    `width` is the number of base channels: cross path plus main path. An axis that the block does not read is
    None in the canonical form. See `space.stages` for what each fusion builds and `space.blocks` for the blocks.
    Fields below `cardinality` are what published networks need beyond the plain reading of the paper; each is
    left out of the JSON where it has its default, so that adding one changed no id.
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
    elastic: bool = False
    """Half of each block's channels run at half resolution (the darknet files named -elastic)."""
    squeeze: float = 0.0
    """Squeeze-and-excitation: inner over outer width of the gate at the end of a block; 0 is none."""
    down: str | None = None
    """How the stage comes to its resolution; None is `pool` after growing blocks, else `conv`; `none` at the start."""
    down_groups: int | None = None
    """Groups of the `conv` that leads into the stage (csresnext50: 32)."""
    entry: int | None = None
    """Channels that come into the stage, where a split `conv` makes `width` of them (csresnet50: a quarter)."""
    exit: int | None = None
    """Channels after T2 where they are not `width` (csresnet50 halves); residual blocks only."""
    main_entry: int | None = None
    """Channels of the main path before its first block, which widens it (csresnext50, stage 1)."""
    split_linear: bool = False
    """The split's convolutions have no activation (csresnet50 and csresnext50, stages 2 and 3)."""
    pool_first: bool | None = None
    """Growing blocks: whether the pool stands before the last transition; None is no for `none`, else yes."""
    transition: bool | None = None
    """Growing blocks: whether a 1x1 transition closes the last stage; None is as the fusion says."""

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
    """Task layers, neck included. `kind` is a file of `space.heads`, `fusion` one of its necks."""

    kind: str = "detector"
    fusion: str | None = "fpn"
    width: int | None = 64
    """Channels of the finest level's maps."""
    maxout: int | None = 1
    """Channel groups of the Maxout on each map before concatenation; 1 is none, 4 the paper's 4:1."""
    levels: int = 3
    """Resolutions, from the coarsest, whose last stage a detector reads, and maps that it predicts on."""
    attention: str | None = None
    """`sam`: spatial attention on every map before the prediction."""
    spp: bool = False
    """Spatial pyramid pooling on the coarsest level."""
    last_width: int | None = None
    """A classifier's 1x1 convolution before the pool (MobileNetV2), None where there is none."""


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
        """Plain data, ready for JSON or TOML; `from_dict` is the inverse.

        Fields that later versions added are left out where they have their default: ids stay what they were.
        """
        return {
            "stem": _plain(self.stem, ALWAYS["stem"]),
            "stages": [_plain(stage, ALWAYS["stages"]) for stage in self.stages],
            "head": _plain(self.head, ALWAYS["head"]),
            "activation": self.activation,
        }

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
        except KeyError as error:
            raise ArchitectureError(f"not an architecture: {error} is missing") from error
        except TypeError as error:
            raise ArchitectureError("not an architecture: expected stem, stages, head and activation as "
                                    f"Architecture.to_dict gives them ({error})") from error  # fmt: skip
        extra = set(data) - {field.name for field in fields(Architecture)}
        if extra:
            raise ArchitectureError(f"an architecture has no {', '.join(sorted(extra))}")
        return architecture

    def canonical(self) -> Architecture:
        """The one spelling of this network: ignored axes are None, no cross path is `none` with gamma 0.

        Raises ArchitectureError if the architecture cannot exist.
        """
        return self if "_is_canonical" in self.__dict__ else self._canonical

    @cached_property
    def _canonical(self) -> Architecture:
        from space.heads import canonical_head
        from space.stems import WIDTH_FOLLOWS, canonical_stem

        if not 1 <= len(self.stages) <= MOST_STAGES:
            raise ArchitectureError(f"an architecture has 1 to {MOST_STAGES} stages, not {len(self.stages)}")
        if self.activation not in ACTIVATIONS:
            raise ArchitectureError(unknown("activation", self.activation, list(ACTIVATIONS)))
        stages = tuple(canonical_stage(stage) for stage in self.stages)
        for stage, following in itertools.pairwise(stages):
            if following.width <= widest_cross(stage):
                raise ArchitectureError(
                    f"fusion 'last' of growing blocks has no T2, so the next stage's width {following.width} must "
                    f"exceed the cross path's {stage.cross}; widen it or lower the partial ratio"
                )
        stem = canonical_stem(self.stem)
        stages = tuple(_placed(stages, index, stem) for index in range(len(stages)))
        if stem.width == (stages[0].entry or stages[0].width) and stem.kind in WIDTH_FOLLOWS:
            stem = replace(stem, width=None)
        found = replace(self, stem=stem, stages=stages, head=canonical_head(self.head))
        found.__dict__["_is_canonical"] = True  # so that nobody works it out again
        return found

    def words(self) -> str:
        """The architecture in one line: `stem 16 → dense/csp γ0.5 32×2 → … → efm 48 maxout 2:1 (silu)`."""
        parts = []
        for stage in self.stages:
            gamma = f" γ{stage.partial_ratio:.2g}" if stage.fusion != "none" else ""
            split = f" {stage.split}-split" if stage.fusion != "none" and stage.split != "slice" else ""
            extra = " elastic" * stage.elastic + " SE" * bool(stage.squeeze)
            parts.append(f"{stage.block}/{stage.fusion}{gamma}{split}{extra} {stage.width}×{stage.depth}")
        head = self.head.kind
        if self.head.fusion:
            maxout = f" maxout {self.head.maxout}:1" if (self.head.maxout or 1) > 1 else ""
            extra = (" " + self.head.attention if self.head.attention else "") + " spp" * self.head.spp
            head = f"{self.head.fusion} {self.head.width}{maxout}{extra}"
        stem = " ".join(str(part) for part in (self.stem.kind, self.stem.width) if part not in ("double", None))
        return f"stem {stem} → {' → '.join(parts)} → {head} ({self.activation})"


ALWAYS: dict[str, tuple[str, ...]] = {
    "stem": ("width", "stride"),
    "stages": ("block", "depth", "width", "fusion", "partial_ratio", "split", "bottleneck_ratio", "growth_rate",
               "cardinality"),
    "head": ("kind", "fusion", "width", "maxout"),
}  # fmt: skip
"""Fields of the first version; the data of an architecture always have them."""


def _plain(part: Any, always: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a dataclass as data: those named `always`, and the others where they are not their default."""
    return {f.name: getattr(part, f.name) for f in fields(part)
            if f.name in always or getattr(part, f.name) != f.default}  # fmt: skip


def changed(part: T, changes: dict[str, Any]) -> T:
    """A dataclass with fields changed; the same object where they were so already (`replace` is slow)."""
    return replace(part, **changes) if any(getattr(part, k) != v for k, v in changes.items()) else part


def canonical_stage(stage: Stage) -> Stage:
    """The one spelling of a stage by itself. Raises ArchitectureError if it cannot exist."""
    from space.blocks import BLOCKS

    check_values(stage)
    if not 0 <= stage.partial_ratio < 1 or stage.cross >= stage.width:
        raise ArchitectureError(f"partial ratio {stage.partial_ratio} leaves no channel to the blocks")
    for name, allowed in (("split", SPLITS), ("fusion", FUSIONS), ("down", (None, *DOWNS))):
        if getattr(stage, name) not in allowed:
            raise ArchitectureError(unknown(name, getattr(stage, name), [a for a in allowed if a]))
    block = BLOCKS.get(stage.block)
    changes: dict[str, Any] = {axis: None for axis in BLOCK_AXES if axis not in block.reads}
    changes |= {option: _DEFAULTS[option] for option in BLOCK_OPTIONS if option not in block.reads}
    for axis in block.reads.intersection(BLOCK_AXES):
        value = getattr(stage, axis)
        if value is None:
            raise ArchitectureError(f"block '{stage.block}' needs the axis '{axis}'")
        if value <= 0:
            raise ArchitectureError(f"block '{stage.block}' needs a positive {axis}, not {value}")
    if stage.main < 2 and not block.grows:
        changes["elastic"] = False  # one channel has no halves
        stage = changed(stage, {"elastic": False})
    changes |= _as_built(stage, block.reads)
    if stage.cross == 0:
        changes |= {"fusion": "none", "partial_ratio": 0.0, "split": "slice"}
    else:
        # The share itself, so that two roundings of the same widths spell alike.
        changes["partial_ratio"] = round(stage.cross / stage.width, 6)
    stage = changed(stage, changes)
    return changed(stage, _ignored(stage, grows=block.grows))


def _as_built(stage: Stage, reads: frozenset[str]) -> dict[str, Any]:
    """Ratios and groups as they come out in whole channels, so that equal networks spell alike."""
    changes: dict[str, Any] = {}
    if "bottleneck_ratio" in reads:
        ratio = float(stage.bottleneck_ratio or 0)
        outer = {"dense": stage.growth_rate, "dense_pre": stage.growth_rate, "inverted": None, "dense_two_way": None,
                 "dense_sparse": None}.get(stage.block, stage.main)  # fmt: skip
        if outer and not stage.elastic:
            ratio = max(1, round(outer * ratio)) / outer
        changes["bottleneck_ratio"] = round(ratio, 6)
    if "squeeze" in reads and stage.squeeze:
        changes["squeeze"] = round(max(1, round(stage.main * stage.squeeze)) / stage.main, 6)
    if stage.block == "resx":
        groups = stage.cardinality or 1
        if stage.elastic:  # each half has half of the groups
            groups = 1 if groups < 4 else groups // 2 * 2
        changes["cardinality"] = groups
        if groups == 1:
            changes |= {"block": "res", "cardinality": None}
    return changes


def _ignored(stage: Stage, *, grows: bool) -> dict[str, Any]:
    """Defaults for the options that have no effect in this stage, whatever stands beside it."""
    from space.stages import FUSIONS as PARTS

    changes: dict[str, Any] = {}
    split = stage.split in ("conv", "cross", "early") and stage.fusion != "none"
    if not split:
        changes["split_linear"] = False
    if stage.split != "conv" or stage.main_entry == stage.main or grows:
        changes["main_entry"] = None
    if stage.entry == stage.width or (stage.split != "conv" and stage.fusion != "none"):
        changes["entry"] = None
    if grows or not PARTS.get(stage.fusion).t2 or stage.exit == stage.width:
        changes["exit"] = None
    first = stage.fusion != "none"
    if not grows or not (PARTS.get(stage.fusion).t2 or not first) or stage.pool_first == first:
        changes["pool_first"] = None
    if not grows or stage.transition == (PARTS.get(stage.fusion).t2 or not first):
        changes["transition"] = None
    return changes


def default_down(stages: tuple[Stage, ...], index: int) -> str:
    """What leads into a stage unless it says otherwise: nothing at the start, a pool after growing blocks."""
    from space.blocks import BLOCKS

    if index == 0:
        return "none"
    return "pool" if BLOCKS.get(stages[index - 1].block).grows else "conv"


def _placed(stages: tuple[Stage, ...], index: int, stem: Stem) -> Stage:
    """A canonical stage with the options dropped that have no effect where it stands.

    Raises ArchitectureError if it cannot stand there.
    """
    from space.blocks import BLOCKS
    from space.stems import WIDTH_FOLLOWS

    stage, usual = stages[index], default_down(stages, index)
    down = stage.down or usual
    after_growing = index > 0 and BLOCKS.get(stages[index - 1].block).grows
    if after_growing and down not in ("pool", "none"):
        raise ArchitectureError(f"after growing blocks a stage is reached by 'pool' or 'none', not '{down}'")
    if stage.split == "early" and not after_growing:
        raise ArchitectureError("split 'early' takes its main path from the transition of a stage of growing blocks")
    if down == "block" and not BLOCKS.get(stage.block).projects:
        raise ArchitectureError(f"block '{stage.block}' keeps its resolution: use another down than 'block'")
    if down == "block" and stage.cross:
        raise ArchitectureError("with down 'block' only the main path changes resolution: a cross path needs another")
    changes: dict[str, Any] = {}
    if stage.down == usual:
        changes["down"] = None
    if down != "conv" or stage.down_groups == 1:
        changes["down_groups"] = None
    stem_follows = stem.kind == "double" or (stem.kind in WIDTH_FOLLOWS and stem.width is None)
    if not (down == "conv" or after_growing or (index == 0 and stem_follows)):
        changes["entry"] = None
    if index < len(stages) - 1:
        changes["transition"] = None
        following = stages[index + 1]
        if following.split == "early" or (following.down or default_down(stages, index + 1)) != "pool":
            changes["pool_first"] = None
    else:
        changes["pool_first"] = None
        if BLOCKS.get(stage.block).grows and stage.fusion in ("csp", "last"):
            # Both have T1; what tells them apart in the last stage is whether a transition closes it.
            closes = (stage.fusion == "csp") if stage.transition is None else stage.transition
            changes |= {"fusion": "csp" if closes else "last", "transition": None}
    return changed(stage, changes)


def widest_cross(stage: Stage) -> int:
    """Channels that the next stage's width must exceed, 0 where there is no such rule.

    After `last` on growing blocks nothing projects the concatenation to the next width: T1 fills it up.
    """
    from space.blocks import BLOCKS

    return stage.cross if stage.fusion == "last" and BLOCKS.get(stage.block).grows else 0


def _build(kind: type[Any], data: dict[str, Any]) -> Any:
    return kind(**data)


_DEFAULTS = {f.name: f.default for f in fields(Stage)}
_OPTIONAL: dict[type, list[tuple[str, bool]]] = {
    kind: [(f.name, "None" in str(f.type)) for f in fields(kind)] for kind in (Stem, Stage, Head)
}
"""Fields of each part, and whether one may be None."""
