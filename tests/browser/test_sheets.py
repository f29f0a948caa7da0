"""/table, /parallel and "Save view" in a real Chromium: files are what the page shows and what is stored."""

from __future__ import annotations

import csv
import io
import json
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest

from search.store import Store
from tests.big import big
from tests.browser.conftest import serving
from tests.browser.test_dashboard import drag, ready, until
from tests.databases import add, build, config, verify

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
HOSTILE = '<img src=x onerror="document.title=1">'
DRAWN = "document.documentElement.dataset.complete && document.querySelector('#parallel').dataset.drawn"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verified study, and one whose name is HTML."""
    path = tmp_path_factory.mktemp("sheets") / "csp.db"
    with Store.open(str(path)) as store:
        study = store.create_study(HOSTILE, config(), seed=0)
        add(store, study.id, 0, 24)
    build(str(path), 40)
    verify(str(path))
    return path


@pytest.fixture(scope="module")
def frame(stored: Path) -> pd.DataFrame:
    with Store.open(str(stored), read_only=True) as store:
        return store.frame("default").set_index("number")


@pytest.fixture(scope="module")
def home(stored: Path) -> Iterator[str]:
    with serving() as start:
        yield start(stored)


def sheet(page: Any) -> Any:
    until(page, "document.documentElement.dataset.complete")
    page.wait_for_selector("#sheet tr[data-row], #sheet td.muted")
    return page


def save(page: Any, ending: str) -> bytes:
    page.click("#save summary")
    with page.expect_download() as waiting:
        page.click(f"#save-{ending}")
    assert waiting.value.suggested_filename.endswith(f".{ending}")
    return Path(waiting.value.path()).read_bytes()


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_what_the_table_saves_is_what_it_shows_and_what_is_stored(
    home: str, open_page: Open, frame: pd.DataFrame
) -> None:
    bound = float(frame["macs"].quantile(0.7))
    page = sheet(open_page(f"{home}/table?study=default&cols=everything&sort=-latency_ms&max.macs={bound}"))
    wanted = frame[frame["state"].isin(["complete", "failed"]) & (frame["macs"] <= bound)]
    wanted = wanted.sort_values("latency_ms", ascending=False, kind="stable")
    rows = rows_of(save(page, "csv"))
    assert [int(row["number"]) for row in rows] == wanted.index.tolist()
    assert [row["id"] for row in rows] == wanted["id"].tolist()
    units = {"macs": "MACs", "latency_ms": "ms", "peak_bytes": "B", "flops": "FLOPs"}
    compared = 0
    for heading in rows[0]:
        name, _, unit = heading.partition(" [")
        assert unit.rstrip("]") == units.get(name, unit.rstrip("]"))
        given = [row[heading] for row in rows]
        if name not in wanted:
            assert name in ("number", "on_front", "flops"), name
        elif pd.api.types.is_numeric_dtype(wanted[name]):
            found = [float(text) if text else np.nan for text in given]
            np.testing.assert_allclose(found, wanted[name].astype(float), rtol=1e-6)
            compared += 1
        elif name not in ("growth_rate", "bottleneck_ratio", "cardinality"):  # numbers as texts
            assert given == wanted[name].fillna("").astype(str).replace("–", "").tolist(), name
            compared += 1
    assert compared > 25
    assert any(row["reason"].endswith("visits <b>&</b>") for row in rows)
    shown = page.evaluate("[...document.querySelectorAll('#sheet tr[data-row]')].map(row => row.dataset.number)")
    assert shown == [row["number"] for row in rows][: len(shown)]
    heads = page.locator("#sheet thead th").all_inner_texts()
    assert len(heads) == len(rows[0])
    told = json.loads(save(page, "json"))
    assert told["units"]["macs"] == "MACs"
    for a, b in zip(told["rows"], rows, strict=True):
        for found, text in zip(a.values(), b.values(), strict=True):
            assert found == (None if not text else text if isinstance(found, str) else float(text))


def test_columns_and_order_are_in_the_url_and_the_view_goes_from_page_to_page(home: str, open_page: Open) -> None:
    page = sheet(open_page(f"{home}/table?study=default&min.ap=0.1"))
    page.click("text=Accuracy")
    page.click("#sheet th:has-text('AP50') button")
    until(page, "location.search.includes('cols=accuracy') && location.search.includes('sort=-ap50')")
    values = [float(t) for t in page.locator("#sheet td:nth-child(7)").all_inner_texts() if t != "–"]
    assert len(values) > 5
    page.click("text=Columns")
    page.click(".boxes label:has-text('AP75')")
    until(page, "!document.querySelector('#sheet thead').innerText.includes('AP75')")
    page.click(".pages a:has-text('Candidates')")
    ready(page)
    assert "min.ap=0.1" in page.url
    page.click(".pages a:has-text('Table')")
    sheet(page)
    assert "sort=-ap50" in page.url
    assert "AP75" not in page.inner_text("#sheet thead")
    page.locator("#sheet tr[data-row]").nth(2).focus()
    page.keyboard.press("Space")
    until(page, "location.search.includes('sel=')")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("large") / "big.db"
    big(str(path), 2500)
    with serving() as start:
        yield start(path)


def test_many_rows_and_lines_are_few_elements(large: str, open_page: Open) -> None:
    page = sheet(open_page(f"{large}/table?cols=everything&show=dominated,failed,refused&sort=number"))
    assert page.evaluate("document.getElementsByTagName('*').length") <= 4000
    page.evaluate("document.querySelector('#sheet .scroll').scrollTop = 1e9")
    page.wait_for_selector("#sheet tr[data-number='2499']")
    page.goto(f"{large}/parallel")
    until(page, DRAWN)
    assert page.evaluate("Number(document.querySelector('#parallel').dataset.drawn) === csp.picked.count")
    assert page.evaluate("document.getElementsByTagName('*').length") <= 4000
    longest = page.evaluate("""async () => {
        let longest = 0, last = performance.now();
        for (let at = 1; at <= 12; at++) {
            csp.carry({brush: `ap~${at / 50}..`});
            await new Promise(requestAnimationFrame);
        }
        return csp.plot.turns[1];
    }""")
    assert longest >= 12, "every step is drawn anew"
    until(page, "csp.plot.count === Number(document.querySelector('#parallel').dataset.drawn)")


def axis(page: Any, name: str) -> tuple[float, float]:
    """Where an axis stands, and the height of the canvas's top, on the screen."""
    found = page.evaluate("""name => { const box = document.querySelector("#parallel").getBoundingClientRect();
        return [box.x + csp.plot.axes.find(axis => axis.name === name).x, box.y]; }""", name)  # fmt: skip
    return found[0], found[1]


