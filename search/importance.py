"""How much each axis decides whether a candidate is among the best: PED-ANOVA, and what chance alone would give.

Watanabe, Bansal, Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces" (IJCAI
2023, arXiv:2304.10255): the Pearson divergence between how an axis is distributed among the best candidates and among
all. An axis that some candidates do not have (the growth rate of a residual network) is weighed by how many have it
(Conditional PED-ANOVA, arXiv:2601.20800). The numbers are those of optuna's `PedAnovaImportanceEvaluator`, which is
the oracle of the tests; ours is of counts per value alone, so that 10,000 candidates cost no more than 100.

What deviates: `chance` is ours. Ten candidates drawn blindly differ from all others too, and the fewer they are, the
more; an axis below that level has shown nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
QUANTILE = 0.1
"""Share of the candidates that counts as the best, as in optuna."""
STEPS = 50
"""Grid cells of a numeric axis with more values than `ORDINAL`."""
ORDINAL = 12
"""Up to so many numeric values an axis is its list of choices, each a step from the next."""
FEWEST = 20
"""Complete candidates below which the best tenth is too few to say anything."""
DRAWS = 200
_PRIOR = 1.0
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Codes:
    """A column of an axis as grid cells."""

    cells: Array
    """Cell of each candidate, -1 where it does not have the axis."""
    size: int
    """Number of cells."""
    ordered: bool
    """Whether neighbouring cells are alike; otherwise the cells are names."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The importance of one axis for one metric."""

    value: float
    """Pearson divergence times the squared share of the best, as optuna's evaluator gives it."""
    chance: float
    """What 95 % of blind draws of as many candidates stay below."""


def code(values: Sequence[Any] | Array) -> Codes:
    """The grid of a column: numbers in order, on `STEPS` cells where there are many, anything else as names.

    None, NaN, empty text and an en dash are "does not have this axis".
    """
    index, found = factorise(values)
    kept = [place for place, value in enumerate(found) if value is not None and value not in ("", "–")]
    ordered = all(isinstance(found[place], int | float | np.number) for place in kept)
    names: list[Any] = [found[place] if ordered else str(found[place]) for place in kept]
    distinct = sorted(set(names))
    if ordered and len(distinct) > ORDINAL:
        low, high = float(distinct[0]), float(distinct[-1])
        scaled = (np.array(names, float) - low) / ((high - low) / (STEPS - 1))
        cells, size = np.clip(np.ceil(scaled - 0.5), 0, STEPS - 1).astype(int), STEPS
    else:
        place = {value: cell for cell, value in enumerate(distinct)}
        cells, size = np.array([place[name] for name in names], int), len(distinct)
    cell_of = np.full(len(found) + 1, -1)  # the last is of index -1
    cell_of[kept] = cells
    return Codes(cells=cell_of[index], size=size, ordered=ordered)


def factorise(values: Sequence[Any] | Array) -> tuple[Array, list[Any]]:
    """A column as indices into its different values, -1 where it is None or NaN, and these values, None for those."""
    array = np.asarray(values)
    if array.dtype.kind in "fiu":
        known = ~np.isnan(array)
        index = np.full(len(array), -1)
        distinct, index[known] = np.unique(array[known], return_inverse=True)
        return index, distinct.tolist()
    table: dict[Any, int] = {}
    index = np.array([table.setdefault(value, len(table)) for value in array.tolist()], int)
    found = [None if value is None or value != value else value for value in table]
    index[np.isin(index, [place for place, value in enumerate(found) if value is None])] = -1
    return index, found


def best(loss: Array, quantile: float = QUANTILE) -> Array:
    """The `quantile` of rows with the lowest loss, ties with the last of them included."""
    cutoff = math.ceil(quantile * len(loss)) - 1
    result: Array = loss <= np.partition(loss, cutoff)[cutoff]
    return result


