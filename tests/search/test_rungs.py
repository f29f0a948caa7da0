"""Rungs: who is promoted, what the front and the sampler hear, what is kept on disk, and kill -9 in between."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.record import Fidelity
from evaluator.tasks import _cache
from search import pareto
from search.engines.inline import InlineEngine
from search.progress import Interrupted
from search.schedule import expected, promote, rungs
from search.states import ABANDONED_SECONDS, States
from search.store import Proposal, Store
from search.study import load
from space.design import DesignSpace
from tests.search.test_loop import prepared
from tests.simulator import SimulatedEngine, score
from tests.space.test_design import SMALL

LADDER = tuple(rungs([500, 1000, 2000]))
STUDY = replace(load(budget=20), rungs=LADDER, keep=0.5, population=10)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own for states; data stay where they are."""
    data = _cache.root()
    monkeypatch.setenv("CSP_EXPLORER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    for folder in data.iterdir() if data.exists() else ():
        if folder.name != "states":
            (tmp_path / "cache" / folder.name).symlink_to(folder)
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path, cache):
    with Store.open(str(tmp_path / "a.db")) as opened:
        yield opened


class KeepingEngine(SimulatedEngine):
    """Leaves a file where a real training would leave its state, and notes what it found to go on from."""

    def __init__(self, **options):
        super().__init__(**options)
        self.continued = []

    def _train(self, job):
        self.continued.append(job.resume is not None and Path(job.resume).exists())
        evaluation = super()._train(job)
        if job.keep and evaluation.state == "complete":
            Path(job.keep).parent.mkdir(parents=True, exist_ok=True)
            Path(job.keep).write_text("state")
        return evaluation


def by_rung(jobs, rung):
    return [j.architecture.id for j in jobs if j.fidelity.rung == rung]


def crashes(architecture):
    return "crash" if int(architecture.id, 16) % 6 == 0 else None


def rows(store):
    """What a study left, without times: proposals with their states, and every evaluation with its measurements."""
    proposals = [(p.number, p.generation, p.architecture.id, p.state, p.reason, p.sampler) for p in store.proposals(1)]
    evaluations = {
        (p.architecture.id, e["rung"], e["image_visits"], e["seed"], e["state"], e["reason"])
        for p in store.proposals(1)
        for e in store.evaluations(p.architecture.id)
    }
    frame = store.frame("default").drop(columns=["created_at", "finished_at"])
    return proposals, sorted(evaluations, key=str), frame.to_json()


def test_the_best_share_goes_on_and_all_share_one_seed(store):
    engine = SimulatedEngine()
    summary = prepared(STUDY, store, engine).run()
    first, second, third = (by_rung(engine.jobs, rung) for rung in range(3))
    assert summary.admitted == len(first) == 20
    assert (len(second), len(third)) == (2 * 5, 2 * 3)  # ceil(0.5 x 10), ceil(0.5 x 5), in two generations
    assert set(third) < set(second) < set(first)
    assert len({(j.architecture.id, j.seed) for j in engine.jobs}) == 20
    assert len({j.seed for j in engine.jobs}) == 1
    frame = store.frame("default").set_index("id")
    assert (frame["ap_n"] == 1).all()  # the highest rung alone, not a mean over rungs


@given(st.integers(0, 100))
@settings(max_examples=20)
def test_the_front_of_three_objectives_goes_on_before_all_others(seed):
    values = np.random.default_rng(seed).random((20, 3))
    values[::7] = np.nan
    kept = set(promote(values, 0.5))
    front = set(np.flatnonzero(pareto.front(values)).tolist())
    assert kept <= front or front <= kept
    assert len(kept) == 10
    ends = {int(np.nanargmin(values[:, column])) for column in range(3)}
    assert ends <= kept  # alone at their ends: the lowest cost and the best score are never left


