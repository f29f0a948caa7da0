"""`python -m search.pick` as a user types it: on the demo study, on several devices, and with wrong arguments."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from dashboard.demo import unpacked
from evaluator.metrics import METRICS
from evaluator.record import Environment, Measurement
from search.answer import answer
from search.budgets import ALIASES, BudgetError, budgets
from search.latencies import Predictor
from search.pick import main
from search.pick_words import surroundings, warnings
from search.shortlist import shortlist
from search.store import Store
from tests.databases import DEPLOYMENT, build, verify
from tests.test_house import ROOT

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def demo():
    with unpacked() as path:
        yield path


@pytest.fixture(scope="module")
def frame(demo):
    with Store.open(demo, create=False, read_only=True) as store:
        return store.frame("default")


@pytest.fixture
def said(capsys):
    """Runs a command line and gives exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def picked(said):
    """Runs a command line with --json."""

    def run(*arguments: str, code: int = 0):
        found, out, errors = said(*arguments, "--json")
        assert (found, errors) == (code, "")
        return json.loads(out)

    return run


def best(frame, mask, score="verified_ap"):
    return frame.loc[frame[mask & frame[score].notna()][score].idxmax(), "id"]


# -- one device


def test_the_answer_is_the_best_verified_candidate_under_all_budgets(demo, frame, picked):
    found = picked("--db", demo, "--max", "latency_ms=2", "--max", "peak_mb=3", "--min", "ap=0.6")
    (pick,) = found["picks"]
    verified = frame["verdict"] != "unverified"
    fits = verified & (frame["latency_ms"] <= 2) & (frame["peak_bytes"] <= 3e6) & (frame["verified_ap"] >= 0.6)
    assert (found["by"], found["fits"], found["candidates"], pick["fit"]) == ("verified", True, 200, int(fits.sum()))
    assert pick["answer"]["id"] == best(frame, fits)
    latency = pick["answer"]["metrics"]["latency_ms"]
    row = frame.set_index("id").loc[pick["answer"]["id"]]
    assert (latency["value"], latency["origin"], latency["n"]) == (row["latency_ms"], "measured", 100)
    assert pick["answer"]["metrics"]["macs"]["origin"] == "counted"
    assert [b["bound"] for b in pick["budgets"]] == [2, 3e6, 0.6]


def test_by_proxy_every_candidate_counts_and_the_score_is_the_proxys(demo, frame, picked):
    found = picked("--db", demo, "--max", "gmacs=0.1", "--by", "proxy")
    answered = found["picks"][0]["answer"]
    assert answered["id"] == best(frame, frame["macs"] <= 1e8, "ap")
    assert answered["score"] == answered["proxy_score"]
    assert found["noise"] is None  # one seed each: nothing is claimed of it
    assert found["picks"][0]["equals"] == []


def test_without_a_verified_candidate_that_fits_the_proxy_chooses_and_says_so(demo, frame, said, picked):
    unverified = frame[frame["verdict"] == "unverified"]
    alone = unverified.loc[unverified["params"].idxmax()]
    least = frame.loc[frame["verdict"] != "unverified", "params"].max()
    assert alone["params"] > least
    options = ("--db", demo, "--min", f"params={least + 1}")
    found = picked(*options)
    assert found["by"] == "proxy"
    chosen = found["picks"][0]["answer"]["id"]
    assert f"python -m search.verify --ids {chosen} --db {demo}" in found["next"]
    code, out, _ = said(*options)
    assert code == 0
    assert "no verified one fits" in out
    assert "careful, unverified" in out
    assert picked(*options, "--by", "verified", code=3)["picks"][0]["answer"] is None


def test_what_a_budget_is_said_to_buy_is_bought_by_it(demo, picked):
    found = picked("--db", demo, "--max", "latency_ms=1.5")
    (budget,) = found["picks"][0]["budgets"]
    assert budget["binds"]
    again = picked("--db", demo, "--max", f"latency_ms={budget['next']['value']}")
    assert again["picks"][0]["answer"]["score"] >= budget["next"]["score"] > found["picks"][0]["answer"]["score"]
    assert budget["next"]["excess"] == pytest.approx(budget["next"]["value"] / 1.5 - 1)


