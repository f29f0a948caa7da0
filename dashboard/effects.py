"""What a study's candidates say of the design space: effects with counts and spread. Frames in, plain data out.

Everything is of candidates that were trained to the end. They were chosen by a sampler and not laid out as an
experiment: groups differ in more than the axis that names them. So no number here stands without its count and its
spread, and `Grid.chance` says how often shuffled values would differ as much.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.candidates import Mask, Numbers, as_text, complete, numbers
from dashboard.fields import FIELDS, VERIFIED, on_device
from dashboard.view import objectives_of
from search.agreement import Estimate, kendall_interval, paired_difference
from search.importance import Codes, Importance, code, factorise, importance
from search.pareto import hypervolume_history, minimised

if TYPE_CHECKING:
    from search.columns import Columns

AXES = ("partial_ratio", "fusion", "split", "block", "growth_rate", "bottleneck_ratio", "cardinality", "num_stages",
        "depth", "width", "stem_width", "activation", "head", "head_width", "maxout")  # fmt: skip
"""Axes of the design space as the frame has them, in the order of lists."""
FUSIONS = ("none", "first", "last", "csp")
"""In the order of the paper's Table 1."""
FEW = 5
"""Candidates below which a group is greyed: its mean may be anything."""
SHUFFLES = 400
PAIRS = 400
"""Candidates among which a rank correlation is taken at most, drawn at random: the cost grows with their square."""
_GAMMA = (0.0, 1e-9, 0.125, 0.375, 0.625)
_GAMMA_LABELS = ("0", "below ⅛", "near ¼", "near ½", "near ¾")


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Candidates by the value of an axis."""

    labels: list[str]
    index: Numbers
    """Index into `labels` of each row of the frame; -1 where it does not have the axis."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A metric over some candidates, in base units; NaN where there is none."""

    n: int
    mean: float
    std: float
    """NaN for one candidate."""
    ends: tuple[float, float, float, float, float]
    """Tenth, 25th, 50th, 75th and 90th percentile."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A metric and MACs over two axes. Arrays are (rows, columns)."""

    rows: list[str]
    columns: list[str]
    n: Any
    mean: Any
    std: Any
    macs: Any
    """Mean MACs of the same candidates."""
    chance: float
    """Share of shufflings in which the means of cells that are not grey differ as much; NaN for fewer than two."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How far the score of one training lies from another of the same candidate."""

    std: float
    candidates: int
    freedom: int
    long: bool
    """Of the verification's long trainings, not of the search's."""


@dataclass(frozen=True, kw_only=True)
class History:
    """Hypervolume over candidates, as a share of the box between the best and the worst value of each objective."""

    numbers: list[int]
    """How many candidates were complete when the front grew; the last is all of them."""
    shares: list[float]
    objectives: list[str]
    complete: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The proxy's score against the mean of the long trainings."""

    tau: Estimate
    lead: Estimate | None
    """By how much MACs rank worse, on the same candidates."""
    rows: list[int]
    """Verified rows of the frame."""


def axes_of(frame: Columns) -> list[str]:
    """The axes in which the study's candidates differ."""
    return [name for name in AXES if name in frame and len(set(factored(frame, name)[1]) - {"–"}) > 1]


def metrics_of(frame: Columns, config: Mapping[str, Any]) -> list[str]:
    """The study's objectives and its latencies on devices, the score first."""
    devices = [name for name in config.get("predictors", {}) if on_device(name) and name in frame]
    return list(dict.fromkeys([*objectives_of(config), *devices]))


def measured(frame: Columns, name: str) -> Numbers:
    """A metric of the candidates that were trained to the end; NaN for all others."""
    values = numbers(frame, name)
    return np.where(complete(frame) & np.isfinite(values), values, np.nan)


def loss(frame: Columns, name: str) -> Numbers:
    """`measured`, less is better."""
    return -measured(frame, name) if FIELDS[name].direction == "maximize" else measured(frame, name)


def keys(frame: Columns, rows: Sequence[int] | Any) -> list[list[Any]]:
    """Proposal number and architecture id of some rows: how points of figures are told."""
    named, ids = np.asarray(frame["number"]), np.asarray(frame["id"])
    return [[int(named[row]), str(ids[row])] for row in rows]


# -- importance


def coded(frame: Columns) -> dict[str, Codes]:
    """The axes in which candidates differ, for `search.importance`."""
    return {name: code(np.asarray(frame[name])) for name in axes_of(frame)}


def importances(frame: Columns, targets: Mapping[str, Numbers], quantile: float) -> dict[str, dict[str, Importance]]:
    """Target -> axis -> importance; a target is what is to be low. A target without two different values has none."""
    axes = coded(frame)
    return {name: importance(axes, values, quantile=quantile) for name, values in targets.items()}


# -- groups


