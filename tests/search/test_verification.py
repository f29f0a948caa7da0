"""The front under uncertainty: laws of the draws, verdicts, and the columns of the frame."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.pareto import front
from search.store import Store
from search.study import load
from search.verification import VERDICTS, front_shares, judge, noise_of, statement
from search.verification_report import compare
from search.verify import jobs_of, take_effect
from tests.simulator import Silent, SimulatedEngine
from tests.test_house import ROOT

shapes = st.tuples(st.integers(1, 8), st.integers(2, 4))
numbers = st.integers(0, 6).map(float)


@st.composite
def verified(draw):
    """Scores (n, s) and two costs (n, 2), minimised, with ties."""
    n, s = draw(shapes)
    return draw(arrays(float, (n, s), elements=numbers)), draw(arrays(float, (n, 2), elements=numbers))


def names(count: int) -> list[str]:
    return [f"{n * 7919 % 100003:012x}" for n in range(count)]


@given(verified())
def test_shares_are_shares_and_some_candidate_is_always_on_the_front(case):
    scores, costs = case
    shares = front_shares(names(len(scores)), scores, costs, draws=50)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.sum() >= 1 - 1e-12


@given(verified())
def test_nothing_takes_the_front_from_what_is_cheapest_alone(case):
    scores, costs = case
    costs[0] = -1.0  # strictly cheaper than every other
    assert front_shares(names(len(scores)), scores, costs, draws=50)[0] == 1


@given(verified())
def test_a_candidate_far_better_in_everything_is_alone_on_the_front(case):
    scores, costs = case
    scores = np.vstack([scores, scores.min(axis=0) - 1e6])
    costs = np.vstack([costs, costs.min(axis=0)])
    shares = front_shares(names(len(scores)), scores, costs, draws=50)
    assert shares[-1] == 1
    assert (shares[:-1] == 0).all()


@given(verified())
def test_without_spread_the_front_is_that_of_the_means(case):
    scores, costs = case
    scores[:] = scores[:, :1]
    shares = front_shares(names(len(scores)), scores, costs, draws=50)
    assert shares.tolist() == front(np.column_stack([scores[:, 0], costs])).astype(float).tolist()


@given(verified(), st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(case, random):
    scores, costs = case
    ids = names(len(scores))
    order = list(range(len(ids)))
    random.shuffle(order)
    shares = front_shares(ids, scores, costs, draws=50)
    again = front_shares([ids[i] for i in order], scores[order], costs[order], draws=50)
    np.testing.assert_allclose(again, shares[order], atol=1e-12)


@given(verified(), st.integers(1, 1000))
def test_what_a_seed_adds_to_all_alike_is_no_noise(case, shift):
    scores, _ = case
    moved = scores.copy()
    moved[:, 0] += shift
    if len(scores) > 1:
        assert noise_of(moved)[1] == pytest.approx(noise_of(scores)[1], abs=1e-9)


def test_the_noise_is_unbiased_also_where_seeds_are_missing():
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(400):
        scores = rng.normal(0, 1, (6, 1)) + rng.normal(0, 3, (1, 3)) + rng.normal(0, 0.5, (6, 3))
        scores[0, 2] = scores[3, 2] = np.nan
        _, noise, freedom = noise_of(scores)
        assert freedom == (16 - 6) - 2
        squares.append(noise**2)
    assert np.mean(squares) == pytest.approx(0.25, rel=0.06)


def test_the_share_of_two_equal_rivals_is_a_half_each_and_noise_decides_how_sure():
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 0.01, (40, 3))
    scores -= scores.mean(axis=1, keepdims=True)  # forty candidates of the same mean
    costs = np.zeros((40, 1))
    shares = front_shares(names(40), scores, costs, draws=4000)
    assert shares.sum() == pytest.approx(1)  # of equal costs the best score alone is on the front
    assert shares.max() < 3 / 40
    scores[7] -= 0.03  # five standard errors better
    assert front_shares(names(40), scores, costs, draws=500)[7] > 0.95


def test_no_candidate_is_no_corner():
    assert front_shares([], np.zeros((0, 3)), np.zeros((0, 2))).tolist() == []
    assert front_shares(["a"], np.array([[1.0, 2.0]]), np.zeros((1, 2))).tolist() == [1.0]
    # Two candidates that share no seed: the noise within each is all there is.
    apart = np.array([[1.0, 1.2, np.nan, np.nan], [np.nan, np.nan, 1.1, 1.3]])
    assert noise_of(apart)[2] == 2


# -- a study

STUDY = load(budget=20, sampler="random")


@pytest.fixture
def store(tmp_path):
    from search.loop import Search
    from search.run import _study_row

    with Store.open(str(tmp_path / "a.db")) as opened:
        Search(STUDY, _study_row(STUDY, opened, resume=False, new=False), opened, SimulatedEngine(), Silent()).run()
        yield opened


def add(store: Store, scores: dict[str, list[float]], visits: int = 50_000) -> None:
    """Long trainings with these scores by seed."""
    from evaluator.record import Evaluation, Measurement

    row = take_effect(store, store.study("default"), visits, max(map(len, scores.values())))
    for identity, values in scores.items():
        jobs = jobs_of(row, [store.architecture(identity)], visits, len(values))
        for job, value in zip(jobs, values, strict=True):
            ap = Measurement(metric="ap", value=value, task=job.task, recipe=row.config["recipe_id"],
                             rung=job.fidelity.rung, image_visits=visits, seed=job.seed)  # fmt: skip
            store.record_evaluation(job, row.config["recipe_id"], Evaluation(state="complete", measurements=[ap]))


def best_and_cheapest(frame):
    return frame["id"][frame["ap"].idxmax()], frame["id"][frame["macs"].idxmin()]


def test_before_the_first_verification_all_is_unverified(store):
    frame = store.frame("default")
    assert set(frame["verdict"]) == {"unverified"}
    assert frame[["verified_ap", "verified_ap_spread", "front_share"]].isna().all().all()
    assert (frame["verified_ap_n"] == 0).all()
    assert statement(frame.iloc[0], "ap").startswith("unverified")


def test_long_trainings_leave_the_proxy_alone_and_fill_their_own_columns(store):
    before = store.frame("default")
    best, cheap = best_and_cheapest(before)
    add(store, {best: [0.7, 0.72, 0.74], cheap: [0.5, 0.51, 0.49]})
    after = store.frame("default").set_index("id")
    assert after["ap"].tolist() == before["ap"].tolist()
    assert after.at[best, "verified_ap"] == pytest.approx(0.72)
    # Score = candidate + seed + noise: what is left are ±0.01, ±0.005, ±0.015, with 6 - (2 + 3 - 1) degrees of freedom.
    pooled = math.sqrt(2 * (0.01**2 + 0.005**2 + 0.015**2) / 2)
    assert [after.at[each, "verified_ap_spread"] for each in (best, cheap)] == pytest.approx([pooled, pooled])
    assert after.at[best, "verified_ap_n"] == 3
    assert after.loc[[best, cheap], "verdict"].tolist() == ["verified"] * 2
    assert after.at[cheap, "front_share"] == 1.0  # nothing is cheaper
    assert 0.95 < after.at[best, "front_share"] <= 1.0
    assert (after["verdict"] == "unverified").sum() == 18
    share = f"{after.at[best, 'front_share']:.0%}"
    assert (
        statement(after.loc[best], "ap")
        == f"verified: ap 0.720 ± 0.019 over 3 seeds, on the front in {share} of the draws"
    )


def rivals(frame):
    """One on the proxy's front, and one it dominates among the two alone: the better of both in every cost."""
    values = frame[["ap", "macs", "latency_ms"]].to_numpy() * [-1, 1, 1]
    on = front(values)
    for a, mine in zip(frame["id"][on], values[on], strict=True):
        for b, theirs in zip(frame["id"], values, strict=True):
            if (theirs[1:] < mine[1:]).all():
                return a, b
    raise AssertionError("no pair")


