"""Every page over 100,000 candidates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.big import big
from tests.browser.conftest import serving
from tests.browser.test_dashboard import Open, count, ready, until, wait_count

pytestmark = pytest.mark.browser
MANY = 100_000


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("big") / "csp.db"
    big(str(path), MANY)
    with serving() as start:
        yield start(Path(path))


def test_every_page_works_over_a_hundred_thousand_candidates(base: str, open_page: Open) -> None:
    page = open_page(base)
    page.set_default_timeout(60_000)
    ready(page)
    everything = count(page)
    assert everything > 0.8 * MANY
    page.fill("[data-control='max.macs']", "150")
    page.keyboard.press("Enter")
    wait_count(page, f"0 < n && n < {everything}")
    assert page.evaluate("csp.picked.best >= 0 && csp.table.num('macs')[csp.picked.best] <= 150e6")
    assert page.evaluate("document.querySelectorAll('*').length") < 4_000
    identity = page.evaluate("csp.table.id(csp.picked.best)")
    other = page.evaluate("csp.table.id(csp.picked.highlighted[0])")
    for path in ("/table", "/parallel"):
        page.goto(f"{base}{path}?max.macs=150000000")
        until(page, "document.documentElement.dataset.complete", 60)
        assert "of 100,000" in page.inner_text("#count")
        assert page.evaluate("document.querySelectorAll('*').length") < 4_000, path
    for path, selector in (("/devices", "#main table"), ("/analysis", "#main .strip"), ("/studies", "#main table"),
                           (f"/c/{identity}", ".layers"), (f"/compare?ids={identity},{other}", ".overlay"),
                           (f"/explore?from={identity}", "#results .layers")):  # fmt: skip
        page.goto(base + path)
        page.wait_for_selector(selector)
        assert not page.locator("#main .problem").count(), path
        assert page.evaluate("document.querySelectorAll('*').length") < 4_000, path
