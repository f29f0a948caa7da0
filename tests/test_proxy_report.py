"""The proxy report on tables whose truth is known."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from benchmarks.proxy import LONG, Report

VISITS = 1000


def table(noise: float, seeds: int = 3, n: int = 60) -> pd.DataFrame:
    """`n` architectures whose true score rises by 0.01 from one to the next; MACs say nothing of it."""
    rng = np.random.default_rng(0)
    macs = rng.permutation(n) + 1
    rows = []
    for index in range(n):
        for visits, number, first in ((VISITS, seeds, 0), (VISITS // 2, 1, 0), (LONG * VISITS, 2, 100)):
            for seed in range(first, first + number):
                score = 0.01 * index + noise * rng.standard_normal() * (visits <= VISITS)
                rows.append({"id": f"{index:012x}", "stages": 3 + index % 2, "seed": seed, "image_visits": visits,
                             "ap": score, "val_loss": 2 - score, "cpu_seconds": visits / 100, "macs": macs[index],
                             "params": 7 + index, "proxy_macs": 1e6, "spec": None})  # fmt: skip
    return pd.DataFrame(rows)


def test_without_noise_the_proxy_ranks_perfectly_and_macs_do_not() -> None:
    report = Report(table(0.0))
    assert report.visits == VISITS
    assert [row[0] for row in report.lengths()] == [VISITS // 2, VISITS]
    text = report.text(None, "command", "plot.svg")
    assert "| ap of one training | 1.00 (1.00 to 1.00) |" in text
    assert "| params | 1.00" in text
    assert "GFLOP/s" not in text
    assert "| macs | 1.00" not in text


def test_separation_is_the_true_one() -> None:
    found = Report(table(0.05)).separation("ap")
    assert found.within == pytest.approx(0.05, rel=0.15)
    assert found.between == pytest.approx(0.01 * np.arange(60).std(ddof=1), rel=0.15)
    assert found.degrees == 2 * 60


def test_speed_counts_three_forward_passes() -> None:
    """6 x 1e6 MACs x 1,000 images in 10 s are 0.6 GFLOP/s."""
    text = Report(table(0.01)).text(6e9, "command", "plot.svg")
    assert "0.6 GFLOP/s" in text
    assert "10% of this machine" in text


def test_the_plot_is_an_svg_with_every_architecture() -> None:
    root = ET.fromstring(Report(table(0.02)).plot())
    circles = root.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 60 + 2 + 2  # points, and the legends of both charts