def test_an_overturned_answer_is_called_so(demo, frame, said):
    names = frame.set_index("id")
    overturned = names[names["verdict"] == "overturned"]
    identity = next(  # the best verified score of those with no more parameters and no less latency
        i for i, row in overturned.iterrows()
        if best(frame, (frame["params"] <= row["params"]) & (frame["latency_ms"] >= row["latency_ms"])
                & (frame["verdict"] != "unverified")) == i
    )  # fmt: skip
    row = names.loc[identity]
    code, out, _ = said("--db", demo, "--max", f"params={row['params']}", "--min", f"latency_ms={row['latency_ms']}")
    assert code == 0
    assert f"{identity} has the best ap" in out
    assert "careful, overturned" in out


def test_equals_within_the_noise_are_named_with_the_cheapest(demo, frame, picked, said):
    found = picked("--db", demo)
    pick, scores = found["picks"][0], frame.set_index("id")["verified_ap"]
    least = 2 * np.sqrt(2) * found["noise"] / np.sqrt(2)  # two seeds each
    top = pick["answer"]["score"]
    near = {i for i, value in scores.items() if top - value <= least and i != pick["answer"]["id"]}
    assert set(pick["equals"]) == near != set()
    latency = frame.set_index("id")["latency_ms"]
    assert latency[pick["equals"]].is_monotonic_increasing
    assert f"the cheapest of them: {pick['equals'][0]}" in said("--db", demo)[1]


def test_nothing_that_fits_is_code_3_with_the_nearest_and_what_would_have_to_grow(demo, frame, picked, said):
    options = ("--db", demo, "--max", "latency_ms=0.5", "--max", "params=1e9")
    found = picked(*options, code=3)
    pick = found["picks"][0]
    assert (found["fits"], pick["answer"], found["next"]) == (False, None, [])
    fastest = frame.loc[frame["latency_ms"].idxmin()]
    assert pick["nearest"]["id"] == fastest["id"]
    assert pick["budgets"][0]["next"]["value"] == fastest["latency_ms"]
    assert [b["binds"] for b in pick["budgets"]] == [True, False]
    code, out, _ = said(*options)
    assert code == 3
    assert f"latency_ms binds: at {fastest['latency_ms']:.3g} ms" in out
    assert picked("--db", demo, "--max", f"latency_ms={fastest['latency_ms']}")["fits"]


def test_the_knee_and_the_ladder_stand_on_the_front(demo, frame, picked):
    found = picked("--db", demo, "--prefer", "knee", "--ladder", "4")
    pick = found["picks"][0]
    rungs = list(pick["ladder"].values())
    assert list(pick["ladder"]) == ["n", "s", "m", "l"]
    verified = frame[frame["verdict"] != "unverified"]
    for chosen in [pick["answer"], *rungs]:
        faster = verified[verified["latency_ms"] < chosen["metrics"]["latency_ms"]["value"]]
        assert not (faster["verified_ap"] >= chosen["score"]).any()
    assert [r["score"] for r in rungs] == sorted(r["score"] for r in rungs)
    assert (rungs[0]["id"], rungs[-1]["id"]) == (
        verified.loc[verified["latency_ms"].idxmin(), "id"], verified.loc[verified["verified_ap"].idxmax(), "id"]
    )  # fmt: skip
    assert pick["best"]["id"] == rungs[-1]["id"] != pick["answer"]["id"]


# -- several devices

BOARD = Environment(host="board", cpu="Example", cores=4, memory_bytes=2**30, system="Linux", python="3.11.7")


@pytest.fixture
def database(tmp_path):
    """A verified study whose front was also timed on a board where what is wide is slow."""
    path = str(tmp_path / "two.db")
    build(path, 40)
    verify(path)
    with Store.open(path) as store:
        frame = store.frame("default")
        for identity in frame.loc[frame["state"] == "complete", "id"].iloc[3:]:
            architecture = store.architecture(identity)
            wide = frame.set_index("id").loc[identity]
            row = Measurement(metric="latency_ms", value=10 + wide["params"] / 2e4, unit="ms", n=100, device="board",
                              backend="onnxruntime", deployment=DEPLOYMENT.id, batch=1, precision="fp32", threads=1,
                              environment=BOARD)  # fmt: skip
            store.record(architecture, [row])
    return path


