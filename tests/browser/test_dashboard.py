"""The dashboard as a person uses it, in a real Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.store import Store
from tests.databases import add, build, config, verify

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
Serve = Callable[[Path], str]


def until(page: Any, expression: str, seconds: float = 20.0) -> None:
    """Wait until a JavaScript expression is true. Playwright's own waiting evaluates text, which our policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


def ready(page: Any) -> Any:
    """Wait until plot and table stand."""
    page.wait_for_selector("#plot .scatterlayer .trace")
    page.wait_for_selector("#table .ag-center-cols-container .ag-row")
    until(page, "document.querySelector('#count').textContent.includes('shown')")
    return page


def count(page: Any) -> int:
    """Candidates shown, as the caption says."""
    return int(re.match(r"\d+", page.inner_text("#count"))[0])  # type: ignore[index]


def wait_count(page: Any, test: str) -> int:
    until(page, f"(n => {test})(parseInt(document.querySelector('#count').textContent))")
    return count(page)


def point(page: Any, number: int) -> tuple[float, float]:
    """Where the point of a proposal is on the screen."""
    place = page.evaluate(
        """number => {
            const plot = document.querySelector('#plot .js-plotly-plot');
            for (const trace of plot.data) {
                const at = (trace.customdata || []).findIndex(key => key[0] === number);
                if (at < 0 || trace.yaxis === 'y2') continue;
                const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
                return [box.x + xaxis._offset + xaxis.d2p(trace.x[at]), box.y + yaxis._offset + yaxis.d2p(trace.y[at])];
            }
        }""",
        number,
    )
    assert place, f"#{number} is not drawn"
    return place[0], place[1]


PLOT = "document.querySelector('#plot .js-plotly-plot')"
RINGS = f"({PLOT}.data.find(t => t.name === 'selected') || {{x: []}}).x.length"
ROWS = "(() => { const all = []; dash_ag_grid.getApi('table').forEachNode(n => all.push(n.data)); return all; })()"


@pytest.mark.parametrize(("width", "height", "theme"), [(1440, 900, "light"), (1024, 768, "dark")])
def test_the_page_fits_the_screen_in_the_theme_of_the_system(
    site: str, open_page: Open, width: int, height: int, theme: str
) -> None:
    page = ready(open_page(site, viewport={"width": width, "height": height}, color_scheme=theme))
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.documentElement.scrollHeight") == height
    assert page.locator("#plot").bounding_box()["height"] > 220
    assert page.locator("#table").bounding_box()["height"] > 140
    page.click("#theme-toggle")
    until(page, f"document.documentElement.dataset.theme !== '{theme}'")


