"""The loop with a simulated engine: budget, no double work, limits, failures, rungs, interruption anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.record import Evaluation, Fidelity, Measurement
from search import pareto
from search.limits import check_limits
from search.loop import Search, finite
from search.progress import Interrupted
from search.run import _study_row
from search.seeds import derive
from search.store import Store
from search.study import Limit, StudyError, load
from space.design import DesignSpace
from space.zoo import entries, get
from tests.simulator import Silent, SimulatedEngine, simulated_latency
from tests.space.test_design import SMALL

STUDY = load(budget=30, sampler="nsga2")


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "a.db")) as opened:
        yield opened


def prepared(study, store, engine=None):
    row = _study_row(study, store, resume=False, new=False)
    return Search(study, row, store, engine or SimulatedEngine(), Silent())


@pytest.mark.parametrize("sampler", ["screen", "nsga2", "nsga3", "tpe", "random"])
def test_the_budget_is_spent_on_different_networks(store, sampler):
    engine = SimulatedEngine()
    study = replace(STUDY, sampler=sampler, budget=50)
    summary = prepared(study, store, engine).run()
    trained = [job.architecture.id for job in engine.jobs]
    assert summary.admitted == len(trained) == len(set(trained)) == 50
    frame = store.frame("default")
    assert (frame["state"] == "complete").all()
    assert sorted(frame["id"]) == sorted(trained)
    assert frame[["ap", "macs", "latency_ms", "peak_bytes"]].notna().all().all()
    values = frame[["ap", "macs", "latency_ms"]].to_numpy() * [-1, 1, 1]
    assert set(frame["id"][pareto.front(values)]) == set(summary.front)


def test_nsga2_beats_random_sampling():
    """On the simulator's known trade-off, averaged over three seeds; a search that did not learn would not."""

    def volume(sampler: str, seed: int) -> float:
        with Store.open(":memory:") as store:
            engine = SimulatedEngine()
            prepared(replace(STUDY, sampler=sampler, budget=200, seed=seed), store, engine).run()
            frame = store.frame("default")
        values = frame[["ap", "macs", "latency_ms"]].to_numpy() * [-1, 1e-9, 1e-2]
        return pareto.hypervolume(values, np.array([-0.4, 0.4, 0.1]))

    seeds = range(3)
    assert sum(volume("nsga2", s) for s in seeds) > 1.02 * sum(volume("random", s) for s in seeds)


@given(
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    sampler=st.sampled_from(["screen", "nsga2", "tpe", "random"]),
)
@settings(max_examples=8)
def test_interrupted_anywhere_it_goes_on_as_if_never_stopped(cuts, sampler):
    study = replace(STUDY, sampler=sampler, budget=30, population=10)
    with Store.open(":memory:") as store:
        whole = SimulatedEngine()
        prepared(study, store, whole).run()
    with Store.open(":memory:") as store:
        jobs = []
        for cut in [*cuts, 10**6]:
            engine = SimulatedEngine()
            search = prepared(study, store, engine)
            engine.on_result = lambda _, e=engine, s=search, c=cut: s.stop.set() if len(e.jobs) >= c else None
            try:
                search.run()
            except Interrupted:
                assert store.frame("default")["state"].eq("complete").sum() == len(jobs) + len(engine.jobs)
            jobs += engine.jobs
        assert len(jobs) == 30  # nothing was trained twice, nothing was lost
        assert {j.architecture.id: j.seed for j in jobs} == {j.architecture.id: j.seed for j in whole.jobs}


def test_a_finished_study_does_nothing_and_a_larger_budget_goes_on(store):
    prepared(STUDY, store).run()
    again = SimulatedEngine()
    assert prepared(STUDY, store, again).run().admitted == 30
    assert not again.jobs
    assert not again.timed
    prepared(replace(STUDY, budget=35), store, again).run()
    assert len(again.jobs) == 5


def test_another_study_reuses_facts(store):
    """The same architectures under the same seed: no training and no timing is repeated."""
    study = replace(STUDY, sampler="random")
    prepared(study, store).run()
    engine = SimulatedEngine()
    summary = prepared(replace(study, name="second"), store, engine).run()
    assert summary.admitted == 30
    assert not engine.jobs
    assert not engine.timed


def test_seeds_depend_on_study_architecture_and_repeat_only():
    assert derive(0, "abc", 1) == derive(0, "abc", 1)
    assert len({derive(s, a, n) for s in (0, 1) for a in ("x", "y") for n in (0, 1)}) == 8


