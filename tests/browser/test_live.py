"""The first screen while a real search writes, from no file to the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.store import Store
from tests.browser.test_dashboard import Open, Serve, until

pytestmark = pytest.mark.browser
BUDGET = 48


def test_a_page_follows_a_search_from_no_file_to_its_end(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    page = open_page(f"{serve(path)}/?color=fusion&max.macs=600000000")
    page.wait_for_selector("text=There is no database yet")
    command = [sys.executable, "-m", "search.run", "--task", "synthetic", "--budget", str(BUDGET), "--db", str(path)]
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    try:
        seen = []
        page.wait_for_selector("#explorer:not([hidden]):not(.loading)", timeout=60_000)
        while search.poll() is None or len(seen) < 2:
            seen.append(page.evaluate("[csp.table.rows, csp.picked.highlighted.length, csp.view.color]"))
            page.wait_for_timeout(300)
        assert search.returncode == 0, search.stderr.read() if search.stderr else ""
    finally:
        search.kill()
        search.wait()
        if search.stderr:
            search.stderr.close()
    rows = [row for row, _, _ in seen]
    assert rows == sorted(rows)
    assert len(set(rows)) > 1, "it grew while the page was open"
    with Store.open(str(path), read_only=True) as store:
        frame = store.frame("synthetic")
    until(
        page, f"csp.table.rows === {len(frame)} && document.querySelector('#status').textContent.includes('complete')"
    )
    # What the person chose stays, and the answer is the best of what the store holds now.
    assert page.evaluate("csp.view.color") == "fusion"
    assert "max.macs=600000000" in page.url
    inside = frame[(frame["state"] == "complete") & (frame["macs"] <= 600e6)]
    until(page, "csp.picked.best >= 0")
    assert page.evaluate("csp.table.id(csp.picked.best)") == inside.loc[inside["score"].idxmax(), "id"]