def test_what_the_proxy_had_on_its_front_is_overturned_when_it_is_dominated(store):
    dear, cheap = rivals(store.frame("default"))
    add(store, {dear: [0.40, 0.41], cheap: [0.60, 0.61]})
    after = store.frame("default").set_index("id")
    assert after.at[dear, "verdict"] == "overturned"
    assert after.at[dear, "front_share"] < 0.05
    assert after.at[cheap, "verdict"] == "verified"


def test_a_candidate_that_the_proxy_never_praised_is_not_overturned_but_may_be_underrated(store):
    frame = store.frame("default")
    values = frame[["ap", "macs", "latency_ms"]].to_numpy() * [-1, 1, 1]
    better, worse = next(
        (a, b)
        for a, mine in zip(frame["id"], values, strict=True)
        for b, theirs in zip(frame["id"], values, strict=True)
        if (mine < theirs).all() and a in set(frame["id"][front(values)])
    )

    def compared():
        row, after = store.study("default"), store.frame("default")
        found = judge(after, row.config, store.long_scores(row))
        index = [frame["id"].tolist().index(i) for i in found.ids]
        return after.set_index("id")["verdict"], compare(found, values[index], -1.0)

    add(store, {better: [0.6, 0.61], worse: [0.2, 0.21]})
    verdicts, comparison = compared()
    assert (verdicts[worse], comparison.underrated) == ("verified", [])
    assert comparison.dominators[worse] == [better]
    add(store, {better: [0.6, 0.61], worse: [0.9, 0.91]}, visits=60_000)
    verdicts, comparison = compared()
    assert (verdicts[worse], comparison.underrated) == ("verified", [worse])


