"""/analysis, /devices and /studies as data: every state, every choice, nothing of the database as markup."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboard import comparison, effects, evidence
from dashboard.candidates import complete
from dashboard.data import Database, Snapshot
from dashboard.figures import DARK, LIGHT
from dashboard.figures_studies import spark
from dashboard.pages import analysis, devices, studies
from dashboard.query import choice, link, read
from search.store import Store
from tests.dashboard.test_pages import text
from tests.databases import add, build, config, verify
from tests.places import framed, spread, table

PAGES = (analysis, devices, studies)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A verified study on several devices, one of another recipe, one of few and one without candidates."""
    path = str(tmp_path_factory.mktemp("evidence") / "csp.db")
    build(path, 40)
    verify(path)
    spread(path)
    build(path, 12, name="second <b>", state="running", budget=30)
    with Store.open(path) as store:
        store.create_study("waiting", config(), seed=0)
    return Database(path)


def rendered(page: Any, database: Any, snapshot: Snapshot, query: str = "") -> str:
    """The page's text, after checking that it and its figures are JSON."""
    layout = page.layout(database, snapshot, query)
    json.dumps(layout, cls=PlotlyJSONEncoder, allow_nan=False)
    drawn = page.figures(database, snapshot, query, DARK)
    assert {trace.type for figure in drawn.values() for trace in figure.data} <= {"scatter"}
    asked = [part["name"] for part in ids(layout) if isinstance(part, dict)]
    assert sorted(asked) == sorted(drawn), "every place for a chart gets its chart"
    return " ".join(text(layout).split())


def ids(component: Any) -> list[Any]:
    """All ids of a component, in order."""
    if isinstance(component, list | tuple):
        return [found for child in component for found in ids(child)]
    own = [component.id] if getattr(component, "id", None) is not None else []
    return own + (ids(component.children) if getattr(component, "children", None) is not None else [])


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_a_study_are_json_with_unique_ids(page: Any, database: Database) -> None:
    snapshot = database.snapshot("default")
    rendered(page, database, snapshot)
    found = [str(each) for each in ids(page.layout(database, snapshot, ""))]
    assert len(found) == len(set(found))


