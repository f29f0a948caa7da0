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
from tests.places import spread

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
BOARD = "board5/onnxruntime/fp32"
SETTLED = "csp.table.there && csp.table.there.done >= csp.table.there.wanted"
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
        "best verified AP",
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


# -- another device than the study's own


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, pd.DataFrame]]:
    """A study of 40 with latencies on made-up devices, and what is recorded of `board5`, as `spread` wrote it."""
    path = str(tmp_path_factory.mktemp("boards") / "csp.db")
    build(path, 40)
    spread(path)
    with Store.open(path, read_only=True) as store:
        known = store.frame("default").set_index("id")
        for identity in known.index:
            for row in store.measurements(identity):
                if (row["device"], row["precision"]) == ("board5", "fp32"):
                    known.loc[identity, row["origin"]] = row["value"]
    with serving() as start:
        yield start(Path(path)), known


def settled(page: Any) -> Any:
    until(page, "document.documentElement.dataset.complete")
    until(page, SETTLED)
    return page


def test_the_table_takes_a_device_and_files_say_whose_latency_it_is(
    boards: tuple[str, pd.DataFrame], open_page: Open
) -> None:
    home, known = boards
    page = sheet(open_page(f"{home}/table?sort=latency_ms"))
    own = [row["latency_ms [ms]"] for row in rows_of(save(page, "csv"))]
    until(page, "document.querySelectorAll('#device option').length > 3")
    page.select_option("#device", BOARD)
    settled(page)
    until(page, f"location.search.includes('dev={BOARD}')")
    heading = page.locator("#sheet th", has=page.locator("[data-sort=latency_ms]"))
    assert " ".join(heading.inner_text().split()) == "Latency ms ↑ on board5, measured"
    assert "Measured (●): " in page.inner_text("#device-choice")
    assert page.locator("#sheet td:text('not measured')").count() > 0
    page.click("[data-by='both']")
    until(page, "location.search.includes('by=both')")
    page.fill("[data-control='max.latency_ms']", "40")
    page.press("[data-control='max.latency_ms']", "Enter")
    until(page, "location.search.includes('max.latency_ms=40')")

    both = known["measured"].fillna(known["predicted"])
    inside = known[known["state"].isin(["complete", "failed"]) & (both <= 40 * (1 + 1e-7))].index
    rows = rows_of(save(page, "csv"))
    assert {row["id"] for row in rows} == set(inside)
    given = [float(row["latency_ms [ms]"]) for row in rows]
    assert given == sorted(given)
    np.testing.assert_allclose(given, both[[row["id"] for row in rows]], rtol=1e-6)
    origins = {row["id"]: row["latency_ms_origin"] for row in rows}
    assert origins == {id: "predicted" if np.isnan(known["measured"][id]) else "measured" for id in inside}
    assert set(origins.values()) == {"measured", "predicted"}
    assert {row["latency_ms_device"] for row in rows} == {"board5 · onnxruntime · fp32"}
    shown = page.evaluate("""[...document.querySelectorAll('#sheet tr[data-row]')].map(row => [
        row.querySelector('a').textContent, row.querySelector('td[title]')?.textContent.startsWith('≈ ')])""")
    assert len(shown) > 5
    assert dict(shown) == {id: origins[id] == "predicted" for id, _ in shown}
    complete = [id for id in inside if known["state"][id] == "complete"]
    assert page.locator("#sheet tr.best a").inner_text() == known["ap"][complete].idxmax(), "the star"
    told = json.loads(save(page, "json"))
    assert (told["device"], told["latency_by"]) == ("board5 · onnxruntime · fp32", "both")
    assert told["predicted_error"] == pytest.approx(0.08)
    assert [row["latency_ms_origin"] for row in told["rows"]] == [row["latency_ms_origin"] for row in rows]

    page.click(".pages a:has-text('Parallel')")
    until(settled(page), DRAWN)
    assert page.evaluate("csp.plot.count") == len(inside)
    page.click(".pages a:has-text('Candidates')")
    settled(ready(page))
    assert "on board5" in page.inner_text("#answer")
    assert rows_of(save(page, "csv"))[0]["latency_ms_device"] == "board5 · onnxruntime · fp32"
    page.go_back()
    until(settled(page), DRAWN)
    page.go_back()
    sheet(settled(page))
    assert page.input_value("#device") == BOARD
    page.click("#reset")
    page.select_option("#device", "")
    until(page, "!csp.table.there && !location.search.includes('dev=')")
    assert [row["latency_ms [ms]"] for row in rows_of(save(page, "csv"))] == own


