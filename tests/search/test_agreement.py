"""Statistics of the audit against scipy, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.agreement import (
    bootstrap,
    kendall,
    kendall_interval,
    paired_difference,
    pooled_std,
    separation,
    std_interval,
)

# Few values, so that ties are common.
columns = st.integers(2, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-3, 3).map(float), min_size=n, max_size=n)] * 2)
)


@given(columns)
def test_kendall_is_that_of_scipy_ties_included(pair):
    assert kendall(*pair) == pytest.approx(stats.kendalltau(*pair).statistic, nan_ok=True)


@given(columns)
def test_kendall_is_symmetric_and_changes_sign_with_either_column(pair):
    a, b = np.array(pair)
    assert kendall(a, b) == pytest.approx(kendall(b, a), nan_ok=True)
    assert kendall(-a, b) == pytest.approx(-kendall(a, b), nan_ok=True)


def test_kendall_of_any_rising_function_is_one():
    a = np.random.default_rng(0).normal(size=50)
    assert kendall(a, np.exp(3 * a)) == 1
    assert kendall_interval(a, np.exp(3 * a)) == (1, 1, 1, 50)


def test_rows_with_a_missing_value_are_left_out():
    a, b = [1.0, 2.0, 3.0, math.nan, 5.0], [1.0, 3.0, 2.0, 0.0, math.inf]
    assert kendall(a, b) == kendall([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    assert kendall_interval(a, b).n == 3


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0]])
def test_what_cannot_be_ranked_is_not_a_number(values):
    estimate = kendall_interval(values, values)
    assert all(map(math.isnan, estimate[:3]))
    assert math.isnan(paired_difference(values, values, values).value)


def test_all_draws_at_once_are_the_draws_one_by_one():
    rng = np.random.default_rng(1)
    a, b, target = rng.integers(0, 9, (3, 25)).astype(float)
    assert kendall_interval(a, b, draws=200, seed=4)[1:3] == pytest.approx(
        bootstrap(lambda a, b: stats.kendalltau(a, b).statistic, a, b, draws=200, seed=4)
    )
    one_by_one = bootstrap(lambda a, b, t: kendall(a, t) - kendall(b, t), a, b, target, draws=200, seed=4)
    assert paired_difference(a, b, target, draws=200, seed=4)[1:3] == pytest.approx(one_by_one)


def test_the_bootstrap_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(2).normal(5, 2, 400)
    low, high = bootstrap(np.mean, values)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert bootstrap(np.mean, values) == (low, high)  # seeded
    assert bootstrap(np.mean, values, seed=1) != (low, high)


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="3, 2 rows"):
        bootstrap(kendall, [1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="do not pair up"):
        kendall([1, 2, 3], [1, 2])


def test_a_paired_difference_is_surer_than_two_separate_intervals():
    rng = np.random.default_rng(3)
    target = rng.normal(size=80)
    shared = target + rng.normal(size=80)  # both follow the target through the same error
    a, b = shared + rng.normal(0, 0.1, 80), shared + rng.normal(0, 0.1, 80)
    difference = paired_difference(a, b, target)
    one, other = kendall_interval(a, target), kendall_interval(b, target)
    assert difference.value == pytest.approx(one.value - other.value)
    assert difference.high - difference.low < 0.5 * (one.high - other.low)
    assert paired_difference(a, a, target)[:3] == (0, 0, 0)


def test_pooled_std_is_the_root_of_the_mean_variance_of_equal_groups():
    groups = np.random.default_rng(4).normal(size=(30, 3))
    std, degrees = pooled_std(groups)
    assert degrees == 60
    assert std == pytest.approx(math.sqrt(groups.var(axis=1, ddof=1).mean()))
    assert pooled_std([[1.0], [5.0]])[1] == 0
    assert pooled_std([*groups, [7.0]]) == (std, degrees)


def test_the_interval_of_a_std_is_that_of_the_chi_square_distribution():
    low, high = std_interval(2.0, 10)
    assert low == pytest.approx(2 * math.sqrt(10 / stats.chi2.ppf(0.975, 10)))
    assert high == pytest.approx(2 * math.sqrt(10 / stats.chi2.ppf(0.025, 10)))
    assert all(map(math.isnan, std_interval(math.nan, 0)))


def test_separation_is_the_one_way_analysis_of_variance_when_seeds_are_equal():
    scores = np.random.default_rng(5).normal(size=(12, 1)) * 3 + np.random.default_rng(6).normal(size=(12, 4))
    found = separation(scores)
    mean_square_between = 4 * scores.mean(axis=1).var(ddof=1)
    mean_square_within = scores.var(axis=1, ddof=1).mean()
    assert found.within == pytest.approx(math.sqrt(mean_square_within))
    assert found.between == pytest.approx(math.sqrt((mean_square_between - mean_square_within) / 4))
    assert mean_square_between / mean_square_within == pytest.approx(stats.f_oneway(*scores).statistic)
    assert found.ratio == found.between / found.within
    assert found.uncorrected > found.ratio
    assert (found.n, found.repeated, found.degrees) == (12, 12, 36)
    assert found.low < found.ratio < found.high


@pytest.mark.parametrize(("repeated", "seeds"), [(40, 2), (10, 4)])
def test_separation_finds_the_ratio_of_a_simulation(repeated, seeds):
    ratios, covered = [], 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = [rng.normal(0, 0.06) + rng.normal(0, 0.02, seeds if i < repeated else 1) for i in range(40)]
        found = separation(groups, draws=300)
        ratios.append(found.ratio)
        covered += found.low <= 3 <= found.high
    assert np.median(ratios) == pytest.approx(3, rel=0.1)
    assert covered >= 48  # 95 % nominal


def test_pure_noise_separates_nothing_where_the_uncorrected_ratio_says_one():
    scores = np.random.default_rng(7).normal(size=(300, 2))
    found = separation(scores)
    assert found.ratio < 0.3
    assert found.uncorrected == pytest.approx(1 / math.sqrt(2), rel=0.1)


def test_without_repeats_the_spread_is_known_and_the_noise_is_not():
    found = separation([[1.0], [2.0], [4.0]])
    assert found.observed == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert all(map(math.isnan, (found.within, found.ratio, found.low, found.high, found.between)))
    assert (found.repeated, found.degrees) == (0, 0)
    assert separation([]).n == 0
