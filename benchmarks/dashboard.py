"""python -m benchmarks.dashboard: our first screen beside optuna-dashboard, on databases of the same trials.

Each is served by a fresh process and opened by a fresh profile of a headless Chromium, in turn, so that a busy
machine is busy for both. Ready is when every completed candidate is drawn: with us when the canvas was painted, with
optuna-dashboard when its Pareto plot holds all points. Wall times on a busy machine are worth their ratio only.
Needs `pip install -c constraints.txt -e '.[dev,benchmarks]'` and a system Chromium.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from cyclopts import App

from search.store import Store
from tests.big import big

app = App(name="python -m benchmarks.dashboard", version_flags=[])
OURS = "document.documentElement.dataset.ready === 'true'"
THEIRS = """[...document.querySelectorAll('.js-plotly-plot')].some(plot => (plot.data || [])
    .reduce((sum, trace) => sum + ((trace.x && trace.x.length) || 0), 0) >= %d)"""
SMALL = 10
DRAG = """async () => {
    const slider = document.querySelector("[data-control='slide.max.latency_ms']"), gaps = [];
    const low = Number(slider.min), high = Number(slider.max);
    const frame = () => new Promise(resolve => requestAnimationFrame(resolve));
    let last = await frame();
    for (let step = 0; step < 120; step++) {
        slider.value = high - (high - low) * 0.9 * Math.abs(Math.sin(step / 20));
        slider.dispatchEvent(new Event("input"));
        const now = await frame();
        gaps.push(now - last);
        last = now;
    }
    return gaps;
}"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """One cold load."""

    ready_s: float
    data_mb: float
    """Compressed bytes of what is no script, style or document."""
    all_mb: float
    cpu_s: float
    """Of the server, from its first answer until the page is ready."""
    whole_s: float
    """The same from the start of its process: ours reads the study before it answers."""
    memory_mb: float
    nodes: int
    drag_ms: float | None = None
    """95th percentile of the time between two frames while a slider is dragged."""


def trials(path: Path, source: Path) -> int:
    """The completed candidates of `source` as an Optuna database at `path`, in bulk; returns how many."""
    import optuna
    import sqlalchemy as sa
    from optuna.storages import RDBStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(storage=RDBStorage(f"sqlite:///{path}"), study_name="big", directions=["maximize", "minimize"])
    with Store.open(str(source), create=False, read_only=True) as store:
        columns = store.columns("big")
    engine = sa.create_engine(f"sqlite:///{path}")
    tables = sa.MetaData()
    tables.reflect(engine)
    rows = [row for row, state in enumerate(columns["state"]) if state == "complete"]
    drawn = {name: columns[name] for name in ("ap", "latency_ms", "macs", "params", "partial_ratio", "depth", "width")}
    start = "2026-01-01 00:00:00"
    found: dict[str, list[dict[str, Any]]] = {"trials": [], "trial_values": [], "trial_params": [],
                                              "trial_user_attributes": []}  # fmt: skip
    for number, row in enumerate(rows):
        own = number + 1
        found["trials"].append({"trial_id": own, "number": number, "study_id": 1, "state": "COMPLETE",
                                "datetime_start": start, "datetime_complete": start})  # fmt: skip
        found["trial_values"] += [
            {"trial_id": own, "objective": at, "value": float(drawn[name][row]), "value_type": "FINITE"}
            for at, name in enumerate(("ap", "latency_ms"))
        ]
        found["trial_params"] += [
            {"trial_id": own, "param_name": name, "param_value": float(drawn[name][row]),
             "distribution_json": '{"name": "FloatDistribution", "attributes": '
                                  '{"step": null, "low": 0.0, "high": 10000.0, "log": false}}'}
            for name in ("partial_ratio", "depth", "width")
        ]  # fmt: skip
        found["trial_user_attributes"] += [
            {"trial_id": own, "key": name, "value_json": str(float(drawn[name][row]))} for name in ("macs", "params")
        ]
    with engine.begin() as connection:
        for name, values in found.items():
            for at in range(0, len(values), 20_000):
                rows_ = [{key: _typed(key, value) for key, value in row.items()} for row in values[at : at + 20_000]]
                connection.execute(tables.tables[name].insert(), rows_)
    engine.dispose()
    return len(rows)


def _typed(key: str, value: Any) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(value) if key.startswith("datetime") else value


@contextmanager
def served(command: Sequence[str], port: int) -> Iterator[psutil.Process]:
    """A fresh server; its process once it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except (URLError, ConnectionError, TimeoutError) as error:
                if getattr(error, "code", None):  # it answers, if not to this
                    break
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def load(driver: Any, chromium: str, command: Sequence[str], port: int, path: str, ready: str, *,
         drag: bool = False) -> Load:  # fmt: skip
    """Open a page cold and measure until `ready` holds."""
    with served([part.format(port=port) for part in command], port) as server:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        sizes: dict[str, list[float]] = {"data": [], "all": []}
        client = page.context.new_cdp_session(page)
        client.send("Network.enable")
        kinds: dict[str, str] = {}
        client.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["type"]}))

        def finished(event: dict[str, Any]) -> None:
            sizes["all"].append(event["encodedDataLength"])
            if kinds.get(event["requestId"]) in ("XHR", "Fetch"):
                sizes["data"].append(event["encodedDataLength"])

        client.on("Network.loadingFinished", finished)
        before, began = cpu(server), time.perf_counter()
        page.goto(f"http://127.0.0.1:{port}{path}")
        while not page.evaluate(ready):
            page.wait_for_timeout(20)
            if time.perf_counter() - began > 300:
                raise TimeoutError(f"{path} was not ready after five minutes")
        took = time.perf_counter() - began
        page.wait_for_timeout(1500)  # what was sent after
        gaps = page.evaluate(DRAG) if drag else None
        result = Load(
            ready_s=took, data_mb=sum(sizes["data"]) / 1e6, all_mb=sum(sizes["all"]) / 1e6,
            cpu_s=cpu(server) - before, whole_s=cpu(server), memory_mb=memory(server),
            nodes=page.evaluate("document.querySelectorAll('*').length"),
            drag_ms=statistics.quantiles(gaps, n=20)[-1] if gaps else None,
        )  # fmt: skip
        browser.close()
    return result


