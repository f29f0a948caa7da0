"""A Chromium of the system, and dashboards served in this process."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api") if not os.environ.get("CI") else __import__(
    "playwright.sync_api", fromlist=["sync_playwright"]
)  # fmt: skip

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a failed test of this folder once more: under load a key may reach an element that is being replaced."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless browser; without one the test is skipped, but fails where CI is set."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = f"no Chromium on PATH (looked for {', '.join(NAMES)}); Debian: apt-get install chromium"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


class Page:
    """A page that records what should never happen: console errors and requests to elsewhere."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._request)
        page.on("response", lambda r: self.problems.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.problems.append(f"left this machine: {request.url}")


SCREEN = {"viewport": {"width": 1440, "height": 900}}


@pytest.fixture(scope="session")
def shared(browser: Any) -> Iterator[Any]:
    """One context whose cache saves every test the loading of plotly.js."""
    context = browser.new_context(**SCREEN)
    yield context
    context.close()


@pytest.fixture
def open_page(browser: Any, shared: Any) -> Iterator[Callable[..., Any]]:
    """Open a URL; at the end of the test nothing may have gone wrong on any page.

    With `fresh`, or with options of a context, the page shares nothing with any other.
    """
    contexts, pages = [], []

    def opened(url: str, *, fresh: bool = False, **options: Any) -> Any:
        context = shared
        if fresh or options:
            context = browser.new_context(**{**SCREEN, **options})
            contexts.append(context)
        pages.append(Page(context.new_page()))
        pages[-1].page.set_default_timeout(20_000)
        pages[-1].page.goto(url)
        return pages[-1].page

    yield opened
    for page in pages:
        page.page.close()
    for context in contexts:
        context.close()
    assert [problem for page in pages for problem in page.problems] == []


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of 60 proposals."""
    from tests.databases import build

    file = tmp_path_factory.mktemp("browser") / "csp.db"
    build(str(file), 60)
    return file


@contextmanager
def serving() -> Iterator[Callable[..., str]]:
    """Serve databases on free ports."""
    from waitress.server import create_server

    from dashboard.app import create_app
    from dashboard.data import Database
    from dashboard.databases import Databases
    from dashboard.references import entries_of

    servers: list[Any] = []

    def started(path: Path, *more: Path, shown: Sequence[str] = ()) -> str:
        found = [Database(str(each)) for each in (path, *more)]
        app = create_app(
            Databases(found) if more else found[0], hosts=("127.0.0.1",), poll_ms=400, shown=entries_of(shown)
        )
        server: Any = create_server(app.server, host="127.0.0.1", port=0, threads=4)
        threading.Thread(target=server.run, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.effective_port}"

    yield started
    for server in servers:
        server.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve a database on a free port; returns the URL."""
    with serving() as start:
        yield start


@pytest.fixture(scope="session")
def site(path: Path) -> Iterator[str]:
    """URL of the finished study; one server, so that the browser's cache helps."""
    with serving() as start:
        yield start(path)
