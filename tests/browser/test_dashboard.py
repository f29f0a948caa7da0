"""The dashboard as a person uses it, in a real Chromium."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search.store import Store
from tests.big import big
from tests.browser.conftest import playwright, serving
from tests.databases import add, build, config, verify

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
Serve = Callable[[Path], str]


def until(page: Any, expression: str, seconds: float = 20.0) -> None:
    """Wait until a JavaScript expression is true. Playwright's own waiting evaluates text, which our policy forbids."""
    end = time.monotonic() + seconds

    def holds() -> bool:
        try:
            return bool(page.evaluate(expression))
        except playwright.Error as error:
            if "navigation" not in str(error):
                raise
            return False  # the page is just being left

    while not holds():
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


def ready(page: Any) -> Any:
    """Wait until points, axes and table stand."""
    until(page, "document.documentElement.dataset.complete && document.documentElement.dataset.axes")
    page.wait_for_selector("#table tr[data-row], #table td.muted")
    return page


def count(page: Any) -> int:
    """Candidates shown, as the caption says."""
    return int(re.match(r"[\d,]+", page.inner_text("#count"))[0].replace(",", ""))  # type: ignore[index]


def wait_count(page: Any, test: str) -> int:
    until(page, f"(n => {test})(parseInt(document.querySelector('#count').textContent.replace(',', '')))")
    return count(page)


def point(page: Any, number: int) -> tuple[float, float]:
    """Where the point of a proposal is on the screen."""
    place = page.evaluate(
        """number => {
            const row = csp.table.rowOf(number), box = document.querySelector("#plot").getBoundingClientRect();
            if (!csp.picked.shown[row] || !csp.plot.drawable(row)) return null;
            const [x, y] = csp.plot.at(row);
            return [box.x + x, box.y + y];
        }""",
        number,
    )
    assert place, f"#{number} is not drawn"
    return place[0], place[1]


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


RINGS = "[...document.querySelectorAll('#plot .ring')].map(ring => Number(ring.dataset.number))"
RANGE = "[...csp.plot.range.x, ...csp.plot.range.y]"
AXES = "document.querySelector('#plot .js-plotly-plot')._fullLayout"
FRONT = "[...document.querySelectorAll('#table tr[data-row]')].map(row => Number(row.dataset.number))"


@pytest.mark.parametrize(("width", "height", "theme"), [(1440, 900, "light"), (1024, 768, "dark")])
def test_the_page_fits_the_screen_in_the_theme_of_the_system(
    site: str, open_page: Open, width: int, height: int, theme: str
) -> None:
    page = ready(open_page(site, viewport={"width": width, "height": height}, color_scheme=theme))
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.documentElement.scrollHeight") == height
    assert page.locator("#plot").bounding_box()["height"] > 220
    assert page.locator("#table tr[data-row]").count() >= 6
    for name in ("#open-best", "#pin-best", "#export-best"):
        box = page.locator(name).bounding_box()
        assert box["x"] + box["width"] <= width, "never cut off"
    page.click("#theme-toggle")
    until(page, f"document.documentElement.dataset.theme !== '{theme}'")
    surface = page.evaluate(
        "[...document.querySelector('#plot canvas').getContext('2d').getImageData(3, 3, 1, 1).data]"
    )
    assert (sum(surface[:3]) < 200) == (theme == "light")


def test_what_plotly_draws_stands_where_the_canvas_thinks(site: str, open_page: Open) -> None:
    for query in ("", "/?x=macs&x_log=1&show=dominated,failed,refused", "/?zx=5..9&y=latency_ms&y_log=1"):
        page = ready(open_page(site + query))
        page.wait_for_timeout(150)
        gaps = page.evaluate(f"""() => {{
            const {{xaxis, yaxis}} = {AXES}, {{plot, table, view}} = csp, gaps = [];
            for (let row = 0; row < table.rows; row++) {{
                if (!plot.drawable(row)) continue;
                const [x, y] = plot.at(row), of = (axis, value, log) => axis._offset
                    + axis.l2p(log ? Math.log10(value) : value);
                const fx = table.field(view.x), fy = table.field(view.y);
                gaps.push(Math.abs(x - of(xaxis, table.num(view.x)[row] * fx.scale, view.x_log)),
                          Math.abs(y - of(yaxis, table.num(view.y)[row] * fy.scale, view.y_log)));
            }}
            return gaps;
        }}""")
        assert len(gaps) > 20
        assert max(gaps) < 0.51


