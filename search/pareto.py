"""Fronts, ranks, crowding, hypervolume, knee, ladder: numpy arrays in and out, all objectives minimised.

Fronts, ranks and hypervolume are moocore's (exact); crowding is NSGA-II's (Deb et al. 2002). A row with a NaN
is a candidate whose objective is missing: it is never on a front and ranks after all others.
"""

from __future__ import annotations

from typing import Any

import moocore
import numpy as np

Array = np.ndarray[Any, Any]


def minimised(values: Array, directions: list[str]) -> Array:
    """Columns of `values` (n, d) with those of direction "maximize" negated."""
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    result: Array = np.multiply(values, signs)
    return result


def ranks(values: Array) -> Array:
    """Non-domination rank of each row of `values` (n, d), 0 for the front; rows with NaN get the rank n.

    Equal rows share their rank.
    """
    values = np.asarray(values, float)
    known = ~np.isnan(values).any(axis=1)
    result = np.full(len(values), len(values))
    if known.any():
        # One objective is a sort; moocore wants at least two.
        wide = values[known] if values.shape[1] > 1 else np.repeat(values[known], 2, axis=1)
        unique, inverse = np.unique(wide, axis=0, return_inverse=True)
        result[known] = moocore.pareto_rank(unique)[inverse.ravel()]
    return result


def front(values: Array) -> Array:
    """True for each row of `values` (n, d) that no other row dominates; False for rows with NaN."""
    values = np.asarray(values, float)
    mask = np.zeros(len(values), bool)
    known = ~np.isnan(values).any(axis=1)
    if known.any():
        wide = values[known] if values.shape[1] > 1 else np.repeat(values[known], 2, axis=1)
        mask[known] = moocore.is_nondominated(np.ascontiguousarray(wide), keep_weakly=True)
    return mask


def crowding(values: Array) -> Array:
    """NSGA-II's crowding distance of each row of `values` (n, d): larger is lonelier, ends are infinite."""
    values = np.asarray(values, float)
    n, d = values.shape
    distance = np.zeros(n)
    for column in range(d):
        order = np.argsort(values[:, column], kind="stable")
        ordered = values[order, column]
        distance[order[[0, -1]]] = np.inf
        span = ordered[-1] - ordered[0]
        if n > 2 and span > 0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return distance


def best_first(values: Array) -> Array:
    """Row indices of `values` (n, d) by non-domination rank, then by crowding within the rank."""
    rank = ranks(values)
    lonely = np.zeros(len(rank))
    for level in np.unique(rank):
        members = np.flatnonzero(rank == level)
        known = members[~np.isnan(values[members]).any(axis=1)]
        if len(known):
            lonely[known] = crowding(values[known])
    return np.lexsort((-lonely, rank))


def hypervolume(points: Array, reference: Array) -> float:
    """Volume dominated by `points` and bounded by `reference`, all objectives minimised.

    `points` is (n, d); rows that do not dominate `reference` add nothing. Exact.
    Raises ValueError if the widths differ or a value is NaN.

    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
    3.0
    """
    points, reference = np.atleast_2d(np.asarray(points, float)), np.asarray(reference, float)
    if points.shape[1] != len(reference):
        raise ValueError(f"points have {points.shape[1]} objectives, the reference {len(reference)}")
    if np.isnan(points).any() or np.isnan(reference).any():
        raise ValueError("a hypervolume needs values, not NaN")
    if len(reference) == 1:
        return float(max(0.0, reference[0] - points.min()))
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def beyond_chord(values: Array) -> Array:
    """How far each row of `values` (n, 2), minimised, lies beyond the chord of its front; (n,), larger is better.

    The axes are normalised to the front's ends, which become (0, 1) and (1, 0): a row (x, y) there has
    (1 - x - y) / sqrt(2), and so the ends have 0, rows between chord and origin more, rows behind the chord less.
    A front of one member is scaled by its own values instead. Rows with NaN have NaN; no row has more than the best
    of the front.
    """
    values = np.asarray(values, float)
    on = values[front(values)]
    if not len(on):
        return np.full(len(values), np.nan)
    low, span = on.min(axis=0), np.ptp(on, axis=0)
    scaled = (values - low) / np.where(span > 0, span, np.maximum(np.abs(low), 1e-12))
    result: Array = (1.0 - scaled.sum(axis=1)) / np.sqrt(2.0)
    return result