def test_several_devices_have_a_winner_each_and_a_compromise_that_fits_them_all(database, picked, said):
    with Store.open(database, create=False, read_only=True) as store:
        frame, facts = store.frame("default"), store.deployed("default")
    board = facts[facts["device"].eq("board")].set_index("id")["value"]
    frame = frame[frame["state"] == "complete"].set_index("id")
    slow, fast = board.reindex(frame.index), frame["latency_ms"]
    ours = frame["verified_ap"]
    limits = float(fast[ours.notna()].median()), float(slow[ours.notna()].median())
    host = next(iter(facts.loc[facts["metric"].eq("latency_ms") & facts["device"].ne("board"), "device"]))
    options = ("--db", database, "--device", host, "--device", "board",
               "--max", f"latency_ms@{host}={limits[0]}", "--max", f"latency_ms@board={limits[1]}")  # fmt: skip
    found = picked(*options)
    here, there = found["picks"]
    assert here["answer"]["id"] == ours[fast <= limits[0]].idxmax()
    assert there["answer"]["id"] == ours[slow <= limits[1]].idxmax()
    both = ours[(fast <= limits[0]) & (slow <= limits[1])]
    assert found["compromise"]["id"] == both.idxmax()
    tops = [pick["answer"]["score"] for pick in (here, there)]
    assert found["compromise"]["regrets"] == pytest.approx([(top - both.max()) / top for top in tops])
    assert there["answer"]["metrics"]["latency_ms"]["environment"] == BOARD.id
    code, out, _ = said(*options)
    assert code == 0
    assert "Who wins where" in out
    assert "3 of " in out  # candidates that the board never saw
    # With one device asked for, the other's budget holds all the same.
    alone = picked("--db", database, "--device", "board", *options[6:])
    assert alone["picks"][0]["answer"]["id"] == both.idxmax()


def test_a_device_where_nothing_fits_leaves_no_compromise(database, picked):
    found = picked("--db", database, "--device", "host", "--device", "board", "--max", "latency_ms@board=1", code=3)
    assert (found["picks"][0]["fit"] > 0, found["picks"][1]["fit"], found["compromise"]) == (True, 0, None)


def test_a_prediction_near_its_budget_may_be_over_and_can_be_left_out(database, monkeypatch):
    from search import latencies

    by_macs = Predictor(method="a table", predict=lambda graph: 10.0, error={"median": 0.05, "p90": 0.2, "n": 30})
    monkeypatch.setattr(latencies, "predictors_of", lambda store, where: [by_macs])
    with Store.open(database, create=False, read_only=True) as store:
        row = store.study("default")
        for bound, unsure in ((11, True), (13, False)):
            listed = shortlist(store, row)
            found = answer(listed, ["board/openvino"], budgets([f"latency_ms={bound}"], []))
            pick = found.picks[0]
            assert "no budget binds" in " ".join(surroundings(found, pick))
            text = " ".join(warnings(found, pick, pick.answer))
            assert "its latency is predicted: `python -m search.bundle" in text
            assert ("latency_ms may be over 11 ms: 10 ms is predicted within 20%" in text) == unsure
        with pytest.raises(BudgetError, match="only predicted, and --measured-only was given"):
            answer(shortlist(store, row, measured_only=True), ["board/openvino"], budgets(["latency_ms=11"], []))


# -- the command line


@pytest.mark.parametrize(("arguments", "message"), [
    (["--max", "latency=3"], "did you mean 'latency_ms'"),
    (["--max", "peak_gb=3"], "did you mean 'peak_mb'"),
    (["--max", "latency_ms"], "write METRIC=NUMBER"),
    (["--max", "latency_ms@=3"], "write METRIC=NUMBER"),
    (["--max", "latency_ms=fast"], "'fast' is not a number; latency_ms is a number of ms"),
    (["--max", "latency_ms=inf"], "finite"),
    (["--min", "fps=0"], "fps must be above 0"),
    (["--max", "latency_ms=3", "--min", "fps=500"], "bound latency_ms twice"),
    (["--max", "accuracy=1"], "accuracy; known of its trainings: ap"),
    (["--min", "ap@host=0.3"], "leave out '@host'"),
    (["--max", "latency_ms@nowhere=1"], "no device 'nowhere'"),
    (["--device", "hots"], "did you mean 'host'"),
    (["--device", "board"], "no device 'board'"),
    (["--device", "host/opencv", "--max", "latency_ms=3"], "known of no candidate: not measured on"),
    (["--max", "energy_mj=3"], "--extras` measures"),
    (["--device", "pi5", "--max", "energy_mj=3"], "only measured on the machine itself"),
    (["--device", "host/opencv", "--ladder", "4"], "--ladder needs latency_ms"),
    (["--device", "host/opencv", "--prefer", "knee"], "--prefer knee needs latency_ms"),
    (["--prefer", "accuracy"], "Allowed: ap, knee"),
    (["--ladder", "1"], "--ladder is 1; it must be 2 to 6"),
    (["--by", "luck"], "--by"),
    (["--name", "defualt"], "did you mean 'default'"),
])  # fmt: skip
def test_bad_input_is_one_line_and_code_2(demo, said, arguments, message):
    code, out, errors = said("--db", demo, *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]*\n", errors)
    assert message in errors


