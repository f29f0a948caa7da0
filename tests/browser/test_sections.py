"""The menu "Save" of every section of the pages of Dash: each entry's file parses and says what is shown."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest

from dashboard.layers import layers
from search.store import Store
from space.lower import lower
from tests.browser.conftest import Page, playwright, serving
from tests.browser.test_dashboard import until
from tests.browser.test_quality import WIDE, loaded, move
from tests.databases import DEPLOYMENT, add, build, config, verify
from tests.odd import EVIL
from tests.places import spread

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")
FORMULA = '=HYPERLINK("http://x.example","y")'
MENUS = ".of-section > summary"
SHOWN = """menu => { const section = menu.closest('section'); return {
    title: section.querySelector('h1, h2, h3').textContent.trim(),
    tables: [...section.querySelectorAll('table')].filter(table => table.checkVisibility() && !table.closest('form'))
        .map(table => [...table.tBodies].flatMap(body => [...body.rows]).filter(row => !row.hidden)
            .map(row => row.innerText.replaceAll('−', '-'))),
    charts: [...section.querySelectorAll('.js-plotly-plot')].map(chart => chart._fullData.filter(trace =>
        trace.visible === true && (chart.data[trace.index].name || chart.data.length === 1))
        .map(trace => [Array.from(trace.x), Array.from(trace.y)])),
    layers: [...section.querySelectorAll('.layers[data-layers]')].map(each => JSON.parse(each.dataset.layers).length),
    marks: section.querySelectorAll('.diagram .mark').length,
}; }"""

COVERED = """() => [...document.querySelectorAll('.of-section > summary')].flatMap(menu => {
    const box = menu.getBoundingClientRect(), section = menu.closest('section');
    return [...section.querySelectorAll('h2, p, a, summary, th, td, .figure')].filter(other => {
        const range = document.createRange();
        range.selectNodeContents(other);
        return !other.closest('.of-section') && [...range.getClientRects()].some(own => own.width
            && Math.min(box.right, own.right) - Math.max(box.left, own.left) > 1
            && Math.min(box.bottom, own.bottom) - Math.max(box.top, own.top) > 1);
    }).map(other => `${menu.getAttribute('aria-label')} covers ${other.textContent.slice(0, 60)}`);
})"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies with devices and verification; the name of one is HTML, and of one a formula."""
    path = tmp_path_factory.mktemp("sections") / "csp.db"
    with Store.open(str(path)) as store:
        for name in (FORMULA, EVIL):
            add(store, store.create_study(name, config(), seed=0).id, 0, 16)
    build(str(path), 40)
    verify(str(path))
    spread(str(path))
    return path


@pytest.fixture(scope="module")
def home(stored: Path) -> Iterator[str]:
    with serving() as start:
        yield start(stored)


@pytest.fixture(scope="module")
def frame(stored: Path) -> pd.DataFrame:
    with Store.open(str(stored), read_only=True) as store:
        found = store.frame("default")
    return found[found["state"] == "complete"].set_index("id")


def standing(page: Any) -> Any:
    loaded(page)
    until(page, "[...document.querySelectorAll('.dash-graph')].every(g => g.querySelector('.scatterlayer .trace'))")
    page.wait_for_selector(MENUS)
    return page


def saved(page: Any, at: int, entry: int, count: int) -> tuple[str, str, bytes]:
    """Open a menu and take an entry: ending, name of the file, file.

    Of some dozen downloads within a second headless Chromium drops one without a word, so one may be asked for twice.
    """
    try:
        return _saved(page, at, entry, count)
    except playwright.TimeoutError:
        assert page.inner_text("#said").startswith("Saved ")
        return _saved(page, at, entry, count)


def _saved(page: Any, at: int, entry: int, count: int) -> tuple[str, str, bytes]:
    """The last entry by keyboard alone."""
    page.locator(MENUS).nth(at).focus()
    page.keyboard.press("Enter")
    button = page.locator(".of-section[open] button").nth(entry)
    ending = button.get_attribute("data-save")
    with page.expect_download(timeout=5_000) as waiting:
        if entry + 1 == count:
            for _ in range(count):
                page.keyboard.press("Tab")
            page.keyboard.press("Enter")
        else:
            button.click()
    assert page.evaluate("!document.querySelector('.of-section[open]')")
    assert page.locator(MENUS).nth(at).evaluate("one => one === document.activeElement")
    return ending, waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def every(page: Any) -> Iterator[tuple[dict[str, Any], dict[str, list[tuple[str, bytes]]]]]:
    """What each section shows, and its files by ending."""
    for at in range(page.locator(MENUS).count()):
        shown, files = page.locator(MENUS).nth(at).evaluate(SHOWN), {}
        page.locator(MENUS).nth(at).click()
        page.locator(".of-section[open] li").first.wait_for()
        count = page.locator(".of-section[open] button").count()
        page.keyboard.press("Escape")
        assert count, shown
        for entry in range(count):
            ending, name, data = saved(page, at, entry, count)
            files.setdefault(ending, []).append((name, data))
        yield shown, files


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def bare(heading: str) -> str:
    return re.sub(r" \[[^\]]+\]$", "", heading)


