"""The first screen at the sizes that it must fit: nothing of the answer is hidden, and the answer comes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_dashboard import Open, Serve, ready, until
from tests.databases import build

pytestmark = pytest.mark.browser
SIZES = ((1440, 900), (1280, 800), (1024, 768), (720, 450))

CUT = """() => [...document.querySelectorAll("#answer, #answer *:not(.unseen)")].filter((each) => {
    const box = each.getBoundingClientRect(), bar = document.querySelector("#answer").getBoundingClientRect();
    return box.width && (box.bottom > bar.bottom + 1 || box.right > bar.right + 1 || box.right > innerWidth
        || each.scrollHeight > each.clientHeight + 2 && getComputedStyle(each).overflow === "hidden");
}).map((each) => each.outerHTML.slice(0, 100))"""
"""What of the answer bar is cut off."""


def at(page: Any, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(150)


@pytest.mark.parametrize("pins", ["", "&pin=4"])  # which a difference to every fact comes with
def test_nothing_of_the_answer_is_cut_off_at_any_size(site: str, open_page: Open, pins: str) -> None:
    page = ready(open_page(f"{site}/?lat=20&max.macs=900000000&max.params=9000000&max.peak_bytes=90000000{pins}"))
    for width, height in SIZES:
        at(page, width, height)
        assert page.evaluate(CUT) == []
        assert [page.locator(f"#{name}-best").is_visible() for name in ("open", "pin", "export")] == [True] * 3
        named = page.locator("#answer dt").all_inner_texts()
        assert {"AP", "Latency", "MACs", "Parameters", "Peak memory"} <= set(named)
        if width > 860:
            assert page.locator("#plot").bounding_box()["height"] > 200


def test_the_mode_bar_covers_no_place_where_a_point_may_be(site: str, open_page: Open) -> None:
    page = ready(open_page(site))
    for width, height in SIZES:
        at(page, width, height)
        until(page, f"document.querySelector('#plot .modebar')?.getBoundingClientRect().right < {width}")
        page.wait_for_timeout(150)  # the axes follow after the points
        left = page.evaluate("Math.min(...[...document.querySelectorAll('#plot .modebar-btn')].map(button =>"
                             " button.getBoundingClientRect().left))"
                             " - document.querySelector('#plot').getBoundingClientRect().left")  # fmt: skip
        assert left >= page.evaluate("csp.plot.box.left + csp.plot.box.width + 8"), "beyond what is drawn"


ORDER = """names => names.map(name => document.querySelector(name)).map((each, at, all) =>
    !at || Boolean(all[at - 1].compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING))"""


def test_on_a_narrow_page_the_answer_comes_first_and_the_controls_are_folded(site: str, open_page: Open) -> None:
    page = ready(open_page(f"{site}/?lat=12", viewport={"width": 720, "height": 450}))
    tops = [page.locator(name).bounding_box()["y"] for name in ("#answer", "#plot", "#rail", "#table")]
    assert tops == sorted(tops)
    assert tops[0] < 120, "seen without scrolling"
    assert page.evaluate(ORDER, ["#answer", "#plot", "#rail", "#table"]) == [True] * 4, "as the focus goes"
    box = page.locator("[data-control='max.latency_ms']")
    assert not box.is_visible()
    page.keyboard.press("l")
    assert box.is_visible()
    assert page.evaluate("document.activeElement.dataset.control") == "max.latency_ms"
    at(page, 1440, 900)
    assert page.evaluate("document.activeElement.dataset.control") == "max.latency_ms", "the focus stays"
    assert page.evaluate(ORDER, ["#rail", "#answer"]) == [True] * 2
    assert box.is_visible()
    page.evaluate("document.activeElement.blur()")
    at(page, 720, 450)
    assert not box.is_visible()
    page.locator("#rail summary").first.focus()
    page.keyboard.press("Enter")
    assert box.is_visible()


def test_relaxing_a_budget_of_a_folded_rail_leads_to_it(site: str, open_page: Open) -> None:
    page = ready(open_page(f"{site}/?lat=0.01", viewport={"width": 720, "height": 450}))
    page.click("#relax")
    page.wait_for_selector("#open-best")
    assert page.evaluate("document.activeElement.dataset.control") == "max.latency_ms"


def test_the_header_has_room_for_the_study_and_the_search(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 8, name="first study of csp")
    build(str(path), 14, name="second study of csp", budget=20_000)
    page = ready(open_page(serve(path)))
    for width, least in ((1440, 130), (1024, 110)):
        at(page, width, 768)
        assert page.inner_text(".kept").endswith("of 20,000")
        assert page.locator("#study").bounding_box()["width"] >= least
        assert page.locator("#search-box").bounding_box()["width"] >= 90, "its placeholder is whole"
    for width in (1024, 960, 870, 720):
        at(page, width, 768)
        assert page.evaluate("document.documentElement.scrollWidth") == width


WORDS = """() => [...document.querySelectorAll(".matrix select")].map((select) => {
    const text = document.createElement("canvas").getContext("2d"), style = getComputedStyle(select);
    text.font = `${style.fontSize} ${style.fontFamily}`;
    const word = select.selectedOptions[0].textContent, room = select.clientWidth - parseFloat(style.paddingLeft)
        - parseFloat(style.paddingRight);
    return {name: select.name, word, title: select.title, fits: text.measureText(word).width <= room + 1};
})"""
"""The chosen words of the editor, and whether each one is seen whole."""


def test_the_words_that_the_editor_has_chosen_are_whole(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/explore?from=CSPPeleeNet")
    page.wait_for_selector("[data-editor]")
    for width, height in SIZES:
        at(page, width, height)
        found = page.evaluate(WORDS)
        assert {each["word"] for each in found if each["name"] == "stage2.block"} == {"dense_two_way"}
        assert all(each["title"] == each["word"] for each in found)
        cut = [each["name"] for each in found if not each["fits"] and not each["name"].startswith("all.")]
        assert cut == [], "the column of all may shorten a word, with dots; each stage says it whole"
        assert page.evaluate("(box => box.scrollWidth <= box.clientWidth)"
                             "(document.querySelector('.matrix').parentElement)"), "all stages are seen"  # fmt: skip
    page.select_option("[name='stage1.block']", "res")
    until(page, "document.querySelector('[name=\"stage1.block\"]').title === 'res'")