def test_a_study_without_a_complete_candidate_or_no_database_is_one_line(tmp_path, said):
    empty = str(tmp_path / "empty.db")
    build(empty, 0)
    for place, message in ((empty, "no complete candidate to pick from"), (str(tmp_path / "no.db"), "does not exist")):
        code, out, errors = said("--db", place)
        assert (code, out, errors.count("\n")) == (2, "", 1)
        assert message in errors


def test_a_database_of_an_older_schema_is_brought_up_to_date(tmp_path, said):
    old = tmp_path / "old.db"
    old.write_bytes((ROOT / "tests" / "golden" / "store-0001.db").read_bytes())
    with closing(sqlite3.connect(old)) as connection, connection:
        objectives = json.dumps([{"metric": "ap", "direction": "maximize"}])
        connection.execute("UPDATE studies SET config = json_set(config, '$.objectives', json(?))", (objectives,))
    code, out, errors = said("--db", str(old))
    assert (code, errors) == (0, "")
    assert "complete candidates" in out


def test_units_are_those_of_the_table():
    found = budgets(["peak_mb=64", "weight_mib=1", "gflops=1"], ["fps=40"])
    assert [(b.metric, b.relation, b.bound) for b in found] == [
        ("peak_bytes", "<=", 64e6), ("weight_bytes", "<=", 2**20), ("macs", "<=", 0.5e9), ("latency_ms", "<=", 25.0)
    ]  # fmt: skip
    assert budgets(["fps=40"], [])[0].relation == ">="
    assert all(alias.metric in METRICS for alias in ALIASES.values())
    assert [name for name in ALIASES if f"`{name}`" not in README] == []


def test_the_options_and_keys_are_those_that_the_readme_lists(demo, picked):
    """Freezes the command line and the JSON object: what is new must be documented, what is old may not vanish."""
    code = (
        "import sys; from search.pick import main; main(['--help']);"
        "assert not {'torch', 'optuna', 'pandas', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    options = set(re.findall(r"--[a-z][a-z-]+", done.stdout)) - {"--help"}
    assert options == {"--device", "--max", "--min", "--prefer", "--by", "--ladder", "--measured-only", "--threads",
                       "--batch", "--size", "--db", "--name", "--json"}  # fmt: skip
    section = README.partition("`python -m search.pick`")[2].partition("\n## ")[0]
    assert all(f"`{option}" in section for option in options)
    found = picked("--db", demo, "--max", "latency_ms=2", "--ladder", "2")
    keys = {*found, *found["picks"][0], *found["picks"][0]["budgets"][0], *found["picks"][0]["answer"],
            *found["picks"][0]["budgets"][0]["next"], *found["picks"][0]["answer"]["metrics"]["macs"]}  # fmt: skip
    assert [key for key in keys if f"`{key}`" not in section] == []


def test_a_full_disk_is_one_line_and_a_closed_pipe_is_none(demo):
    command = [sys.executable, "-m", "search.pick", "--db", demo]
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (2, "error: the output cannot be written: No space left on device\n")
    piped = subprocess.run(["sh", "-c", '"$@" | head -1', "sh", *command], capture_output=True, text=True)
    assert piped.stderr == ""
    assert "200 complete candidates" in piped.stdout


def test_another_size_is_another_target(demo, capsys):
    """What was measured at the study's deployment is not said of another; memory is counted at it."""
    found = []
    for extra in ([], ["--size", "128"]):
        assert main(["--db", str(demo), "--max", "macs=1e12", "--by", "proxy", "--json", *extra]) == 0
        found.append(json.loads(capsys.readouterr().out)["picks"][0])
    metrics = [each["best"]["metrics"] for each in found]
    assert [each["deployment"]["height"] for each in found] == [256, 128]
    assert metrics[0]["latency_ms"]["origin"] == "measured"
    assert metrics[1]["latency_ms"]["origin"] != "measured"
    for extra in (["--batch", "0"], ["--threads", "-1"], ["--size", "12x"]):
        assert main(["--db", str(demo), *extra]) == 2
        assert extra[0] in capsys.readouterr().err