def test_one_long_training_is_no_verification(store):
    best, _ = best_and_cheapest(store.frame("default"))
    add(store, {best: [0.7]})
    after = store.frame("default").set_index("id")
    assert after.at[best, "verdict"] == "unverified"
    assert after.at[best, "verified_ap_n"] == 1
    assert "one long training" in statement(after.loc[best], "ap")


def test_another_length_replaces_and_returns_without_training(store):
    best, cheap = best_and_cheapest(store.frame("default"))
    add(store, {best: [0.7, 0.71], cheap: [0.6, 0.61]}, visits=50_000)
    first = store.frame("default")
    add(store, {best: [0.8, 0.81]}, visits=60_000)
    assert store.frame("default").set_index("id").at[best, "verified_ap"] == pytest.approx(0.805)
    take_effect(store, store.study("default"), 50_000, 2)
    again = store.frame("default")
    assert again["verified_ap"].tolist() == pytest.approx(first["verified_ap"].tolist(), nan_ok=True)
    # Fewer seeds than were trained do not throw any away.
    row = take_effect(store, store.study("default"), 50_000, 3)
    assert len(take_effect(store, row, 50_000, 2).config["verified"]["seeds"]) == 3


def test_trainings_of_another_study_stay_out(store):
    """The same networks verified under another seed of a study are another study's facts."""
    best, _ = best_and_cheapest(store.frame("default"))
    add(store, {best: [0.7, 0.71]})
    other = replace(store.study("default"), seed=99)
    store.create_study("other", {**other.config, "seed": 99, "verified": None}, 99)
    row = take_effect(store, store.study("other"), 50_000, 2)
    assert store.long_scores(row) == {}


def test_seeds_are_shared_by_candidates_and_come_in_rounds(store):
    row = store.study("default")
    architectures = [p.architecture for p in store.proposals(row.id)][:3]
    jobs = jobs_of(row, architectures, 50_000, 2)
    assert [j.architecture.id for j in jobs] == [a.id for a in architectures] * 2
    assert [len({j.seed for j in jobs[start : start + 3]}) for start in (0, 3)] == [1, 1]
    assert len({j.seed for j in jobs}) == 2
    assert jobs_of(row, architectures, 50_000, 3)[:6] == jobs  # more seeds go on from fewer


def test_the_readme_defines_every_verdict():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in VERDICTS if f"**{name}**" not in readme] == []
