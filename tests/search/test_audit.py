"""The audit: verdicts on studies whose truth is known, measuring through the engine, and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluator.evaluate import score_untrained
from evaluator.metrics import ZERO_COST
from evaluator.record import Evaluation, Fidelity, Job, Measurement
from search.agreement import kendall, paired_difference, separation
from search.audit import Work
from search.engines.guard import CandidateError
from search.evidence import closing, gather, missing, plain, shuffled, verdict, weigh
from search.progress import Interrupted
from search.seeds import job_seed
from search.store import Proposal, Store
from search.study import StudyError, load
from tests import databases
from tests.search.test_cli import TINY
from tests.search.test_loop import STUDY, prepared
from tests.simulator import SimulatedEngine
from tests.strategies import random_architectures

VISITS, LONG = 1000, 8000


class Numbers:
    """A study of 40 candidates whose numbers are made here: one score each, more where asked for."""

    def __init__(self, store: Store, *, metric: str = "ap", direction: str = "maximize") -> None:
        self.store, self.metric = store, metric
        config = databases.config() | {
            "objectives": [{"metric": metric, "direction": direction}, {"metric": "macs", "direction": "minimize"}],
            "image_visits": [VISITS], "seed": 0, "recipe": {},
        }  # fmt: skip
        self.row = store.create_study("default", config, seed=0)
        self.architectures = random_architectures(40, seed=3)
        self.rng = np.random.default_rng(0)
        for number, architecture in enumerate(self.architectures):
            proposal = Proposal(number=number, generation=0, architecture=architecture, genes={}, sampler={})
            store.propose(self.row.id, [proposal])
            store.record(architecture, databases.profile_rows(architecture, self.rng))
            store.finish(self.row.id, number, "complete")
        frame = store.frame("default")
        self.size = np.log(frame["macs"].to_numpy(float))
        self.size = (self.size - self.size.mean()) / self.size.std()

    def train(self, scores: np.ndarray, seed: int, visits: int = VISITS, rows: slice = slice(None)) -> None:
        for architecture, score in list(zip(self.architectures, scores, strict=True))[rows]:
            job = Job(architecture=architecture, task="scenes", fidelity=Fidelity(image_visits=visits),
                      seed=job_seed(0, seed))  # fmt: skip
            row = Measurement(metric=self.metric, value=float(score), task="scenes", recipe=databases.RECIPE,
                              rung=0, image_visits=visits, seed=job.seed)  # fmt: skip
            self.store.record_evaluation(job, databases.RECIPE, Evaluation(state="complete", measurements=[row]))

    def weigh(self):
        return weigh(gather(self.store, self.row))


@pytest.fixture
def numbers():
    with Store.open(":memory:") as store:
        yield Numbers(store)


# -- what is weighed


def test_a_proxy_that_knows_more_than_size_ranks_better_than_macs(numbers):
    rng = np.random.default_rng(1)
    truth = 0.3 + 0.05 * numbers.size + 0.08 * rng.normal(size=40)
    for seed in range(3):
        numbers.train(truth + rng.normal(0, 0.01, 40), seed)
    for seed in (10, 11):
        numbers.train(truth + 0.1 + rng.normal(0, 0.005, 40), seed, LONG)
    found = numbers.weigh()
    first, second, *_ = verdict(found)
    assert re.match(r"The score separates architectures by \d+\.\d times .*: enough; 3 is the bar", first)
    assert re.match(r"The proxy ranks better than MACs alone \(difference 0\.\d\d, 95 % interval 0\.\d\d to ", second)
    assert found.longer.image_visits == LONG
    assert found.longer.seeds == (2, 2)
    assert found.noise.within == pytest.approx(0.01, rel=0.3)
    # What is left to ask for is what was never measured.
    assert [what for what, _ in missing(gather(numbers.store, numbers.row), found, "csp.db")] == ["zero-cost scores"]


def test_a_proxy_of_noise_says_so_and_to_pick_by_macs(numbers):
    rng = np.random.default_rng(2)
    truth = 0.3 + 0.05 * numbers.size + 0.01 * rng.normal(size=40)
    for seed in range(2):
        numbers.train(truth + rng.normal(0, 0.1, 40), seed)
    numbers.train(truth, 10, LONG)
    first, second, *_ = verdict(numbers.weigh())
    assert ": too little; 3 is the bar" in first
    assert second.startswith("The proxy ranks worse than MACs alone (difference -0.")
    assert second.endswith("pick by MACs and verify, or train longer.")


def test_a_proxy_that_only_counts_is_no_better_than_macs(numbers):
    truth = 0.3 + 0.05 * numbers.size + 0.03 * np.random.default_rng(3).normal(size=40)
    numbers.train(0.2 + 0.1 * numbers.size, 0)
    numbers.train(truth, 10, LONG)
    sentences = verdict(numbers.weigh())
    assert any("The proxy ranks no better than MACs alone (difference 0.00" in text for text in sentences)


def test_the_numbers_are_those_of_the_statistics_on_the_study(numbers):
    rng = np.random.default_rng(4)
    scores = [0.3 + 0.1 * rng.normal(size=40) for _ in range(3)]
    numbers.train(scores[0], 0)
    numbers.train(scores[1], 1, rows=slice(0, 12))
    numbers.train(scores[2], 10, LONG)
    found = numbers.weigh()
    macs = numbers.store.frame("default")["macs"].to_numpy(float)
    groups = [[a, b] if i < 12 else [a] for i, (a, b) in enumerate(zip(scores[0], scores[1], strict=True))]
    assert found.noise == separation(groups)
    better = scores[0] >= np.median(scores[0])
    assert found.noise_better_half == separation([group for group, b in zip(groups, better, strict=True) if b])
    ranks = {rank.metric: rank for rank in found.ranks}
    assert ranks["macs"].all.value == pytest.approx(kendall(macs, scores[0]))
    assert ranks["macs"].better_half.value == pytest.approx(kendall(macs[better], scores[0][better]))
    assert (ranks["macs"].better_half.n, ranks["macs"].all.n) == (20, 40)
    longer = {rank.metric: rank for rank in found.longer.ranks}
    assert longer["ap"].all.value == pytest.approx(kendall(scores[0], scores[2]))
    assert longer["macs"].lead == paired_difference(scores[0], macs, scores[2])
    assert found.spread["mean"] == pytest.approx(scores[0].mean())
    text = json.dumps(plain(found), allow_nan=False)
    assert json.loads(text)["noise"]["ratio"] == found.noise.ratio


def test_where_less_is_better_ranks_mean_the_same():
    rng = np.random.default_rng(5)
    quality = rng.normal(size=40)
    found = []
    for metric, direction, sign in (("ap", "maximize", 1), ("val_loss", "minimize", -1)):
        with Store.open(":memory:") as store:
            study = Numbers(store, metric=metric, direction=direction)
            study.train(sign * quality, 0)
            study.train(sign * (quality + study.size), 10, LONG)
            found.append(study.weigh())
    assert [rank.all for rank in found[0].ranks] == [rank.all for rank in found[1].ranks]
    assert [rank.lead for rank in found[0].longer.ranks] == [rank.lead for rank in found[1].longer.ranks]
    assert found[0].spread["mean"] == pytest.approx(-found[1].spread["mean"])


def test_few_longer_trainings_give_no_verdict_and_the_command_that_gets_one(numbers):
    numbers.train(0.3 + 0.1 * numbers.size, 0)
    numbers.train(0.3 + 0.1 * numbers.size, 10, LONG, rows=slice(0, 5))
    facts = gather(numbers.store, numbers.row)
    found = weigh(facts)
    assert "5 candidates were trained longer; it takes 10 at least" in verdict(found)[1]
    [command] = [c for what, c in missing(facts, found, "my runs.db") if "longer" in what]
    ids = re.match(r"python -m search.verify --ids (\S+) --db 'my runs.db' --name default$", command)
    assert ids
    chosen = ids[1].split(",")
    assert len(set(chosen)) == 20
    assert not set(chosen) & {a.id for a in numbers.architectures[:5]}
    assert set(chosen) <= set(facts.ids)


def test_longer_trainings_of_the_front_alone_are_called_an_unfair_comparison(numbers):
    numbers.train(0.3 + 0.1 * numbers.size, 0)  # every candidate is on the front
    numbers.train(0.3 + 0.1 * numbers.size, 10, LONG)
    facts = gather(numbers.store, numbers.row)
    assert any("40 of the 40 candidates trained longer are on the front" in text for text in verdict(weigh(facts)))


def test_a_study_of_an_early_version_is_read(tmp_path):
    databases.build(str(tmp_path / "old.db"), 40)  # its config has no image visits
    with Store.open(str(tmp_path / "old.db")) as store:
        found = weigh(gather(store, store.studies()[0]))
    assert found.image_visits == 4000
    assert found.candidates == found.complete > 25


def test_a_search_ends_with_the_short_form(numbers):
    numbers.train(0.3 + 0.1 * numbers.size, 0)
    frame = numbers.store.frame("default")
    first, second = closing(numbers.store, numbers.row, frame, "csp.db")
    assert first.startswith("ap and MACs order 100% of pairs alike (Kendall 1.00, 95 % interval 1.00 to 1.00, 40 ")
    assert second == "noise not measured: python -m search.audit --seeds 2 --candidates 8 --name default"
    numbers.train(0.31 + 0.1 * numbers.size, 1)
    assert "noise of one training: std 0.007; candidates differ by " in closing(
        numbers.store, numbers.row, numbers.store.frame("default"), "csp.db"
    )[1]  # fmt: skip


def test_which_candidates_are_repeated_does_not_change_when_the_study_grows(numbers):
    numbers.train(numbers.size, 0, rows=slice(0, 20))
    few = shuffled(gather(numbers.store, numbers.row))
    numbers.train(numbers.size, 0, rows=slice(20, 40))
    many = shuffled(gather(numbers.store, numbers.row))
    assert [identity for identity in many if identity in few] == few
    assert many != sorted(many)
    assert len(many) == 40


# -- measuring


class NoisyEngine(SimulatedEngine):
    """Scores with a noise that the seed decides; untrained scores of all but `culprit`, whose process dies."""

    def __init__(self, culprit: str = "") -> None:
        super().__init__()
        self.culprit = culprit
        self.scored: list[str] = []

    def submit(self, function, /, *args, patience=1.0):
        if function is not score_untrained:
            return super().submit(function, *args, patience=patience)
        future: Future = Future()
        architectures, task, recipe, seed = args
        if any(a.id == self.culprit for a in architectures):
            future.set_exception(CandidateError("its process was killed by SIGSEGV"))
            return future
        self.scored += [a.id for a in architectures]
        future.set_result([
            [Measurement(metric=name, value=1.0, task=task, recipe=self.recipe(task, recipe), image_visits=0, seed=seed)
             for name in ZERO_COST]
            for _ in architectures
        ])  # fmt: skip
        return future

    @staticmethod
    def recipe(task: str, overrides: dict) -> str:
        from evaluator.recipe import recipe_for
        from evaluator.tasks import TASKS

        return recipe_for(TASKS.get(task), overrides).id(TASKS.get(task))

    def _train(self, job):
        done = super()._train(job)
        noise = np.random.default_rng([job.seed, int(job.architecture.id, 16)]).normal(0, 0.03)
        return replace(done, measurements=[replace(m, value=m.value + noise) for m in done.measurements])


def measure(store: Store, engine: NoisyEngine, *, seeds: int = 0, candidates: int = 0, scores: bool = False,
            stop: threading.Event | None = None) -> bool:  # fmt: skip
    work = Work(store, gather(store, store.studies()[0]))
    if scores:
        work.plan_scores()
    if seeds:
        work.plan_repeats(seeds, candidates)
    return work.run(engine, stop or threading.Event())


def test_repeats_are_trained_once_and_measure_the_noise():
    with Store.open(":memory:") as store:
        prepared(STUDY, store, NoisyEngine()).run()
        first, again, more = NoisyEngine(), NoisyEngine(), NoisyEngine()
        assert measure(store, first, seeds=2, candidates=5)
        assert measure(store, again, seeds=2, candidates=5)
        assert measure(store, more, seeds=3, candidates=10)
        assert (len(first.jobs), len(again.jobs), len(more.jobs)) == (10, 0, 20)
        found = weigh(gather(store, store.studies()[0]))
        assert (found.noise.n, found.noise.repeated, found.noise.degrees) == (30, 10, 30)
        assert found.noise.within == pytest.approx(0.03, rel=0.3)
        frame = store.frame("default").set_index("id")
        assert (frame["ap_n"] == 4).sum() == 10
        assert frame.loc[[job.architecture.id for job in first.jobs], "ap_spread"].notna().all()


def test_a_search_goes_on_after_repeats_as_if_there_were_none():
    """The frame shows means over seeds then; the sampler and promotion must hear of the search's own seed only."""
    study = replace(STUDY, budget=30, population=10)
    with Store.open(":memory:") as store:
        whole = NoisyEngine()
        prepared(study, store, whole).run()
    for cut in (10, 17):
        with Store.open(":memory:") as store:
            engine = NoisyEngine()
            search = prepared(study, store, engine)
            engine.on_result = lambda _, e=engine, s=search, c=cut: s.stop.set() if len(e.jobs) >= c else None
            with contextlib.suppress(Interrupted):
                search.run()
            assert measure(store, NoisyEngine(), seeds=2, candidates=6)
            rest = NoisyEngine()
            summary = prepared(study, store, rest).run()
            jobs = {job.architecture.id: job.seed for job in engine.jobs + rest.jobs}
            assert jobs == {job.architecture.id: job.seed for job in whole.jobs}
            assert summary.admitted == 30


