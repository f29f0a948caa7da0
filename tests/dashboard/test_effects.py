"""Effects: counts that add up, spreads and chances by oracles, histories and distributions by their laws."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dashboard import effects
from dashboard.candidates import complete, numbers
from search.pareto import hypervolume, minimised
from tests.databases import config
from tests.places import table

OBJECTIVES = ["ap", "macs", "latency_ms"]


def grouped(frame: pd.DataFrame, rows: str, columns: str) -> pd.DataFrame:
    """What pandas says of two axes."""
    down, across = effects.groups(table(frame), rows), effects.groups(table(frame), columns)
    known = pd.DataFrame(
        {"row": down.index, "column": across.index, "ap": effects.measured(table(frame), "ap")}
    ).dropna()
    return known[(known["row"] >= 0) & (known["column"] >= 0)].groupby(["row", "column"])["ap"].describe()


@pytest.mark.parametrize(("rows", "across"), [("fusion", "partial_ratio"), ("block", "depth"), ("growth_rate", "head")])
def test_cells_of_a_grid_are_those_of_pandas_and_their_counts_add_up(
    frame: pd.DataFrame, rows: str, across: str
) -> None:
    found = effects.grid(table(frame), rows, across, "ap")
    expected = grouped(frame, rows, across)
    assert found.n.sum() == expected["count"].sum()
    for (i, j), cell in expected.iterrows():
        assert found.n[int(i), int(j)] == cell["count"]
        assert found.mean[int(i), int(j)] == pytest.approx(cell["mean"])
        assert found.std[int(i), int(j)] == pytest.approx(cell["std"], nan_ok=True)
    assert np.isnan(found.mean[found.n == 0]).all()


def test_every_candidate_is_in_one_slice_of_an_axis_that_all_have(frame: pd.DataFrame) -> None:
    values = effects.measured(table(frame), "ap")
    known = int(np.isfinite(values).sum())
    assert known
    for axis in effects.axes_of(table(frame)):
        total = sum(each.n for _, each in effects.slices(table(frame), axis, values))
        without = np.isfinite(values) & (effects.groups(table(frame), axis).index < 0)
        assert total == known - without.sum()
        if axis in ("fusion", "depth", "partial_ratio", "width", "activation"):
            assert total == known


def test_the_partial_ratio_goes_to_the_nearest_of_the_papers() -> None:
    ratios = [0.0, 0.05, 0.2, 0.25, 0.5, 0.6, 0.7, np.nan]
    found = effects.groups(table(pd.DataFrame({"partial_ratio": ratios})), "partial_ratio")
    named = ["–" if index < 0 else found.labels[index] for index in found.index]
    assert named == ["0", "below ⅛", "near ¼", "near ¼", "near ½", "near ½", "near ¾", "–"]


def test_many_whole_numbers_become_a_few_ranges_in_order() -> None:
    found = effects.groups(table(pd.DataFrame({"depth": [*range(1, 13), 7, 7]})), "depth")
    assert 2 < len(found.labels) <= 6
    assert (np.diff(found.index[:12]) >= 0).all()
    assert found.labels[-1].endswith("and more")


def test_numbers_in_labels_have_three_digits_that_count_and_stay_apart() -> None:
    texts = ["0.5/0.666667", "1.0/0.5", 2.0, "res", "0.12345", "0.12349", "1234.56", "nan"]
    found = effects.groups(table(pd.DataFrame({"bottleneck_ratio": texts})), "bottleneck_ratio")
    named = [found.labels[index] for index in found.index]
    assert named == ["0.5/0.667", "1/0.5", "2", "res", "0.12345", "0.12349", "1235", "nan"]
    spans = effects.groups(table(pd.DataFrame({"growth_rate": np.linspace(0.1, 2, 19)})), "growth_rate").labels
    assert all(len(part) <= 5 for label in spans for part in re.findall(r"[\d.]+", label)), spans


def test_percentiles_and_spread_are_numpys(frame: pd.DataFrame) -> None:
    values = effects.measured(table(frame), "macs")
    known = values[np.isfinite(values)]
    found = effects.summary(values)
    assert found.ends == pytest.approx(np.quantile(known, [0.1, 0.25, 0.5, 0.75, 0.9]))
    assert (found.n, found.std) == (len(known), pytest.approx(known.std(ddof=1)))
    assert effects.summary(np.array([np.nan])).n == 0
    assert np.isnan(effects.summary(np.array([2.0])).std)


def test_shuffling_tells_an_effect_from_noise() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"fusion": rng.choice(["csp", "first"], 120), "block": rng.choice(["res", "dense"], 120),
                          "state": "complete", "macs": 1e6})  # fmt: skip
    real = frame.assign(ap=rng.normal(0, 0.1, 120) + (frame["fusion"] == "csp"))
    noise = [effects.grid(table(frame.assign(ap=rng.random(120))), "fusion", "block", "ap").chance for _ in range(20)]
    assert effects.grid(table(real), "fusion", "block", "ap").chance < 0.01
    assert 0.2 < np.mean(noise) < 0.8
    assert np.isnan(effects.grid(table(frame.assign(ap=1.0)), "fusion", "block", "ap").chance)


def test_the_history_ends_at_the_front_s_hypervolume(frame: pd.DataFrame) -> None:
    found = effects.history(table(frame), OBJECTIVES)
    assert found is not None
    values = minimised(np.column_stack([numbers(table(frame), name) for name in OBJECTIVES])[complete(table(frame))],
                       ["maximize", "minimize", "minimize"])  # fmt: skip
    low, span = values.min(axis=0), np.ptp(values, axis=0) * 1.1
    assert found.shares[-1] == pytest.approx(hypervolume(values, low + span) / span.prod())
    assert found.shares == sorted(found.shares)
    assert found.numbers[-1] == found.complete == complete(table(frame)).sum()


def test_one_candidate_and_equal_ones_have_the_whole_box(frame: pd.DataFrame) -> None:
    done = frame[complete(table(frame))]
    for few in (done.head(1), pd.concat([done.head(1)] * 3, ignore_index=True)):
        found = effects.history(table(few), OBJECTIVES)
        assert found is not None
        assert found.shares[-1] == pytest.approx(1.0)
    assert effects.history(table(frame.assign(state="failed")), OBJECTIVES) is None


def test_a_distribution_rises_to_one_and_is_scipys() -> None:
    values = np.random.default_rng(2).normal(size=90)
    x, share = effects.distribution(np.append(values, np.nan))
    oracle = stats.ecdf(values).cdf
    assert share == pytest.approx(oracle.evaluate(np.array(x)))
    few_x, few = effects.distribution(np.arange(10_000.0))
    assert len(few) == 300
    assert few[-1] == 1.0
    assert few_x == sorted(few_x)
    assert effects.distribution(np.array([np.nan])) == ([], [])


def test_noise_is_pooled_over_candidates_with_several_seeds(frame: pd.DataFrame) -> None:
    seeds = [np.array([0.1, 0.3]), np.array([0.5, 0.55, 0.6])]
    few = frame.head(3).assign(ap_n=[2, 3, 1], ap_spread=[seeds[0].std(ddof=1), seeds[1].std(ddof=1), np.nan])
    (found,) = effects.noises(table(few), "ap")
    squares = sum(((each - each.mean()) ** 2).sum() for each in seeds)
    assert found.std == pytest.approx(np.sqrt(squares / 3))
    assert (found.candidates, found.freedom, found.long) == (2, 3, False)
    assert effects.noises(table(frame.assign(ap_n=1)), "ap") == []


def test_agreement_with_verified_scores_is_scipys(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(5)
    long = np.where(rng.random(len(frame)) < 0.7, frame["ap"] + rng.normal(0, 0.03, len(frame)), np.nan)
    known = np.isfinite(long)
    verified = frame.assign(verified_ap=long, verified_ap_n=np.where(known, 2, 0), verified_ap_spread=0.01)
    found = effects.agreement(table(verified), "ap")
    assert found is not None
    both = known & complete(table(frame))
    tau = stats.kendalltau(frame["ap"][both], long[both]).statistic
    lead = tau - stats.kendalltau(frame["macs"][both], long[both]).statistic
    assert found.tau.value == pytest.approx(tau)
    assert found.lead is not None
    assert found.lead.value == pytest.approx(lead)
    assert found.tau.low <= tau <= found.tau.high
    assert len(found.rows) == both.sum()
    assert effects.agreement(table(frame), "ap") is None


def test_nothing_that_pages_compute_changes_the_frame(frame: pd.DataFrame) -> None:
    before = frame.copy()
    effects.history(table(frame), OBJECTIVES)
    effects.agreement(table(frame), "ap")
    effects.importances(
        table(frame),
        {name: effects.loss(table(frame), name) for name in effects.metrics_of(table(frame), config())},
        0.25,
    )
    effects.grid(table(frame), "fusion", "partial_ratio", "ap")
    pd.testing.assert_frame_equal(frame, before)