def test_a_brush_is_kept_excluded_and_restored_on_all_pages(home: str, open_page: Open, frame: pd.DataFrame) -> None:
    page = open_page(f"{home}/parallel?study=default&axes=ap,macs,block,latency_ms")
    until(page, DRAWN)
    x, top = axis(page, "ap")
    drag(page, (x, top + 14), (x, top + 120))
    until(page, "location.search.includes('brush=ap~')")
    page.wait_for_timeout(400)  # the address may be of a moment within the drag
    low, high = map(float, page.evaluate("csp.view.carried.brush").removeprefix("ap~").split(".."))
    known = frame[frame["state"].isin(["complete", "failed"])]
    count = int(known["ap"].between(low, high).sum())
    assert 0 < count < len(known)
    until(page, f"csp.plot.count === {count}")
    box = page.locator("[data-control='low ap']")
    assert float(box.input_value()) == pytest.approx(low, rel=1e-5)
    box.fill("0.2")
    box.press("Enter")
    until(page, "csp.view.carried.brush.startsWith('ap~0.2..')")
    page.wait_for_timeout(400)  # the heads are made anew
    page.fill("[data-control='high ap']", "")
    page.press("[data-control='high ap']", "Enter")
    count = int((known["ap"] >= 0.2).sum())
    until(page, f"csp.plot.count === {count}")
    page.click("#keep")
    until(page, "location.search.includes('steps=only')")
    page.click("[data-menu='values block'] summary")
    page.uncheck("[data-control='value block res']")
    until(page, "location.search.includes('brush=block')")
    page.click("#exclude")
    until(page, "location.search.includes('not')")
    kept = known[(known["ap"] >= 0.2) & (known["block"] == "res")]
    until(page, f"csp.picked.count === {len(kept)}")
    address = page.url
    page.click(".pages a:has-text('Table')")
    assert {row["id"] for row in rows_of(save(sheet(page), "csv"))} == set(kept["id"])
    page.click(".pages a:has-text('Candidates')")
    assert page.evaluate("csp.picked.count") == len(kept) if ready(page) else False
    assert "only AP ≥ 0.2" in page.inner_text("#answer")
    other = open_page(address, fresh=True)
    until(other, DRAWN)
    assert other.evaluate("csp.picked.count") == len(kept)
    other.click("#restore")
    until(other, f"csp.picked.count === {len(known)}")
    x, top = axis(other, "ap")
    other.mouse.click(x, top + other.evaluate("csp.plot.missing"))
    until(other, f"csp.plot.count === {int(known['ap'].isna().sum())}")