def test_stopped_repeats_go_on_where_they_were():
    with Store.open(":memory:") as store:
        prepared(STUDY, store).run()
        stop, engine = threading.Event(), NoisyEngine()
        engine.on_result = lambda _: stop.set() if len(engine.jobs) == 4 else None
        assert not measure(store, engine, seeds=2, candidates=5, stop=stop)
        assert len(engine.jobs) == 4
        rest = NoisyEngine()
        assert measure(store, rest, seeds=2, candidates=5)
        assert len(rest.jobs) == 6
        assert not {(j.architecture.id, j.seed) for j in rest.jobs} & {(j.architecture.id, j.seed) for j in engine.jobs}


def test_a_dying_process_costs_one_candidate_its_zero_cost_scores_and_is_tried_again():
    with Store.open(":memory:") as store:
        prepared(STUDY, store).run()
        ids = list(store.frame("default")["id"])
        engine = NoisyEngine(culprit=ids[7])
        assert measure(store, engine, scores=True)
        assert sorted(engine.scored) == sorted(set(ids) - {ids[7]})
        frame = store.frame("default").set_index("id")
        assert frame["zen"].isna().sum() == 1
        [reason] = {m["reason"] for m in store.measurements(ids[7]) if m["metric"] in ZERO_COST}
        assert reason == "its process was killed by SIGSEGV"
        again = NoisyEngine()
        assert measure(store, again, scores=True)
        assert again.scored == [ids[7]]
        assert store.frame("default")["zen"].notna().all()
        done = NoisyEngine()
        assert measure(store, done, scores=True)
        assert not done.scored


