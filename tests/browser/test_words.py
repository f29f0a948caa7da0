"""What the first screen says where there is nothing to answer or to draw: what is true, and the way out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import pytest

from dashboard.candidates import without_score
from dashboard.data import Database
from search.store import Store
from tests.browser.test_dashboard import Open, Serve, ready, until
from tests.databases import add, config
from tests.odd import EVIL, STUDIES

pytestmark = pytest.mark.browser


def changed(path: Path, statements: Iterable[str]) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(("state", "said"), [
    ("complete", "No candidate has AP, and the search is complete. 14 of 14 failed, 13 for this reason: out of mem"),
    ("interrupted", "No candidate has AP, and the search was interrupted; the same command goes on. 14 of 14 failed"),
    ("running", "are being trained. This page follows. So far 14 of 14 failed, 13 for this reason: out of memory."),
])  # fmt: skip
def test_without_a_score_the_page_says_what_is_true(serve: Serve, open_page: Open, tmp_path: Path, state: str,
                                                    said: str) -> None:  # fmt: skip
    path = tmp_path / "odd.db"
    STUDIES["all failed"](path)
    changed(path, (f"UPDATE studies SET state = '{state}'", "UPDATE proposals SET reason = 'disk' WHERE number = 3"))
    snapshot = Database(str(path)).snapshot()
    assert snapshot.columns is not None
    url = serve(path)
    page = ready(open_page(url))
    assert page.inner_text("#answer") == without_score(snapshot.columns, state, "AP")
    assert said in page.inner_text("#answer")
    assert "filters" not in page.inner_text("#table")
    page.goto(f"{url}/analysis")
    page.wait_for_selector("main h2:text('No candidate is complete')")
    assert said in page.inner_text("main")


def test_before_anything_is_finished_nothing_failed(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    STUDIES["all failed"](path)
    changed(path, ("UPDATE studies SET state = 'running'", "UPDATE proposals SET state = 'proposed', reason = NULL",
                   "DELETE FROM measurements WHERE device IS NOT NULL"))  # fmt: skip
    page = ready(open_page(serve(path)))
    assert page.inner_text("#answer") == (
        "No candidate has AP yet: the first ones are being trained. This page follows."
    )
    assert page.evaluate("csp.view.x") == "latency_ms", "it may still come"


def test_a_study_without_latency_is_shown_over_macs(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    STUDIES["no device"](path)
    url = serve(path)
    page = ready(open_page(url))
    until(page, "document.querySelector('#plot .xtitle').textContent.includes('MACs (M)')")
    assert page.locator("#table tr[data-row]").count() > 1
    assert not page.locator("#plot .void").is_visible()
    assert "x=" not in page.url
    page = ready(open_page(f"{url}/?x=latency_ms"))
    assert "No candidate has Latency on " in page.inner_text("#plot .void")
    assert "Choose another X above, or another device." in page.inner_text("#plot .void")
    assert page.inner_text("#table td.muted") == "No candidate has both AP and Latency."
    page.locator("#plot .void button").focus()
    page.keyboard.press("Enter")
    until(page, "csp.view.x === 'macs' && document.querySelector('#plot .void').hidden")
    assert page.locator("#table tr[data-row]").count() > 1


def test_an_axis_that_is_on_its_way_is_not_called_missing(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    page.evaluate("""() => { window.seen = []; new MutationObserver(() => {
        const box = document.querySelector("#plot .void"); if (!box.hidden) seen.push(box.textContent);
    }).observe(document.querySelector("#plot"), {subtree: true, childList: true, attributes: true}); }""")
    page.select_option("#x", "cio")  # not sent at first
    until(page, "csp.table.has('cio') && csp.plot.range.x[1] > 1")
    assert page.evaluate("seen") == []


TURNED = """() => {
    const wrong = [], range = document.createRange();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const at = node.data.search(/[\\u202d\\u202e]/), parent = node.parentElement;
        const skipped = parent.closest("script, style, option, textarea, title, .remark");
        if (at < 0 || skipped || !parent.checkVisibility()) continue;
        const inside = node.data.lastIndexOf("\\u2068", at) >= 0, style = getComputedStyle(parent);
        const alone = style.unicodeBidi.includes("isolate") || !style.display.startsWith("inline");
        const ours = alone && node.data.slice(at + 1).search(/[”’:;,]/) < 0;
        if (parent.closest("pre") || (!inside && !ours)) wrong.push([parent.outerHTML.slice(0, 160), node.data]);
    }
    return wrong;
}"""
"""Overrides of direction that reach beyond the text of somebody else, and those in a command."""


def test_a_name_that_runs_backwards_turns_nothing_of_ours(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    STUDIES["hostile"](path)
    with Store.open(str(path)) as store:
        ids = [proposal.architecture.id for proposal in store.proposals(1)]
        add(store, store.create_study("other", config(), seed=1).id, 0, 3)
    url, name = serve(path), quote(EVIL)
    page = ready(open_page(f"{url}/?study={name}"))
    assert page.evaluate(TURNED) == []
    page.click("#export-best")
    assert r"\u202e" in page.inner_text("dialog pre >> nth=0")
    for place in ("/devices?", f"/c/{ids[0]}?", f"/c/{ids[1]}?", f"/compare?ids={ids[0]},{ids[1]}&", "/analysis?",
                  "/studies?", "/explore?"):  # fmt: skip
        page.goto(f"{url}{place}study={name}")
        page.wait_for_selector("main h1")
        page.wait_for_timeout(150)
        assert page.evaluate(TURNED) == [], place
    page.goto(f"{url}/c/{ids[0]}?study={name}")
    page.wait_for_selector("#export pre")
    assert r"\u202e" in page.inner_text("#export pre >> nth=0")
    report = open_page("about:blank")
    report.set_content(report.request.get(f"{url}/report.html?study={name}").text())
    assert report.evaluate(TURNED) == []
