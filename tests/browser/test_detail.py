"""Candidate, comparison and editor as a person uses them, in a real Chromium."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from search.store import Store
from space.architecture import Architecture
from tests.browser.test_dashboard import Open, Serve, until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ids(path: Path) -> list[str]:
    """Candidates that were evaluated to the end, those with a cross path first."""
    with Store.open(str(path), create=False, read_only=True) as store:
        done = [p.architecture for p in store.proposals(1) if p.state == "complete"]
    return [a.id for a in sorted(done, key=lambda a: all(s.fusion == "none" for s in a.stages))]


def shown(page: Any, selector: str) -> str:
    page.wait_for_selector(selector)
    return str(page.inner_text(selector))


@pytest.mark.parametrize(("width", "height", "theme"), [(1440, 900, "light"), (1024, 768, "dark")])
def test_no_page_is_wider_than_the_screen(site: str, open_page: Open, ids: list[str], width: int, height: int,
                                          theme: str) -> None:  # fmt: skip
    page = open_page(f"{site}/nowhere")
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=theme)
    for path, selector in ((f"/c/{ids[0]}", ".layers"), (f"/compare?ids={','.join(ids[:6])}", ".overlay"),
                           ("/explore?from=CSPDarkNet-53", "[data-editor]")):  # fmt: skip
        page.goto(site + path)
        page.wait_for_selector(selector)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("(m => m.scrollWidth - m.clientWidth)(document.querySelector('#main'))") == 0
        assert page.evaluate("document.querySelectorAll('*').length") < 4000
        paper = page.evaluate("getComputedStyle(document.querySelector('.detail section')).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == (theme == "dark")


def test_layers_and_drawing_are_linked_both_ways(site: str, open_page: Open, ids: list[str]) -> None:
    page = open_page(f"{site}/c/{ids[0]}")
    chart = page.wait_for_selector(".layers .quantity svg")
    layers = json.loads(page.get_attribute(".layers", "data-layers"))
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 2.5 / len(layers), box["y"] + 20)
    until(page, "document.querySelectorAll('.diagram .mark.on').length === 1")
    marked = page.get_attribute(".diagram .mark.on", "data-nodes").split()
    assert layers[2][0] in marked
    assert layers[2][0] in shown(page, ".readout")
    assert f"MACs {layers[2][3]}" in shown(page, ".readout")
    page.mouse.move(5, 5)
    page.locator(".diagram .mark", has_text="T").first.scroll_into_view_if_needed()
    mark = page.locator(".diagram .mark[data-nodes*='.block1.']").first
    names = mark.get_attribute("data-nodes").split()
    mark.hover()
    known = {layer[0] for layer in layers}
    paths = "document.querySelectorAll('.layers path.on')[0].getAttribute('d').split('Z').length - 1"
    until(page, f"{paths} === {len(known.intersection(names))}")
    share = sum(layer[-1][0] for layer in layers if layer[0] in names)
    assert f"{100 * share:.1f} % of MACs" in shown(page, ".readout")
    page.focus(".layers")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    until(page, f"document.querySelector('.readout').textContent.startsWith('{layers[0][0]} ')")
    page.keyboard.press("End")
    until(page, f"document.querySelector('.readout').textContent.startsWith('{layers[-1][0]} ')")


def test_notes_tags_and_pins_stay(site: str, path: Path, open_page: Open, ids: list[str]) -> None:
    identity = ids[1]
    url = f"{site}/c/{identity}"
    page = open_page(url)
    page.wait_for_selector("#note")
    text = "<img src=x onerror=alert(1)>\nline two; DROP TABLE notes"
    page.fill("#note", text)
    page.click("text=Save note")
    page.wait_for_selector("output:has-text('Saved')")
    page.fill("[name=tag]", "<b>ship it</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tag")
    page.fill("[name=tag]", "second")
    page.click("button:has-text('Add')")
    until(page, "document.querySelectorAll('.tag').length === 2")
    page.click("button:has-text('Pin')")
    page.wait_for_selector("button:has-text('Pinned')")
    again = open_page(url)
    again.wait_for_selector("#note")
    assert again.input_value("#note") == text
    assert again.locator(".tag span").all_inner_texts() == ["<b>ship it</b>", "second"]
    assert again.get_attribute("[data-write=pin]", "aria-pressed") == "true"
    assert again.locator("img").count() == 0
    again.click("[aria-label='Remove the tag second']")
    until(again, "document.querySelectorAll('.tag').length === 1")
    with Store.open(str(path)) as store:
        assert store.note(identity).text == text
        assert store.tags(identity) == ["<b>ship it</b>"]
        assert store.pins(1) == [identity]


def test_a_write_that_fails_is_told_beside_its_button(site: str, shared: Any, ids: list[str]) -> None:
    page = shared.new_page()
    page.goto(f"{site}/c/{ids[2]}")
    page.wait_for_selector("#note")
    said = page.locator("[data-write=pin] + output")
    assert said.get_attribute("aria-live") == "polite"
    refusal = {"status": 422, "json": {"problem": "cannot write 'x.db': it is full"}}
    for answer, words in (({"status": 403, "body": "<h1>Forbidden</h1>"}, "no changes from this address (403"),
                          ({"status": 502, "body": "<h1>Bad gateway</h1>"}, "could not do this (502"),
                          (refusal, "cannot write 'x.db': it is full")):  # fmt: skip
        page.route("**/write/*", lambda route, _, answer=answer: route.fulfill(**answer))
        page.click("[data-write=pin]")
        page.wait_for_selector(f'[data-write=pin] + output.problem:has-text("{words}")')
        page.click("text=Save note")
        page.wait_for_selector(f'[data-write=note] output.problem:has-text("{words}")')
        page.unroute("**/write/*")
    assert page.get_attribute("[data-write=pin]", "aria-pressed") == "false"
    page.click("[data-write=pin]")
    page.wait_for_selector("button:has-text('Pinned')")
    assert said.inner_text() == ""
    page.click("[data-write=pin]")
    page.wait_for_selector("[data-write=pin][aria-pressed=false]")
    page.close()


def test_a_file_comes_under_its_name_and_the_page_stays(site: str, open_page: Open, ids: list[str]) -> None:
    page = open_page(f"{site}/c/{ids[0]}")
    page.wait_for_selector(".files a")
    with page.expect_download() as caught:
        page.click(".files a:has-text('Architecture')")
    assert caught.value.suggested_filename == f"{ids[0]}.json"
    data = json.loads(Path(caught.value.path()).read_text())
    assert Architecture.from_dict(data["architecture"]).id == ids[0]
    assert page.url == f"{site}/c/{ids[0]}"
    assert f"python -m search.export {ids[0]} --to onnx -o {ids[0]}" in page.inner_text("#export")


def test_candidates_are_compared_from_a_page_by_keyboard(site: str, open_page: Open, ids: list[str]) -> None:
    page = open_page(f"{site}/c/{ids[0]}")
    page.locator("a:has-text('Compare')").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-compare]")
    page.fill("[name=ids]", f"{ids[0]},{ids[1]},000000000000")
    page.keyboard.press("Enter")
    page.wait_for_selector(".overlay .quantity .outline.n1")
    assert f"ids={ids[0]},{ids[1]},000000000000" in page.url
    assert "no architecture 000000000000" in shown(page, "main")
    assert re.search(r"▲ [+−][\d.]+% better", shown(page, ".differences"))
    page.wait_for_selector("#compared-learning .scatterlayer .trace")
    page.click(".ways a:has-text('remove') >> nth=0")
    until(page, "document.querySelectorAll('.differences thead th').length === 2")
    page.go_back()
    until(page, "document.querySelectorAll('.differences thead th').length === 3")


def test_costs_follow_the_editor_and_the_link_says_it_all(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/explore")
    page.wait_for_selector("[data-editor]")
    facts = "(document.querySelector('.answer-card .facts')?.textContent || '')"
    before = page.evaluate(facts)
    page.focus("[name='all.partial_ratio']")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    until(page, f"{facts} !== {json.dumps(before)} && {facts}.includes('better')")
    until(page, "location.search.includes('stage4.partial_ratio=0.65')")
    page.focus("[name='stage1.block']")
    page.select_option("[name='stage1.block']", "res")
    page.wait_for_selector("[name='stage1.elastic']")
    assert page.evaluate("document.activeElement.name") == "stage1.block"
    until(page, "location.search.includes('stage1.block=res')")
    page.wait_for_timeout(200)
    page.fill("[name='stage2.width']", "96")
    until(page, f"location.search.includes('stage2.width=96') && {facts}.includes('MACs')")
    page.wait_for_timeout(300)
    words = shown(page, ".answer-card .words")
    other = open_page(page.url)
    assert shown(other, ".answer-card .words") == words
    assert other.input_value("[name='stage2.width']") == "96"
    other.click("[data-reset]")
    until(other, "!location.search.includes('stage2.width')")
    until(other, f"{facts}.includes('as the start')")
    other.fill("[name=from]", "CSPResNeXt-50")
    other.keyboard.press("Enter")
    until(other, "(document.querySelector('.answer-card .words')?.textContent || '').includes('resx/csp')")


def test_a_broken_rule_stands_at_its_setting_and_goes_again(site: str, open_page: Open, ids: list[str]) -> None:
    page = open_page(f"{site}/explore?from={ids[0]}")
    page.wait_for_selector("[data-editor]")
    page.fill("[name='head.maxout']", "7")
    page.wait_for_selector("[role=alert]:has-text('maxout 7:1 does not divide')")
    assert "maxout 7:1 does not divide" in shown(page, ".rules")
    assert page.get_attribute("[name='head.maxout']", "aria-invalid") == "true"
    assert page.locator(".results.stale .layers").count() == 1
    page.fill("[name='head.maxout']", "1")
    until(page, "!document.querySelector('[role=alert]')")
    until(page, "!document.querySelector('.results.stale')")
    assert page.get_attribute("[name='head.maxout']", "aria-invalid") is None


def test_an_edit_goes_into_the_queue(site: str, path: Path, open_page: Open) -> None:
    page = open_page(f"{site}/explore?from=CSPPeleeNet&stage1.depth=2")
    page.click("[data-queue]")
    page.wait_for_selector("output:has-text('in the queue')")
    page.wait_for_selector("#queue li:has-text('waits for the next run')")
    with Store.open(str(path)) as store:
        assert [row.state for row in store.queue(1)] == ["waiting"]


def test_the_editor_needs_no_study(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    page = open_page(f"{serve(tmp_path / 'none.db')}/explore?from=CSPPeleeNet&stage1.fusion=cps")
    assert "There is no study yet" in shown(page, ".answer-card")
    assert "did you mean 'csp'" in shown(page, "[data-rules=fusion]")
    page.goto(page.url.replace("CSPPeleeNet", "nothing"))
    page.wait_for_selector("h1:has-text('There is nothing to start from')")
