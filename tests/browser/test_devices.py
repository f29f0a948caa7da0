"""The question "which one for my device?": devices, pins in the database, references, commands, in a real Chromium."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from search import pick
from search.store import Store
from tests.browser.test_dashboard import count, point, ready, until, wait_count
from tests.browser.test_sheets import save
from tests.databases import MACHINE, add, build
from tests.places import spread

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
Serve = Callable[..., str]
SETTLED = "csp.table.there && csp.table.there.done >= csp.table.there.wanted"
ANSWER = "csp.picked.best < 0 ? null : csp.table.id(csp.picked.best)"


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 40 with latencies on made-up devices."""
    file = tmp_path_factory.mktemp("boards") / "csp.db"
    build(str(file), 40)
    spread(str(file))
    return file


def on_device(page: Any) -> Any:
    ready(page)
    until(page, SETTLED)
    return page


def told(page: Any, capsys: pytest.CaptureFixture[str]) -> str | None:
    """The candidate that the command of the export dialog names for the same question."""
    page.click("#export-best")
    commands = page.locator("dialog pre").all_inner_texts()
    page.keyboard.press("Escape")
    words = shlex.split(next(text for text in commands if "search.pick" in text))
    assert words[:3] == ["python", "-m", "search.pick"]
    capsys.readouterr()
    assert pick.main([*words[3:], "--json"]) == 0
    found: str = json.loads(capsys.readouterr().out)["picks"][0]["answer"]["id"]
    return found