def knee(values: Array) -> int:
    """Row of `values` (n, 2), minimised, at the knee of the front: the member farthest beyond the chord of its ends.

    Of equals the first in the first column. Raises ValueError where no row is known in both.
    """
    members = np.flatnonzero(front(values))
    if not len(members):
        raise ValueError("a knee needs a row without NaN")
    distance = beyond_chord(values)[members]
    return int(members[np.lexsort((np.asarray(values)[members, 0], -np.round(distance, 12)))[0]])


def ladder(values: Array, count: int) -> Array:
    """`count` rows of the front of `values` (n, 2), minimised, spread along the second column, smallest first.

    The ends, and between them members as near as can be to even steps of the second column's logarithm (least sum
    of squares); of one member that is asked for, the best in the first column. A front of fewer members is given
    whole; of equal rows the first stands for all. Raises ValueError for a second column that is not positive.
    """
    values = np.asarray(values, float)
    members = np.flatnonzero(front(values))
    members = members[np.unique(values[members], axis=0, return_index=True)[1]]
    members = members[np.argsort(values[members, 1], kind="stable")]
    if (values[members, 1] <= 0).any():
        raise ValueError("a ladder needs positive costs")
    if count >= len(members):
        return members
    if count < 2:
        return members[-1:]
    cost = np.log(values[members, 1])
    wanted = np.linspace(cost[0], cost[-1], count)
    # best[k, i]: least sum of squares of the first k + 1 steps when step k is member i
    best = np.full((count, len(members)), np.inf)
    came = np.zeros((count, len(members)), int)
    best[0, 0] = 0.0
    for step in range(1, count):
        for i in range(step, len(members)):
            came[step, i] = int(np.argmin(best[step - 1, :i]))
            best[step, i] = best[step - 1, came[step, i]] + (cost[i] - wanted[step]) ** 2
    path = [len(members) - 1]
    for step in range(count - 1, 0, -1):
        path.append(int(came[step, path[-1]]))
    result: Array = members[path[::-1]]
    return result


def hypervolume_history(points: Array, reference: Array) -> tuple[Array, Array]:
    """How the dominated volume grew while the rows of `points` (n, d) came in order: (rows, volumes).

    `rows` are those that enlarged the front, in order, and `volumes` the exact `hypervolume` of all rows up to and
    including each. Rows with NaN never do. A row costs only if it enlarges the front: the others of a block are sifted
    against it at once.

    >>> hypervolume_history(np.array([[2.0, 2.0], [2.5, 2.5], [1.0, 2.0]]), np.array([3.0, 3.0]))
    (array([0, 2]), array([1., 2.]))
    """
    points, reference = np.asarray(points, float), np.asarray(reference, float)
    candidates = np.flatnonzero((points < reference).all(axis=1))  # NaN is not
    members = np.empty((0, points.shape[1]))
    rows: list[int] = []
    volumes: list[float] = []
    for start in range(0, len(candidates), _BLOCK):
        block = candidates[start : start + _BLOCK]
        for row in block[~_covered(points[block], members)]:
            if _covered(points[row][None], members)[0]:
                continue
            members = np.vstack([members[(members < points[row]).any(axis=1)], points[row]])
            rows.append(int(row))
            volumes.append(hypervolume(members, reference))
    return np.array(rows, int), np.array(volumes)


_BLOCK = 256


def _covered(points: Array, members: Array) -> Array:
    """True for each row of `points` that some row of `members` equals or dominates."""
    below: Array = members[None] <= points[:, None]
    covered: Array = np.any(np.all(below, axis=2), axis=1)
    return covered