def groups(frame: Columns, axis: str) -> Groups:
    """Candidates by an axis: each value its own group, many numbers in at most six of about equal count.

    The partial ratio, which is a mean over stages, goes to the nearest of those that the paper's Table 1 has.
    """
    if axis == "partial_ratio":
        return _by_edges(numbers(frame, axis), np.array(_GAMMA), list(_GAMMA_LABELS))
    index, texts = factored(frame, axis)
    found = sorted(set(texts) - {"–"}, key=lambda text: _order(axis, text))
    values = numbers(frame, axis) if len(found) > 8 else np.array([np.nan])
    if len(found) > 8 and (np.isfinite(values) == (index >= 0)).all():
        edges = np.unique(np.quantile(values[np.isfinite(values)], np.linspace(0, 1, 7)[:-1]))
        ends = [*edges[1:], math.nan]
        whole = bool((values[np.isfinite(values)] % 1 == 0).all())
        return _by_edges(values, edges, [_span(low, high, whole) for low, high in zip(edges, ends)])
    place = {text: number for number, text in enumerate(found)}
    moved = np.array([*(place.get(text, -1) for text in texts), -1])
    return Groups(labels=_shortened(found), index=moved[index])


def _shortened(texts: Sequence[str]) -> list[str]:
    """`0.5/0.666667` as `0.5/0.667`, but where two would become one."""
    found = ["/".join(_three_digits(part) for part in text.split("/")) for text in texts]
    return [short if found.count(short) == 1 else text for short, text in zip(found, texts, strict=True)]


def _three_digits(text: str) -> str:
    """A number with a fraction at three significant digits; any other text as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value) or value % 1 == 0:
        return f"{value:.0f}" if math.isfinite(value) and abs(value) < 1e15 else text
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def factored(frame: Columns, axis: str) -> tuple[Any, list[str]]:
    """A column as indices into its different values, and these as texts; -1 where missing."""
    index, found = factorise(np.asarray(frame[axis]))
    return index, [as_text(value) for value in found]


def _span(low: float, high: float, whole: bool) -> str:
    """Values from `low` to below `high`, of which NaN is open, as a person says it."""
    if math.isnan(high):
        return f"{_three_digits(str(low))} and more"
    if not whole:
        return f"{_three_digits(str(low))} to {_three_digits(str(high))}"
    return f"{low:g}" if high - low <= 1 else f"{low:g} to {high - 1:g}"


def _order(axis: str, text: str) -> tuple[float, str]:
    if axis == "fusion" and text in FUSIONS:
        return FUSIONS.index(text), ""
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text


def _by_edges(values: Numbers, edges: Numbers, labels: list[str]) -> Groups:
    known = np.isfinite(values)
    index = np.where(known, np.searchsorted(edges, np.where(known, values, 0.0), side="right") - 1, -1)
    kept = [place for place in range(len(labels)) if (index == place).any()]
    moved = np.full(len(labels) + 1, -1)
    moved[kept] = np.arange(len(kept))
    return Groups(labels=[labels[place] for place in kept], index=moved[index])


def summary(values: Numbers) -> Summary:
    """Count, mean, spread and percentiles of what is known of `values`."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Summary(n=0, mean=math.nan, std=math.nan, ends=(math.nan,) * 5)
    ends = np.quantile(known, (0.1, 0.25, 0.5, 0.75, 0.9)).tolist()
    std = float(known.std(ddof=1)) if len(known) > 1 else math.nan
    return Summary(n=len(known), mean=float(known.mean()), std=std, ends=tuple(ends))


def slices(frame: Columns, axis: str, values: Numbers) -> list[tuple[str, Summary]]:
    """`values` over each group of an axis that has any."""
    found = groups(frame, axis)
    rows = [(label, summary(values[found.index == place])) for place, label in enumerate(found.labels)]
    return [(label, each) for label, each in rows if each.n]


def grid(frame: Columns, rows: str, columns: str, metric: str, *, seed: int = 0) -> Grid:
    """A metric over two axes, with counts and spread per cell."""
    down, across = groups(frame, rows), groups(frame, columns)
    values, macs = measured(frame, metric), measured(frame, "macs")
    known = (down.index >= 0) & (across.index >= 0) & np.isfinite(values)
    shape = len(down.labels), len(across.labels)
    cell = (down.index * max(1, shape[1]) + across.index)[known].astype(int)
    size = shape[0] * shape[1]
    n = np.bincount(cell, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell, values[known], size) / n
        squares = np.bincount(cell, np.square(values[known] - mean[cell]), size)
        std = np.where(n > 1, np.sqrt(squares / (n - 1)), np.nan)
        cost = np.bincount(cell, macs[known], size) / n
    chance = _chance(cell, values[known], n, seed)
    return Grid(rows=down.labels, columns=across.labels, n=n.reshape(shape), mean=mean.reshape(shape),
                std=std.reshape(shape), macs=cost.reshape(shape), chance=chance)  # fmt: skip


