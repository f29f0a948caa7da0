"""Fronts, ranks, crowding, hypervolume: numpy arrays in and out, all objectives minimised.

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