def test_lines_and_their_picture_say_whose_latency_and_how_it_was_obtained(
    boards: tuple[str, pd.DataFrame], open_page: Open
) -> None:
    home, known = boards
    page = settled(open_page(f"{home}/parallel?dev=board5&by=both&axes=ap,latency_ms,macs&brush=latency_ms~..30"))
    until(page, DRAWN)
    both = known["measured"].fillna(known["predicted"])
    inside = known[known["state"].isin(["complete", "failed"]) & (both <= 30)].index
    assert page.evaluate("csp.plot.count") == len(inside)
    assert page.inner_text(".axis-head .whose") == "◐ board5"
    root = ElementTree.fromstring(save(page, "svg"))
    texts = ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]
    assert any("board5 · onnxruntime · fp32, measured or predicted" in text for text in texts)
    assert {"◐ board5", "latency measured", "latency predicted"} <= set(texts)
    front = page.evaluate("csp.picked.highlighted.filter(row => csp.plot.held[row]).map(row => csp.table.id(row))")
    dots = [e for e in root.iter(f"{SVG}circle") if e.get("r") == "3.5" and e.get("cx")]
    assert len(dots) == 2 * len(front), "filled, then outlined"
    origins = {row["id"]: row["latency_ms_origin"] for row in rows_of(save(page, "csv"))}
    assert origins == {id: "predicted" if np.isnan(known["measured"][id]) else "measured" for id in inside}
    page.click("[data-by='predicted']")
    until(page, "location.search.includes('by=predicted')")
    wanted = int((known["predicted"][known["state"].isin(["complete", "failed"])] <= 30).sum())
    until(page, f"csp.plot.count === {wanted}")
    page.select_option("#device", "")
    until(page, "!csp.table.there && !document.querySelector('.whose')")


def test_predictions_follow_a_search_and_a_second_choice_wins(
    serve: Callable[[Path], str], open_page: Open, tmp_path: Path
) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 20)
    spread(str(path))
    page = settled(sheet(open_page(f"{serve(path)}/table?dev=pi5&cols=everything")))
    assert "by roofline of the card 'pi5'" in page.inner_text("#device-choice")
    assert "on Raspberry Pi 5 (8 GB), predicted" in page.inner_text("#sheet thead").replace("\n", " ")
    assert not page.evaluate("csp.table.has('latency_ms_spread') || csp.table.has('latency_ms_n')"), "of another device"
    with Store.open(str(path)) as store:
        add(store, 1, 20, 4)
    until(page, "csp.table.rows === 24")
    settled(page)
    predicted = "csp.table.there.predicted.filter(value => value > 0).length"
    assert page.evaluate(predicted) == page.evaluate("csp.table.complete.filter(Boolean).length")
    assert "dev=pi5" in page.url
    page.evaluate("""async board => {
        const all = csp.refresh(), select = document.querySelector("#device");
        select.value = board;
        select.dispatchEvent(new Event("change"));
        await all;
    }""", BOARD)  # fmt: skip
    until(page, f"csp.table.there?.key === '{BOARD}'")
    page.select_option("#device", "")
    until(page, "!csp.table.there && csp.table.has('latency_ms_n')")
    page.evaluate("history.pushState(null, '', '?dev=board5&by=predicted')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    until(page, f"csp.table.there?.key === '{BOARD}' && csp.table.by === 'predicted'")


def test_an_unknown_device_is_said_and_a_silent_server_is_asked_again(
    boards: tuple[str, pd.DataFrame], open_page: Open, browser: Any
) -> None:
    home, known = boards
    page = sheet(open_page(f"{home}/table?dev=<b>no</b>"))
    line = page.inner_text("#device-choice .problem")
    assert line.startswith("Nothing is known of a device “<b>no</b>”. Known here: ")
    assert line.endswith("The latencies are the study’s own.")
    rows = rows_of(save(page, "csv"))
    assert "latency_ms_origin" not in rows[0]
    own = known["latency_ms"][[row["id"] for row in rows]]
    np.testing.assert_allclose([float(row["latency_ms [ms]"] or "nan") for row in rows], own, rtol=1e-6)
    context = browser.new_context()  # whose console may tell of failed requests
    other = context.new_page()
    other.route("**/place.bin*", lambda route: route.abort())
    other.goto(f"{home}/parallel?dev={BOARD}")
    other.wait_for_selector("#device-choice .problem:has-text('did not arrive')", timeout=20_000)
    other.unroute("**/place.bin*")
    until(other, SETTLED)
    assert other.locator("#device-choice .problem").count() == 0
    context.close()


def test_repeats_stand_beside_the_spread_where_they_are_asked_for(
    home: str, open_page: Open, frame: pd.DataFrame
) -> None:
    page = sheet(open_page(f"{home}/table?study=default&cols=verification"))
    assert "n of" not in page.inner_text("#sheet thead")
    offered = page.evaluate("csp.table.header.beside")
    assert {"verified_ap_n", "latency_ms_n", "verified_ap_spread"} <= set(offered)
    assert not {"macs_n", "params_n", "ap_n"} & set(offered), "nothing of it was repeated"
    page.click("text=Columns")
    page.click(".boxes label:has-text('n of Verified AP')")
    until(page, "document.querySelector('#sheet thead').innerText.includes('n of Verified AP')")
    rows = rows_of(save(page, "csv"))
    assert [int(row["verified_ap_n"]) for row in rows] == frame["verified_ap_n"][
        [int(row["number"]) for row in rows]
    ].tolist()
    at = page.evaluate("[...document.querySelectorAll('#sheet th')].findIndex(e => e.innerText.startsWith('n of'))")
    assert set(page.locator(f"#sheet tr[data-row] td:nth-child({at + 1})").all_inner_texts()) <= {"0", "3"}
    page.click("text=Everything")
    until(page, "document.querySelector('#sheet thead').innerText.includes('n of Latency')")