def states(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    done = frame[frame["state"] == "complete"].reset_index(drop=True)
    lone = pd.concat([done.head(1)] * 30, ignore_index=True).assign(number=range(30))
    missing = dict.fromkeys(("ap", "latency_ms", "macs", "params"), np.nan)
    return {
        "one": done.head(1),
        "equal": lone,
        "failed": frame.assign(state="failed"),
        "missing": done.assign(**missing),
        "waiting": frame.assign(state="proposed", **missing),
        "many": pd.concat([frame] * 60, ignore_index=True).assign(number=range(60 * len(frame))),
    }


@pytest.mark.parametrize("name", ["one", "equal", "failed", "missing", "waiting", "many"])
@pytest.mark.parametrize("page", PAGES)
def test_pages_stand_in_every_state(page: Any, name: str, database: Database) -> None:
    snapshot = database.snapshot("default")
    assert snapshot.columns is not None
    frame = table(states(framed(snapshot))[name])

    class Frozen:
        """The database with this frame in the place of its own."""

        def snapshot(self, _: str) -> Snapshot:
            return dataclasses.replace(snapshot, columns=frame)

        def kept(self, _: Snapshot, __: str, compute: Any) -> Any:
            return compute()

        def places(self, _: Snapshot) -> Any:
            with Store.open(database.database, read_only=True) as store:
                from dashboard.places import places

                return places(frame, store.latencies("default"), config())

    said = rendered(page, Frozen(), dataclasses.replace(snapshot, columns=frame))
    if page is analysis and name in ("failed", "missing", "waiting"):
        assert "No candidate is complete" in said


@pytest.mark.parametrize("query", [
    "metric=macs&top=50&rows=block&across=depth&curves=fusion", "rows=fusion&across=fusion&curves=block",
    "rows=partial_ratio",
    "metric=nonsense&top=-1&rows=%3Cb%3E&across=&curves=%00",
    "place=nowhere&sel=1,2,x&cost=params", "cost=evil&" + "a" * 9000,
])  # fmt: skip
@pytest.mark.parametrize("page", PAGES)
def test_any_query_gives_a_page(page: Any, query: str, database: Database) -> None:
    rendered(page, database, database.snapshot("default"), query)


def test_analysis_says_numbers_with_counts_spread_and_noise(database: Database) -> None:
    snapshot = database.snapshot("default")
    assert snapshot.columns is not None
    said = rendered(analysis, database, snapshot)
    (noise,) = effects.noises(snapshot.columns, "ap")
    assert noise.long
    assert f"std {noise.std:.2g} ({noise.candidates} candidates with several seeds)" in said
    found = effects.grid(snapshot.columns, "fusion", "partial_ratio", "ap")
    for n in found.n[found.n > 0]:
        assert f"n {n} ·" in said
    assert re.search(r"Latency on board5 ncnn · int8.* Candidates \d+ \d+ \d+ 2\d", said), said
    assert "The paper's Table 1" in said
    assert "70.9" in said, "CSPPeleeNet with gamma 0.5"
    assert "The paper's Table 2" in said
    assert "26.4" in said, "EFM"


def test_a_study_of_few_gets_no_importance(database: Database) -> None:
    said = rendered(analysis, database, database.snapshot("second <b>"))
    assert "Needs 20 complete candidates" in said


def test_devices_say_what_is_measured_and_which_share_is_not(database: Database, path: Path) -> None:
    snapshot = database.snapshot("default")
    said = rendered(devices, database, snapshot)
    assert snapshot.columns is not None
    for place in database.places(snapshot):
        measured, total = place.share(complete(snapshot.columns))
        missing = total - measured
        tail = f" · not measured ({max(1, math.floor(100 * missing / total + 0.5))} %)" if missing else ""
        assert f"{measured} of {total}{tail}" in said
    assert "predicted by table, known error 8%" in said
    assert "Kendall" in said
    assert "each on its own scale" in said
    assert "to see another device" not in said
    lone = Database(str(path))
    said = rendered(devices, lone, lone.snapshot())
    assert said.index("Prediction against measurement") < said.index("to see another device here, name it")


@pytest.mark.parametrize(("measured", "total", "said"), [
    (0, 0, "not measured"), (0, 200, "not measured"), (59, 200, "59 of 200 · not measured (71 %)"),
    (199, 200, "199 of 200 · not measured (1 %)"), (1999, 2000, "1,999 of 2,000 · not measured (1 %)"),
    (200, 200, "200 of 200"),
])  # fmt: skip
def test_a_coverage_names_the_share_that_is_not_measured(measured: int, total: int, said: str) -> None:
    assert " ".join(text(devices.covered(measured, total)).split()) == said


def test_studies_are_listed_and_only_comparable_ones_share_a_figure(database: Database) -> None:
    snapshot = database.snapshot("default")
    said = rendered(studies, database, snapshot)
    for word in ("second <b>", "waiting", "running", "of 30"):
        assert word in said
    found = studies.summaries(database, snapshot)
    assert [each.row.name for each in found] == [row.name for row in snapshot.studies]
    (group,) = comparison.grouped(found, "macs")
    assert {study.row.name for study in group.studies} == {"default", "second <b>"}
    ours = next(each for each in found if each.row.name == "default")

    def with_config(**changes: Any) -> comparison.Summary:
        return dataclasses.replace(ours, row=dataclasses.replace(ours.row, config={**config(), **changes}))

    assert len(comparison.grouped([ours, with_config(recipe_id="another")], "macs")) == 2
    assert len(comparison.grouped([ours, with_config(image_visits=[8000])], "macs")) == 2
    assert len(comparison.grouped([ours, with_config(device="board5")], "latency_ms")) == 2
    assert len(comparison.grouped([ours, with_config(device="board5")], "macs")) == 1
    figure = studies.figures(database, snapshot, "", LIGHT)["front0"]
    assert all("<b>" not in trace.name for trace in figure.data)


def test_a_sparkline_is_an_svg_that_rises() -> None:
    drawn = unquote(spark([0.2, 0.5, 0.5], [1, 10, 40]))
    assert drawn.startswith("data:image/svg+xml,<svg")
    assert "NaN" not in drawn
    heights = [float(part.split("V")[1].split("H")[0].split('"')[0].rstrip("Z"))
               for part in drawn.split('d="')[2].split("H")[1:]]  # fmt: skip
    assert heights == sorted(heights, reverse=True)


def test_links_keep_what_was_chosen_and_read_back() -> None:
    given = read("?study=a%26b&rows=block&rows=depth")
    assert given == {"study": "a&b", "rows": "depth"}
    assert read(link("/analysis", given, rows="", top="25").partition("?")[2]) == {"study": "a&b", "top": "25"}
    assert link("/devices", {}) == "/devices"
    assert choice(given, "rows", ["block", "depth"], "block") == "depth"
    assert choice({"rows": "<b>"}, "rows", ["block"], "block") == "block"


def test_a_database_that_vanishes_is_a_card_not_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 8)
    database = Database(str(path))
    snapshot = database.snapshot()
    database._close()
    path.unlink()
    assert "cannot be shown" in text(evidence.page(database, "/devices", snapshot, ""))


def test_the_list_of_studies_follows_all_of_them_and_other_pages_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.data.SHARE", 0)
    path = str(tmp_path / "csp.db")
    for name in ("a", "b"):
        build(path, 4, name=name, state="running")
    database = Database(path)

    def tokens() -> list[str]:
        shown = (evidence.page(database, each, database.snapshot("a"), "") for each in ("/studies", "/devices"))
        return [page.children[0].children[1].data for page in shown]

    before = tokens()
    assert tokens() == before
    with Store.open(path) as store:
        add(store, 2, 4, 1)
    assert [now == was for now, was in zip(tokens(), before, strict=True)] == [False, True]
