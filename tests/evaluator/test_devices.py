"""Device cards, what is published of the devices, and the roofline between the two."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.devices import Card, CardError, card, cards, host, read
from evaluator.devices.published import compared, published_latencies
from evaluator.record import Deployment
from evaluator.roofline import known_error, layers, roofline_ms
from space.graph import Builder
from space.lower import lower
from space.zoo import get
from space.zoo.published import published
from tests.strategies import random_architectures

ROOT = Path(__file__).parents[2]
SHIPPED = ["gtx-1080-ti", "h200", "i9-9900k", "jetson-orin-nano", "jetson-tx2", "pi5"]
CARD = Card(name="board", title="Board", peak_gflops={"fp32": 10.0}, bandwidth_gb_s=4.0, cores=4)
GOOD = 'title = "Board"\nbandwidth_gb_s = 4\n[peak_gflops]\nfp32 = 10\n'


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "evaluator.devices", *arguments], cwd=ROOT, capture_output=True,
                          text=True)  # fmt: skip


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CSP_EXPLORER_CACHE", str(tmp_path))
    host.measured.cache_clear()
    cards.cache_clear()
    yield tmp_path
    host.measured.cache_clear()
    cards.cache_clear()


# -- cards


def test_the_devices_of_the_issue_have_cards():
    assert [name for name in cards() if name != "host"] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_figure_of_a_shipped_card_has_its_source(name):
    found = card(name)
    assert set(found.sources) == set(found.figures)
    assert found.peak_gflops["fp32"] > 0
    assert found.bandwidth_gb_s is not None
    assert all(source.strip() for source in found.sources.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_profile_has_a_rate_on_its_card(name):
    found = card(name)
    assert found.profile["precision"] in found.peak_gflops
    assert found.profile.get("threads", 1) <= (found.cores or 1) or found.kind == "gpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("bandwidth_gb_s", "bandwith_gb_s"), "did you mean 'bandwidth_gb_s'"),
        (GOOD.replace("= 4", "= -4"), "bandwidth_gb_s is -4; it must be a positive number"),
        (GOOD.replace("= 4", "= inf"), "must be a positive number"),
        (GOOD.replace("= 4", "= true"), "must be a positive number"),
        (GOOD.replace("fp32", "fp23"), "did you mean 'fp32'"),
        (GOOD.replace("title", "titel"), "did you mean 'title'"),
        ("cores = 4", "the key 'title' is missing"),
        ('kind = "tpu"\n' + GOOD, "no kind 'tpu'"),
        (GOOD + "[profile]\nthread = 4", "did you mean 'threads'"),
        (GOOD + '[profile]\nthreads = "4"', "it must be of type int"),
        (GOOD + '[sources]\ncores = "a book"', "no figure 'cores'"),
        (GOOD + '[sources]\nbandwidth_gb_s = ""', "it must say where the figure is from"),
        ("title = ", "is not TOML"),
    ],
)
def test_a_bad_card_is_one_line_that_names_file_and_key(text, message):
    with pytest.raises(CardError, match=re.escape(message)) as error:
        read(text, "board", "board.toml")
    assert str(error.value).startswith("board.toml")
    assert "\n" not in str(error.value)


def test_a_card_of_ones_own_is_a_path(tmp_path):
    (tmp_path / "my-board.toml").write_text(GOOD)
    found = card(str(tmp_path / "my-board.toml"))
    assert (found.name, found.peak_gflops["fp32"], found.sources) == ("my-board", 10, {})
    with pytest.raises(CardError, match="cannot be read: No such file"):
        card("nowhere.toml")
    with pytest.raises(CardError, match="did you mean 'pi5'"):
        card("pi6")


# -- roofline


def one_convolution(channels: int = 8, size: int = 16):
    builder = Builder((3, size, size), activation="relu")
    return builder.graph([builder.conv(0, channels, 3, name="conv")])


def test_one_convolution_takes_the_larger_of_its_two_times():
    macs, weights, moved = 8 * 3 * 9 * 256, 8 * 3 * 9 + 8, (3 + 8) * 256
    for batch, threads, precision, size in ((1, 4, "fp32", 4), (2, 1, "fp32", 4), (3, 8, "int8", 1)):
        found = replace(CARD, peak_gflops={"fp32": 10.0, "int8": 40.0})
        deployment = Deployment(height=16, width=16, batch=batch, threads=threads, precision=precision)
        arithmetic = 2 * macs * batch / (found.peak_gflops[precision] * min(1, threads / 4) * 1e6)
        memory = (weights + batch * moved) * size / 4e6
        (layer,) = layers(one_convolution(), found, deployment)
        assert layer.arithmetic_ms == pytest.approx(arithmetic)
        assert layer.memory_ms == pytest.approx(memory)
        assert layer.bound == ("arithmetic" if arithmetic >= memory else "memory")
        assert roofline_ms(one_convolution(), found, deployment) == pytest.approx(max(arithmetic, memory))


@given(
    st.integers(0, 19), st.sampled_from([1.0, 1.5, 4.0]), st.sampled_from([1.0, 1.5, 4.0]), st.sampled_from([1, 2, 4])
)
def test_more_of_anything_is_never_slower(number, arithmetic, bandwidth, threads):
    architecture = random_architectures(20, seed=3)[number]
    graph, deployment = lower(architecture, 64, 64), Deployment(height=64, width=64)
    faster = replace(CARD, peak_gflops={"fp32": 10.0 * arithmetic}, bandwidth_gb_s=4.0 * bandwidth)
    before = roofline_ms(graph, CARD, deployment)
    after = roofline_ms(graph, faster, replace(deployment, threads=threads))
    assert 0 < after <= before
    assert roofline_ms(graph, CARD, replace(deployment, batch=2)) >= before
    assert sum(layer.ms for layer in layers(graph, CARD, deployment)) == before


def test_a_rate_that_the_card_lacks_is_said():
    with pytest.raises(ValueError, match="'board' does not tell the rate of fp16; its rates: fp32"):
        roofline_ms(one_convolution(), CARD, Deployment(precision="fp16"))
    with pytest.raises(ValueError, match="bandwidth"):
        roofline_ms(one_convolution(), replace(CARD, bandwidth_gb_s=None), Deployment())


# -- the host


def test_the_host_is_measured_when_asked_and_kept(empty_cache):
    assert "host" not in cards()
    with pytest.raises(CardError, match="--measure-host"):
        card("host")
    found = host.measure(("PeleeNet", "Darknet Reference"), rounds=3)
    assert cards()["host"].peak_gflops["fp32"] > 0
    assert set(cards()["host"].sources) == set(cards()["host"].figures)
    error = known_error(cards()["host"])
    assert error["n"] == 2
    assert error["median"] == pytest.approx(sum(abs(p / m - 1) for p, m in found["networks"].values()) / 2)
    (kept,) = empty_cache.glob("host-*.json")
    kept.write_text(kept.read_text()[:50])
    host.measured.cache_clear()
    cards.cache_clear()
    assert "host" not in cards()  # a damaged file is as none


# -- what is published


def test_every_published_frame_rate_is_a_latency():
    rows = published_latencies()
    assert len(rows) == sum(row.fps is not None for row in published())
    assert all(row.latency_ms * row.fps == pytest.approx(1000) and row.origin == "published" for row in rows)
    assert all(row.source and row.status in ("published", "derived", "doubtful") for row in rows)
    assert {"i9-9900k", "gtx-1080-ti", "jetson-tx2"} <= {row.device for row in rows}
    # CSPNet Table 5: 71 frames a second on the Core i9-9900K
    (row,) = [row for row in rows if row.network == "YOLOv3-tiny-PRN" and "Table 5" in row.source]
    assert (row.device, row.fps, row.resolution) == ("i9-9900k", 71, 416)


def test_the_known_error_is_that_of_published_rates_that_can_be_relied_on():
    found = compared(card("i9-9900k"))
    assert len(found) == 4  # what the README repeats from Table 5 counts once
    one = next(c for c in found if c.row.network == "YOLOv3-tiny")
    expected = roofline_ms(get("YOLOv3-tiny").graph(416), card("i9-9900k"), Deployment(threads=8)) / (1000 / 54) - 1
    assert one.error == pytest.approx(expected)
    doubtful = [c for c in compared(card("gtx-1080-ti")) if c.row.status == "doubtful"]
    assert doubtful
    assert all(c.error is None for c in doubtful)
    for name in ("i9-9900k", "gtx-1080-ti", "jetson-tx2"):
        errors = [abs(c.error) for c in compared(card(name)) if c.error is not None]
        assert known_error(card(name))["n"] == len(errors)
        assert min(errors) <= known_error(card(name))["median"] <= max(errors)
    assert known_error(card("pi5")) == {}
    unknown = [c for c in compared(card("jetson-tx2")) if c.roofline_ms is None]
    assert all(c.reason for c in unknown)


# -- the command


def test_the_command_shows_figures_sources_and_published_rates():
    everything = command()
    assert everything.returncode == 0, everything.stderr
    assert all(name in everything.stdout for name in cards())
    one = json.loads(command("jetson-tx2", "--json").stdout)
    assert one["bandwidth_gb_s"] == 59.7
    assert one["sources"]["bandwidth_gb_s"]
    assert [row["row"] if "row" in row else row["fps"] for row in one["published"]] == [41, 38, 73]
    assert "Table 5" in command("i9-9900k").stdout
    for arguments in (("pi6",), ("pi5", "--measure-host"), ("--jason",)):
        wrong = command(*arguments)
        assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


def test_help_imports_no_torch_and_the_readme_lists_every_option():
    code = ("import sys; from evaluator.devices.__main__ import main; main(['--help']); "
            "assert 'torch' not in sys.modules and 'onnxruntime' not in sys.modules")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    section = (ROOT / "README.md").read_text().split("### Devices that are not here")[1].split("\n## ")[0]
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
    assert [option for option in options if option not in section] == []
