"""The best candidate under budgets, and what surrounds it: laws over arrays, no store, no text.

`score` (n,) is larger for better, NaN where unknown; `excess` (n, b) is how far each candidate is outside each
budget, as a share of the bound, 0 or less inside, NaN where the metric is unknown. A candidate is feasible if its
score is known and it is inside every budget: what is unknown is never within a budget. `ties` (n, t) are costs,
minimised, by which equal scores are told apart, in turn.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from search.pareto import Array, beyond_chord, ladder

TOLERANCE = 1e-9
"""Share of a bound that rounding may add."""
SIGMAS = 2.0
"""Standard errors of a difference from which it counts as real: 95 % where the noise is normal."""
LADDER = ("n", "s", "m", "l", "x", "xx")
"""Names of a ladder's variants, smallest first."""


def excess(values: Array, bounds: list[tuple[str, float]]) -> Array:
    """How far `values` (n, b) are outside `bounds` (relation, bound), as shares of the bound; (n, b)."""
    columns = [
        (values[:, i] - bound if relation == "<=" else bound - values[:, i]) / max(abs(bound), 1e-12)
        for i, (relation, bound) in enumerate(bounds)
    ]
    return np.column_stack(columns) if columns else np.zeros((len(values), 0))


def feasible(score: Array, outside: Array) -> Array:
    """Candidates that may be chosen; (n,) bool."""
    result: Array = ~np.isnan(score) & (outside <= TOLERANCE).all(axis=1)
    return result


def best(score: Array, among: Array, ties: Array) -> int | None:
    """Row of the best score of `among`, the cheaper of equals; None if there is none."""
    rows = np.flatnonzero(among & ~np.isnan(score))
    if not len(rows):
        return None
    keys = [ties[rows, column] for column in range(ties.shape[1])]
    return int(rows[np.lexsort([*keys[::-1], -score[rows]])[0]])


class Step(NamedTuple):
    """What a budget would buy next: the candidate that needs least of it beyond the bound."""

    row: int
    excess: float
    gain: float
    """Of the score."""


def next_step(score: Array, outside: Array, budget: int, least: float, gain: float | Array = 0.0) -> Step | None:
    """The smallest growth of one budget, the others held, that buys more than `gain` over the score `least`.

    None where it buys nothing: then the budget does not bind.
    """
    others = (np.delete(outside, budget, axis=1) <= TOLERANCE).all(axis=1)
    rows = np.flatnonzero(others & (outside[:, budget] > TOLERANCE) & (score > least) & (score - least > gain))
    if not len(rows):
        return None
    row = rows[np.lexsort((-score[rows], outside[rows, budget]))[0]]
    return Step(int(row), float(outside[row, budget]), float(score[row] - least))


def nearest(score: Array, outside: Array) -> int | None:
    """The candidate that is least outside: smallest worst excess, then smallest sum, then best score."""
    rows = np.flatnonzero(~np.isnan(score) & ~np.isnan(outside).any(axis=1))
    if not len(rows):
        return None
    over = np.maximum(outside[rows], 0.0)
    worst = over.max(axis=1) if over.shape[1] else np.zeros(len(rows))
    return int(rows[np.lexsort((-score[rows], over.sum(axis=1), worst))[0]])


def loosened(score: Array, outside: Array, budget: int) -> int | None:
    """The candidate that fits if this one budget grows by the least that lets any fit, the others held."""
    others = (np.delete(outside, budget, axis=1) <= TOLERANCE).all(axis=1)
    rows = np.flatnonzero(others & ~np.isnan(score) & ~np.isnan(outside[:, budget]))
    return int(rows[np.lexsort((-score[rows], outside[rows, budget]))[0]]) if len(rows) else None


def unreal(score: Array, error: Array, of: int) -> Array:
    """Least difference of each score from that of row `of` that is real; `error` are standard errors. NaN: unknown."""
    result: Array = SIGMAS * np.sqrt(error**2 + error[of] ** 2)
    return result


def equals(score: Array, error: Array, among: Array, of: int) -> Array:
    """Others of `among` whose score cannot be told from that of row `of`; (n,) bool, False where noise is unknown."""
    with np.errstate(invalid="ignore"):
        near: Array = among & (np.abs(score - score[of]) <= unreal(score, error, of))
    near[of] = False
    return near


def knee_utility(score: Array, cost: Array, among: Array) -> Array:
    """How far each of `among` lies beyond the chord of their front of score and cost; (n,), NaN elsewhere."""
    values = np.column_stack([-score, cost])
    values[~among] = np.nan
    return beyond_chord(values)


def variants(score: Array, cost: Array, among: Array, count: int) -> list[tuple[str, int]]:
    """Names and rows of `count` variants along the front of score and cost of `among`, smallest first."""
    values = np.column_stack([-score, cost])
    values[~among] = np.nan
    rows = ladder(values, count)
    return list(zip(LADDER, (int(row) for row in rows)))


def regrets(utility: Array, among: Array, *, relative: bool) -> Array:
    """What each candidate loses on each device against that device's own winner; (n, d), NaN if it fits not there.

    `utility` (n, d) is what is preferred, larger for better. The loss is a share of the winner's, if `relative`.
    """
    held = np.where(among, utility, np.nan)
    winner = np.array([np.nanmax(column) if (~np.isnan(column)).any() else math.nan for column in held.T])
    result: Array = (winner - held) / (np.maximum(np.abs(winner), 1e-12) if relative else 1.0)
    return result


def compromise(loss: Array, ties: Array) -> int | None:
    """The candidate with the smallest worst of its `regrets`, of those that fit every device; None if none does."""
    worst = loss.max(axis=1)  # NaN where it does not fit a device
    return best(-worst, ~np.isnan(worst), ties)


def pooled(spread: Array, n: Array) -> tuple[float, int]:
    """Standard deviation of one training, pooled over candidates of `n` seeds, and its degrees of freedom."""
    repeated = ~np.isnan(spread) & (n > 1)
    freedom: Any = (n[repeated] - 1).sum()
    if not freedom:
        return math.nan, 0
    return math.sqrt(float((spread[repeated] ** 2 * (n[repeated] - 1)).sum() / freedom)), int(freedom)