def _chance(cell: Any, values: Numbers, n: Any, seed: int) -> float:
    """Share of shufflings of `values` whose sum of squares between cells is at least the real one's."""
    inside = (n >= FEW)[cell]
    cell, values = cell[inside], values[inside]
    if len(np.unique(cell)) < 2 or values.max() == values.min():
        return math.nan
    centred = values - values.mean()
    size, counts = len(n), np.maximum(n, 1)
    rng = np.random.default_rng(seed)

    def between(column: Numbers) -> float:
        return float((np.square(np.bincount(cell, column, size)) / counts).sum())

    real = between(centred) * (1 - 1e-12)
    return (1 + sum(between(rng.permutation(centred)) >= real for _ in range(SHUFFLES))) / (1 + SHUFFLES)


# -- noise, agreement, history, distribution


def noises(frame: Columns, score: str) -> list[Noise]:
    """The noise of one training, pooled over the candidates with several seeds, where there are such."""
    found = []
    for name, long in ((score, False), (f"{VERIFIED}{score}", True)):
        n, spread = numbers(frame, f"{name}_n"), numbers(frame, f"{name}_spread")
        known = (n > 1) & np.isfinite(spread)
        if known.any():
            freedom = int((n[known] - 1).sum())
            std = math.sqrt(float(((n[known] - 1) * spread[known] ** 2).sum()) / freedom)
            found.append(Noise(std=std, candidates=int(known.sum()), freedom=freedom, long=long))
    return found


def agreement(frame: Columns, score: str) -> Agreement | None:
    """Kendall's tau of the proxy's scores and the verified ones; None with fewer than three verified."""
    proxy, long = measured(frame, score), numbers(frame, f"{VERIFIED}{score}")
    repeated = numbers(frame, f"{VERIFIED}{score}_n") > 1
    rows = np.flatnonzero(np.isfinite(proxy) & np.isfinite(long) & repeated)
    if len(rows) < 3:
        return None
    few = drawn(rows)
    sign = -1.0 if FIELDS[score].direction == "minimize" else 1.0
    target, macs = sign * long[few], measured(frame, "macs")[few]
    lead = paired_difference(sign * proxy[few], macs, target) if np.isfinite(macs).all() else None
    return Agreement(tau=kendall_interval(sign * proxy[few], target), lead=lead, rows=rows.tolist())


def drawn(rows: Any, most: int = PAIRS, seed: int = 0) -> Any:
    """At most `most` of `rows`, drawn at random, in order; always the same ones."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def history(frame: Columns, objectives: Sequence[str]) -> History | None:
    """How the front's hypervolume grew; None before the first complete candidate.

    The box reaches from the best value of each objective to a tenth of the span beyond the worst, both of what is
    known today, so shares of one study compare with each other and not with another study's.
    """
    names = [name for name in objectives if FIELDS[name].direction]
    values = minimised(np.column_stack([measured(frame, name) for name in names]),
                       [str(FIELDS[name].direction) for name in names])  # fmt: skip
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return None
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    # Where all are equal the objective tells nothing, and takes no volume away.
    scaled = (values - low) / np.where(span > 0, span * 1.1, 1.0)
    rows, volumes = hypervolume_history(scaled, np.ones(len(names)))
    return History(numbers=[*(rows + 1).tolist(), len(values)], shares=[*volumes.tolist(), float(volumes[-1])],
                   objectives=names, complete=len(values))  # fmt: skip


def distribution(values: Numbers, most: int = 300) -> tuple[list[float], list[float]]:
    """The empirical distribution function: values in order and the share of candidates at or below each.

    Of more than `most` values only evenly spread ranks are given.
    """
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return [], []
    ranks = np.unique(np.linspace(1, len(known), min(len(known), most)).round().astype(int))
    return known[ranks - 1].tolist(), (ranks / len(known)).tolist()


def error(values: Numbers, metric: str) -> tuple[Numbers, str]:
    """What a distribution is taken of: the error 1 − score of a score between 0 and 1, else the metric itself."""
    known = values[np.isfinite(values)]
    field = FIELDS[metric]
    if field.direction == "maximize" and len(known) and known.min() >= 0 and known.max() <= 1:
        return 1.0 - values, f"error, 1 − {field.label}"
    return values * field.scale, field.title


def subsets(frame: Columns, by: str) -> list[tuple[str, Mask]]:
    """Rows of the frame by an axis, or all of them."""
    if not by:
        return [("all candidates", np.ones(len(frame), bool))]
    found = groups(frame, by)
    return [(label, np.asarray(found.index == place)) for place, label in enumerate(found.labels)]