def test_a_typed_filter_changes_counts_answer_and_url(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    before, answer = count(page), page.inner_text("#answer")
    box = page.locator(".filter:has(legend:has-text('Latency')) .dash-range-slider-max-input")
    box.fill("8")
    box.press("Enter")
    after = wait_count(page, f"n < {before}")
    until(page, "location.search.includes('max.latency_ms=8')")
    assert "under latency ≤ 8 ms" in page.inner_text("#answer")
    assert page.inner_text("#answer") != answer
    page.click("text=Reset")
    assert wait_count(page, f"n > {after}") == before
    until(page, "location.search === ''")


def test_toggles_and_chips_change_counts(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    first = count(page)
    page.click("#show label:has-text('Refused')")
    more = wait_count(page, f"n > {first}")
    page.click("label:has-text('dense')")
    fewer = wait_count(page, f"n < {more}")
    page.reload()
    ready(page)
    assert wait_count(page, f"n === {fewer}") == fewer


def test_axes_and_colour_are_chosen_and_kept_in_the_link(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    page.click("#x")
    page.click(".dash-dropdown-options label:has-text('MACs')")
    until(page, "document.querySelector('#plot .xtitle').textContent.includes('MACs (M)')")
    page.click("#x-log label")
    until(page, "document.querySelector('#plot .js-plotly-plot')._fullLayout.xaxis.type === 'log'")
    page.click("#color")
    page.click(".dash-dropdown-options label:has-text('Parameters')")
    page.wait_for_selector("#plot .cbtitle, #plot .colorbar")
    until(page, "location.search.includes('color=params')")
    other = ready(open_page(page.url, fresh=True))
    other.wait_for_selector("#plot .colorbar")
    layout = f"(l => [l.xaxis.type, l.xaxis.title.text.slice(0, 8)])({PLOT}._fullLayout)"
    assert other.evaluate(layout) == page.evaluate(layout) == ["log", "MACs (M)"]


def test_a_row_rings_its_point_and_the_link_keeps_it(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    assert page.evaluate(RINGS) == 0
    row = page.locator("#table .ag-center-cols-container .ag-row").nth(2)
    number = row.get_attribute("row-id")
    row.locator(".ag-cell").first.click()
    until(page, f"{RINGS} === 1")
    until(page, f"location.search.includes('sel={number}')")
    other = ready(open_page(page.url))
    until(other, f"{RINGS} === 1")
    assert other.locator("#table .ag-row-selected").first.get_attribute("row-id") == number


def test_a_point_selects_and_scrolls_to_its_row(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    last = page.evaluate(f"{ROWS}.filter(row => row.ap !== null).sort((a, b) => a.ap - b.ap)[0].number")
    page.keyboard.down("Shift")
    page.mouse.click(*point(page, last))
    page.keyboard.up("Shift")
    row = page.wait_for_selector(f"#table .ag-row-selected[row-id='{last}']")
    table, box = page.locator("#table").bounding_box(), row.bounding_box()
    assert table["y"] <= box["y"] <= table["y"] + table["height"]
    until(page, f"{RINGS} === 1")
    assert page.url.split("?")[1] == f"sel={last}"


def test_a_click_opens_the_candidate_and_back_returns(site: str, open_page: Open) -> None:
    page = ready(open_page(site + "/?max.latency_ms=15"))
    before = count(page)
    number, identifier = page.evaluate(f"{PLOT}.data.filter(t => t.customdata && t.yaxis !== 'y2')[0].customdata[0]")
    page.mouse.click(*point(page, number))
    page.wait_for_selector(f"h1:has-text('{identifier}')")
    assert f"/c/{identifier}" in page.url
    page.wait_for_selector(".layers .bar")
    page.wait_for_selector("#learning .scatterlayer .trace")
    assert "Every measurement" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") == 1440
    page.go_back()
    ready(page)
    assert wait_count(page, f"n === {before}") == before
    assert f"sel={number}" in page.url
    until(page, f"{RINGS} === 1")


def test_the_keyboard_is_enough(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    outlined = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outlined != "none"
    page.locator("#table .ag-center-cols-container .ag-row .ag-cell").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    until(page, f"{RINGS} === 1")
    number = page.evaluate("document.activeElement.closest('.ag-row').getAttribute('row-id')")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Candidate')")
    assert f"#{number} of study" in page.inner_text("main")
    page.locator("#back").focus()
    page.keyboard.press("Enter")
    ready(page)
    page.locator("#open-best").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Candidate')")


def test_the_page_follows_a_search_and_never_moves_the_view(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 12, state="running", budget=30)
    page = ready(open_page(serve(path) + "/?show=dominated,failed,refused&sel=2"))
    assert "12" in page.inner_text("#count")
    ranges = f"(l => [...l.xaxis.range, ...l.yaxis.range])({PLOT}._fullLayout)"
    box = page.locator("#plot .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 160, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    zoomed = page.evaluate(ranges)
    with Store.open(str(path)) as store:
        for number in range(12, 18):
            add(store, 1, number, 1)
    wait_count(page, "n === 18")
    until(page, "document.querySelector('#progress').textContent.startsWith('16 of 30')")
    page.wait_for_timeout(300)
    assert page.evaluate(ranges) == pytest.approx(zoomed, rel=1e-4)
    assert "zx=" in page.url
    assert page.locator("#table .ag-row-selected").first.get_attribute("row-id") == "2"
    assert re.search(r"updated \d+ s ago", page.inner_text("#age"))


def test_a_missing_file_becomes_the_page_by_itself(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    page = open_page(serve(path))
    page.wait_for_selector("h1:has-text('There is no database yet')")
    assert f"python -m search.run --budget 200 --db {path}" in page.inner_text("main")
    path.touch()
    page.wait_for_selector("h1:has-text('The database is empty')")
    with Store.open(str(path)) as store:
        study = store.create_study("default", config(), seed=0)
        page.wait_for_selector("h1:has-text('has no candidates yet')")
        add(store, study.id, 0, 5)
        ready(page)


def test_several_studies_have_a_selector(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 8, name="first")
    build(str(path), 14, name="second")
    page = ready(open_page(serve(path)))
    assert "of 14 shown" in page.inner_text("#count")
    page.click("#study")
    page.click(".dash-dropdown-options label:has-text('first')")
    until(page, "document.querySelector('#count').textContent.includes('of 8 shown')")
    assert "study=first" in page.url
    page.locator("#table a").first.click()
    page.wait_for_selector("text=of study “first”")


def test_text_of_the_database_is_text(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 12, name="<img src=x onerror=alert(1)>")
    url = serve(path)
    page = ready(open_page(url))
    assert page.inner_text(".study-name") == "<img src=x onerror=alert(1)>"
    failed = page.evaluate(f"{ROWS}.find(row => row.status === 'failed').id")
    page.goto(f"{url}/c/{failed}")
    page.wait_for_selector("text=the loss became NaN after 320 visits <b>&</b>")
    assert page.locator("img").count() == 0


def test_unknown_candidates_and_pages_say_so(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/c/0123456789ab")
    page.wait_for_selector("h1:has-text('No such candidate')")
    page.click("text=All candidates")
    ready(page)
    open_page(f"{site}/nowhere").wait_for_selector("h1:has-text('There is no such page')")


def test_a_verified_front_is_marked_filtered_and_explained(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 40)
    verdicts = verify(str(path))
    page = ready(open_page(serve(path)))
    assert "✗ overturned" in page.inner_text("#answer")
    assert "best verified: #" in page.inner_text("#answer")
    legend = page.locator("#plot .legendtext").all_text_contents()
    assert {"verified", "overturned"} <= set(legend)
    shown = page.evaluate(f"{ROWS}.map(row => [row.id, row.verification])")
    assert all(text.startswith(verdicts[identity]) for identity, text in shown)
    before = count(page)
    page.locator("[id*='kind'][id*='verdict'] label", has_text="unverified").click()
    page.locator("[id*='kind'][id*='verdict'] label", has_text="overturned").click()
    wait_count(page, f"n < {before}")
    until(page, "location.search.includes('verdict=verified')")
    until(page, "document.querySelector('#answer').textContent.includes('✓ verified')")
    assert page.evaluate(f"{ROWS}.every(row => row.verification.startsWith('verified'))")
    page.click("#open-best")
    page.wait_for_selector("#verification table")
    said = page.inner_text("#verification")
    assert "over 3 seeds, on the front in" in said
    assert said.count("long") == 3
