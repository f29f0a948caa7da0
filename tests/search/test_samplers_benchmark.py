"""The comparison of samplers: its table of trainings, its scale, its command line."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.samplers import Problem, Scale, main, read_table, run, table_problem
from evaluator.tasks.synthetic import true_score
from search.study import built_in, load
from space.cost import cost
from space.lower import lower

STUDY = load()
NOISE = 0.015


def write(path, *, spell="genome", networks=60, change=None):
    """A table of `networks` random architectures, two seeds of each third."""
    rng = np.random.default_rng(0)
    columns = ["id", spell, "seed", "image_visits", "ap", "latency_ms", "macs"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for index in range(networks):
            genome = STUDY.space.sample(rng)
            network = STUDY.space.build(genome)
            macs = cost(lower(network)).macs
            for seed in range(1 + (index % 3 == 0)):
                row = {"id": network.id, "seed": seed, "image_visits": 4000,
                       "ap": true_score(network, 4000) + NOISE * rng.standard_normal(),
                       "latency_ms": macs / 5e7, "macs": macs}  # fmt: skip
                row[spell] = json.dumps(genome if spell == "genome" else network.to_dict())
                writer.writerow({**row, **(change or {})})
    return path


@pytest.mark.parametrize("spell", ["genome", "spec"])
def test_a_table_is_read_as_it_was_written(tmp_path, spell):
    rows = read_table(write(tmp_path / "t.csv", spell=spell, networks=12), STUDY)
    assert len(rows) == 16
    assert all(row.values["macs"] == cost(lower(row.architecture)).macs for row in rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"id": "0123456789ab"}, "line 2: the id is 0123456789ab"), ({"ap": "high"}, "line 2: could not convert"),
     ({"seed": ""}, "line 2: invalid literal")],
)  # fmt: skip
def test_a_wrong_line_of_a_table_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path / "t.csv", networks=3, change=change), STUDY)


def test_a_table_becomes_a_function_with_its_noise(tmp_path):
    study = replace(STUDY, population=10)
    problem, notes = table_problem(read_table(write(tmp_path / "t.csv", networks=150), study), study)
    assert problem.noise == pytest.approx(NOISE, rel=0.5)
    assert any("left-out correlation" in note for note in notes)
    rng = np.random.default_rng(5)
    genomes = [study.space.sample(rng) for _ in range(40)]
    found = np.array([problem.truth(genome)[1] for genome in genomes])
    real = np.array([true_score(study.space.build(genome), 4000) for genome in genomes])
    macs = np.log([cost(lower(study.space.build(genome))).macs for genome in genomes])
    assert np.corrcoef(-found[:, 0], real)[0, 1] > 0.4
    np.testing.assert_allclose(found[:, 1], macs)
    assert np.corrcoef(found[:, 2], macs)[0, 1] > 0.9  # the latency of this table is its MACs
    trace = run(problem, "screen", 0, 20)
    assert len(trace.truth) == 20
    assert trace.repeats == 0


@pytest.mark.parametrize("name", ["nsga2", "pymoo", "gp"])
def test_other_samplers_spend_the_same_budget(name):
    if name == "pymoo":
        pytest.importorskip("pymoo")
    study = replace(load(built_in("synthetic")), population=6)
    problem = Problem(study, lambda _, network: true_score(network), 0.0)
    trace = run(problem, name, 0, 12)
    assert len(trace.truth) == len(trace.measured) == len(trace.seconds) == 12
    assert len({tuple(row) for row in trace.truth}) > 9
    np.testing.assert_array_equal(trace.truth, trace.measured)  # no noise


def test_the_reference_front_has_hypervolume_one_and_noise_is_not_rewarded():
    rng = np.random.default_rng(0)
    truth = rng.random((30, 2))
    scale = Scale([truth])
    assert scale(truth) == pytest.approx(1.0)
    assert scale(truth[:5]) < 1.0


def test_bad_arguments_are_one_line_and_code_2(capsys):
    for arguments in (["--samplers", "nsga4"], ["--seeds", "0"], ["--plot", "a.png"], ["--table", "no.csv"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith("error: ")
