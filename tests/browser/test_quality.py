"""Laws for every page in a real Chromium: accessible, usable by keyboard and at 200 %, and steady whatever it meets."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dashboard.demo import unpacked
from dashboard.pages.shell import HEADER
from search.store import Store
from tests.browser.conftest import serving
from tests.browser.test_dashboard import until
from tests.databases import add, build
from tests.odd import EVIL, STUDIES

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

PAGES = (*dict.fromkeys(re.findall(r'href="(/\w*)"', HEADER)), "/c/{0}", "/compare?ids={0},{1}")
"""Those of the header, and those that need an id."""
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
AXE = """async (levels) => (await axe.run(document, {runOnly: levels, resultTypes: ["violations"]})).violations.map(
    (rule) => [rule.id, rule.nodes.length, rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))])"""
OVERLAP = """() => {
    const boxes = [...document.querySelectorAll("main section, main aside")].filter((one) =>
        one.checkVisibility() && one.getClientRects().length && !one.matches(".skip, .unseen"));
    const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
    return boxes.flatMap((a, at) => boxes.slice(at + 1).filter((b) => !a.contains(b) && !b.contains(a)
        && over(a.getBoundingClientRect(), b.getBoundingClientRect())).map((b) =>
        [a.outerHTML.slice(0, 60), b.outerHTML.slice(0, 60)])).slice(0, 3);
}"""
WIDE = """() => [document.documentElement, document.querySelector("main")].flatMap((root) => {
    if (root.scrollWidth <= root.clientWidth) return [];
    return [`${root.tagName} is ${root.scrollWidth} wide`, ...[...root.querySelectorAll("*")].filter((element) =>
        element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll"))
        .slice(0, 4).map((element) => element.outerHTML.slice(0, 120))];
})"""
FOCUS = """() => {
    const seen = (element) => element.checkVisibility({visibilityProperty: true}) && element.getClientRects().length;
    const controls = "a[href], button, input, select, textarea, summary, [tabindex]";
    const wrong = [];
    for (const element of document.querySelectorAll(controls)) {
        if (element.tabIndex > 0) wrong.push(["order", element.outerHTML.slice(0, 120)]);
        if (element.tabIndex < 0 || element.disabled || !seen(element) || element.closest("[inert]")) continue;
        element.focus();
        if (document.activeElement !== element) { wrong.push(["no focus", element.outerHTML.slice(0, 120)]); continue; }
        const shown = [element, element.parentElement].some((one) => {
            const style = getComputedStyle(one);
            return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
        });
        if (!shown) wrong.push(["unseen", element.outerHTML.slice(0, 120)]);
    }
    const reached = (element) => element.closest(`${controls}, label`) || element.querySelector(controls);
    for (const element of document.querySelectorAll("main *, header *")) {
        if (getComputedStyle(element).cursor === "pointer" && seen(element) && !reached(element)) {
            wrong.push(["mouse only", element.outerHTML.slice(0, 120)]);
        }
    }
    return wrong;
}"""


def loaded(page: Any) -> Any:
    """Wait until a page stands with its charts."""
    until(page, "document.querySelector('main h1, main #table tr[data-row], main #table td.muted, main #message h1')")
    done = "['axes', 'complete'].some(name => name in document.documentElement.dataset)"
    until(page, f"!document.querySelector('.explorer:not([hidden])') || {done}")
    until(page, "[...document.querySelectorAll('.dash-graph')].every(graph => graph.querySelector('.main-svg'))")
    return page


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[str, list[str]]]:
    """The demo study: its URL, and the pages to look at."""
    with unpacked() as path, serving() as start:
        with Store.open(path, create=False, read_only=True) as store:
            done = [p.architecture.id for p in store.proposals(store.studies()[0].id) if p.state == "complete"]
        yield start(Path(path)), [page.format(*done[:2]) for page in PAGES]


def settled(page: Any) -> None:
    """Wait until charts have followed theme and width; what is too wide after that is a fault."""
    page.wait_for_timeout(200)
    for _ in range(40):
        if not page.evaluate(WIDE):
            return
        page.wait_for_timeout(100)


def faults(page: Any) -> dict[str, Any]:
    """What is wrong with the page that is open, in both themes and at three widths."""
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})
    found = {"light": page.evaluate(AXE, LEVELS), "title": [] if page.title() else ["none"]}
    page.keyboard.press("Tab")
    found["focus"] = page.evaluate(FOCUS)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 1024, "height": 768})
    settled(page)
    found["dark"] = page.evaluate(AXE, ["color-contrast", "target-size", "scrollable-region-focusable"])
    found["1024 px"] = page.evaluate(WIDE) + page.evaluate(OVERLAP)
    page.set_viewport_size({"width": 720, "height": 450})  # 1440×900 at 200 %
    settled(page)
    found["720 px"] = page.evaluate(WIDE) + page.evaluate(OVERLAP)
    found["elements"] = page.evaluate("document.querySelectorAll('*').length") // 4_001 * ["too many"]
    return {name: problems for name, problems in found.items() if problems}


def test_every_page_is_accessible_in_both_themes_and_at_every_width(demo: tuple[str, list[str]],
                                                                    open_page: Open) -> None:  # fmt: skip
    url, pages = demo
    script = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    page = loaded(open_page(url))
    page.evaluate(script)
    wrong = {"/": faults(page)}
    page.goto(url + "/devices")  # a page of Dash
    loaded(page).evaluate(script)
    assert page.evaluate("[...document.fonts].map(font => `${font.family} ${font.status}`)") == ["Inter loaded"]
    for path in pages[1:]:
        if path.startswith(("/table", "/parallel")):  # documents of their own
            other = loaded(open_page(url + path))
            other.evaluate(script)
            wrong[path] = faults(other)
            continue
        move(page, path)
        wrong[path] = faults(page)
    assert {path: problems for path, problems in wrong.items() if problems} == {}


def move(page: Any, path: str) -> None:
    """Go from a page of Dash to another without loading anew."""
    where, _, query = path.partition("?")
    page.evaluate("([pathname, search]) => dash_clientside.set_props('url', {pathname, search})",
                  [where, f"?{query}" if query else ""])  # fmt: skip
    page.wait_for_timeout(120)
    loaded(page)


@pytest.mark.parametrize("state", ["all failed", "no device", "hostile"])
def test_the_first_screen_stands_over_every_study(serve: Any, open_page: Open, tmp_path: Path, state: str) -> None:
    path = tmp_path / "odd.db"
    STUDIES[state](path)
    page = loaded(open_page(serve(path)))
    said = page.inner_text("main")
    assert "NaN" not in said
    assert "undefined" not in said
    assert page.locator("main img").count() == 0
    if state != "hostile":
        return
    with Store.open(str(path), create=False, read_only=True) as store:
        found = [proposal.architecture.id for proposal in store.proposals(1)]
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(page.url + "studies")
    for each in PAGES[1:]:
        if each.startswith(("/table", "/parallel")):  # documents of their own
            other = loaded(open_page(re.sub("/studies.*", each, page.url)))
            other.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
            assert other.locator("main img").count() == 0
            continue
        move(page, each.format(found[0], found[1]))
        assert page.locator("main img").count() == 0
    assert dialogs == []


PARAMETERS = ("x", "y", "x_log", "y_log", "color", "size", "front", "table", "show", "drag", "by", "dev", "cols",
              "sort", "axes", "brush", "log", "steps", "sel", "pin", "zx", "zy", "lat", "max.macs", "min.ap", "db",
              "ids", "tab", "score", "metric", "seed", "space")  # fmt: skip
"""Of all pages; what keeps only some candidates (block, verdict) is tested apart."""
ABSURD = (
    *("constructor", "__proto__", "toString", "hasOwnProperty", "constructor_spread", "1e999", "NaN", "-1", "9" * 60),
    *("", "0..0", "-Infinity..Infinity", EVIL, "%00", "a~=b|c,d~1..", "only:constructor~1..;not:__proto__~=a", "%"),
    *("𝔸" * 300, "&&==", "..,..;;~~"),
)


def test_an_absurd_link_shows_what_it_can(demo: tuple[str, list[str]], open_page: Open) -> None:
    url, pages = demo
    for turn, path in enumerate([*pages, "/", "/table", "/parallel"]):
        values = {name: ABSURD[(at + 7 * turn) % len(ABSURD)] for at, name in enumerate(PARAMETERS)}
        query = "&".join(f"{name}={quote(value)}" for name, value in values.items() if f"{name}=" not in path)
        page = loaded(open_page(f"{url}{path}{'&' if '?' in path else '?'}{query}"))
        assert page.locator("main img").count() == 0
        if path in ("/", "/table", "/parallel"):
            until(page, "document.documentElement.dataset.complete && csp.table.rows && csp.picked")
            assert page.locator("#explorer:not([hidden])").count() == 1, path
        page.close()


@pytest.mark.parametrize("path", ["/", "/table", "/parallel"])
def test_a_name_that_every_object_has_is_no_field(demo: tuple[str, list[str]], open_page: Open, path: str) -> None:
    names, values = ("x", "y", "color", "size", "sort", "cols", "axes", "log"), ("constructor", "__proto__", "toString")
    page = open_page(f"{demo[0]}/health")
    for turn in range(len(values)):
        query = "&".join(f"{name}={values[(at + turn) % len(values)]}" for at, name in enumerate(names))
        page.goto(f"{demo[0]}{path}?{query}&brush={values[turn]}~1..&steps=only:{values[turn]}~..2")
        until(page, "document.documentElement.dataset.complete")
        assert page.evaluate("csp.picked.count > 0 && csp.picked.highlighted.length > 0"), query
        if path == "/table":
            assert page.locator("#sheet tr[data-row]").count() > 5
    page.goto(f"{demo[0]}{path}?block=dense,res,{','.join(values)}")
    until(page, "document.documentElement.dataset.complete")
    assert "native code" not in page.inner_text("#rail")


@pytest.mark.parametrize(("where", "stands"), [
    ("/studies", "document.querySelectorAll('main h2').length > 1"),
    ("/?max.macs=900000000", "csp.picked.count > 5 && document.querySelectorAll('#table tr[data-row]').length > 2"
     " && document.querySelector('#open-best') && !document.querySelector('#explorer').hidden"),
])  # fmt: skip
def test_a_page_outlives_its_database_and_its_server(browser: Any, tmp_path: Path, where: str, stands: str) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 14)
    kept = path.read_bytes()
    page = browser.new_page(viewport={"width": 1440, "height": 900})  # a lost server is an error on its console
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dashboard", "--db", str(path), "--port", str(port)]
    said = "document.querySelector('#age').textContent"
    for turn in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            try:
                if turn:
                    until(page, f"{said}.includes('updated')")
                    assert page.evaluate(f"Boolean({stands})")
                    if where != "/studies":  # and it follows again
                        with Store.open(str(path)) as store:
                            add(store, 1, 14, 1)
                        until(page, "csp.table.rows === 15 && csp.picked.shown.length === 15")
                    break
                page.goto(f"http://127.0.0.1:{port}{where}")
                loaded(page)
                until(page, stands)
                path.unlink()
                until(page, f"{said}.includes('the database is missing')")
                assert page.evaluate("document.querySelector('#age').className").split() == ["age", "stale"]
                page.wait_for_timeout(3000)  # and goes on staying while the page asks again
                assert page.evaluate(f"Boolean({stands})"), "what was read stays"
                path.write_bytes(kept)
                until(page, f"{said}.includes('updated')")
            finally:
                server.kill()
        until(page, f"{said}.includes('the server does not answer')")
        assert page.evaluate(f"Boolean({stands})")
        assert page.inner_text("#badge").startswith("stale ")
    assert errors == []
    page.close()