def test_only_the_last_rung_makes_the_front_and_scores_say_what_they_are_of(store):
    summary = prepared(STUDY, store).run()
    frame = store.frame("default").set_index("id")
    assert set(frame["state"]) == {"complete", "stopped"}
    assert set(frame["image_visits"][frame["state"] == "complete"]) == {2000}
    assert set(frame["image_visits"][frame["state"] == "stopped"]) == {500, 1000}
    assert set(frame["reason"].dropna()) == {f"not promoted after {v} image visits" for v in (500, 1000)}
    done = frame[frame["state"] == "complete"]
    values = done[["ap", "macs", "latency_ms"]].to_numpy() * [-1, 1, 1]
    assert set(done.index[pareto.front(values)]) == set(summary.front)


def test_the_sampler_hears_what_a_stopped_candidate_would_be_expected_to_have(store):
    """The simulator's score rises by one amount from rung to rung, so expectation and truth are one."""
    engine = SimulatedEngine()
    search = prepared(STUDY, store, engine)
    told = {}
    tell = search._sampler.tell

    def listen(attributes, values, violations):
        if values is not None:
            told[len(told)] = (values, violations)
        tell(attributes, values, violations)

    search._sampler.tell = listen
    search.run()
    frame = store.frame("default")

    for row, (values, violations) in zip(frame.itertuples(), told.values(), strict=True):
        assert -values[0] == pytest.approx(score(store.architecture(row.id), 2000))
        assert violations == [0.0]
    assert (
        frame["ap"][frame["state"] == "stopped"]
        < -np.array([v[0][0] for v in told.values()])[frame["state"] == "stopped"]
    ).all()


def test_expectation_without_anyone_promoted_is_the_score_itself():
    assert expected(0.2, []) == 0.2
    assert expected(0.2, [(0.1, 0.3), (0.2, 0.3), (0.3, 0.9)]) == pytest.approx(0.4)


@given(cuts=st.lists(st.integers(1, 25), min_size=1, max_size=3), sampler=st.sampled_from(["nsga2", "random"]))
@settings(max_examples=5)
def test_interrupted_anywhere_it_promotes_and_tells_as_if_never_stopped(cuts, sampler):
    """Also where candidates fail at a higher rung."""
    study = replace(STUDY, sampler=sampler)

    class Failing(SimulatedEngine):
        def _train(self, job):
            self.fail = crashes if job.fidelity.rung == 1 or int(job.architecture.id, 16) % 4 == 0 else lambda _: None
            return super()._train(job)

    with Store.open(":memory:") as store:
        whole = Failing()
        prepared(study, store, whole).run()
        wanted = rows(store)
    with Store.open(":memory:") as store:
        jobs = []
        for cut in [*cuts, 10**6]:
            engine = Failing()
            search = prepared(study, store, engine)
            engine.on_result = lambda _, e=engine, s=search, c=cut: s.stop.set() if len(e.jobs) >= c else None
            with contextlib.suppress(Interrupted):
                search.run()
            jobs += engine.jobs
        assert rows(store) == wanted
    assert sorted((j.architecture.id, j.fidelity.rung) for j in jobs) == sorted(
        (j.architecture.id, j.fidelity.rung) for j in whole.jobs
    )


def test_states_are_kept_for_the_next_rung_only_and_no_longer_than_needed(store, cache):
    engine = KeepingEngine(fail=crashes)
    search = prepared(STUDY, store, engine)
    folder = search._kept.folder
    most = []
    engine.on_result = lambda _: most.append(len(list(folder.iterdir())) if folder.exists() else 0)
    search.run()
    assert folder.is_relative_to(cache)
    assert max(most) <= STUDY.population
    assert not folder.exists()
    found = [c for j, c in zip(engine.jobs, engine.continued, strict=True) if j.fidelity.rung > 0]
    assert found
    assert all(found)
    assert not any(c for j, c in zip(engine.jobs, engine.continued, strict=True) if j.fidelity.rung == 0)
    assert all((j.keep is None) == (j.fidelity == LADDER[-1]) for j in engine.jobs)


def test_one_rung_keeps_nothing(store):
    engine = SimulatedEngine()
    prepared(replace(STUDY, rungs=(Fidelity(image_visits=500),), budget=5), store, engine).run()
    assert {(j.resume, j.keep) for j in engine.jobs} == {(None, None)}


