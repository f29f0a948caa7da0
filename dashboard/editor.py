"""An architecture being edited: a network to start from, and what is set otherwise. The URL's query is all its state.

`?from=CSPPeleeNet&stage2.width=96&head.fusion=efm`: every axis has a key, and only what differs from the start is
said. Named values are looked up in lists here before anything is built: registries import what a name such as
`package.module:name` says, and a link must not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from space.architecture import (
    BLOCK_AXES,
    BLOCK_OPTIONS,
    DOWNS,
    SPLITS,
    Architecture,
    ArchitectureError,
    Head,
    Stage,
    Stem,
)
from space.axes import SpaceError
from space.blocks import BLOCKS
from space.design import DesignSpace
from space.heads import ATTENTIONS, NECKS
from space.lower import lower
from space.nearest import nearest
from space.ops import ACTIVATIONS
from space.registry import unknown
from space.stages import FUSIONS
from space.stems import STEMS

START = "CSPPeleeNet"
"""What an editor without a start begins with."""
MOST_STAGES = 8
ROUND = 16
"""Channels are rounded to a multiple of this unless asked otherwise, as a design space does."""
EXTRAS = ("entry", "exit", "main_entry", "split_linear", "pool_first", "transition", "down_groups")
"""Fields of published networks that have no control of their own: kept or dropped together."""
DEFAULTS: dict[str, Any] = {"bottleneck_ratio": 0.5, "growth_rate": 32, "cardinality": 4}
"""Values of axes that a block begins to read."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One thing that can be set: a choice, a number, or a flag."""

    name: str
    label: str
    meaning: str
    kind: Literal["choice", "whole", "share", "flag"]
    choices: Callable[[], list[str]] = list
    low: float = 0
    high: float = 1
    step: float = 1
    slider: bool = False


