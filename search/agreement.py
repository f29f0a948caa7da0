"""How well one number stands for another: rank agreement, noise and separation, each with its interval.

Pure functions of arrays, higher meaning whatever the caller means by it. A row is one architecture; a row in which
a value is missing (NaN) or infinite is left out. Intervals are percentile bootstrap intervals over architectures
(Efron 1979), seeded, 95 % unless told otherwise: an architecture is drawn with all that belongs to it, so two
statistics of one set are compared on the same draws. NaN where too little is known.

Kendall's tau is tau-b (Kendall 1945), equal to scipy.stats.kendalltau. It is ours because a bootstrap wants it some
thousand times: with the signs of all pairs in a matrix, all draws are one matrix product (200 architectures and
2,000 draws took 0.03 s on one core, with scipy in a loop 0.63 s).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
DRAWS = 2000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A statistic with its interval, from `n` architectures."""

    value: float
    low: float
    high: float
    n: int


class Separation(NamedTuple):
    """How far architectures lie apart, in units of the noise of one training. See `separation`."""

    between: float
    """Std of the architectures' true scores: the noise of their means is taken off."""
    within: float
    """Std of one training's score around its architecture's, pooled over those with several seeds."""
    ratio: float
    """between / within: the bar."""
    low: float
    high: float
    """Interval of `ratio`."""
    observed: float
    """Std of the architectures' mean scores as they are, noise included."""
    within_low: float
    within_high: float
    """Chi-square interval of `within`."""
    degrees: int
    """Degrees of freedom of `within`."""
    n: int
    """Architectures."""
    repeated: int
    """Architectures with several seeds."""

    @property
    def uncorrected(self) -> float:
        """observed / within: flatters a noisy score, for which it tends to 1 and not to 0."""
        return self.observed / self.within if self.within else math.nan


# -- resampling


def resample(n: int, draws: int = DRAWS, seed: int = 0) -> npt.NDArray[np.intp]:
    """Rows (draws, n) of a bootstrap: n of n with replacement, the same for the same arguments."""
    return np.random.default_rng(seed).integers(0, n, (draws, n))


def bootstrap(statistic: Callable[..., float], *columns: npt.ArrayLike, draws: int = DRAWS, seed: int = 0,
              level: float = LEVEL) -> tuple[float, float]:  # fmt: skip
    """Percentile interval of `statistic(*columns)`; the columns are resampled together, row by row.

    Each column's first axis is the architecture. Raises ValueError if their lengths differ.
    """
    arrays = [np.asarray(column) for column in columns]
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(
            f"columns of {', '.join(str(len(array)) for array in arrays)} rows cannot be resampled together"
        )
    if not len(arrays[0]):
        return math.nan, math.nan
    rows = resample(len(arrays[0]), draws, seed)
    return _percentiles(np.array([statistic(*(array[row] for array in arrays)) for row in rows], float), level)


def _weights(n: int, draws: int, seed: int) -> Array:
    """How often each draw of `resample` has each row, (draws, n)."""
    flat = resample(n, draws, seed) + n * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * n).reshape(draws, n).astype(float)


def _percentiles(values: Array, level: float) -> tuple[float, float]:
    """The middle `level` of the draws. NaN where the statistic was not defined in half of them."""
    known = values[np.isfinite(values)]
    if len(known) <= len(values) / 2:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _complete(*columns: npt.ArrayLike) -> list[Array]:
    """The columns as float arrays, without the rows in which one of them is missing."""
    arrays = [np.asarray(column, float) for column in columns]
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1:
        raise ValueError(f"columns of shapes {', '.join(str(array.shape) for array in arrays)} do not pair up")
    known = np.isfinite(np.stack(arrays)).all(axis=0)
    return [array[known] for array in arrays]


# -- rank agreement


def kendall(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Kendall's tau-b of two columns: 1 for the same order, -1 for the reverse. NaN if one of them is constant.

    >>> kendall([1, 2, 3], [10, 30, 20])  # two of three pairs agree
    0.3333333333333333
    """
    a, b = _complete(a, b)
    return float(_taus(np.ones((1, len(a))), a, b)[0])


def kendall_interval(a: npt.ArrayLike, b: npt.ArrayLike, *, draws: int = DRAWS, seed: int = 0,
                     level: float = LEVEL) -> Estimate:  # fmt: skip
    """Kendall's tau-b with its bootstrap interval over rows."""
    a, b = _complete(a, b)
    interval = _percentiles(_taus(_weights(len(a), draws, seed), a, b), level) if len(a) else (math.nan, math.nan)
    return Estimate(kendall(a, b), *interval, len(a))


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike, target: npt.ArrayLike, *, draws: int = DRAWS,
                      seed: int = 0, level: float = LEVEL) -> Estimate:  # fmt: skip
    """By how much `a` ranks like `target` better than `b` does: tau(a, target) - tau(b, target).

    Both taus of a draw are of the same architectures, so that what makes a set easy for both cancels.
    """
    a, b, target = _complete(a, b, target)
    interval = math.nan, math.nan
    if len(a):
        weights = _weights(len(a), draws, seed)
        interval = _percentiles(_taus(weights, a, target) - _taus(weights, b, target), level)
    return Estimate(kendall(a, target) - kendall(b, target), *interval, len(a))


