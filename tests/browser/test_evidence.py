"""/analysis, /devices and /studies in a real Chromium: themes, sizes, names, contrast, choices in the URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.demo import unpacked
from search.store import Store
from tests.browser.conftest import serving
from tests.browser.test_dashboard import until
from tests.databases import add, build, config, verify
from tests.places import spread

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
SCREENS = ((1440, 900, "light", "rgb(22, 24, 29)"), (1024, 768, "dark", "rgb(242, 244, 247)"))
WAITING = "[...document.querySelectorAll('.evidence .figure')].every(f => f.querySelector('.scatterlayer .trace'))"

AUDIT = """() => {
  const problems = [], seen = (e) => e.checkVisibility && e.checkVisibility() && e.getClientRects().length > 0;
  const levels = [...document.querySelectorAll('h1, h2, h3, h4')].filter(seen).map((h) => +h.tagName[1]);
  if (levels.filter((l) => l === 1).length !== 1) problems.push(`headings of level 1: ${levels}`);
  levels.reduce((a, b) => { if (b > a + 1) problems.push(`heading jumps from ${a} to ${b}`); return b; }, 0);
  const ids = [...document.querySelectorAll('main [id]')].filter((e) => !e.closest('svg')).map((e) => e.id);
  for (const id of ids) if (ids.filter((other) => other === id).length > 1) problems.push(`id ${id} twice`);
  for (const e of document.querySelectorAll('a[href], button, summary'))
    if (seen(e) && !(e.textContent.trim() || e.getAttribute('aria-label'))) problems.push(`no name: ${e.outerHTML}`);
  for (const e of document.querySelectorAll('[role=img]'))
    if (!e.getAttribute('aria-label')) problems.push(`no label: ${e.outerHTML.slice(0, 90)}`);
  for (const e of document.querySelectorAll('.evidence svg'))
    if (!e.closest('[role=img]')) problems.push('a picture without a label');
  for (const e of document.querySelectorAll('.evidence table'))
    if (!e.caption || !e.querySelector('th[scope=row]')) problems.push(`no names: ${e.textContent.slice(0, 60)}`);
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const colors = {};
  const rgba = (text) => colors[text] || (colors[text] = paint(text));
  const paint = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const ground = (e) => { const layers = [];
    for (let at = e; at; at = at.parentElement) { const c = rgba(getComputedStyle(at).backgroundColor);
      if (c[3] > 0) layers.push(c); if (c[3] === 1) break; }
    return layers.reverse().reduce((under, c) => under.map((v, i) => c[i] * c[3] + v * (1 - c[3])), [255, 255, 255]); };
  const linear = (v) => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = (c) => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  for (const e of document.querySelectorAll('.evidence *, .pages a')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('svg') || e.closest('.visually-hidden') || !seen(e)) continue;
    const a = light(rgba(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)}: ${e.textContent.slice(0, 40)}`);
  }
  for (const e of document.querySelectorAll('.evidence svg text')) {
    if (!e.textContent.trim() || !seen(e)) continue;
    const a = light(rgba(getComputedStyle(e).fill).slice(0, 3)), b = light(ground(e.closest('.figure')));
    if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5) problems.push(`contrast in a figure: ${e.textContent}`);
  }
  return [...new Set(problems)];
}"""


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """The study that ships with the product, on its one device."""
    with unpacked() as path, serving() as start:
        yield start(Path(path))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two studies, one of them on several devices, and one without candidates."""
    path = tmp_path_factory.mktemp("evidence") / "csp.db"
    build(str(path), 30, name="second")
    build(str(path), 40)
    spread(str(path))
    with Store.open(str(path)) as store:
        store.create_study("waiting", config(), seed=0)
    with serving() as start:
        yield start(path)


def stands(page: Any) -> Any:
    """Wait until every chart of the page is drawn."""
    page.wait_for_selector(".evidence section")
    until(page, WAITING)
    return page


@pytest.mark.parametrize("name", ["demo/analysis", "demo/devices", "demo/studies", "several/devices?study=default"])
def test_pages_fit_and_have_names_order_and_contrast_in_both_themes(
    several: str, demo: str, open_page: Open, name: str
) -> None:
    site, _, path = name.partition("/")
    page = stands(open_page(f"{demo if site == 'demo' else several}/{path}"))
    for width, height, theme, ink in (
        (1440, 900, "light", "rgb(22, 24, 29)"),
        (1024, 768, "dark", "rgb(242, 244, 247)"),
    ):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme)
        until(page, f"document.documentElement.dataset.theme === '{theme}'")
        until(page, f"getComputedStyle(document.querySelector('.evidence .xtick text')).fill === '{ink}'")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.getElementById('main').scrollWidth") <= width
        assert page.evaluate("document.getElementsByTagName('*').length") <= 4000
        assert page.evaluate("document.querySelectorAll('.evidence canvas').length") == 0
        assert page.evaluate(AUDIT) == []


def test_bars_of_importance_are_alike_and_seven_columns_fit(demo: str, open_page: Open) -> None:
    page = stands(open_page(f"{demo}/analysis"))
    sizes = """(() => {
        const box = document.querySelector('#importance .scroll'), rows = [...box.querySelectorAll('tbody tr')];
        const cells = [...rows[0].cells].map(cell => cell.getBoundingClientRect().width);
        return {cells, inside: box.clientWidth, wide: box.scrollWidth, page: document.documentElement.scrollWidth,
                bars: [...box.querySelectorAll('.marked')].map(bar => bar.getBoundingClientRect().width)};
    })()"""
    for width in (1440, 1024):
        page.set_viewport_size({"width": width, "height": 900})
        found = page.evaluate(sizes)
        assert len(set(found["bars"])) == 1, found["bars"]
        assert len(found["cells"]) == 7, "three objectives and three other places"
        assert found["page"] == width
        if width == 1440:
            assert found["wide"] <= found["inside"]
            assert sum(found["cells"]) + max(found["cells"][1:]) <= found["inside"], "a fourth place fits"


def test_choices_are_links_in_the_url_and_back_undoes_them(several: str, open_page: Open) -> None:
    page = stands(open_page(f"{several}/devices?study=default"))
    page.click("#macs summary:has-text('On')")
    page.click("#macs .menu[open] a:has-text('ncnn')")
    page.wait_for_selector("#macs p:has-text('On board5 · ncnn · int8')")
    assert "study=default&place=board5/ncnn/" in page.url
    said = page.inner_text("#macs p")
    page.reload()
    page.wait_for_selector("#macs p:has-text('On board5 · ncnn · int8')")
    assert stands(page).inner_text("#macs p") == said
    page.go_back()
    page.wait_for_selector("#macs p:has-text('onnxruntime')")


def test_first_screen_and_devices_say_the_same_of_what_is_not_measured(several: str, open_page: Open) -> None:
    page = stands(open_page(f"{several}/devices?study=default"))
    row = page.inner_text("#places tr:has-text('ncnn')")
    share = re.search(r"(\d+ of \d+) · (not measured \(\d+ %\))", row)
    assert share, row
    page.goto(f"{several}/?study=default&dev=board5/ncnn/int8")
    page.wait_for_selector("#device-choice p:has-text('Measured')")
    assert f"{share[1]}; {share[2]}." in page.inner_text("#device-choice")


def test_the_header_leads_from_page_to_page_in_the_same_study(several: str, open_page: Open) -> None:
    page = stands(open_page(f"{several}/studies?study=second"))
    page.click(".pages a:has-text('Devices')")
    page.wait_for_selector(".pages a[aria-current=page]:has-text('Devices')")
    assert page.url.endswith("/devices?study=second")
    page.click(".pages a:has-text('Candidates')")
    page.wait_for_selector("#answer")
    assert "study=second" in page.url


def test_a_point_and_the_best_of_a_study_open_a_candidate(several: str, open_page: Open) -> None:
    page = stands(open_page(f"{several}/devices?study=default"))
    point = page.locator("#macs .scatterlayer .trace .point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#macs .hoverlayer .hovertext")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("text=of study “default”")
    page.goto(f"{several}/studies")
    page.locator("#list a[href^='/c/']").first.click()
    page.wait_for_selector("text=of study “default”")


def test_a_running_study_fills_the_page(serve: Callable[[Path], str], open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    with Store.open(str(path)) as store:
        study = store.create_study("default", config(), seed=0)
        page = open_page(f"{serve(path)}/analysis")
        page.wait_for_selector("h1:has-text('has no candidates yet')")
        add(store, study.id, 0, 6)
        stands(page)
        before = page.inner_text("h1 + p")
        add(store, study.id, 6, 6)
        until(page, f"document.querySelector('h1 + p').innerText !== {before!r}")
        stands(page)


HEAD = """(() => {
    const box = document.querySelector('.told').getBoundingClientRect(), shown = [], cut = [];
    const parts = [...document.querySelectorAll('#badge, .kept, .parts > *, #age')].filter(part => part.textContent);
    for (const part of parts) {
        const {left, right, top, bottom} = part.getBoundingClientRect(), inside = part.closest('.told');
        if (inside && top >= box.bottom - 1) continue;
        shown.push(part.textContent);
        const free = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        if (right > innerWidth || (inside && right > box.right + 1) || !part.contains(free)) cut.push(part.textContent);
    }
    return {shown, cut, wide: document.documentElement.scrollWidth,
            right: Math.max(...[...document.querySelectorAll('.top > *')].map(e => e.getBoundingClientRect().right))};
})()"""

WHOLE = "[...document.querySelectorAll('.kept, .parts')].map(part => part.textContent).join('')"


@pytest.mark.parametrize("state", ["running", "complete"])
def test_the_status_drops_whole_words_as_the_window_narrows(
    serve: Callable[..., str], open_page: Open, tmp_path: Path, state: str
) -> None:
    path, other = tmp_path / "csp.db", tmp_path / "other.db"
    build(str(path), 40, state=state, budget=1200)
    if state == "complete":
        verify(str(path))
        build(str(path), 6, name="second, which has a long name of many words")
        build(str(other), 3)
    url = serve(path, other) if state == "complete" else serve(path)
    for place in ("/?study=default&db=csp.db", "/devices?study=default&db=csp.db"):
        page = open_page(url + place)
        until(page, "document.querySelector('#progress').textContent.includes('updated')")
        whole = page.evaluate(WHOLE)
        counts = []
        for width in (1920, 1440, 1280, 1024, 720):
            page.set_viewport_size({"width": width, "height": 768})
            found = page.evaluate(HEAD)
            assert found["cut"] == []
            assert found["wide"] == width
            assert found["right"] <= width
            assert found["shown"][0] == {"running": "searching", "complete": "complete"}[state]
            assert whole.startswith(found["shown"][1]), "the count always stands"
            assert page.evaluate(WHOLE) == whole, "read aloud in full"
            counts.append([re.sub(r"^updated.*", "updated", each) for each in found["shown"]])
        title = page.get_attribute("#status", "title")
        assert "on the front" in title
        assert "updated" in title
        assert counts[0][-1] == "updated"
        assert [len(each) for each in counts[:4]] == sorted((len(each) for each in counts[:4]), reverse=True)
        assert all(each == counts[0][: len(each)] for each in counts), "words go from the end"
        if state == "complete":
            assert any(" verified · " in part for part in counts[0]), "the two verdicts go together"


def test_the_list_of_studies_follows_the_others_too(serve: Callable[..., str], open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    for name in ("a", "b"):
        build(str(path), 4, name=name, state="running", budget=9)
    page = open_page(serve(path) + "/studies?study=a")
    until(page, "document.querySelector('#list')?.innerText.includes('4 of 9')")
    with Store.open(str(path)) as store:
        add(store, 2, 4, 1)
    until(page, "document.querySelector('#list')?.innerText.includes('5 of 9')")
