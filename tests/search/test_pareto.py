"""Fronts, ranks, crowding and hypervolume against definitions written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search import pareto
from search.schedule import promote, rungs

points = st.integers(1, 4).flatmap(
    lambda d: st.integers(1, 14).flatmap(
        lambda n: arrays(float, (n, d), elements=st.integers(0, 5).map(float) | st.just(float("nan")))
    )
)


def dominates(a, b) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(points)
def test_the_front_is_what_nothing_dominates(values):
    before = values.copy()
    known = ~np.isnan(values).any(axis=1)
    expected = [k and not any(dominates(o, v) for o in values[known]) for v, k in zip(values, known, strict=True)]
    assert pareto.front(values).tolist() == expected
    assert np.array_equal(before, values, equal_nan=True)  # the input is left alone


@given(points)
def test_ranks_peel_front_after_front(values):
    rank = pareto.ranks(values)
    known = ~np.isnan(values).any(axis=1)
    left, level = known.copy(), 0
    while left.any():
        peeled = np.zeros(len(values), bool)
        peeled[np.flatnonzero(left)[pareto.front(values[left])]] = True
        assert (rank[peeled] == level).all()
        left &= ~peeled
        level += 1
    assert (rank[~known] == len(values)).all()


@given(points)
def test_best_first_never_puts_a_dominated_row_before_its_dominator(values):
    order = pareto.best_first(values).tolist()
    assert sorted(order) == list(range(len(values)))
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            if not np.isnan([a, b]).any() and dominates(a, b):
                assert order.index(i) < order.index(j)


@given(arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 3)), elements=st.integers(0, 4).map(float)))
def test_hypervolume_counts_unit_cells(values):
    """With whole coordinates the dominated volume is the number of unit cells that some point dominates."""
    d = values.shape[1]
    cells = np.stack(np.meshgrid(*[np.arange(5)] * d, indexing="ij"), -1).reshape(-1, d)
    covered = sum(any((cell >= p).all() for p in values) for cell in cells)
    assert pareto.hypervolume(values, np.full(d, 5.0)) == pytest.approx(covered)


def test_hypervolume_refuses_what_it_cannot_measure():
    with pytest.raises(ValueError, match="objectives"):
        pareto.hypervolume(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match="NaN"):
        pareto.hypervolume(np.array([[np.nan, 1.0]]), np.ones(2))
    assert pareto.hypervolume(np.array([[4.0, 0.0]]), np.array([3.0, 3.0])) == 0


def test_crowding_is_the_sum_of_neighbour_gaps():
    values = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]])
    distance = pareto.crowding(values)
    assert np.isinf(distance[[0, 2]]).all()
    assert distance[1] == pytest.approx(4 / 4 + 4 / 4)


def test_minimised_negates_what_is_maximised():
    assert pareto.minimised(np.array([[1.0, 2.0]]), ["maximize", "minimize"]).tolist() == [[-1.0, 2.0]]


@given(points, st.floats(0.01, 1.0))
def test_promotion_keeps_the_best_share_and_no_failure(values, keep):
    kept = promote(values, keep)
    failed = np.isnan(values).any(axis=1)
    assert len(kept) == min((~failed).sum(), max(1, int(np.ceil(keep * len(values)))))
    assert not failed[kept].any()
    left = [i for i in range(len(values)) if i not in kept and not failed[i]]
    assert not any(dominates(values[i], values[j]) for i in left for j in kept)


def test_rungs_must_rise():
    assert [f.image_visits for f in rungs([100, 400])] == [100, 400]
    for wrong in ([], [0], [400, 100], [100, 100]):
        with pytest.raises(ValueError, match="image_visits"):
            rungs(wrong)


pairs = st.integers(1, 9).flatmap(
    lambda n: arrays(float, (n, 2), elements=st.integers(1, 9).map(float) | st.just(float("nan")))
)


def members(values):
    return {i for i, on in enumerate(pareto.front(values)) if on}


@given(pairs)
def test_the_knee_is_the_member_farthest_beyond_the_chord(values):
    on = members(values)
    if not on:
        with pytest.raises(ValueError, match="NaN"):
            pareto.knee(values)
        return
    found = pareto.knee(values)
    assert found in on
    first, last = (min(on, key=lambda i: values[i, c]) for c in (0, 1))
    a, b = values[first], values[last]
    if np.array_equal(a, b):
        return
    span = np.abs(a - b)

    def distance(point):  # from the line through a and b, positive on the side of the ideal point
        def side(p):
            u, v = (b - a) / span, (p - a) / span
            return (u[0] * v[1] - u[1] * v[0]) / np.hypot(*u)

        return side(point) * np.sign(side(np.array([a[0], b[1]])))

    assert distance(values[found]) == pytest.approx(max(distance(values[i]) for i in on))
    far = pareto.beyond_chord(values)
    assert np.nanmax(far) == pytest.approx(far[found])
    assert [i for i in range(len(values)) if np.isnan(far[i])] == np.flatnonzero(np.isnan(values).any(axis=1)).tolist()


def test_a_clear_bend_is_the_knee():
    assert pareto.knee(np.array([[10.0, 1.0], [2.0, 2.0], [1.0, 10.0], [9.0, 9.0]])) == 1


@given(pairs, st.integers(2, 6))
def test_a_ladder_is_the_evenest_choice_of_the_front(values, count):
    before, chosen = values.copy(), pareto.ladder(values, count)
    assert np.array_equal(before, values, equal_nan=True)
    assert set(chosen.tolist()) <= members(values)
    cost = np.log(values[chosen, 1])
    assert (np.diff(cost) > 0).all()
    assert (np.diff(values[chosen, 0]) < 0).all()  # dearer is better
    distinct = sorted({float(values[i, 1]) for i in members(values)})
    assert len(chosen) == min(count, len(distinct))
    if len(distinct) > count:
        logs = np.log(distinct)
        wanted = np.linspace(logs[0], logs[-1], count)
        least = min(
            ((np.array(steps) - wanted) ** 2).sum()
            for steps in itertools.combinations(logs, count)
            if (steps[0], steps[-1]) == (logs[0], logs[-1])
        )
        assert ((cost - wanted) ** 2).sum() == pytest.approx(least, abs=1e-12)


def test_a_ladder_needs_costs_with_a_logarithm():
    with pytest.raises(ValueError, match="positive"):
        pareto.ladder(np.array([[1.0, 0.0], [0.5, 2.0]]), 2)
    assert pareto.ladder(np.array([[1.0, 1.0], [0.5, 2.0]]), 1).tolist() == [1]


@given(points)
def test_a_history_of_hypervolume_grows_to_what_a_direct_computation_gives(values):
    reference = np.full(values.shape[1], 5.0)
    rows, volumes = pareto.hypervolume_history(values, reference)
    known = ~np.isnan(values).any(axis=1)
    for row in range(len(values)):
        seen = values[: row + 1][known[: row + 1]]
        direct = pareto.hypervolume(seen, reference) if len(seen) else 0.0
        at = np.searchsorted(rows, row, side="right")
        assert (volumes[at - 1] if at else 0.0) == pytest.approx(direct)
    assert (np.diff(volumes) > 0).all()


def test_a_history_longer_than_a_block_is_that_of_single_steps():
    values = np.random.default_rng(0).random((700, 3))
    rows, volumes = pareto.hypervolume_history(values, np.ones(3))
    assert volumes[-1] == pytest.approx(pareto.hypervolume(values, np.ones(3)))
    members = [row for row in range(700) if not (values[:row] <= values[row]).all(axis=1).any()]
    assert rows.tolist() == members