def same(told: Any, text: str) -> bool:
    """Whether JSON and CSV say the same."""
    if told is None:
        return text == ""
    return str(told) == text.removeprefix("'") if isinstance(told, str) else math.isclose(told, float(text))


def numbers(text: str) -> set[float]:
    return {float(each.replace(",", "")) for each in NUMBER.findall(text)}


def agree_with_table(rows: list[dict[str, Any]], shown: list[str]) -> None:
    """Every number and word of a row of the file stands in the row of the table, and every number of it in the file."""
    assert len(rows) == len(shown)
    for row, text in zip(rows, shown, strict=True):
        said = " ".join(str(value) for name, value in row.items() if value is not None and not name.endswith(" id"))
        assert numbers(text) <= numbers(said.replace("−", "-")), (text, row)
        for name, value in row.items():
            if isinstance(value, float | int):
                assert value in numbers(text) | numbers(text.replace("%", "")) or name in ("Name", "Value"), (name, row)


def check(shown: dict[str, Any], files: dict[str, list[tuple[str, bytes]]], study: str) -> None:
    tables, charts = [rows for rows in shown["tables"] if rows], list(shown["charts"])
    read = [json.loads(data) for _, data in files.get("json", [])]
    for (name, data), told in zip(files.get("csv", []), read, strict=True):
        assert re.fullmatch(r"[\w.-]+-\d{4}-\d\d-\d\d\.csv", name)
        rows = rows_of(data)
        assert told["study"] == study
        assert told["database"].endswith("csp.db")
        assert told["link"].startswith("http://127.0.0.1")
        assert shown["title"] in told["shown"]
        assert len(rows) == len(told["rows"]) > 0
        units = {bare(heading): heading.removeprefix(bare(heading))[2:-1] for heading in rows[0]}
        assert {name: unit for name, unit in units.items() if unit} == told["units"]
        for a, b in zip(told["rows"], rows, strict=True):
            assert [bare(heading) for heading in b] == list(a)
            assert all(same(value, text) for value, text in zip(a.values(), b.values(), strict=True)), (a, b)
    for told in read:
        rows, names = told["rows"], set(told["rows"][0])
        if {"Layer", "Kind", "Output"} <= names:
            assert not shown["layers"] or len(rows) == shown["layers"][0]
        elif charts and ("series" in names or "number" in names):
            traces = charts.pop(0)
            assert len(rows) == sum(len(xs) for xs, _ in traces)
            axes = [name for name in rows[0] if name not in ("panel", "series", "number", "id") and "±" not in name]
            found = [{row[name] for name in axes if row[name] is not None} for row in rows]
            points = [{value for value in pair if value is not None} for xs, ys in traces for pair in zip(xs, ys)]
            for a, b in zip(found, points, strict=True):
                np.testing.assert_allclose(sorted(a), sorted(b), rtol=1e-9)
        elif {"Name", "Value"} <= names and len(tables) > 3:  # small tables of one kind are one file
            agree_with_table(rows, [row for table in tables for row in table])
        else:
            agree_with_table(rows, tables.pop(0))
    pictures(shown, files, study)


def pictures(shown: dict[str, Any], files: dict[str, list[tuple[str, bytes]]], study: str) -> None:
    for (_, vector), (_, pixels) in zip(files.get("svg", []), files.get("png", []), strict=True):
        root = ElementTree.fromstring(vector)
        texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
        assert any(shown["title"] in text for text in texts)
        assert any(f"study {study} " in text for text in texts)
        assert len(list(root.iter(f"{SVG}path"))) >= (shown["marks"] or 5) / 2
        assert not [tag for tag in ("img", "script", "foreignObject") if list(root.iter(f"{SVG}{tag}"))]
        assert "http" not in "".join(v for e in root.iter() for v in e.attrib.values())
        assert pixels[:8] == b"\x89PNG\r\n\x1a\n"
        sizes = [float(root.get(side) or 0) for side in ("width", "height")]
        np.testing.assert_allclose(struct.unpack(">II", pixels[16:24]), [2 * size for size in sizes], atol=2)


@pytest.fixture(scope="module")
def desk(home: str, browser: Any) -> Iterator[Any]:
    """A page that goes from page to page."""
    watched = Page(browser.new_page(viewport={"width": 1024, "height": 768}))
    watched.page.goto(f"{home}/studies?study=default")
    yield standing(watched.page)
    watched.page.close()
    assert watched.problems == []


