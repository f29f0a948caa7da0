"""Laws of the task whose score is a formula."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from evaluator.evaluate import evaluate
from evaluator.metrics import METRICS
from evaluator.record import Fidelity, Job
from evaluator.tasks import TASKS, Analytic, TaskError
from evaluator.tasks.synthetic import NOISE, Synthetic, true_score
from search.run import main
from search.store import Store
from search.study import DEFAULT, built_in, load
from space.cost import cost
from space.lower import lower

SPACE = load().space
RANDOM = [SPACE.build(SPACE.sample(np.random.default_rng(seed))) for seed in range(200)]


def test_one_seed_is_one_answer_and_seeds_differ_by_the_noise_that_was_set():
    task, network = Synthetic(noise=0.02), RANDOM[0]
    values = [task.score(network, seed=seed, image_visits=4000) for seed in range(600)]
    assert values == [task.score(network, seed=seed, image_visits=4000) for seed in range(600)]
    assert np.mean(values) == pytest.approx(true_score(network, 4000), abs=0.003)
    assert np.std(values) == pytest.approx(0.02, rel=0.15)
    silent = Synthetic(noise=0.0)
    assert silent.score(network, seed=3, image_visits=4000) == true_score(network, 4000)


def test_architectures_differ_by_several_times_the_noise_and_not_by_macs_alone():
    scores = np.array([true_score(a, 4000) for a in RANDOM])
    assert 2.5 < scores.std() / NOISE < 5
    macs = np.log([cost(lower(a)).macs for a in RANDOM])
    rest = scores - np.polyval(np.polyfit(macs, scores, 2), macs)
    assert 1.5 * NOISE < rest.std() < 0.9 * scores.std()
    assert 0.2 < scores.min() < scores.max() < 0.7


@pytest.mark.parametrize("name", ["default.toml", "whole.toml"])
def test_every_proposal_has_a_score_that_rises_with_training(name):
    space = load(DEFAULT.with_name(name)).space
    for seed in range(100):
        network = space.build(space.sample(np.random.default_rng(seed)))
        visits = [100, 1000, 4000, 10**6, float("inf")]
        scores = [true_score(network, v) for v in visits]
        assert scores == sorted(scores)
        assert 0 < scores[0] < scores[-1] < 1


def test_the_best_partial_ratio_is_neither_end():
    def mean(ratio):
        genomes = [SPACE.sample(np.random.default_rng(seed)) for seed in range(60)]
        changed = [{g: ratio if g.endswith("partial_ratio") else v for g, v in genome.items()} | {"fusion": "csp"}
                   for genome in genomes]  # fmt: skip
        return np.mean([true_score(SPACE.build(genome)) for genome in changed if SPACE.valid(genome)])

    assert mean(0.5) > max(mean(0.0), mean(0.75))


def test_its_rows_say_what_they_are():
    job = Job(architecture=RANDOM[0], task="synthetic", fidelity=Fidelity(image_visits=4000), seed=7)
    (row,) = evaluate(job).measurements
    assert isinstance(TASKS.get("synthetic"), Analytic)
    assert (row.metric, row.task, row.seed) == ("score", "synthetic", 7)
    assert "nothing was trained" in row.detail["analytic"]
    assert not METRICS["score"].paper
    with pytest.raises(TaskError, match="no images"):
        TASKS.get("synthetic").load("train")


def test_it_is_evaluated_without_torch():
    code = """
import sys
from evaluator.evaluate import evaluate
from evaluator.record import Fidelity, Job
from search.study import load
space = load().space
job = Job(architecture=space.build(space.extremes()[0]), task="synthetic", fidelity=Fidelity(), seed=0)
assert evaluate(job).state == "complete"
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_task_has_its_own_built_in_study():
    assert built_in("synthetic").name == "synthetic.toml"
    assert {built_in(name) for name in (None, "scenes", "digits", "../whole", "a.b:c")} == {DEFAULT}
    assert not load(built_in("synthetic")).timed
    assert load().timed


def test_a_search_of_it_needs_no_latency(tmp_path, capsys):
    db = tmp_path / "a.db"
    assert main(["--task", "synthetic", "--budget", "25", "--db", str(db)]) == 0
    assert "nothing was trained" in capsys.readouterr().out
    with Store.open(str(db)) as store:
        frame = store.frame("synthetic")
    assert len(frame) == 25
    assert frame[["score", "macs", "peak_bytes"]].notna().all().all()
    assert frame["latency_ms"].isna().all()