def _taus(weights: Array, a: Array, b: Array) -> Array:
    """tau-b of each row of `weights` (draws, n), which says how often a draw has each pair of values.

    Copies of one row are tied with themselves in both columns, and tau-b counts no such pair: its sign is 0 here.
    """
    sign_a, sign_b = (np.sign(column[:, None] - column[None, :]) for column in (a, b))

    def pairs(matrix: Array) -> Array:
        totals: Array = np.multiply(weights @ matrix, weights).sum(axis=1)
        return totals

    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = pairs(sign_a * sign_b) / np.sqrt(pairs(np.abs(sign_a)) * pairs(np.abs(sign_b)))
    return result


# -- noise


def pooled_std(groups: Sequence[npt.ArrayLike]) -> tuple[float, int]:
    """Std within groups (seeds of one architecture), pooled over all, and its degrees of freedom.

    Groups of one value add nothing. NaN and 0 where no group has two.

    >>> pooled_std([[1.0, 3.0], [5.0], [2.0, 4.0]])
    (1.4142135623730951, 2)
    """
    squares, degrees = _within(groups)
    freedom = int(degrees.sum())
    return (math.sqrt(squares.sum() / freedom) if freedom else math.nan), freedom


def std_interval(std: float, degrees: int, level: float = LEVEL) -> tuple[float, float]:
    """Chi-square interval of a standard deviation with so many degrees of freedom, for normal noise."""
    from scipy.special import chdtri  # the quantile of the upper tail; scipy.stats takes half a second to import

    if degrees < 1:
        return math.nan, math.nan
    upper, lower = (float(chdtri(degrees, tail)) for tail in ((1 - level) / 2, (1 + level) / 2))
    return std * math.sqrt(degrees / upper), std * math.sqrt(degrees / lower)


def separation(groups: Sequence[npt.ArrayLike], *, draws: int = DRAWS, seed: int = 0,
               level: float = LEVEL) -> Separation:  # fmt: skip
    """The scores of each architecture's seeds: std between architectures over std within them.

    The estimator is that of a one-way random-effects model with unweighted means, so that numbers of seeds may
    differ: within² is the pooled variance, and between² is the variance of the architectures' means less
    within² x mean(1 / seeds), which is what noise adds to it; 0 where that is negative. Architectures with one seed
    tell of the spread between, not of the noise. The interval of the ratio resamples architectures. Simulated with
    normal scores and a true ratio of 2 to 4, a nominal 95 % held in 92 to 93 % of 300 cases with 40 architectures of
    2 or 3 seeds each, and in 83 to 91 % where 8 were repeated: read the latter as a rough one.
    """
    rows = [row for group in groups if len(row := np.asarray(group, float))]
    within, degrees = pooled_std(rows)
    n, repeated = len(rows), sum(len(row) > 1 for row in rows)
    low_high, within_interval = (math.nan, math.nan), std_interval(within, degrees, level)
    between = observed = ratio = math.nan
    if n > 1:
        means = np.array([row.mean() for row in rows])
        observed = float(means.std(ddof=1))
        table = means, *_within(rows), np.array([1 / len(row) for row in rows])
        between = float(_between(np.ones((1, n)), *table)[0][0])
        if within > 0:
            ratio = between / within
            drawn, noise = _between(_weights(n, draws, seed), *table)
            with np.errstate(invalid="ignore", divide="ignore"):
                low_high = _percentiles(drawn / noise, level)
    return Separation(between, within, ratio, *low_high, observed, *within_interval, degrees, n, repeated)


def _within(groups: Sequence[npt.ArrayLike]) -> tuple[Array, Array]:
    """Sum of squares around its mean and degrees of freedom of each group."""
    rows = [np.asarray(group, float) for group in groups]
    squares = [float(np.square(row - row.mean()).sum()) if len(row) else 0.0 for row in rows]
    return np.array(squares), np.array([max(0, len(row) - 1) for row in rows], float)


def _between(weights: Array, means: Array, squares: Array, degrees: Array, inverse: Array) -> tuple[Array, Array]:
    """Std between and std within of each row of `weights` (draws, n)."""
    n = weights.sum(axis=1)
    centred = means - means.mean()
    variance = (weights @ centred**2 - (weights @ centred) ** 2 / n) / (n - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = (weights @ squares) / (weights @ degrees)
        return np.sqrt(np.maximum(variance - noise * (weights @ inverse) / n, 0.0)), np.sqrt(noise)