def test_a_device_is_chosen_by_key_and_everything_speaks_of_it(
    serve: Serve, open_page: Open, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ready(open_page(serve(boards)))
    until(page, "document.querySelectorAll('#device option').length > 5")
    own = page.evaluate("[...csp.table.num('latency_ms')]")
    page.keyboard.press("d")
    assert page.evaluate("document.activeElement.id") == "device"
    page.select_option("#device", "board5/onnxruntime/fp32")
    until(page, SETTLED)
    until(page, "location.search.includes('dev=board5/onnxruntime/fp32')")
    assert "on board5 · onnxruntime · fp32" in page.inner_text("#answer")
    assert "latency measured" in page.inner_text("#answer")
    assert re.search(r"Measured \(●\): \d+ of \d+; not measured \(\d+ %\)", page.inner_text("#device-choice"))
    assert "8 % off in the median" in page.inner_text("#device-choice")
    until(page, "document.querySelector('#plot .xtitle').textContent.startsWith('Latency on board5, measured (ms)')")
    assert page.evaluate("csp.picked.highlighted.every(row => csp.table.there.measured[row] > 0)")
    assert "without Latency only in the table" in page.inner_text("#count")
    page.click("[data-by='both']")
    until(page, "location.search.includes('by=both')")
    until(page, "!document.querySelector('#count').textContent.includes('without Latency')")
    assert page.evaluate("csp.table.predicted.some(Boolean) && !csp.table.predicted.every(Boolean)")
    hollow = page.evaluate("csp.table.number([...csp.picked.shown.keys()].find(row => csp.picked.shown[row]"
                           " && csp.table.predicted[row] && csp.plot.drawable(row)))")  # fmt: skip
    x, y = point(page, hollow)
    page.mouse.move(x, y)
    page.wait_for_selector("#tooltip:not([hidden])")
    assert re.search(r"Latency on board5, (predicted|measured): ", page.inner_text("#tooltip"))
    page.fill("[data-control='max.latency_ms']", "30")
    page.press("[data-control='max.latency_ms']", "Enter")
    until(page, "location.search.includes('max.latency_ms=30')")
    other = on_device(open_page(page.url))
    wait_count(other, f"n === {count(page)}")
    assert other.inner_text("#answer") == page.inner_text("#answer")
    assert told(page, capsys) == page.evaluate(ANSWER)
    page.click("[data-by='measured']")
    until(page, "!location.search.includes('by=')")
    assert told(page, capsys) == page.evaluate(ANSWER)
    page.select_option("#device", "")
    until(page, "!csp.table.there && !location.search.includes('dev=')")
    assert page.evaluate("[...csp.table.num('latency_ms')]") == pytest.approx(own, nan_ok=True)
    assert f"on {MACHINE.host} under" in page.inner_text("#answer")


def test_a_link_asks_about_a_device_that_nobody_measured(
    serve: Serve, open_page: Open, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = on_device(open_page(serve(boards) + "/?dev=pi5&lat=400&by=nonsense"))
    assert page.input_value("[data-control='max.latency_ms']") == "400"
    said = page.inner_text("#answer")
    assert "on Raspberry Pi 5" in said
    assert "latency predicted by roofline of the card 'pi5'" in said
    assert "Latency, predicted" in said
    assert "Not measured." in page.inner_text("#device-choice")
    assert page.evaluate("csp.picked.highlighted.every(row => csp.table.predicted[row])"), "drawn hollow"
    assert page.locator("#table td[title^='predicted: roofline']").first.inner_text().startswith("≈ ")
    assert told(page, capsys) == page.evaluate(ANSWER)
    page.goto(page.url.replace("400", "0.001"))
    on_device(page)
    assert "No candidate fits latency ≤ 0.001 ms on Raspberry Pi 5" in page.inner_text("#answer")
    page.goto(page.url.partition("?")[0] + "?dev=<b>no</b>")
    page.wait_for_selector("#device-choice .problem")
    said = page.inner_text("#device-choice .problem")
    assert "Nothing is known of a device “<b>no</b>”" in said
    assert "The latencies are the study’s own." in said


def test_pins_live_in_the_database_and_reach_every_dashboard(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 20)
    url = serve(path)
    pages = [ready(open_page(url))]
    number, identity = pages[0].evaluate("(row => [csp.table.number(row), csp.table.id(row)])(csp.picked.best)")
    pages[0].keyboard.press("p")
    until(pages[0], f"document.querySelector('#said').textContent === '#{number} pinned'")
    with Store.open(str(path), read_only=True) as store:
        assert store.pins(1) == [identity]
    pages.append(ready(open_page(url)))
    for page in pages:
        until(page, f"csp.view.pinned.join() === '{number}' && document.querySelector('#plot .pinned')")
    pages[1].click("#pin-best")
    until(pages[0], "csp.view.pinned.length === 0 && !location.search.includes('pin=')")
    with Store.open(str(path), read_only=True) as store:
        assert store.pins(1) == []
    linked = ready(open_page(f"{url}/?dev=pi5&pin={number}"))
    linked.wait_for_timeout(600)
    assert linked.evaluate("csp.view.pinned") == [number], "a link keeps its pins, and writes none"
    with Store.open(str(path)) as store:
        assert store.pins(1) == []
        add(store, 1, 20, 4)  # a search goes on
    wait_count(linked, "n > 18")
    until(linked, SETTLED)
    assert linked.evaluate("csp.table.there.predicted.filter(value => value > 0).length") == linked.evaluate(
        "csp.table.complete.filter(Boolean).length"
    )
    assert linked.evaluate("csp.view.pinned") == [number]


def test_published_networks_stand_beside_the_answer_and_base_points_to_csp(
    serve: Serve, open_page: Open, tmp_path: Path
) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 20)
    build(str(path), 6, name="other's")
    url = serve(path, shown=["PeleeNet", "CSPPeleeNet", "ResNet-50"])
    page = ready(open_page(f"{url}/?study=default&x=macs&y=params"))
    said = page.inner_text("#answer")
    assert "beside CSPPeleeNet 0.5 (published, counted here)" in said
    assert re.search(r"[+−][\d.,]+ % (▲ better|▼ worse)", said)
    assert page.is_checked("[data-control='show=published']"), "somebody asked for them"
    place = """name => (costs => [csp.plot.px(costs.macs), csp.plot.py(costs.params)])(
        csp.table.header.references.find(r => r.name === name).costs)"""
    ends = [*page.evaluate(f"({place})('PeleeNet')"), *page.evaluate(f"({place})('CSPPeleeNet 0.5')")]
    assert page.evaluate("csp.plot.arranged.arrows") == [pytest.approx(ends, abs=9)], "from edge to edge"
    page.click("#export-best")
    identity = page.evaluate(ANSWER)
    first = page.locator("dialog pre").first.inner_text()
    assert first == f"python -m search.export {identity} --to onnx -o {identity} --db {path} --name default"
    page.keyboard.press("Escape")
    other = ready(open_page(f"{url}/?study=other%27s&block=res"))
    other.click("#export-best")
    words = [shlex.split(text) for text in other.locator("dialog pre").all_inner_texts()]
    assert [each[-2:] for each in words] == [["--name", "other's"]] * 2
    assert "no option for Block" in other.inner_text("dialog")


OVER = """({labels}) => labels.flatMap((a, at) => labels.slice(at + 1).filter(b => a.x < b.x + b.wide
    && b.x < a.x + a.wide && Math.abs(a.y - b.y) < 13).map(b => `${a.text} over ${b.text}`))"""


def test_usual_networks_are_shown_where_they_are_wanted_and_say_where_they_are_from(
    serve: Serve, open_page: Open, tmp_path: Path
) -> None:
    build(str(tmp_path / "csp.db"), 60)  # one in which nobody pinned anything
    page = ready(open_page(f"{serve(tmp_path / 'csp.db')}/?x=macs"))
    assert re.search(r"beside CSP\w+.* \(published, counted here\)", page.inner_text("#answer"))
    about = page.get_attribute("#answer .beside [title]", "title")
    assert "Published: " in about
    assert about in page.text_content("#answer"), "for screen readers, too"
    assert page.locator("#published, #plot .published *").count() == 0, "nobody asked for them"
    assert "published" not in json.loads(save(page, "json"))
    narrow = page.evaluate("csp.plot.range.x[1]")
    page.check("[data-control='show=published']")
    until(page, f"location.search.includes('published') && csp.plot.range.x[1] > {narrow}")
    names = page.evaluate("csp.table.header.references.map(each => each.name)")
    for axes in ({"y": "ap"}, {"y": "params"}, {"x": "latency_ms"}):
        for axis, name in axes.items():
            page.select_option(f"#{axis}", name)
            until(page, f"csp.view.{axis} === '{name}'")
        until(page, 'csp.plot.arranged.key.includes(`"${csp.view.x}","${csp.view.y}"`)')
        assert page.evaluate("csp.plot.arranged.labels.length") >= len(names) / 2
        assert page.evaluate(OVER, page.evaluate("csp.plot.arranged")) == []
        box = page.locator("#plot").bounding_box()
        x, y, text = page.evaluate("(({x, y, text}) => [x, y, text])(csp.plot.arranged.labels[0])")
        page.mouse.move(box["x"] + x + 5, box["y"] + y + 8)
        page.wait_for_selector("#tooltip:not([hidden])")
        assert f"{text.split(' → ')[0]} · published network" in page.inner_text("#tooltip")
        assert "repository README" in page.inner_text("#tooltip")
        page.mouse.move(box["x"] + box["width"] - 3, box["y"] - 30)
        until(page, "document.querySelector('#tooltip').hidden")
    page.focus("#published summary")
    page.keyboard.press("Enter")
    assert all(name in page.inner_text("#published ul") for name in names)
    page.keyboard.press("Escape")
    assert not page.is_visible("#published ul")
    assert about in [each["about"] for each in json.loads(save(page, "json"))["published"]]
    assert "PeleeNet → CSP 0.5" in save(page, "svg").decode()


def test_pinned_candidates_are_compared_in_the_same_study_database_and_device(
    serve: Serve, open_page: Open, tmp_path: Path
) -> None:
    paths = [tmp_path / "old.db", tmp_path / "new.db"]
    for path, number in zip(paths, (8, 14), strict=True):
        build(str(path), number, name="a & b")
    where = {"db": "new.db", "study": "a & b", "dev": "pi5"}
    query = urlencode(where)
    page = on_device(open_page(f"{serve(*paths)}/?{query}&pin=3", fresh=True))
    page.keyboard.press("c")
    assert page.inner_text("#said") == "Pin two candidates to compare them"
    ids = page.evaluate("[3, 1, 2].map(number => csp.table.id(csp.table.rowOf(number)))")
    page = on_device(open_page(page.url.replace("pin=3", "pin=3,1,2"), fresh=True))
    page.keyboard.press("c")
    page.wait_for_selector(".overlay")
    assert dict(parse_qsl(urlsplit(page.url).query)) == {**where, "ids": ",".join(ids)}


def test_a_tab_stays_with_the_database_that_was_chosen(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    paths = [tmp_path / "old.db", tmp_path / "new.db"]
    for path, number in zip(paths, (8, 14), strict=True):
        build(str(path), number)
    page = ready(open_page(serve(*paths), fresh=True))
    assert "of 8 shown" in page.inner_text("#count")
    page.wait_for_selector("#study")
    assert page.locator("#study optgroup").evaluate_all("groups => groups.map(group => group.label)") == [
        "old.db",
        "new.db",
    ]
    page.select_option("#study", '["new.db","default"]')
    until(page, "document.querySelector('#count')?.textContent.includes('of 14 shown')")
    ready(page)
    identity = page.evaluate("csp.table.id(13)")
    page.keyboard.press("p")
    until(page, "document.querySelector('#said').textContent.endsWith(' pinned')")
    with Store.open(str(paths[1]), read_only=True) as new, Store.open(str(paths[0]), read_only=True) as old:
        assert (len(new.pins(1)), old.pins(1)) == (1, [])
    page.click("text=Studies")
    page.wait_for_selector("main table")
    assert "db=new.db" in page.url
    page.goto(page.url.replace("/studies", f"/c/{identity}"))
    page.wait_for_selector(f"h1:has-text('{identity}')")


def test_the_device_and_the_database_go_along_from_page_to_page(
    serve: Serve, open_page: Open, boards: Path, tmp_path: Path
) -> None:
    build(str(tmp_path / "other.db"), 12)
    base = serve(tmp_path / "other.db", boards)
    page = on_device(open_page(f"{base}/?db=csp.db&study=default&dev=board5/onnxruntime/fp32"))
    value = page.evaluate("csp.table.num('latency_ms')[csp.picked.best]")
    page.click("#open-best")
    page.wait_for_selector("#facts")
    assert f"board5 · onnxruntime · fp32 {value:.3g} ms" in " ".join(page.inner_text("#facts").split())
    # Another device, by the menu; the way back leads to the same question about that one.
    page.click(".crumbs summary")
    page.click(".crumbs .menu a:text('Raspberry Pi 5')")
    page.wait_for_selector("#facts:has-text('predicted')")
    assert "dev=pi5" in page.get_attribute("#back", "href")
    page.click("a.button:text('Edit')")
    page.wait_for_selector("#explore")
    before = page.inner_text("#results dl")
    assert "Raspberry Pi 5" in before
    control = "[name='stage1.depth']"
    page.fill(control, str(int(page.input_value(control)) + 1))
    until(page, f"document.querySelector('#results dl').innerText !== {json.dumps(before)}")
    query = page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
    assert {name: query[name] for name in ("db", "study", "dev")} == {
        "db": "csp.db", "study": "default", "dev": "pi5/onnxruntime/fp32"}  # fmt: skip
    page.click("text=Reset")
    page.wait_for_selector("#explore")
    page.hover(".pages a:text('Devices')")
    assert "db=csp.db" in page.get_attribute(".pages a:text('Devices')", "href")