def cpu(server: psutil.Process) -> float:
    """Processor seconds of a server and its children."""
    return sum(sum(p.cpu_times()[:2]) for p in (server, *server.children(recursive=True)))


def memory(server: psutil.Process) -> float:
    """Resident megabytes of a server and its children."""
    return sum(p.memory_info().rss for p in (server, *server.children(recursive=True))) / 1e6


@app.default
def main(*, repeats: int = 5, largest: int = 100_000, alone: bool = False) -> int:
    """Print a table of both at 1,000 and 10,000 candidates, and of ours at 100,000, with the bars.

    Parameters
    ----------
    repeats
        Cold loads of each; the median is printed.
    largest
        Candidates of the largest database.
    alone
        Leave optuna-dashboard out.
    """
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("error: no Chromium on PATH", file=sys.stderr)
        return 2
    runs: dict[tuple[str, int], list[Load]] = {}
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        counts = (SMALL, 1_000, 10_000, largest)
        ours = {count: Path(folder) / f"{count}.db" for count in counts}
        theirs = {count: Path(folder) / f"optuna{count}.db" for count in (() if alone else (1_000, 10_000))}
        for count in counts:
            big(str(ours[count]), count)
        points = {count: trials(path, ours[count]) for count, path in theirs.items()}
        for count in repeats * counts:  # in turn, so that a machine that slows down does so for all
            command = [sys.executable, "-m", "dashboard", "--db", str(ours[count]), "--port", "{port}"]
            found = load(driver, chromium, command, free_port(), "/", OURS, drag=True)
            runs.setdefault(("ours", count), []).append(found)
            if count in theirs:
                tool = [str(Path(sys.executable).with_name("optuna-dashboard")), f"sqlite:///{theirs[count]}", "--port",
                        "{port}"]  # fmt: skip
                found = load(driver, chromium, tool, free_port(), "/dashboard/studies/1", THEIRS % points[count])
                runs.setdefault(("optuna-dashboard", count), []).append(found)
    medians = {key: median(loads) for key, loads in runs.items()}
    print("\n".join([*(line(*key, found) for key, found in medians.items()), *bars(medians, largest)]))
    return 0


def median(loads: Sequence[Load]) -> Load:
    """The median of each figure."""
    return Load(**{name: None if getattr(loads[0], name) is None else statistics.median(getattr(x, name) for x in loads)
                   for name in Load.__dataclass_fields__})  # fmt: skip


def line(name: str, count: int, load: Load) -> str:
    """One row of the report."""
    drag = "" if load.drag_ms is None else f", drag p95 {load.drag_ms:.0f} ms"
    sent = f"data {load.data_mb:7.3f} MB, all {load.all_mb:6.2f} MB"
    server = f"server CPU {load.cpu_s:5.2f} s ({load.whole_s:5.2f} s from its start), memory {load.memory_mb:4.0f} MB"
    return f"{count:>7,} {name:<17} ready {load.ready_s:6.2f} s, {sent}, {server}, {load.nodes:.0f} nodes{drag}"


def bars(medians: dict[tuple[str, int], Load], largest: int) -> list[str]:
    """Each bar with what was measured."""
    ours = {count: load for (name, count), load in medians.items() if name == "ours"}
    theirs = {count: load for (name, count), load in medians.items() if name != "ours"}
    start = ours[SMALL].whole_s - ours[SMALL].cpu_s  # imports and the like
    checks = [
        (f"ready at {count:,}, share of optuna-dashboard's", ours[count].ready_s / theirs[count].ready_s, most)
        for count, most in ((1_000, 0.5), (10_000, 0.15))
        if count in theirs
    ]
    checks += [
        (f"ready at {largest:,}, times our own at 10,000", ours[largest].ready_s / ours[10_000].ready_s, 1.5),
        ("data at 10,000, MB", ours[10_000].data_mb, 0.5),
        (f"data at {largest:,}, MB", ours[largest].data_mb, 5.0),
        ("server CPU to read and send 10,000, s", ours[10_000].whole_s - start, 0.5),
        (f"server memory at {largest:,}, MB", ours[largest].memory_mb, 250.0),
        (f"slider drag at {largest:,}, p95 frame, ms", ours[largest].drag_ms or 0.0, 80.0),
        ("most DOM nodes", max(load.nodes for load in ours.values()), 4_000),
    ]
    return [f"{'met   ' if value <= most else 'MISSED'} {name}: {value:.3g} (at most {most:g})"
            for name, value, most in checks]  # fmt: skip


if __name__ == "__main__":
    sys.exit(app())