def killed_driver(path: str, after: int) -> None:
    """A search that dies by SIGKILL after its `after`th training."""
    engine = KeepingEngine(fail=crashes)

    def die(_):
        if len(engine.jobs) > after:
            os.kill(os.getpid(), signal.SIGKILL)

    engine.on_result = die
    with Store.open(path) as store:
        prepared(STUDY, store, engine).run()


@pytest.mark.parametrize("after", [10, 13])
def test_a_driver_killed_between_rungs_leaves_what_an_uninterrupted_one_would(tmp_path, cache, after):
    with Store.open(str(tmp_path / "whole.db")) as store:
        whole = KeepingEngine(fail=crashes)
        prepared(STUDY, store, whole).run()
        wanted = rows(store)
    path = str(tmp_path / "killed.db")
    code = f"from tests.search.test_rungs import killed_driver; killed_driver({path!r}, {after})"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    left = list((cache / "states").glob("*/*.state"))
    assert 0 < len(left) <= STUDY.population
    stray = left[0].with_name(".half.state.123")
    stray.write_text("half")
    with Store.open(path) as store:
        engine = KeepingEngine(fail=crashes)
        search = prepared(STUDY, store, engine)
        seen = []
        engine.on_result = lambda _: seen.append(stray.exists())
        search.run()
        assert rows(store) == wanted
    assert seen
    assert not any(seen)  # swept before anything runs
    assert all(c for j, c in zip(engine.jobs, engine.continued, strict=True) if j.fidelity.rung > 0)
    assert not list((cache / "states").iterdir())


def test_states_that_nobody_comes_back_for_are_swept(cache):
    old, young, mine = (States(key) for key in ("old", "young", "mine"))
    for states in (old, young, mine):
        states.folder.mkdir(parents=True)
        (states.folder / "1-abc.state").write_text("x")
    long_ago = time.time() - ABANDONED_SECONDS - 60
    os.utime(old.folder, (long_ago, long_ago))
    mine.sweep()
    assert [folder.name for folder in (cache / "states").iterdir()] == ["young"]


def test_two_databases_and_two_studies_have_states_of_their_own(tmp_path, cache):
    with Store.open(str(tmp_path / "a.db")) as a, Store.open(str(tmp_path / "b.db")) as b:
        searches = [prepared(replace(STUDY, name=name), s) for s in (a, b) for name in ("one", "two")]
    proposal = Proposal(number=0, generation=0, genes={}, sampler={},
                        architecture=STUDY.space.build(STUDY.space.sample(np.random.default_rng(0))))  # fmt: skip
    assert len({search._kept.path(proposal) for search in searches}) == 4


def test_real_trainings_go_on_from_rung_to_rung(store, cache):
    study = load(task="digits", budget=3, sampler="random")
    study = replace(study, space=DesignSpace.from_dict(SMALL, head="classifier"), rungs=tuple(rungs([128, 256])),
                    keep=0.5, population=3)  # fmt: skip
    prepared(study, store, InlineEngine()).run()
    frame = store.frame("default")
    assert sorted(frame["image_visits"]) == [128, 256, 256]
    for row in frame[frame["image_visits"] == 256].itertuples():
        found = [m for m in store.measurements(row.id) if m["metric"] == "train_cpu_seconds"]
        assert [m["detail"] for m in found] == [{"from_image_visits": 64}, {}]  # newest first
    assert not list((cache / "states").iterdir())


def test_a_state_that_cannot_be_kept_is_said_and_nothing_is_lost(store, cache):
    """A file stands where the folder of states should be: as with a full disk, nothing can be written."""
    (cache / "states").write_text("in the way")
    study = load(task="digits", budget=2, sampler="random")
    study = replace(study, space=DesignSpace.from_dict(SMALL, head="classifier"), rungs=tuple(rungs([64, 128])),
                    keep=0.5, population=2)  # fmt: skip
    search = prepared(study, store, InlineEngine())
    said = []
    search.progress.phase = said.append
    assert search.run().failed == 0
    assert sum("its state could not be kept" in text for text in said) == 2
    assert sorted(store.frame("default")["image_visits"]) == [64, 128]
    assert (cache / "states").read_text() == "in the way"