NETWORK = (
    Axis(name="num_stages", label="Stages", meaning="number of stages", kind="whole", low=1, high=MOST_STAGES,
         slider=True),
    Axis(name="round", label="Round channels to", meaning="paths and inner widths of the stages that were changed are "
         "multiples of this, and groups divide them; 1 takes every number as it is", kind="choice",
         choices=lambda: ["1", "2", "4", "8", "16", "32"]),
    Axis(name="activation", label="Activation", meaning="non-linearity", kind="choice",
         choices=lambda: list(ACTIVATIONS)),
    Axis(name="stem.kind", label="Stem", meaning="entry convolutions", kind="choice", choices=lambda: list(STEMS)),
    Axis(name="stem.width", label="Stem width", meaning="channels of the first convolution", kind="whole", low=1,
         high=8192, step=8),
    Axis(name="stem.stride", label="Stem stride", meaning="how much smaller the stem makes the image", kind="choice",
         choices=lambda: ["1", "2", "4"]),
)  # fmt: skip
HEAD = (
    Axis(name="head.fusion", label="Head", meaning="pyramid fusion", kind="choice", choices=NECKS.names),
    Axis(name="head.width", label="Head width", meaning="channels of the finest maps", kind="whole", low=1, high=8192,
         step=8),
    Axis(name="head.maxout", label="Maxout", meaning="channel groups of the Maxout; 1 is none", kind="whole", low=1,
         high=16),
    Axis(name="head.levels", label="Levels", meaning="resolutions that it predicts on", kind="whole", low=2, high=5),
    Axis(name="head.attention", label="Attention", meaning="spatial attention", kind="choice",
         choices=lambda: ["none", *ATTENTIONS]),
    Axis(name="head.spp", label="SPP", meaning="spatial pyramid pooling", kind="flag"),
    Axis(name="head.last_width", label="Last width", meaning="1×1 convolution before the classifier; 0 is none",
         kind="whole", low=0, high=8192, step=8),
)  # fmt: skip
STAGE = (
    Axis(name="partial_ratio", label="γ", meaning="partial ratio: share of the channels that bypasses the blocks",
         kind="share", high=0.95, step=0.05, slider=True),
    Axis(name="fusion", label="Fusion", meaning="how the cross path joins the main path", kind="choice",
         choices=FUSIONS.names),
    Axis(name="block", label="Block", meaning="repeated unit", kind="choice", choices=BLOCKS.names),
    Axis(name="depth", label="Depth", meaning="number of blocks", kind="whole", low=1, high=64),
    Axis(name="width", label="Width", meaning="base channels", kind="whole", low=1, high=8192, step=8),
    Axis(name="growth_rate", label="Growth rate", meaning="channels that each dense layer adds", kind="whole", low=1,
         high=1024, step=8),
    Axis(name="bottleneck_ratio", label="Bottleneck", meaning="inner over outer width of a block", kind="share",
         low=0.05, high=8, step=0.05),
    Axis(name="cardinality", label="Groups", meaning="groups of the 3×3 convolution", kind="whole", low=1, high=256),
    Axis(name="split", label="Split", meaning="how the channels are parted", kind="choice",
         choices=lambda: list(SPLITS)),
    Axis(name="elastic", label="Elastic", meaning="half of the channels at half resolution", kind="flag"),
    Axis(name="squeeze", label="SE ratio", meaning="squeeze-and-excitation; 0 is none", kind="share", step=0.0625),
    Axis(name="down", label="Down", meaning="how the stage comes to its resolution", kind="choice",
         choices=lambda: ["usual", *DOWNS]),
    Axis(name="extras", label="Extras", meaning="further fields of the published network", kind="choice",
         choices=lambda: ["keep", "drop"]),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What a query says: the network that it starts from, every value, and what comes of it."""

    start: str
    base: Mapping[str, Any]
    """Values of the start by key; of added stages those of its last one."""
    values: Mapping[str, Any]
    changed: Mapping[str, Any]
    num_stages: int
    architecture: Architecture | None
    problem: str | None = None
    wrong: Mapping[str, str] = field(default_factory=dict)
    """What forbids a setting, by the key of the setting."""

    @property
    def rounded(self) -> list[str]:
        """What was asked for and is built otherwise, as `stage2.partial_ratio 0.65 → 0.667`."""
        if self.architecture is None:
            return []
        found = []
        for key, asked in self.changed.items():
            part, _, name = key.partition(".")
            if not part.startswith("stage") or isinstance(asked, bool | str):
                continue
            built = getattr(self.architecture.stages[int(part.removeprefix("stage")) - 1], name)
            if built is not None and abs(built - asked) > 1e-3:
                found.append(f"{key} {as_text(asked)} → {built:.3g}")
        return found

    def axes(self) -> Iterator[Axis]:
        """Axes of network and head that are read now."""
        stem, head = str(self.values["stem.kind"]), str(self.values["head.kind"])
        for axis in NETWORK:
            part, _, name = axis.name.partition(".")
            if part != "stem" or name == "kind" or name in STEMS[stem][1]:
                yield axis
        neck = NECKS.get(str(self.values["head.fusion"])).reads if head == "detector" else set()
        reads = {"fusion", "width", "levels", "attention", "spp", *neck} if head == "detector" else {"last_width"}
        yield from (axis for axis in HEAD if axis.name.removeprefix("head.") in reads)

    def stage_axes(self) -> list[Axis]:
        """Axes that some stage reads now."""
        numbers = range(1, self.num_stages + 1)
        return [axis for axis in STAGE if any(self.reads(number, axis.name) for number in numbers)]

    def reads(self, stage: int, axis: str) -> bool:
        """Whether a stage's block reads an axis."""
        if axis == "extras":
            return bool(self.base[f"stage{stage}.has_extras"])
        return axis not in (*BLOCK_AXES, *BLOCK_OPTIONS) or axis in BLOCKS.get(
            str(self.values[f"stage{stage}.block"])).reads  # fmt: skip


def edit(base: Architecture, start: str, given: Mapping[str, str]) -> Edit:
    """The edit that a query describes. Never raises: what is wrong is said by key, or as the problem of the whole."""
    wrong: dict[str, str] = {}
    read = {key: axis for key, axis in _keys(MOST_STAGES + len(base.stages)) if key in given}
    changed = {}
    for key, axis in read.items():
        try:
            changed[key] = parse(axis, given[key])
        except ValueError as error:
            wrong[key] = str(error)
    count = int(changed.get("num_stages", len(base.stages)))
    before = plain(base, count)
    said = {key: value for key, value in changed.items() if key in before}
    changed = {key: value for key, value in said.items() if value != before[key]}
    values = settled({**before, **changed}, said, count)
    try:
        made = build(values, base, changed)
    except ArchitectureError as error:
        wrong |= _culprits(base, changed, str(error))
        return Edit(start=start, base=before, values=values, changed=changed, num_stages=count, architecture=None,
                    problem=str(error), wrong=wrong)  # fmt: skip
    return Edit(start=start, base=before, values=values, changed=changed, num_stages=count, architecture=made,
                wrong=wrong)  # fmt: skip


def _keys(stages: int) -> Iterator[tuple[str, Axis]]:
    for axis in (*NETWORK, *HEAD):
        yield axis.name, axis
    for number in range(1, stages + 1):
        for axis in STAGE:
            yield f"stage{number}.{axis.name}", axis


def parse(axis: Axis, text: str) -> Any:
    """A value of a query. Raises ValueError that says what is allowed."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    if axis.kind == "choice":
        allowed = axis.choices()
        if text not in allowed:
            raise ValueError(unknown(axis.label.lower(), shown, allowed))
        return int(text) if text.isdigit() else text
    if axis.kind == "flag":
        if text not in ("0", "1"):
            raise ValueError(f"'{shown}' is neither 0 nor 1")
        return text == "1"
    pattern = r"\d{1,6}" if axis.kind == "whole" else r"\d{1,4}(\.\d{1,8})?"
    if not re.fullmatch(pattern, text, re.ASCII) or not axis.low <= float(text) <= axis.high:
        kind = "a whole number" if axis.kind == "whole" else "a number"
        raise ValueError(f"'{shown}' is not {kind} from {axis.low:g} to {axis.high:g}")
    return int(text) if axis.kind == "whole" else float(text)


def plain(base: Architecture, num_stages: int) -> dict[str, Any]:
    """Values of a network by key, as if it had `num_stages` stages."""
    values: dict[str, Any] = {"num_stages": len(base.stages), "round": ROUND, "activation": base.activation}
    values |= {f"stem.{name}": value for name, value in vars(base.stem).items()}
    values |= {f"head.{name}": value for name, value in vars(base.head).items()}
    values["head.attention"] = base.head.attention or "none"
    values["head.last_width"] = base.head.last_width or 0
    for number in range(1, num_stages + 1):
        stage = base.stages[min(number, len(base.stages)) - 1]
        own = {axis.name: getattr(stage, axis.name) for axis in STAGE if axis.name != "extras"}
        own |= {"down": stage.down or "usual", "extras": "keep"}
        own["has_extras"] = any(getattr(stage, name) != getattr(Stage, name) for name in EXTRAS)
        values |= {f"stage{number}.{name}": value for name, value in own.items()}
    return values


def settled(values: dict[str, Any], changed: Mapping[str, Any], num_stages: int) -> dict[str, Any]:
    """Values with those that follow from what was changed: a γ needs a fusion, a new block the axes that it reads."""
    values["num_stages"] = num_stages
    for number in range(1, num_stages + 1):
        key = f"stage{number}."
        reads = BLOCKS.get(str(values[f"{key}block"])).reads
        values |= {f"{key}{name}": value for name, value in DEFAULTS.items()
                   if name in reads and values[f"{key}{name}"] is None}  # fmt: skip
        if values[f"{key}partial_ratio"] and values[f"{key}fusion"] == "none" and f"{key}fusion" not in changed:
            values[f"{key}fusion"] = "csp"
        if f"{key}fusion" in changed and values[f"{key}fusion"] != "none" and not values[f"{key}partial_ratio"]:
            values[f"{key}partial_ratio"] = 0.0 if f"{key}partial_ratio" in changed else 0.5
    for name, (_, reads_stem) in STEMS.items():
        if values["stem.kind"] == name:
            follow: dict[str, Any] = {"width": 32, "stride": 4 if name == "double" else 2, "kernel": 7, "pool": 3}
            values |= {f"stem.{n}": follow[n] for n in reads_stem
                       if values[f"stem.{n}"] is None and (n != "width" or name in ("double", "single"))}  # fmt: skip
    if values["head.kind"] == "detector" and values["head.maxout"] is None:
        values["head.maxout"] = 1
    return values


def build(values: Mapping[str, Any], base: Architecture, changed: Mapping[str, Any]) -> Architecture:
    """The canonical architecture of values by key; stages of which something was `changed` are rounded.

    Raises ArchitectureError with the rule that they break.
    """
    touched = {key.partition(".")[0] for key in changed}
    stages = [_stage(values, base, number, round_to=values["round"] if f"stage{number}" in touched else 1)
              for number in range(1, int(values["num_stages"]) + 1)]  # fmt: skip
    stem = {name: values[f"stem.{name}"] for name in vars(base.stem)}
    head = {name: values[f"head.{name}"] for name in vars(base.head)}
    head["attention"] = None if head["attention"] == "none" else head["attention"]
    head["last_width"] = head["last_width"] or None
    made = Architecture(stem=Stem(**stem), stages=tuple(stages), head=Head(**head), activation=values["activation"])
    lower(made, 256, 256)  # some rules show only when it is built
    return made.canonical()


def _stage(values: Mapping[str, Any], base: Architecture, number: int, *, round_to: int) -> Stage:
    own = {axis.name: values[f"stage{number}.{axis.name}"] for axis in STAGE}
    stage = base.stages[min(number, len(base.stages)) - 1]
    down, extras = own.pop("down"), own.pop("extras")
    if extras == "drop":
        stage = replace(stage, **{name: getattr(Stage, name) for name in EXTRAS})
    for name in ("partial_ratio", "squeeze", "bottleneck_ratio"):
        own[name] = own[name] if own[name] is None else float(own[name])
    if round_to > 1:
        made = DesignSpace(axes=(), channel_multiple=round_to).stage(own["block"], own)
        own = {name: getattr(made, name) for name in own}
    return replace(stage, **own, down=None if down == "usual" else down)


def _culprits(base: Architecture, changed: Mapping[str, Any], problem: str) -> dict[str, str]:
    """The changes each of which, taken back alone, would mend it."""
    found = {}
    for key in list(changed)[:40]:
        rest = {name: value for name, value in changed.items() if name != key}
        count = int(rest.get("num_stages", len(base.stages)))
        start = plain(base, count)
        rest = {name: value for name, value in rest.items() if name in start}
        try:
            build(settled({**start, **rest}, rest, count), base, rest)
        except ArchitectureError:
            continue
        found[key] = problem
    return found


def as_text(value: Any) -> str:
    """A value as a query says it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return f"{round(value, 6):g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def query_of(found: Edit) -> list[tuple[str, str]]:
    """The pairs of the query that gives this edit."""
    return [("from", found.start), *((key, as_text(value)) for key, value in found.changed.items())]


def space_of(config: Mapping[str, Any]) -> DesignSpace | None:
    """The design space of a study; None where its config does not say, or in words of another version."""
    data = config.get("space")
    if not data:
        return None
    try:
        return DesignSpace.from_dict(data, head="detector" if data.get("head") else "classifier")
    except SpaceError:
        return None


def into_space(space: DesignSpace, architecture: Architecture) -> tuple[Architecture, list[str]]:
    """The nearest network that the study can propose, and what had to change. Raises SpaceError if there is none."""
    genome, changes = nearest(space, architecture)
    return space.build(genome), changes
