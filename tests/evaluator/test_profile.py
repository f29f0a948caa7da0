"""Rows of a profile, the readings of the machine, the score by precision, and whether a measurement repeats."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from evaluator import machine, oracle
from evaluator.machine import Unreadable, energy_mj, reading
from evaluator.metrics import METRICS
from evaluator.profile import EXTRAS, _summary, latency, paper
from evaluator.quantised import calibration_images, quantisation_loss
from evaluator.record import Deployment, Fidelity, Job, environment
from evaluator.repeatability import main, random_architectures
from evaluator.tasks import TASKS
from evaluator.timing import Race, coarse, race
from space.architecture import Architecture, Head, Stage, Stem

PLACE = Deployment(height=64, width=64, batch=2, precision="int8")


def classifier(width: int = 16) -> Architecture:
    stages = tuple(Stage(block="conv", depth=1, width=w, fusion="none") for w in (width, 2 * width))
    head = Head(kind="classifier", fusion=None, width=None, maxout=None)
    return Architecture(stem=Stem(width=16), stages=stages, head=head).canonical()


@pytest.mark.parametrize(("backend", "precision"), [("onnxruntime", "int8"), ("openvino", "fp32"), ("eager", "fp32")])
def test_rows_of_a_runtime_are_complete(backend, precision):
    place = Deployment(height=64, width=64, batch=2, precision=precision)
    candidates = random_architectures(1)
    for architecture, rows in zip(candidates, latency(candidates, place, backend=backend, rounds=5, extras=True)):
        by = {row.metric: row for row in rows}
        assert set(by) == {"latency_ms", "latency_median_ms", "latency_p90_ms", "latency_cpu_ms", "images_per_second",
                           *EXTRAS}  # fmt: skip
        for row in rows:
            where = (row.device, row.backend, row.deployment, row.batch, row.precision, row.threads)
            assert where == (environment().host, backend, place.id, 2, precision, 1)
            assert row.unit == METRICS[row.metric].unit
            assert (row.value is None) == bool(row.reason)
            assert row.detail["deployment"] == place.to_dict()
            assert row.value is None or row.value > 0
        assert by["images_per_second"].value == pytest.approx(2000 / by["latency_ms"].value)
        assert by["latency_ms"].value <= by["latency_median_ms"].value <= by["latency_p90_ms"].value
        detail = by["latency_ms"].detail
        assert {"load_average_before", "cpu_mhz_before", "throttled_after", "difference_from_torch"} <= set(detail)
        assert ("calibration" in detail) == (precision == "int8")
        weights = {row.metric: row.value for row in paper(architecture, place)}["weight_bytes"]
        assert weights < by["process_peak_bytes"].value < 2**30


def test_a_runtime_that_computes_something_else_has_no_latency_but_a_reason(monkeypatch):
    monkeypatch.setitem(oracle.TOLERANCE, "fp32", -1.0)
    (rows,) = latency(random_architectures(1), Deployment(height=64, width=64), rounds=2)
    assert [(row.metric, row.value) for row in rows] == [("latency_ms", None)]
    assert "its outputs differ from torch's by" in rows[0].reason


def test_a_race_takes_the_clock_of_a_device_that_has_one():
    result = race([lambda: 42.0, lambda: None], rounds=3, warm_up=1)
    assert result.wall_ms[0].tolist() == [42.0] * 3
    assert (result.wall_ms[1] < 42).all()


def test_energy_is_what_the_counters_of_all_packages_rose_by(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "POWERCAP", tmp_path)
    monkeypatch.setattr(machine, "ENERGY_SECONDS", 0.01)
    with pytest.raises(Unreadable, match="no energy counter"):
        energy_mj(lambda: None, card=False)
    counters = [tmp_path / f"intel-rapl:{n}" / "energy_uj" for n in range(2)]
    for counter in counters:
        counter.parent.mkdir()
        counter.write_text("1000000")

    whole = tmp_path / "intel-rapl:2"
    whole.mkdir()
    (whole / "name").write_text("psys\n")
    (whole / "energy_uj").write_text("secret")  # of the whole machine: not even read

    def run() -> None:  # 3 mJ in each package
        for counter in counters:
            counter.write_text(str(int(counter.read_text()) + 3000))

    assert energy_mj(run, card=False) == pytest.approx(6.0)
    with pytest.raises(Unreadable, match="began anew"):
        energy_mj(lambda: [counter.write_text("5") for counter in counters], card=False)
    counters[0].write_text("secret")
    with pytest.raises(Unreadable, match="cannot be read"):
        energy_mj(run, card=False)


def test_clock_and_throttling_are_read_or_said_to_be_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPUS", tmp_path)
    assert reading()["cpu_mhz"] == "unknown: no cpufreq"
    for cpu, khz in enumerate((2_000_000, 3_000_000)):
        for name, text in (("cpufreq/scaling_cur_freq", str(khz)), ("thermal_throttle/core_throttle_count", "7")):
            path = tmp_path / f"cpu{cpu}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert (reading()["cpu_mhz"], reading()["throttled"]) == (2500, 14)


def test_the_score_by_precision_is_that_of_the_training_less_a_little():
    job = Job(architecture=classifier(), task="digits", fidelity=Fidelity(image_visits=2000), seed=1)
    targets = [("onnxruntime", PLACE), ("opencv", PLACE), ("onnxruntime", Deployment())]
    first, second, third = quantisation_loss(job, targets)
    score, loss = first
    assert (score.metric, loss.metric) == ("quantised_score", "quantisation_loss")
    assert score.detail["score"] == "accuracy"
    assert score.detail["score_of_training"] > 0.15  # chance is 0.1
    # Through the runtime in fp32 the network is the trained one; a rounding may turn one picture.
    assert score.detail["fp32_score"] == pytest.approx(score.detail["score_of_training"], abs=0.005)
    assert score.value == pytest.approx(score.detail["fp32_score"] - loss.value)
    assert -0.05 < loss.value < 0.1
    assert (score.deployment, score.precision, score.seed, score.image_visits) == (PLACE.id, "int8", 1, 2000)
    assert score.task == "digits"
    assert [row.value for row in second] == [None, None]
    assert "has no int8" in second[0].reason
    assert third[1].value == 0.0  # fp32 loses nothing against itself


def test_calibration_images_are_what_a_network_sees():
    task = TASKS.get("digits")
    x = calibration_images(task, 500)
    assert x.shape == (500, 3, task.size, task.size)
    pixels = x * task.pixel_std + task.pixel_mean
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)
    assert pixels.min() >= -1e-3
    assert 200 < pixels.max() <= 255.001
    assert calibration_images(task, 4, size=50).shape == (4, 3, 50, 50)


def test_random_architectures_are_of_the_default_space_and_differ():
    from tests.strategies import SPACE

    found = random_architectures(12)
    assert len({architecture.id for architecture in found}) == 12
    rng = np.random.default_rng(0)
    assert found[0].id == SPACE.build(SPACE.sample(rng)).id


def test_repeatability_prints_agreement_machine_and_versions(capsys):
    code = main(["--candidates", "3", "--rounds", "2", "--backend", "openvino", "--backend", "onnxruntime"])
    said = capsys.readouterr().out
    assert code in (0, 1)
    assert (code == 1) == ("MISSES a bar" in said)
    for text in (environment().cpu, "bar 0.95", "bar 3%", f"openvino {environment().versions['openvino']}",
                 f"onnxruntime {environment().versions['onnxruntime']}"):  # fmt: skip
        assert text in said
    assert main(["--candidates", "3", "--rounds", "2", "--json"]) in (0, 1)
    (result,) = json.loads(capsys.readouterr().out)
    a, b = (np.array(values) for values in result["latency_ms"])
    assert result["median_difference"] == pytest.approx(np.median(abs(a / b - 1)))
    assert math.isclose(result["worst_difference"], max(abs(a / b - 1)))
    assert result["environment"] == environment().to_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--candidates", "2"], "--candidates is 2; it must be 3 to"),
        (["--rounds", "-1"], "--rounds is -1"),
        (["--threads", "0"], "--threads is 0"),
        (["--backend", "onnxruntim"], "did you mean 'onnxruntime'"),
        (["--backend", "opencv", "--precision", "int8"], "backend 'opencv' has no int8"),
    ],
)
def test_repeatability_refuses_bad_input_in_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_processor_clock_that_stands_still_gives_no_time_but_a_reason():
    fine, rng = np.full((3, 50), 1.5), np.random.default_rng(0)
    assert coarse(fine) is None
    # A clock with steps of 4 ms, seen over runs of 1.4 ms: what it says of one candidate depends on when it ticks.
    ends = np.cumsum(np.full(150, 1.4)) + rng.random()
    stepped = np.diff(np.floor(np.concatenate([[0.0], ends]) / 4) * 4).reshape(3, 50)
    assert "in steps of about 4 ms" in coarse(stepped)
    assert "too rarely" in coarse(np.zeros((2, 5)))
    race = Race(wall_ms=np.full((3, 50), 1.4), cpu_ms=stepped, load_average_before=0.0, load_average_after=0.0)
    by = {row.metric: row for row in _summary(race, 0, Deployment(), "onnxruntime", {})}
    assert (by["latency_cpu_ms"].value, by["latency_cpu_ms"].n) == (None, 0)
    assert by["latency_cpu_ms"].reason == race.cpu_problem
    assert by["latency_ms"].value == pytest.approx(1.4)