@pytest.mark.parametrize("reason", ["loss is not finite at image visit 96", "crash", "unmeasurable"])
def test_a_failing_candidate_costs_that_candidate_only(store, reason):
    def fail(architecture):
        return reason if int(architecture.id, 16) % 5 == 0 else None

    summary = prepared(STUDY, store, SimulatedEngine(fail=fail)).run()
    frame = store.frame("default")
    failed = frame[frame["state"] == "failed"]
    assert summary.admitted == 30
    assert 0 < summary.failed == len(failed) < 30
    assert all(int(i, 16) % 5 == 0 for i in failed["id"])
    assert failed["reason"].str.len().gt(10).all()
    assert failed["ap"].isna().all()  # missing, not zero
    assert not set(failed["id"]) & set(summary.front)


def test_what_breaks_a_limit_on_paper_is_neither_timed_nor_trained(store):
    engine = SimulatedEngine()
    limits = (Limit.parse("macs <= 200e6"), Limit.parse("peak_bytes <= 3e6"))
    study = replace(STUDY, limits=limits)
    summary = prepared(study, store, engine).run()
    frame = store.frame("default")
    inside = (frame["macs"] <= 200e6) & (frame["peak_bytes"] <= 3e6)
    assert summary.admitted == 30 == inside.sum()
    assert set(frame["id"][inside]) == {j.architecture.id for j in engine.jobs} == set(engine.timed)
    assert (frame["state"][~inside] == "refused").all()
    assert frame["reason"][~inside].str.contains("<=").all()


def test_what_breaks_a_latency_limit_is_timed_but_not_trained(store):
    engine = SimulatedEngine()
    summary = prepared(replace(STUDY, limits=(Limit.parse("latency_ms <= 5"),)), store, engine).run()
    assert summary.admitted == 30
    assert all(simulated_latency(job.architecture) <= 5 for job in engine.jobs)
    assert summary.refused == len(engine.timed) - 30 > 0


def test_a_latency_limit_that_nothing_meets_ends_the_search(store):
    engine = SimulatedEngine()
    summary = prepared(replace(STUDY, limits=(Limit.parse("latency_ms <= 0.001"),)), store, engine).run()
    assert summary.stopped
    assert "limits" in summary.stopped
    assert not engine.jobs


def test_an_impossible_limit_is_refused_before_anything_runs():
    with pytest.raises(StudyError, match=r"none of .* macs ran from .* Loosen the limit"):
        check_limits(replace(STUDY, limits=(Limit.parse("macs <= 1000"),)))
    check_limits(replace(STUDY, limits=(Limit.parse("macs <= 200e6"),)))


def test_grid_goes_through_every_network_once(store):
    space = DesignSpace.from_dict(SMALL)
    small = replace(space, axes=tuple(a for a in space.axes))
    engine = SimulatedEngine()
    study = replace(STUDY, sampler="grid", space=small, budget=10**6)
    search = prepared(study, store, engine)
    engine.on_result = lambda _: search.stop.set() if len(engine.jobs) == 100 else None
    with pytest.raises(Interrupted):
        search.run()
    summary = prepared(study, store, engine).run()
    assert summary.stopped == "every architecture of the space that can be found was proposed"
    assert summary.admitted == small.size == len({j.architecture.id for j in engine.jobs}) == len(engine.jobs)


def test_a_study_run_with_other_settings_is_not_continued(store):
    from search.run import UsageError

    prepared(STUDY, store)
    with pytest.raises(UsageError, match="another seed"):
        _study_row(replace(STUDY, seed=1), store, resume=False, new=False)
    assert _study_row(replace(STUDY, seed=1), store, resume=False, new=True).name == "default-2"
    assert _study_row(replace(STUDY, budget=99), store, resume=True, new=False).name == "default"
    row = store.study("default")
    store.update_study(row.id, config={**row.config, "device": "another machine x64"})
    with pytest.raises(UsageError, match="another device"):
        _study_row(STUDY, store, resume=False, new=False)
    with pytest.raises(UsageError, match="no study 'other' to resume"):
        _study_row(replace(STUDY, name="other"), store, resume=True, new=False)


def test_the_sampler_hears_of_a_generation_at_once(store):
    """Optuna's own generations are ours, even where a limit refuses most proposals and candidates fail."""

    def fail(architecture):
        return "crash" if int(architecture.id, 16) % 7 == 0 else None

    study = replace(STUDY, limits=(Limit.parse("macs <= 200e6"),), population=10, budget=40)
    search = prepared(study, store, SimulatedEngine(fail=fail))
    summary = search.run()
    assert summary.failed
    assert summary.refused
    rows = store.proposals(1)
    theirs = {p.generation: set() for p in rows}
    for p in rows:
        theirs[p.generation].update(v for k, v in p.sampler["optuna"].items() if k.endswith("generation"))
    assert theirs == {generation: {generation} for generation in range(4)}


