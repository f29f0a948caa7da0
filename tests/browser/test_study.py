"""A page stays with its study, and what a person chose with the person, whatever else the database holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.store import Store
from tests.browser.test_dashboard import Open, Serve, ready, until
from tests.databases import add, build

pytestmark = pytest.mark.browser


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """alpha and then beta in one database: beta changed last."""
    path = tmp_path / "csp.db"
    build(str(path), 12, name="alpha", state="running", budget=30)
    build(str(path), 14, name="beta", state="running", budget=30)
    return path


def grow(path: Path, study: int, first: int, seed: int) -> None:
    with Store.open(str(path)) as store:
        add(store, study, first, 3, seed)


def rows(page: Any) -> tuple[str, int]:
    found: list[Any] = page.evaluate("[csp.table.header.study, csp.table.rows]")
    return found[0], found[1]


@pytest.mark.parametrize("where", ["/?lat=14&sel=5", "/table"])
def test_a_page_stays_with_the_study_that_it_began_with(serve: Serve, open_page: Open, two: Path, where: str) -> None:
    page = open_page(f"{serve(two)}{where}")
    until(page, "document.documentElement.dataset.complete")
    assert rows(page) == ("beta", 14)
    until(page, "location.search.includes('study=beta')")
    grow(two, 1, 12, 1)
    page.wait_for_timeout(1500)
    assert rows(page) == ("beta", 14)
    assert "beta" in page.evaluate("document.querySelector('#study').selectedOptions[0].textContent")
    grow(two, 2, 14, 2)
    until(page, "csp.table.rows === 17")
    assert page.evaluate("csp.table.header.study") == "beta"
    assert where.partition("&sel")[2] in page.url


def test_a_second_study_does_not_take_the_place_of_the_first(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 12, name="alpha", state="running", budget=30)
    page = ready(open_page(serve(path), permissions=["clipboard-read", "clipboard-write"]))
    assert "study=" not in page.url
    page.click("#copy")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/?study=alpha")
    build(str(path), 14, name="beta", state="running", budget=30)
    until(page, "location.search.includes('study=alpha')")
    assert rows(page) == ("alpha", 12)


def test_a_page_of_dash_names_its_study_too(serve: Serve, open_page: Open, two: Path) -> None:
    page = open_page(f"{serve(two)}/analysis")
    page.wait_for_selector("main h1")
    until(page, "location.search.includes('study=beta')")
    grow(two, 1, 12, 1)
    page.wait_for_timeout(1500)
    assert "beta" in page.evaluate("document.querySelector('#study').selectedOptions[0].textContent")
    page.wait_for_selector("main h1:text('Analysis')")


def test_a_search_on_a_page_of_dash_finds_what_the_first_screen_finds(serve: Serve, open_page: Open, two: Path) -> None:
    base = serve(two)
    with Store.open(str(two), read_only=True) as store:
        ids = [proposal.architecture.id for proposal in store.proposals(1)]
    for text, found in (("5", ids[5]), ("#3", ids[3]), (ids[7][:8], ids[7]), (ids[2], ids[2])):
        page = open_page(f"{base}/analysis?study=alpha&max.macs=900000000")
        page.wait_for_selector("main h1")
        page.fill("#search-box", text)
        page.keyboard.press("Enter")
        page.wait_for_selector("#facts")
        assert f"/c/{found}?study=alpha&max.macs=900000000" in page.url
    for text in ("99999", "zzz", "<b>"):
        page.fill("#search-box", text)
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#said').textContent.includes('No candidate of this study')")
        assert "/c/" in page.url
        page.evaluate("document.querySelector('#said').textContent = ''")


def test_the_view_waits_where_a_person_goes_on_to_edit_and_back(serve: Serve, open_page: Open, two: Path) -> None:
    page = ready(open_page(f"{serve(two)}/?study=alpha&lat=14&color=head&pin=2"))
    page.click("nav.pages a:text('Explore')")
    page.wait_for_selector("#explore")
    assert "lat" not in page.url
    page.click("nav.pages a:text('Studies')")
    page.wait_for_selector("main h1:text('Studies')")
    page.click("nav.pages a:text('Candidates')")
    ready(page)
    assert page.evaluate("[csp.view.color, csp.view.ranges.latency_ms[1], csp.view.study]") == ["head", 14, "alpha"]
    page.goto(page.url.replace("study=alpha", "study=beta").replace("/?", "/studies?"))
    page.wait_for_selector("main h1:text('Studies')")
    page.click("nav.pages a:text('Candidates')")
    ready(page)
    assert page.evaluate("[csp.view.color, csp.view.study]") == ["block", "beta"], "another study is another view"


@pytest.mark.parametrize("where", ["/", "/analysis"])
def test_a_study_that_is_not_there_is_said_and_its_files_are_not_made(
    serve: Serve, open_page: Open, two: Path, where: str
) -> None:
    base = serve(two)
    page = open_page(f"{base}{where}?study=<b>nope</b>")
    until(page, "document.querySelector('.mistaken')")
    assert page.inner_text(".mistaken").startswith("There is no study “<b>nope</b>” here: this is “beta”.")
    until(page, "location.search.includes('study=beta')")
    page.click(".mistaken button")
    assert page.locator(".mistaken").count() == 0
    with Store.open(str(two), read_only=True) as store:
        identity = store.proposals(1)[0].architecture.id
    for path in ("/report.html", f"/export/{identity}/{identity}.json"):
        assert page.request.get(f"{base}{path}?study=beta").status == 200
        found = page.request.get(f"{base}{path}?study=nope")
        assert (found.status, "no study 'nope'" in found.text()) == (404, True)
