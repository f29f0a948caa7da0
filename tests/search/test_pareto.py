"""Fronts, ranks, crowding and hypervolume against definitions written out."""

from __future__ import annotations

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
