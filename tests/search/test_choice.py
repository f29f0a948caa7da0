"""Picking under budgets, against definitions written out over every candidate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search import choice

number = st.integers(1, 6).map(float)
maybe = number | st.just(float("nan"))


@st.composite
def cases(draw):
    """Scores, metric values and bounds of up to nine candidates and three budgets, with ties and gaps."""
    n, b = draw(st.integers(1, 9)), draw(st.integers(0, 3))
    score = draw(arrays(float, n, elements=maybe))
    values = draw(arrays(float, (n, b), elements=maybe))
    bounds = draw(st.lists(st.tuples(st.sampled_from(("<=", ">=")), number), min_size=b, max_size=b))
    return score, values, bounds


def inside(value, relation, bound) -> bool:
    return value <= bound if relation == "<=" else value >= bound


def fitting(score, values, bounds, without: int | None = None) -> list[int]:
    """Rows within all budgets but one, by the definition."""
    return [
        i for i in range(len(score))
        if score[i] == score[i]
        and all(inside(values[i, j], *bounds[j]) for j in range(len(bounds)) if j != without)
    ]  # fmt: skip


def over(value, relation, bound) -> float:
    return (value - bound if relation == "<=" else bound - value) / bound


@given(cases())
def test_the_best_is_feasible_and_none_that_is_feasible_is_better(case):
    score, values, bounds = case
    outside = choice.excess(values, bounds)
    among = choice.feasible(score, outside)
    fits = fitting(score, values, bounds)
    assert np.flatnonzero(among).tolist() == fits
    ties = np.arange(len(score), dtype=float)[::-1, None]
    found = choice.best(score, among, ties)
    if not fits:
        assert found is None
        return
    assert found in fits
    assert score[found] == max(score[i] for i in fits)
    assert found == max(i for i in fits if score[i] == score[found])  # the cheapest of equals: costs fall with the row


@given(cases(), number)
def test_a_budget_binds_just_where_more_of_it_alone_buys_a_better_one(case, least):
    score, values, bounds = case
    outside = choice.excess(values, bounds)
    for j, budget in enumerate(bounds):
        better = [i for i in fitting(score, values, bounds, without=j)
                  if score[i] > least and over(values[i, j], *budget) > 0]  # fmt: skip
        step = choice.next_step(score, outside, j, least)
        assert (step is None) == (not better)
        if step:
            assert step.row in better
            assert step.excess == pytest.approx(min(over(values[i, j], *budget) for i in better))
            assert step.gain == score[step.row] - least
            more = [i for i in better if score[i] - least > 2]
            wide = choice.next_step(score, outside, j, least, 2.0)
            assert (wide.row in more) if more else wide is None


@given(cases())
def test_the_nearest_has_the_smallest_worst_excess(case):
    score, values, bounds = case
    outside = choice.excess(values, bounds)
    worst = {
        i: max([0.0, *(over(values[i, j], *bounds[j]) for j in range(len(bounds)))])
        for i in range(len(score))
        if score[i] == score[i] and not np.isnan(values[i]).any()
    }
    found = choice.nearest(score, outside)
    assert (found is None) == (not worst)
    if found is not None:
        assert worst[found] == pytest.approx(min(worst.values()))


@given(cases())
def test_a_budget_grown_to_what_is_said_lets_that_candidate_in_and_less_lets_in_none(case):
    score, values, bounds = case
    outside = choice.excess(values, bounds)
    for j, (relation, _) in enumerate(bounds):
        found = choice.loosened(score, outside, j)
        rest = [i for i in fitting(score, values, bounds, without=j) if values[i, j] == values[i, j]]
        assert (found is None) == (not rest)
        if found is not None:
            grown = [*bounds[:j], (relation, values[found, j]), *bounds[j + 1 :]]
            fits = fitting(score, values, grown)
            assert found in fits
            assert all(values[i, j] == values[found, j] for i in fits)


@given(arrays(float, st.tuples(st.integers(1, 7), st.integers(1, 3)), elements=maybe), st.booleans())
def test_the_compromise_minimises_the_worst_regret(utility, relative):
    among = ~np.isnan(utility)
    loss = choice.regrets(utility, among, relative=relative)
    winners = [max([u for u in column if u == u], default=math.nan) for column in utility.T]
    worst = {}
    for i, row in enumerate(utility):
        if not np.isnan(row).any():
            worst[i] = max((w - u) / (w if relative else 1) for w, u in zip(winners, row, strict=True))
    found = choice.compromise(loss, np.zeros((len(utility), 0)))
    assert (found is None) == (not worst)
    if found is not None:
        assert worst[found] == pytest.approx(min(worst.values()))
        assert np.nanmax(loss[found]) == pytest.approx(worst[found])
    assert not (loss < 0).any()


@given(cases(), st.integers(2, 6))
def test_a_ladder_rises_and_stands_on_the_front_of_what_fits(case, count):
    score, values, bounds = case
    cost = np.arange(1.0, len(score) + 1)
    among = choice.feasible(score, choice.excess(values, bounds))
    steps = choice.variants(score, cost, among, count)
    rows = [row for _, row in steps]
    assert [name for name, _ in steps] == list(choice.LADDER[: len(steps)])
    assert bool(rows) == bool(among.any())
    assert rows == sorted(rows)
    for row in rows:
        assert among[row]
        assert not any(score[i] >= score[row] and cost[i] < cost[row] for i in np.flatnonzero(among))
    if len(rows) > 1:
        assert score[rows[-1]] == score[among].max()
        assert rows[0] == np.flatnonzero(among)[0]


def test_the_knee_of_what_fits_has_the_largest_utility():
    score, cost = np.array([0.1, 0.8, 1.0, 2.0]), np.array([1.0, 2.0, 10.0, 3.0])
    utility = choice.knee_utility(score, cost, np.array([True, True, True, False]))
    assert np.isnan(utility[3])
    assert int(np.nanargmax(utility)) == 1


def test_equals_are_those_within_two_standard_errors_of_the_difference():
    score, error = np.array([0.50, 0.49, 0.47, 0.495]), np.full(4, 0.01)
    among = np.array([True, True, True, False])
    assert choice.equals(score, error, among, 0).tolist() == [False, True, False, False]  # 2 × √2 × 0.01 = 0.028
    assert not choice.equals(score, np.full(4, np.nan), among, 0).any()  # unknown noise makes nobody equal


def test_the_noise_is_pooled_over_what_was_repeated():
    spread, n = np.array([0.01, 0.03, np.nan, 5.0]), np.array([3, 2, 1, 1])
    noise, freedom = choice.pooled(spread, n)
    assert freedom == 3
    assert noise == pytest.approx(math.sqrt((2 * 0.01**2 + 0.03**2) / 3))
    assert math.isnan(choice.pooled(np.array([np.nan]), np.array([1]))[0])


def test_rounding_does_not_put_a_candidate_outside_its_own_value():
    value = np.array([[0.1 + 0.2]])
    assert choice.feasible(np.ones(1), choice.excess(value, [("<=", 0.3)])).all()
    assert not choice.feasible(np.ones(1), choice.excess(value, [("<=", 0.29)])).any()