def test_zero_cost_scores_are_never_searched_for(tmp_path):
    file = tmp_path / "zen.toml"
    file.write_text(TINY.replace('objectives = ["ap", "macs", "latency_ms"]', 'objectives = ["ap", "zen"]'))
    with pytest.raises(StudyError, match="never searched for"):
        load(file)
    with pytest.raises(StudyError, match="known only after training"):
        load(limits=["zen >= 3"])


# -- the command line


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A folder with a small real search."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "tiny.toml").write_text(TINY)
    options = ["--study", "tiny.toml", "--budget", "3", "--engine", "inline", "--task", "digits"]
    done = subprocess.run([sys.executable, "-m", "search.run", *options, "--limit", "macs <= 90e6"], cwd=folder,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "noise not measured: python -m search.audit --seeds 2 --candidates 8 --name tiny" in done.stdout
    return folder


@pytest.fixture
def folder(searched, tmp_path):
    for file in searched.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


def audit(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "search.audit", *arguments], cwd=folder, capture_output=True, text=True
    )


def test_measuring_and_reporting_for_real(folder):
    done = audit(folder, "--seeds", "1", "--candidates", "2", "--zero-cost", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "zero-cost scores: 3 of 3 candidates lack them" in done.stderr
    assert "[  2/2]" in done.stderr
    assert "Audit of 'tiny': accuracy of 3 candidates" in done.stdout
    assert "2 candidates with several seeds" in done.stdout
    assert all(name in done.stdout for name in ("macs", "params", "latency_ms", *ZERO_COST))
    with Store.open(str(folder / "csp.db"), read_only=True) as store:
        frame = store.frame("tiny")
        frame = frame[frame["state"] == "complete"]
    assert frame[[*ZERO_COST]].notna().all().all()
    assert sorted(frame["accuracy_n"]) == [1, 2, 2]
    again = audit(folder, "--seeds", "1", "--candidates", "2", "--zero-cost", "--json")
    assert "2 of them are stored already" in again.stderr
    assert "[  1/" not in again.stderr
    said = json.loads(again.stdout)
    assert {"study", "score", "ranks", "noise", "longer", "verdict", "missing"} <= set(said)
    assert said["longer"] is None
    assert said["noise"]["repeated"] == 2


def test_a_report_reads_while_another_process_writes(folder):
    with Store.open(str(folder / "csp.db")) as store, store.lock():
        assert audit(folder).returncode == 0
        refused = audit(folder, "--seeds", "1")
    assert refused.returncode == 2
    assert "another search" in refused.stderr


def test_a_full_disk_and_a_closed_pipe_are_no_traceback(folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "search.audit"], cwd=folder, stdout=full, stderr=subprocess.PIPE,
                              text=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "error: the output cannot be written: No space left on device\n")
    process = subprocess.Popen([sys.executable, "-m", "search.audit", "--json"], cwd=folder, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


def test_ctrl_c_keeps_what_is_finished(folder):
    process = subprocess.Popen([sys.executable, "-m", "search.audit", "--seeds", "500", "--candidates", "3",
                                "--workers", "1"], cwd=folder, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[  2/1500]"):
            break
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    assert not output
    with Store.open(str(folder / "csp.db"), read_only=True) as store:
        assert store.frame("tiny")["accuracy_n"].sum() >= 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "--seeds is 0; it must be 1 to 10,000"),
        (["--candidates", "-3"], "--candidates is -3"),
        (["--seeds", "two"], "two"),
        (["--workers", "2"], "nothing is to be measured: add --seeds or --zero-cost"),
        (["--time-limit", "9"], "nothing is to be measured"),
        (["--zero-cost", "--workers", "0"], "--workers is 0"),
        (["--db", "none.db"], "'none.db' does not exist"),
        (["--db", ":memory:"], "kept in a file"),
        (["--name", "tyni"], "no study 'tyni'. Allowed: tiny"),
        (["--sedes", "2"], "--sedes"),
    ],
)
def test_bad_input_is_one_line_and_code_2(folder, arguments, message):
    done = audit(folder, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not done.stdout


def test_a_study_of_other_data_is_not_mixed_with_new_measurements(tmp_path):
    databases.build(str(tmp_path / "csp.db"), 5)
    done = audit(tmp_path, "--seeds", "1")
    assert done.returncode == 2
    assert "another recipe or other data" in done.stderr


def test_the_options_are_those_that_the_readme_lists(tmp_path):
    code = (
        "import sys; from search.audit import main; main(['--help']); assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
    assert options == {"--db", "--name", "--seeds", "--candidates", "--zero-cost", "--workers", "--time-limit",
                       "--memory-limit", "--engine", "--json"}  # fmt: skip
    readme = (Path(__file__).parents[2] / "README.md").read_text().partition("`python -m search.audit`\n")[2]
    assert all(f"`{option}" in readme.partition("### Verify")[0] for option in options)