def importance(axes: Mapping[str, Codes], loss: Array, *, quantile: float = QUANTILE, draws: int = DRAWS,
               seed: int = 0) -> dict[str, Importance]:  # fmt: skip
    """The importance of each axis for a low `loss` (n,), the most important first.

    Rows whose loss is not finite are left out. Empty with fewer than two candidates, or where all losses are equal:
    then nobody is among the best. `draws` = 0 leaves `chance` NaN.
    """
    loss = np.asarray(loss, float)
    known = np.isfinite(loss)
    loss = loss[known]
    if len(loss) < 2 or loss.min() == loss.max():
        return {}
    top = best(loss, quantile)
    rng = np.random.default_rng(seed)
    found = {}
    for name, codes in axes.items():
        cells = codes.cells[known]
        # The last count is of candidates without the axis.
        everyone = np.bincount(np.where(cells < 0, codes.size, cells), minlength=codes.size + 1)
        among = np.bincount(np.where(cells < 0, codes.size, cells)[top], minlength=codes.size + 1)
        weigh = _weigher(everyone, codes.ordered)
        level = math.nan
        if draws:
            blind = rng.multivariate_hypergeometric(everyone, int(top.sum()), size=draws)
            level = float(np.quantile([weigh(row) for row in blind], 0.95))
        found[name] = Importance(value=weigh(among), chance=level)
    return dict(sorted(found.items(), key=lambda item: -item[1].value))


def _weigher(everyone: Array, ordered: bool) -> Callable[[Array], float]:
    """What gives the importance from counts per cell of the best; the last cell is "does not have the axis"."""
    region, size = int(everyone[:-1].sum()), int(everyone.sum())
    if region < 2 or len(everyone) < 3:
        return lambda among: 0.0
    density = _smooth if ordered else _named
    q = density(everyone[:-1]) + _TINY

    def weigh(among: Array) -> float:
        inside, total = int(among[:-1].sum()), int(among.sum())
        if not inside:
            return 0.0
        weight = (inside / total) ** 2 / (region / size) * (total / size) ** 2
        return weight * float(q @ np.square((density(among[:-1]) + _TINY) / q - 1))

    return weigh


def _named(counts: Array) -> Array:
    """Density over names: each count and a uniform prior, as optuna's Parzen estimator has it."""
    seen = np.flatnonzero(counts)
    size, kernels = len(counts), len(seen) + 1
    weights = np.append(counts[seen], _PRIOR) / (counts.sum() + _PRIOR)
    rows = np.full((kernels, size), _PRIOR / kernels)
    rows[np.arange(len(seen)), seen] += 1
    result: Array = weights @ (rows / rows.sum(axis=1, keepdims=True))
    return result


def _smooth(counts: Array) -> Array:
    """Density over ordered cells: a truncated normal at each count, Scott's bandwidth, and a wide prior."""
    seen = np.flatnonzero(counts)
    weights = counts[seen]
    total = int(weights.sum())
    running = weights.cumsum()
    mean = seen @ weights / total
    std = math.sqrt(np.square(seen - mean) @ weights / max(1, total - 1))
    lower = int(running.searchsorted(total // 4, side="left"))
    upper = min(len(seen) - 1, int(running.searchsorted(total * 3 // 4, side="right")))
    sigma = 1.059 * min((seen[upper] - seen[lower]) / 1.34, std) * total**-0.2
    # 90 % of a kernel at least within its cell.
    kernels, prior = _kernels(len(counts), max(float(sigma), 0.5 / 1.64))
    result: Array = (counts @ kernels + _PRIOR * prior) / (total + _PRIOR)
    return result


@lru_cache(maxsize=256)
def _kernels(size: int, sigma: float) -> tuple[Array, Array]:
    """A normal distribution around each of `size` cells, cut off at the ends, (size, size); the prior, (size,)."""
    edges = _normal((np.arange(-size, size) + 0.5) / sigma)  # ends of cells, as distances from a centre
    mass: Array = np.diff(edges)  # of a cell by its distance: index size - 1 is the centre's own
    rows = np.stack([mass[size - 1 - at : 2 * size - 1 - at] for at in range(size)])
    prior: Array = np.diff(_normal((np.arange(size + 1) - 0.5 - (size - 1) / 2) / size))
    return rows / rows.sum(axis=1, keepdims=True), prior / prior.sum()


def _normal(values: Array) -> Array:
    """The normal distribution function."""
    return np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in values.tolist()])
