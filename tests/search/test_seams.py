"""Commands on each other's studies: search, verification and audit of the analytic task, of rungs, of another card."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.data import Database
from dashboard.deployed import Where
from evaluator.evaluate import evaluate
from evaluator.record import Fidelity, Job, environment
from search import audit, run, verify
from search.evidence import gather
from search.seeds import job_seed
from search.store import Store
from search.study import DEFAULT, load

SYNTHETIC = DEFAULT.parent / "synthetic.toml"
CARD = {"kind": "cuda", "name": "some card", "count": 1, "precision": "bf16"}


def searched(folder: Path, *, seed: int = 0, name: str = "mine") -> None:
    visits = next(line for line in SYNTHETIC.read_text().splitlines() if line.startswith("image_visits = "))
    (folder / "rungs.toml").write_text(SYNTHETIC.read_text().replace(visits, "image_visits = [500, 2000]"))
    arguments = ["--study", str(folder / "rungs.toml"), "--budget", "20", "--sampler", "random"]
    assert run.main([*arguments, "--db", str(folder / "csp.db"), "--name", name, "--seed", str(seed)]) == 0


def test_a_formula_in_rungs_is_verified_and_audited_without_processes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("search.engines.process.ProcessEngine.submit", None)  # would cost 0.3 s each
    searched(tmp_path)
    database = str(tmp_path / "csp.db")
    assert verify.main(["--db", database, "--seeds", "2"]) == 0
    assert audit.main(["--db", database, "--seeds", "1", "--candidates", "3"]) == 0
    said = capsys.readouterr().out
    with Store.open(database, create=False) as store:
        frame = store.frame("mine")
    states = frame["state"].value_counts()
    assert states["stopped"] > 0
    assert f"{states['stopped']} others were stopped at an earlier rung and are left out" in said
    assert "--zero-cost" not in said  # the task has no images: the command would be refused
    shown = Database(database)
    repeated = 0
    for identity in frame["id"][frame["state"] == "complete"]:
        rows = [m for m in shown.detail(identity).measurements if m["metric"] == "score" and m["image_visits"] == 2000]
        found = Where.own(shown.snapshot().study.config).newest(rows, "score")
        assert found["seed"] == job_seed(0)  # the search's own, not an audit's
        repeated += len(rows) > 1
    assert repeated == 3


@pytest.mark.parametrize(("module", "options"), [("run", ["--study", "rungs.toml", "--name", "mine", "--sampler",
                                                          "random", "--budget", "20"]), ("verify", [])])  # fmt: skip
def test_a_full_disk_under_the_report_is_one_line(tmp_path, module, options):
    searched(tmp_path)
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", f"search.{module}", *options], cwd=tmp_path, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: the output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("main", "options"), [(verify.main, []), (audit.main, ["--seeds", "1"])])
def test_without_the_card_nothing_is_recorded_as_failed(tmp_path, main, options, capsys):
    searched(tmp_path)
    database = str(tmp_path / "csp.db")
    with Store.open(database) as store:
        row = store.study("mine")
        store.update_study(row.id, config={**row.config, "trained_on": CARD})
        before = store.data_version()[1]
    capsys.readouterr()
    code = main(["--db", database, *options])
    out, errors = capsys.readouterr()
    if code == 0:
        pytest.skip("there is a card")
    assert code == 2
    assert "was trained on a CUDA card" in errors.splitlines()[-1]
    assert not out
    with Store.open(database) as store:
        assert store.data_version()[1] == before
        assert "verified" not in store.study("mine").config


def test_the_audit_takes_the_search_s_own_seed_for_the_proxy(tmp_path):
    """Another study of the database may have trained the same networks before, under its seed."""
    searched(tmp_path, seed=1, name="first")
    with Store.open(str(tmp_path / "csp.db")) as store:
        study = load(tmp_path / "rungs.toml", budget=20, sampler="random", name="second")
        first = store.study("first")
        row = store.create_study("second", {**first.config, "seed": 0}, study.seed)
        done = [p for p in store.proposals(first.id) if p.state == "complete"]
        for number, old in enumerate(done):
            proposal = type(old)(**{**vars(old), "number": number, "state": "proposed"})
            store.propose(row.id, [proposal])
            store.finish(row.id, number, "complete")
        facts = gather(store, row)
    assert len(facts.ids) > 3
    # The other's trainings stand for a seed that this study has not, until its own are there.
    assert all(len(scores) == 1 for scores in facts.seeds)
    with Store.open(str(tmp_path / "csp.db")) as store:
        architecture = store.architecture(facts.ids[0])
        job = Job(architecture=architecture, task="synthetic", fidelity=Fidelity(rung=1, image_visits=2000),
                  seed=job_seed(0), recipe=row.config["recipe"])  # fmt: skip
        own = evaluate(job)
        store.record_evaluation(job, row.config["recipe_id"], own, environment())
        facts = gather(store, row)
        value = next(m.value for m in own.measurements if m.metric == "score")
        assert len(facts.seeds[0]) == 2
        assert facts.proxy[0] == value


@pytest.mark.parametrize(("name", "message"), [("cuda", "task 'synthetic' trains nothing"),
                                               ("gpu", "must be one of auto, cpu, cuda")])  # fmt: skip
def test_no_device_is_ignored_in_silence(tmp_path, name, message, capsys):
    assert run.main(["--task", "synthetic", "--device", name, "--db", str(tmp_path / "csp.db")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "csp.db").exists()