def test_axes_are_chosen_moved_and_scaled_from_the_keyboard(home: str, open_page: Open) -> None:
    page = open_page(f"{home}/parallel?study=default")
    until(page, DRAWN)
    names = page.evaluate("csp.plot.axes.map(axis => axis.name)")
    assert names[:3] == ["ap", "macs", "latency_ms"]
    assert len(names) == 10
    page.focus("[data-menu='options macs'] summary")
    page.keyboard.press("Enter")
    page.focus("[data-control='log macs']")
    page.keyboard.press("Enter")
    until(page, "csp.plot.axes[1].log")
    page.focus("[data-control='left macs']")
    page.keyboard.press("Enter")
    until(page, "csp.plot.axes[0].name === 'macs' && location.search.includes('log=macs')")
    page.select_option("#add-axis", "params")
    until(page, "csp.plot.axes.length === 11")
    page.click("#usual")
    until(
        page, f"JSON.stringify(csp.plot.axes.map(axis => axis.name)) === '{json.dumps(names, separators=(',', ':'))}'"
    )


@pytest.mark.parametrize("query", ["study=default&max.latency_ms=9", "study=default&x=macs&color=depth&x_log=1"])
def test_the_saved_picture_is_the_plot(home: str, open_page: Open, query: str) -> None:
    page = ready(open_page(f"{home}/?{query}"))
    root = ElementTree.fromstring(save(page, "svg"))
    drawn = page.evaluate(
        "[...csp.picked.shown.keys()].filter(row => csp.picked.shown[row] && csp.plot.drawable(row)).length"
    )
    places = {(e.get("cx"), e.get("cy")) for e in root.iter(f"{SVG}circle") if e.get("cx")}
    assert len(places) >= drawn * 0.7, "verified ones are squares"
    texts = " ".join("".join(e.itertext()) for e in root.iter(f"{SVG}text"))
    for words in (
        "study default",
        "Example CPU x4",
        "AP",
        "MACs" if "macs" in query else "Latency",
        "front",
        "best AP",
    ):
        assert words in texts
    size = page.evaluate("[csp.plot.width, csp.plot.height]")
    nested = list(root.iter(f"{SVG}svg"))[1:]
    assert len(nested) >= 3, "axes of Plotly, and marks"
    assert all([float(e.get("width") or 0), float(e.get("height") or 0)] == size for e in nested)
    assert "http" not in "".join(value for e in root.iter() for value in e.attrib.values())
    if "x=macs" in query:
        return
    png = save(page, "png")
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (2 * int(root.get("width") or 0), 2 * int(root.get("height") or 0))


def test_the_saved_lines_are_vectors_and_hostile_names_are_text(home: str, open_page: Open) -> None:
    page = open_page(f"{home}/studies")
    absurd = "brush=no~1..2,ap~x..y,%3Cb%3E~%3Da&steps=;only:;x&log=%3C&axes=,,nope"
    page.goto(f"{home}/parallel?{urlencode({'study': HOSTILE})}&{absurd}")
    until(page, DRAWN)
    data = save(page, "svg")
    root = ElementTree.fromstring(data)
    assert HOSTILE in "".join("".join(e.itertext()) for e in root.iter(f"{SVG}text"))
    assert root.find(f".//{SVG}img") is None
    assert len(list(root.iter(f"{SVG}path"))) >= page.evaluate("csp.plot.count")
    assert b"<img" not in data
    page.goto(page.url.replace("/parallel", "/table"))
    sheet(page)
    assert len(rows_of(save(page, "csv"))) == page.evaluate("csp.picked.count")
    assert page.title() != "1"


@pytest.mark.parametrize("path", ["/table", "/parallel"])
def test_pages_fit_in_both_themes_and_follow_a_study(
    home: str, serve: Callable[[Path], str], open_page: Open, tmp_path: Path, path: str
) -> None:
    file = tmp_path / "csp.db"
    with Store.open(str(file)) as store:
        study = store.create_study("default", config(), seed=0)
        page = open_page(f"{serve(file)}{path}")
        page.wait_for_selector("h1:has-text('has no candidates yet')")
        add(store, study.id, 0, 8)
        until(page, "document.documentElement.dataset.complete")
        add(store, study.id, 8, 8)
        until(page, "csp.table.rows === 16")
    for width, height, theme in ((1440, 900, "light"), (1024, 768, "dark")):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme)
        until(page, f"document.documentElement.dataset.theme === '{theme}'")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.documentElement.scrollHeight") == height
        box = page.locator("#save summary").bounding_box()
        assert box["x"] + box["width"] <= width
    nameless = page.evaluate("""[...document.querySelectorAll('main input, main select, main button, main summary')]
        .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label'))).length""")
    assert nameless == 0
