"""Tags and notes where candidates are listed, while somebody else writes them, in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.store import Store
from tests.browser.test_dashboard import point, ready, until
from tests.browser.test_sheets import save, sheet
from tests.databases import build

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
Serve = Callable[..., str]
HOSTILE = "=<img src=x onerror=document.title=1>"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "csp.db"
    build(str(file), 12)
    return file


def test_a_tag_of_another_tab_reaches_plot_table_and_files(serve: Serve, open_page: Open, path: Path) -> None:
    url = serve(path)
    plot, table = ready(open_page(f"{url}/?color=tags")), sheet(open_page(f"{url}/table?cols=everything"))
    assert table.locator("[data-sort='tags']").count() == 0, "nothing is tagged"
    loaded: list[str] = []
    for page in (plot, table):
        page.on("request", lambda request: loaded.append(request.url) if "data.bin" in request.url else None)
    number, identity = plot.evaluate("(row => [csp.table.number(row), csp.table.id(row)])(csp.picked.best)")
    other = open_page(f"{url}/c/{identity}")
    other.fill("form[data-write=tag] input", HOSTILE)
    other.click("form[data-write=tag] button:text('Add')")
    other.wait_for_selector(".tags .tag")
    row = f"#sheet tr[data-number='{number}']"
    table.wait_for_selector(f"{row} td:has-text('{HOSTILE}')")
    until(plot, f"document.querySelector('[data-scale=tags]').textContent.includes('{HOSTILE}')")
    with Store.open(str(path)) as store:
        store.add_tag(identity, "ship it")
        store.set_note(identity, "<b>why</b>")
    until(plot, "csp.table.noted.includes(1)")
    plot.mouse.move(*point(plot, number))
    plot.wait_for_selector("#tooltip:not([hidden])")
    assert f"tags: {HOSTILE}, ship it · has a note" in plot.inner_text("#tooltip")
    rows = json.loads(save(plot, "json"))["rows"]
    assert {each["tags"] for each in rows} == {None, f"{HOSTILE}, ship it"}
    until(table, "csp.table.text('tags').labels.join().includes('ship it')")
    assert f'"\'{HOSTILE}, ship it"' in save(table, "csv").decode(), "no formula of a spreadsheet"
    assert loaded == [], "no columns were read again"
    with Store.open(str(path)) as store:
        for tag in (HOSTILE, "ship it"):
            store.remove_tag(identity, tag)
    until(table, "!csp.table.has('tags') && !document.querySelector('[data-sort=tags]')")
    assert not [page for page in (plot, table, other) if page.title() == "1" or page.locator("img[src=x]").count()]


def test_tags_stay_when_a_search_goes_on_and_in_a_link(serve: Serve, open_page: Open, path: Path) -> None:
    with Store.open(str(path)) as store:
        identity = store.frame("default")["id"][3]
        store.add_tag(identity, "a, b|c")
    page = sheet(open_page(f"{serve(path)}/table?cols=number,tags&sort=tags"))
    page.wait_for_selector("#sheet td:has-text('a, b|c')")
    page.evaluate("window.losses = 0; setInterval(() => { if (!csp.table.has('tags')) window.losses++; }, 5)")
    build(str(path), 6, name="other")  # another study: the data are read again
    until(page, f"csp.table.header.token !== {json.dumps(page.evaluate('csp.table.header.token'))}")
    page.wait_for_timeout(500)
    assert page.evaluate("window.losses") == 0
    assert page.locator("#sheet tr[data-row]").first.inner_text().count("a, b|c") == 1
    page.evaluate("csp.change({steps: [{only: true, brush: {tags: {labels: ['a, b|c']}}}]})")
    until(page, "document.querySelectorAll('#sheet tr[data-row]').length === 1")
    until(page, "location.search.includes('steps=')")
    linked = sheet(open_page(page.url))
    until(linked, "document.querySelectorAll('#sheet tr[data-row]').length === 1")
    page.goto(page.url.replace("/table", "/analysis"))
    page.wait_for_selector("#narrowed:has-text('here they leave nothing out')")