def test_trainings_of_another_length_or_machine_stay_out(store):
    """A second study with the same seed trains the same first generation shorter; the first one's numbers stay."""
    study = replace(STUDY, sampler="random")
    prepared(study, store).run()
    before = store.frame("default")
    quick = replace(study, name="quick", rungs=(Fidelity(image_visits=500),))
    engine = SimulatedEngine()
    prepared(quick, store, engine).run()
    assert len(engine.jobs) == 30
    foreign = Measurement(metric="latency_ms", value=999.0, deployment=study.deployment.id, device="another x64")
    store.record(engine.jobs[0].architecture, [foreign])
    after = store.frame("default")
    assert after["ap"].tolist() == before["ap"].tolist()
    assert after["latency_ms"].tolist() == before["latency_ms"].tolist()
    assert (store.frame("quick")["ap"].to_numpy() < after["ap"].to_numpy()).all()


def test_what_is_not_finite_after_training_fails_that_candidate():
    value = Measurement(metric="val_loss", value=float("nan"))
    curve = [{"loss": 1.0}, {"loss": 0.5, "val_loss": float("nan")}]
    checked = finite(Evaluation(state="complete", measurements=[value], curve=curve, seconds=3.0))
    assert checked.state == "failed"
    assert checked.reason == "val_loss not finite after training"
    assert checked.curve == curve[:1]
    fine = Evaluation(state="complete", measurements=[replace(value, value=1.0)])
    assert finite(fine) is fine


def test_a_rare_but_possible_limit_is_not_refused():
    """300 random architectures hold none this small; walking downhill finds some."""
    check_limits(replace(STUDY, limits=(Limit.parse("macs <= 41e6"),)))
    with pytest.raises(StudyError, match="none of"):
        check_limits(replace(STUDY, limits=(Limit.parse("macs <= 10e6"),)))


@pytest.mark.parametrize("sampler", ["screen", "nsga2", "tpe", "random"])
def test_a_start_is_proposed_first_and_the_search_goes_on_from_it(store, sampler):
    study = load(budget=25, start=["CSPPeleeNet", "csresnext50"], sampler=sampler)
    wanted = [study.space.build(genome).id for _, genome, _ in study.starting_points()]
    engine = SimulatedEngine()
    search = prepared(study, store, engine)
    search.run()
    proposals = store.proposals(search.row.id)
    assert [p.architecture.id for p in proposals[:2]] == wanted
    assert len({p.architecture.id for p in proposals}) == len(proposals)
    again = prepared(replace(study, budget=45), store, engine)
    assert again.run().admitted == 45
    ids = [job.architecture.id for job in engine.jobs]
    assert len(ids) == len(set(ids))


def test_a_start_that_cannot_be_is_refused_before_anything_runs():
    with pytest.raises(StudyError, match="did you mean CSPPeleeNet"):
        load(start=["CSPPeleNet"])
    with pytest.raises(StudyError, match="a darknet file is a graph"):
        load(start=["net.cfg"])
    with pytest.raises(StudyError, match="leave out 'start'"):
        load(start=["PeleeNet"], sampler="grid")
    assert "start" not in load().identity()
    assert load(start=["PeleeNet"]).identity()["start"] == [get("PeleeNet").architecture.id]


def test_every_network_of_the_zoo_can_start_a_search():
    study = load(start=list(entries()))
    points = study.starting_points()
    assert all(study.space.valid(genome) for _, genome, _ in points)
    assert {network for network, _, changes in points if any("in its place" in change for change in changes)} == {
        entry.name for entry in entries().values() if entry.architecture is None
    }


def test_a_start_that_was_not_proposed_yet_comes_after_an_interruption(store):
    names = ["CSPPeleeNet", "csresnext50", "MobileNetV2", "YOLOv3-tiny"]
    study = replace(load(budget=2, start=names), population=2)
    wanted = [study.space.build(genome).id for _, genome, _ in study.starting_points()]
    search = prepared(study, store)
    search.run()
    prepared(replace(study, budget=8), store).run()
    assert [p.architecture.id for p in store.proposals(search.row.id)][:4] == wanted


def test_a_head_of_two_levels_is_trained_with_evenly_picked_anchors():
    from evaluator.detection import spread

    anchors = np.arange(12, dtype=np.int16).reshape(3, 2, 2)
    assert np.array_equal(spread(anchors, 3), anchors)
    two = spread(anchors, 2)
    assert two.shape == (2, 2, 2)
    assert two[..., 0].ravel().tolist() == [0, 4, 6, 10]