def test_a_typed_budget_changes_counts_answer_and_url(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    before, answer = count(page), page.inner_text("#answer")
    box = page.locator("[data-control='max.latency_ms']")
    box.fill("8")
    box.press("Enter")
    after = wait_count(page, f"n < {before}")
    until(page, "location.search.includes('max.latency_ms=8')")
    assert "under latency ≤ 8 ms" in page.inner_text("#answer")
    assert page.inner_text("#answer") != answer
    assert page.locator("#plot .free").count() == 1, "the front without budgets"
    page.click("text=Reset")
    assert wait_count(page, f"n > {after}") == before
    until(page, "location.search === ''")


def test_a_dragged_slider_filters_without_the_server(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    before = count(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/status" not in request.url else None)
    box = page.locator("[data-control='slide.max.macs']").bounding_box()
    middle = box["y"] + box["height"] / 2
    drag(page, (box["x"] + box["width"] - 7, middle), (box["x"] + box["width"] / 3, middle))
    wait_count(page, f"n < {before}")
    assert float(page.input_value("[data-control='max.macs']")) > 0
    until(page, "location.search.includes('max.macs=')")
    assert page.evaluate("csp.picked.on.filter((on, row) => on && !csp.picked.inside[row]).length") == 0
    assert asked == []


def test_when_nothing_fits_one_click_relaxes_the_budget_that_binds(site: str, open_page: Open) -> None:
    page = ready(open_page(f"{site}/?lat=0.01&max.macs=900000000"))
    assert "No candidate fits latency ≤ 0.01 ms" in page.inner_text("#answer")
    assert "The nearest has Latency" in page.inner_text("#answer")
    page.click("#relax")
    page.wait_for_selector("#open-best")
    assert wait_count(page, "n > 0") >= 1
    assert page.evaluate("document.activeElement.dataset.control") == "max.latency_ms"


def test_one_click_relaxes_all_budgets_that_the_nearest_candidate_needs(site: str, open_page: Open) -> None:
    page = ready(open_page(f"{site}/?lat=0.01&max.macs=1000000&max.params=900000000"))
    said = page.inner_text("#answer")
    found = re.search(r"The nearest has Latency ([\d.]+) ms and MACs ([\d.]+) M \(#(\d+)\)", said)
    assert found, said
    assert re.search(r"Relax to latency ≤ [\d.]+ ms and MACs ≤ [\d.]+ M$", page.inner_text("#relax"))
    page.click("#relax")
    page.wait_for_selector("#open-best")
    assert page.evaluate(f"csp.picked.inside[csp.table.rowOf({found[3]})]") == 1
    until(page, "location.search.includes('max.params=900000000')")
    assert page.evaluate("document.activeElement.dataset.control") == "max.latency_ms"


def test_the_export_says_what_the_command_cannot(site: str, open_page: Open) -> None:
    said = []
    for query in ("", "?front=all&x=macs&show=failed", "?steps=only:ap~0.1..0.3;not:block~=res|resx"):
        page = ready(open_page(f"{site}/{query}"))
        page.click("#export-best")
        said.append(page.inner_text("dialog"))
    assert said[0] == said[1], "the front and the toggles change no answer"
    assert "not quite the same" not in said[0]
    assert "no option for “only AP 0.1 to 0.3”; it has no option for “without Block res or resx”" in said[2]


def test_toggles_and_chips_change_counts(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    first = count(page)
    page.click("#show label:has-text('Refused')")
    more = wait_count(page, f"n > {first}")
    page.click(".chip:has-text('dense')")
    fewer = wait_count(page, f"n < {more}")
    until(page, "location.search.includes('block=')")
    page.reload()
    ready(page)
    assert wait_count(page, f"n === {fewer}") == fewer


def test_axes_and_colour_are_chosen_and_kept_in_the_link(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    page.select_option("#x", "macs")
    until(page, "document.querySelector('#plot .xtitle').textContent.includes('MACs (M)')")
    page.check("#x-log")
    until(page, f"{AXES}.xaxis.type === 'log'")
    page.select_option("#color", "cio")  # not sent at first
    page.wait_for_selector("[data-scale='cio']")
    until(page, "csp.table.has('cio') && location.search.includes('color=cio')")
    other = ready(open_page(page.url, fresh=True))
    other.wait_for_selector("[data-scale='cio']")
    until(other, "csp.table.has('cio')")
    layout = f"(l => [l.xaxis.type, l.xaxis.title.text.slice(0, 8)])({AXES})"
    assert other.evaluate(layout) == page.evaluate(layout) == ["log", "MACs (M)"]


def test_a_row_rings_its_point_and_the_link_keeps_it(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    assert page.evaluate(RINGS) == []
    row = page.locator("#table tr[data-row]").nth(2)
    number = int(row.get_attribute("data-number"))
    row.locator("td").first.click()
    until(page, f"{RINGS}.join() === '{number}'")
    until(page, f"location.search.includes('sel={number}')")
    other = ready(open_page(page.url))
    assert other.evaluate(RINGS) == [number]
    assert other.locator("#table tr.chosen").first.get_attribute("data-number") == str(number)


def test_the_order_of_the_table_is_in_the_link(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    usual = page.evaluate(FRONT)
    page.focus("#table [data-sort='params']")
    page.keyboard.press("Enter")
    until(page, "location.search === '?sort=params'")
    fewest = page.evaluate(FRONT)
    assert fewest == page.evaluate("[...csp.picked.highlighted].sort((a, b) => csp.table.num('params')[a]"
                                   " - csp.table.num('params')[b]).map(row => csp.table.number(row))")  # fmt: skip
    assert page.evaluate("document.activeElement.dataset.sort") == "params", "the focus stays"
    page.keyboard.press("Enter")
    until(page, "location.search === '?sort=-params'")
    most = page.evaluate(FRONT)
    assert most == fewest[::-1] != usual
    assert ready(open_page(page.url, fresh=True)).evaluate(FRONT) == most
    page.click("#table tr[data-row] a")
    page.wait_for_selector("h1:has-text('Candidate')")
    page.go_back()
    assert ready(page).evaluate(FRONT) == most
    page.goto(page.url.replace("/?", "/table?"))
    until(page, "document.querySelector('#sheet th[aria-sort=descending]')?.textContent.startsWith('Param')")
    page.goto(f"{site}/?sort=-cio")  # a column of /table only
    assert ready(page).evaluate(FRONT) == usual
    page.goto(f"{site}/?sort=-params")
    ready(page).click("#table [data-sort='params']")
    until(page, f"location.search === '' && {FRONT}.join() === '{','.join(map(str, usual))}'")


def test_a_point_selects_and_scrolls_to_its_row(site: str, open_page: Open) -> None:
    page = ready(open_page(f"{site}/?table=shown"))
    last = page.evaluate("csp.table.number([...csp.picked.inside.keys()].filter(r => csp.plot.drawable(r))"
                         ".sort((a, b) => csp.table.num('ap')[a] - csp.table.num('ap')[b])[0])")  # fmt: skip
    page.keyboard.down("Shift")
    page.mouse.click(*point(page, last))
    page.keyboard.up("Shift")
    row = page.wait_for_selector(f"#table tr.chosen[data-number='{last}']")
    table, box = page.locator("#table").bounding_box(), row.bounding_box()
    assert table["y"] <= box["y"] <= table["y"] + table["height"]
    until(page, f"location.search === '?table=shown&sel={last}'")


def test_a_box_and_a_lasso_select_and_a_double_click_resets_a_zoom(site: str, open_page: Open) -> None:
    page = ready(open_page(f"{site}/?drag=select"))
    area = page.locator("#plot .nsewdrag").first.bounding_box()
    x, y = area["x"], area["y"]
    corner = (x + area["width"] - 2, y + area["height"] - 2)
    drag(page, (x + 2, y + 2), corner)
    until(page, f"{RINGS}.length > 20")
    everything = page.evaluate(RINGS)
    drag(page, (x + 2, y + 2), (x + area["width"] / 2, corner[1]))
    until(page, f"{RINGS}.length > 0 && {RINGS}.length < {len(everything)}")
    half = page.evaluate(RINGS)
    middle = page.evaluate("csp.plot.box.left + csp.plot.box.width / 2")
    assert all(page.evaluate("n => csp.plot.at(csp.table.rowOf(n))[0]", n) <= middle + 1 for n in half)
    page = ready(open_page(f"{site}/?drag=zoom"))
    before = page.evaluate(RANGE)
    drag(page, (x + 60, y + 40), (x + 300, y + 200))
    until(page, "location.search.includes('zx=')")
    assert page.evaluate(RANGE) != before
    page.mouse.dblclick(x + 200, y + 100)
    until(page, "!location.search.includes('zx=')")
    assert page.evaluate(RANGE) == pytest.approx(before)


def test_a_click_opens_the_candidate_and_back_returns(site: str, open_page: Open) -> None:
    page = ready(open_page(site + "/?max.latency_ms=15"))
    before = count(page)
    number, identifier = page.evaluate("(row => [csp.table.number(row), csp.table.id(row)])(csp.picked.axes[0])")
    page.mouse.click(*point(page, number))
    page.wait_for_selector(f"h1:has-text('{identifier}')")
    assert f"/c/{identifier}" in page.url
    page.wait_for_selector(".layers .bar")
    page.wait_for_selector("#learning .scatterlayer .trace")
    assert "Every measurement" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") == 1440
    until(page, "document.querySelector('#progress').textContent.includes('on the front')")
    page.go_back()
    ready(page)
    assert wait_count(page, f"n === {before}") == before
    assert f"sel={number}" in page.url
    until(page, f"{RINGS}.join() === '{number}'")


def test_the_keyboard_is_enough(serve: Serve, open_page: Open, path: Path, tmp_path: Path) -> None:
    page = ready(open_page(serve(shutil.copy(path, tmp_path / "csp.db"))))  # of its own, as it pins
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("l")
    assert page.evaluate("document.activeElement.dataset.control") == "max.latency_ms"
    page.keyboard.press("Escape")
    front = page.evaluate("[...csp.picked.highlighted].sort((a, b) => csp.table.num('latency_ms')[a]"
                          " - csp.table.num('latency_ms')[b]).map(row => csp.table.number(row))")  # fmt: skip
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    until(page, f"{RINGS}.join() === '{front[1]}'")
    until(page, f"document.querySelector('#said').textContent.startsWith('#{front[1]}: AP 0.')")
    page.keyboard.press("p")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("p")
    until(page, f"location.search.includes('pin={front[1]},{front[2]}')")
    assert page.evaluate("[...document.querySelectorAll('.pin')].map(n => n.textContent)") == [
        f"#{number}" for number in front[1:3]
    ]
    pinned = page.evaluate("csp.view.pinned.map(number => csp.table.id(csp.table.rowOf(number))).join()")
    page.keyboard.press("c")
    page.wait_for_selector("h1:has-text('Compare')")
    assert page.url.endswith(f"/compare?ids={pinned}")
    page.go_back()
    ready(page)
    until(page, f"location.search.includes('pin={front[1]},{front[2]}')")
    page.keyboard.press("?")
    assert "latency budget" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type(f"#{front[0]}")
    page.keyboard.press("Enter")
    until(page, f"{RINGS}.join() === '{front[0]}'")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    identity = page.evaluate(f"csp.table.id(csp.table.rowOf({front[0]}))")
    assert page.inner_text("dialog pre").startswith(f"python -m search.export {identity} --to onnx -o {identity} --db ")
    page.keyboard.press("Escape")
    page.locator("#table tr[data-row]").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Candidate')")
    page.locator("#back").focus()
    page.keyboard.press("Enter")
    ready(page)
    page.locator("#open-best").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Candidate')")


def test_a_pinned_candidate_is_what_the_answer_is_compared_with(
    serve: Serve, open_page: Open, path: Path, tmp_path: Path
) -> None:
    site = serve(shutil.copy(path, tmp_path / "csp.db"))
    page = ready(open_page(site))
    assert not re.search(r"[+−]0\.\d{3} [▲▼]", page.inner_text("#answer dl")), "a published score is of other data"
    other = page.evaluate("csp.table.number(csp.picked.axes.find(row => row !== csp.picked.best))")
    page = ready(open_page(f"{site}/?pin={other}"))
    said = page.inner_text("#answer dl")
    assert f"beside pinned #{other}" in page.inner_text("#answer")
    assert re.search(r"\+0\.\d{3} ▲ better", said), "the answer has the best score"
    page.click("#pin-best")
    until(page, "document.querySelector('#pin-best').textContent === 'Unpin'")


def test_hovering_says_what_a_candidate_is(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    number = page.evaluate("csp.table.number(csp.picked.axes[1])")
    x, y = point(page, number)
    page.mouse.move(x + 2, y - 1)
    page.wait_for_selector("#tooltip:not([hidden])")
    said = page.inner_text("#tooltip")
    assert said.startswith(f"#{number} ")
    assert re.search(r"Latency [\d.]+ ms ± [\d.]+ ms", said)
    assert page.locator("#plot .whisker").count() == 1, "the spread of the latency"
    page.mouse.move(5, 5)
    until(page, "document.querySelector('#tooltip').hidden")


def test_the_page_follows_a_search_and_never_moves_the_view(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 12, state="running", budget=30)
    page = ready(open_page(serve(path) + "/?show=dominated,failed,refused&sel=2"))
    assert "12" in page.inner_text("#count")
    box = page.locator("#plot .nsewdrag").first.bounding_box()
    drag(page, (box["x"] + 100, box["y"] + 40), (box["x"] + 400, box["y"] + 160))
    until(page, "location.search.includes('zx=')")
    zoomed = page.evaluate(RANGE)
    page.focus("[data-control='max.macs']")
    with Store.open(str(path)) as store:
        for number in range(12, 18):
            add(store, 1, number, 1)
    wait_count(page, "n === 18")
    until(page, "document.querySelector('#progress').textContent.startsWith('16 of 30')")
    assert page.evaluate(RANGE) == pytest.approx(zoomed, rel=1e-4)
    assert "zx=" in page.url
    assert page.evaluate("csp.view.selected") == [2]
    assert page.evaluate("document.activeElement.dataset.control") == "max.macs"
    assert re.search(r"updated \d+ s ago", page.inner_text("#age"))


INK = """() => {
    const canvas = document.querySelector("#plot canvas"), {width, height} = canvas;
    const data = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer);
    return data.filter(pixel => pixel !== data[0]).length;
}"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a study of 10,000."""
    path = tmp_path_factory.mktemp("large") / "big.db"
    big(str(path), 10_000)
    with serving() as start:
        yield start(path)


def test_ten_thousand_candidates_are_drawn_filtered_and_listed(large: str, open_page: Open) -> None:
    page = ready(open_page(large + "/?table=shown"))
    shown = count(page)
    assert shown > 8_000
    assert page.evaluate("document.querySelectorAll('*').length") < 4_000
    assert page.evaluate(INK) > 20_000
    page.evaluate("document.querySelector('#table .scroll').scrollTop = 1e9")
    until(
        page, "document.querySelectorAll('#table tr[data-row]').length > 5 && document.querySelector('#table .space')"
    )
    page.fill("[data-control='max.latency_ms']", "9")
    page.press("[data-control='max.latency_ms']", "Enter")
    wait_count(page, f"n < {shown / 2}")
    inside = "csp.table.num('latency_ms').filter((ms, row) => csp.picked.inside[row] && !(ms <= 9.00001)).length"
    assert page.evaluate(inside) == 0


def test_what_is_predicted_is_hollow_among_many_too(large: str, open_page: Open) -> None:
    page = ready(open_page(large))
    drawn = """predicted => {
        const {table, picked, plot} = csp, canvas = document.querySelector("#plot canvas"), seen = [];
        for (let row = 0; row < table.rows; row++) if (picked.shown[row] && plot.drawable(row)) seen.push(row);
        const places = seen.map(row => plot.at(row)), far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) > 9;
        const lone = at => !picked.on[seen[at]] && places.every((each, by) => by === at || far(each, places[at]));
        const [x, y] = places[seen.findIndex((_, at) => lone(at))].map(Math.round);
        table.predicted = new Uint8Array(table.rows).fill(predicted);
        plot.draw();
        const pixel = (x, y) => canvas.getContext("2d").getImageData(x, y, 1, 1).data.join();
        return [pixel(x, y), pixel(x - 1, y + 1), pixel(x + 1, y - 1)].map(color => color !== pixel(3, 3));
    }"""
    assert page.evaluate(drawn, 0) == [True, True, True]
    assert page.evaluate(drawn, 1) == [False, True, True]


def test_a_zoomed_link_to_an_axis_that_comes_later_is_drawn_with_it(large: str, open_page: Open) -> None:
    page = ready(open_page(large + "/?x=cio&show=dominated"))
    until(page, "csp.table.has('cio') && csp.plot.range.x[1] > 1")
    x0, x1, y0, y1 = page.evaluate(RANGE)
    whole = page.evaluate(INK)
    page = ready(open_page(f"{large}/?x=cio&show=dominated&zx={x0:.7g}..{x1:.7g}&zy={y0:.7g}..{y1:.7g}"))
    until(page, "csp.table.has('cio')")
    until(page, f"({INK})() > {0.9 * whole}")


def test_what_has_no_score_has_its_strip_whatever_was_filtered_first(site: str, open_page: Open) -> None:
    strip = ready(open_page(site)).evaluate("csp.plot.strip")
    page = ready(open_page(f"{site}/?max.latency_ms=0.001"))
    assert strip
    assert page.evaluate("csp.plot.strip") == strip, "a filter moves no axis"
    page.click("#reset")
    wait_count(page, "n > 20")
    assert page.evaluate("csp.plot.strip") == strip


def test_a_column_that_did_not_arrive_is_asked_for_again(site: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})  # what fails is an error on its console
    asked: list[str] = []
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url) if "only=" in request.url else None)

    def fails(*, choose: str, name: str) -> int:
        page.route("**/data.bin?*only=*", lambda route: route.abort())
        page.select_option(choose, name)
        until(page, "document.querySelector('#lost')?.textContent.includes('did not arrive: Failed to fetch')")
        before = len(asked)
        page.click("[data-control='show=failed']")
        page.wait_for_timeout(100)
        assert len(asked) == before, "a page that is drawn again does not insist"
        page.unroute("**/data.bin?*only=*")
        return before

    def comes(name: str, before: int) -> None:
        until(page, f"csp.table.has('{name}') && !document.querySelector('#lost')")
        page.click("[data-control='show=failed']")
        page.wait_for_timeout(100)
        assert len(asked) == before + 1, "and what came, or what the server has not, is not asked for twice"

    page.goto(site)
    ready(page)
    before = fails(choose="#color", name="cio")
    assert page.inner_text("[data-scale='cio'] .ends").split() == ["–", "–"]
    page.select_option("#color", "block")
    page.select_option("#color", "cio")
    comes("cio", before)
    before = fails(choose="#color", name="activations")
    page.click("text=Retry")
    comes("activations", before)
    page.goto(f"{site}/parallel")
    until(page, "document.documentElement.dataset.complete")
    before = fails(choose="#add-axis", name="cio")
    page.click("text=Retry")
    comes("cio", before)
    assert errors == []
    page.close()


def test_a_chip_of_any_name_keeps_the_focus_when_data_comes(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 12, state="running", budget=30)
    page = ready(open_page(serve(path) + "/?block=a%22b,dense&show=dominated,failed,refused"))
    page.focus("[data-control='block=a\\\"b']")
    with Store.open(str(path)) as store:
        for number in range(12, 18):
            add(store, 1, number, 1)
    until(page, "csp.table.rows === 18")
    until(page, "document.activeElement.dataset.control === 'block=a\"b'")


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
    page.select_option("#study", "first")
    until(page, "document.querySelector('#count')?.textContent.includes('of 8 shown')")
    assert "study=first" in page.url
    page.locator("#table a").first.click()
    page.wait_for_selector("text=of study “first”")


def test_text_of_the_database_is_text(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 12, name="<img src=x onerror=alert(1)>")
    url = serve(path)
    page = ready(open_page(url))
    assert page.inner_text(".study-name") == "<img src=x onerror=alert(1)>"
    failed = page.evaluate(
        "csp.table.id([...csp.picked.inside.keys()].find(r => csp.table.label('state', r) === 'failed'))"
    )
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
    site = serve(path)
    page = ready(open_page(site))
    # The verified score chooses; the proxy's choice, here an overturned one, is a click away, and in the link.
    assert "Best verified AP" in page.inner_text("#answer")
    chosen = page.evaluate("csp.table.num('verified_ap')[csp.picked.best]")
    assert chosen == page.evaluate("Math.max(...csp.table.num('verified_ap').filter(value => value === value))")
    page.click("#instead")
    until(page, "location.search.includes('score=proxy')")
    until(page, "document.querySelector('#answer').textContent.includes('✗ overturned')")
    assert "Best AP" in page.inner_text("#answer")
    page.reload()
    assert "Best AP" in ready(page).inner_text("#answer")
    page.click("#instead")
    until(page, "!location.search.includes('score=')")
    labels = page.locator("[data-kind='verdict'] label").all_inner_texts()
    assert [re.sub(r"\W", "", label) for label in labels] == ["overturned", "unverified", "verified"]
    shown = page.evaluate("[...document.querySelectorAll('#table tr[data-row]')].map(row => "
                          "[row.querySelector('a').textContent, row.children[3].textContent])")  # fmt: skip
    assert shown
    assert all(text.startswith(verdicts[identity]) for identity, text in shown)
    before = count(page)
    page.locator("[data-kind='verdict'] label", has_text="unverified").click()
    page.locator("[data-kind='verdict'] label", has_text="overturned").click()
    wait_count(page, f"n < {before}")
    until(page, "location.search.includes('verdict=verified')")
    until(page, "document.querySelector('#answer').textContent.includes('✓ verified')")
    bars = ready(open_page(f"{site}/?y=verified_ap"))
    assert bars.locator("#plot .whisker").count() == sum(verdict != "unverified" for verdict in verdicts.values())
    page.click("#open-best")
    page.wait_for_selector("#verification table")
    said = page.inner_text("#verification")
    assert "over 3 seeds, on the front in" in said
    assert said.count("long") == 3