@pytest.mark.parametrize(("path", "count"), [
    ("/devices", 5), ("/analysis", 7), ("/studies", 2), ("/explore", 3), ("/c/{0}", 7), ("/compare?ids={0},{1}", 3),
])  # fmt: skip
def test_every_entry_of_every_menu_is_a_file_of_what_is_shown(
    desk: Any, stored: Path, frame: pd.DataFrame, path: str, count: int
) -> None:
    ids, page = frame.sort_values("verified_ap").index, desk
    path = path.format(ids[0], ids[1])
    page.set_viewport_size({"width": 720, "height": 768})
    move(page, f"{path}{'&' if '?' in path else '?'}study=default")
    until(page, f"document.querySelectorAll('{MENUS}').length === {count}")  # of no other page
    standing(page)
    assert page.evaluate(COVERED) == []
    page.locator(MENUS).last.evaluate("menu => menu.click()")
    assert page.evaluate(WIDE) == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1024, "height": 768})
    page.wait_for_timeout(150)
    assert page.evaluate(COVERED) == []
    found = list(every(page))
    assert len(found) == count
    for shown, files in found:
        check(shown, files, "default")
    if path == "/devices":
        told = json.loads(next(files for shown, files in found if shown["charts"])["json"][0][1])
        host = [row for row in told["rows"] if row["panel"].startswith("Example") and row["series"] == "measured"]
        assert len(host) == len({row["id"] for row in host}) > 20
        for row in host:
            assert row["AP"] == pytest.approx(frame["ap"][row["id"]])
            assert row["number"] == frame["number"][row["id"]]
    if path.startswith("/c/"):
        with Store.open(str(stored), read_only=True) as store:
            graph = lower(store.architecture(ids[0]), DEPLOYMENT.height, DEPLOYMENT.width)
        told = json.loads(next(files for shown, files in found if shown["layers"])["json"][0][1])
        for row, layer in zip(told["rows"], layers(graph), strict=True):
            assert row["Layer"] == layer.name
            assert [row["MACs"], row["Parameters"]] == [layer.values["macs"], layer.values["params"]]
        assert told["units"]["Activation memory"] == "B"


CELLS: dict[str, tuple[Any, str | None, Any]] = {
    "44.1 M": (44.1, "M", None), "1,234 M": (1234, "M", None), "▼ −11.0% less": (-11, "%", None),
    "★ 0.443": (0.443, "", None), "6.13 ms ± 0.2 ms": (6.13, "ms", 0.2), "± 0.0091": (0.0091, "", None),
    "81.4 1/s": (81.4, "1/s", None), "–": (None, None, None), "200 of 200": ("200 of 200", None, None),
    "0.826 to 5.75 ms": ("0.826 to 5.75 ms", None, None), "16×64×64": ("16×64×64", None, None),
    "2026-11-21 15:24": ("2026-11-21 15:24", None, None), "123456789012": ("123456789012", None, None),
    "1e4567890123": ("1e4567890123", None, None), "not measured (30 %)": ("not measured (30 %)", None, None),
}  # fmt: skip
"""What a cell says: value, unit, spread."""


def test_a_cell_is_a_number_only_where_it_is_one(desk: Any) -> None:
    read = desk.evaluate(
        """async texts => { const { valueOf } = await import('/assets/cells.js');
        return texts.map(valueOf).map(({ value, unit, spread }) => [value, unit, spread]); }""",
        list(CELLS),
    )
    assert dict(zip(CELLS, map(tuple, read), strict=True)) == CELLS


def test_hostile_names_are_text_in_every_file(home: str, open_page: Open) -> None:
    page = standing(open_page(f"{home}/studies?{urlencode({'study': EVIL})}"))
    until(page, f"document.querySelector('#study').value === {json.dumps(EVIL)}")
    names: set[str | None] = set()
    for _, files in every(page):
        assert {json.loads(data)["study"] for _, data in files["json"]} == {EVIL}
        for _, vector in files.get("svg", []):
            root = ElementTree.fromstring(vector)
            assert EVIL in " ".join("".join(each.itertext()) for each in root.iter(f"{SVG}text"))
            assert b"<img" not in vector
        for file, data in files["csv"]:
            assert re.fullmatch(r"[\w.-]+", file)
            rows = rows_of(data)
            names |= {row.get("Study", row.get("series")) for row in rows}
            assert not [text for row in rows for text in row.values() if text and text[0] in "=+@"]
    assert {EVIL, f"'{FORMULA}", "default"} <= names


def test_menus_outlive_a_new_rendering_and_keep_the_focus(serve: Callable[[Path], str], open_page: Open,
                                                          tmp_path: Path) -> None:  # fmt: skip
    path = tmp_path / "csp.db"
    build(str(path), 20)
    page = standing(open_page(f"{serve(path)}/devices"))
    count = page.locator(MENUS).count()
    page.locator(MENUS).nth(1).focus()
    page.keyboard.press("Enter")
    page.locator(".of-section[open] button").first.wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    asked = "document.activeElement.dataset.save"
    assert page.evaluate(asked) == "png"
    before = page.inner_text("main")
    with Store.open(str(path)) as store:
        add(store, 1, 20, 6)
    until(page, f"document.querySelector('main').innerText !== {json.dumps(before)}")
    assert page.evaluate(asked) == "png"
    assert page.locator(MENUS).count() == count
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.of-section > summary')")
    standing(page)
    for shown, files in islice(every(page), 2):
        check(shown, files, "default")
