"""Filters mean on the pages of the server what they mean in the browser, and go along to them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from dashboard.data import Database
from dashboard.narrow import filters, narrowed
from dashboard.targets import where
from tests.browser.test_dashboard import Open, Serve, ready, until
from tests.databases import build, verify
from tests.places import spread

pytestmark = pytest.mark.browser
DEVICE = "board5/onnxruntime/fp32"
QUERIES = (
    {},
    {"max.macs": "300000000"},
    {"lat": "6", "block": "dense,res2"},
    {"min.ap": "0.2", "max.ap": "0.34999", "fusion": "csp,none", "verdict": "verified"},
    {"head": ""},
    {"max.latency_ms": "7,5", "max.macs": "900,000,000"},
    {"lat": " 1,000 ", "max.params": "0,125e6", "min.macs": "1,0,0", "max.macs": "\u0663e9"},
    {"steps": "only:macs~1e8..300%2C000%2C000"},
    {"block": "no such block"},
    {"steps": "only:ap~0.25..,block~=dense|resx|res2|basic|dark|conv"},
    {"steps": "not:growth_rate~=%E2%80%93;only:macs~..400000000,activation~=relu|silu|leaky_relu"},
    {"steps": "not:depth~4..9;only:accuracy~1..2"},
    {"steps": "only:bottleneck_ratio~=1;not:fusion~=csp,num_stages~3..3"},
    {"steps": "only:;x;not:ap;only:ap~x..y;;only:<b>~1..2", "min.macs": "nonsense", "max.latency_ms": "1e999"},
    {"dev": DEVICE, "lat": "14"},
    {"dev": DEVICE, "lat": "14", "by": "predicted"},
    {"dev": DEVICE, "lat": "14", "by": "both", "steps": "not:latency_ms~..8"},
)


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 60, verified, with latencies on made-up devices."""
    file = tmp_path_factory.mktemp("narrow") / "csp.db"
    build(str(file), 60)
    verify(str(file))
    spread(str(file))
    return file


def test_the_server_leaves_the_rows_that_the_browser_leaves(serve: Serve, open_page: Open, boards: Path) -> None:
    database = Database(str(boards))
    snapshot = database.snapshot()
    assert snapshot.columns is not None
    page = open_page("about:blank")
    base, sizes = serve(boards), set()
    for given in QUERIES:
        query = urlencode(given)
        page.goto(f"{base}/?{query}")
        ready(page)
        if "dev" in given:
            until(page, "csp.table.there && csp.table.there.done >= csp.table.there.wanted")
        expected = page.evaluate("[...csp.picked.inside].flatMap((on, row) => on ? [csp.table.id(row)] : [])")
        found, said = narrowed(snapshot, query, where(database, snapshot, given.get("dev", "")))
        assert found.columns is not None
        assert found.columns.ids == expected, given
        assert bool(said) == bool(filters(query)), given
        assert (found.token == snapshot.token) == (not filters(query))
        sizes.add(len(expected))
    assert len(sizes) > 7, "the queries must tell rows apart"


def test_filters_go_along_to_the_evidence_and_can_be_dropped_there(site: str, open_page: Open) -> None:
    page = ready(open_page(f"{site}/?max.macs=300000000&fusion=csp,last"))
    inside = int(np.sum(page.evaluate("[...csp.picked.inside]")))
    page.click("nav.pages a:text('Analysis')")
    page.wait_for_selector("#narrowed")
    assert f"Only the {inside} of " in page.inner_text("#narrowed")
    assert "MACs ≤ 300 M, fusion csp or last" in page.inner_text("#narrowed")
    page.click("nav.pages a:text('Devices')")
    page.wait_for_selector("main h1:text('Devices')")
    assert f"Only the {inside} of " in page.inner_text("#narrowed")
    page.click("nav.pages a:text('Candidates')")
    ready(page)
    assert int(np.sum(page.evaluate("[...csp.picked.inside]"))) == inside
    page.go_back()
    page.click("#narrowed a")
    until(page, "!document.querySelector('#narrowed')")
    assert "max.macs" not in page.url
    page.goto(f"{site}/analysis?block=none")
    page.wait_for_selector("#narrowed")
    assert "Only the 0 of " in page.inner_text("#narrowed")


@pytest.mark.parametrize(("typed", "ms"), [("1,000", "1000"), ("1,5", "1.5"), ("0,125", "0.125"), ("1,500", "1500"),
                                           ("1,234,567.5", "1234567.5"), ("12,5", "12.5"), (" 7 ", "7")])  # fmt: skip
def test_a_typed_budget_is_read_alike_in_the_box_and_in_the_link(site: str, open_page: Open, typed: str,
                                                                 ms: str) -> None:  # fmt: skip
    page = ready(open_page(site))
    box = page.locator("[data-control='max.latency_ms']")
    box.fill(typed)
    box.press("Enter")
    until(page, f"csp.view.ranges.latency_ms?.[1] === {ms}")
    page = ready(open_page(f"{site}/?{urlencode({'max.latency_ms': typed})}"))
    assert page.evaluate("csp.view.ranges.latency_ms[1]") == float(ms)
    assert filters(urlencode({"max.latency_ms": typed})).ranges["latency_ms"][1] == float(ms)


def test_what_is_no_number_is_said_to_be_none(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    box = page.locator("[data-control='max.latency_ms']")
    for typed in ("1,2,3", "1.000,5", "0x10", "Infinity", "12 ms"):
        box.fill(typed)
        box.press("Enter")
        assert page.evaluate("document.activeElement.validationMessage") == "A number, or nothing for any"
        assert page.evaluate("'latency_ms' in csp.view.ranges") is False
    box.fill("")
    box.press("Enter")
    assert page.evaluate("document.activeElement.validationMessage") == ""
