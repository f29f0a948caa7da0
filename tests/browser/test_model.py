"""What the browser computes is what Python computes: filters, fronts, the answer, the URL, the step line."""

from __future__ import annotations

import base64
import gzip
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

from dashboard import candidates, wire
from dashboard.data import Snapshot
from dashboard.fields import CHIPS, FIELDS, FILTERED
from search.columns import Columns, Texts
from search.pareto import front, minimised
from search.store import StudyRow
from tests.dashboard import oracle
from tests.dashboard.oracle import View, default_view
from tests.databases import config

pytestmark = pytest.mark.browser

OBJECTIVES = ["ap", "macs", "latency_ms"]
DIRECTIONS = list(itertools.product(("minimize", "maximize"), repeat=2))
PICK = """async ([bytes, queries]) => {
    const {decode, Table} = await import("/assets/data.js");
    const {parse, format} = await import("/assets/view.js");
    const {pick, binding} = await import("/assets/model.js");
    const {header, columns} = decode(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)).buffer);
    const rows = mask => [...mask.keys()].filter(row => mask[row]);
    return queries.map(query => {
        const table = new Table(header, columns), view = parse(query, header), p = pick(table, view);
        const sorted = list => [...list].sort((a, b) => a - b), found = binding(table, view);
        return {inside: rows(p.inside), shown: rows(p.shown), axes: sorted(p.axes), free: sorted(p.free),
                highlighted: sorted(p.highlighted), best: p.best, url: format(view, header),
                binding: found && [found.row, found.ends.map(({name, end}) => [name, end])],
                ids: rows(p.inside).map(row => table.id(row))};
    });
}"""


@pytest.fixture(scope="module")
def modules(shared: Any, site: str) -> Any:
    """A page of the site's origin on which its modules can be imported."""
    page = shared.new_page()
    page.goto(f"{site}/health")
    yield page
    page.close()


def table(rng: np.random.Generator, rows: int, coarse: bool) -> Columns:
    """Random candidates with ties, missing values and every state. Values are such as the wire keeps exactly."""

    def values(high: float) -> Any:
        given = rng.integers(0, 6, rows) * high / 4 if coarse else rng.random(rows) * high
        return np.where(rng.random(rows) < 0.1, np.nan, given).astype("f4").astype(float)

    def texts(*labels: str) -> Texts:
        odds = np.array([3.0] + [1.0] * (len(labels) - 1))
        return Texts(codes=rng.choice(len(labels), rows, p=odds / odds.sum()) + 1, labels=[None, *labels])

    numbers = {"ap": values(1), "latency_ms": values(20), "macs": np.round(values(2**24)), "params": values(5e6),
               "peak_bytes": values(1e6), "partial_ratio": values(1), "ap50": values(1),
               **({} if coarse else {"verified_ap": values(1)})}  # fmt: skip
    return candidates.prepare(
        Columns(
            numbers={"number": np.cumsum(rng.integers(1, 3, rows)).astype(float), **numbers},
            texts={"state": texts("complete", "failed", "refused", "stopped", "proposed"),
                   "reason": texts("a", "b"), "verdict": texts("verified", "unverified", "overturned"),
                   "block": texts("dense", "res"), "fusion": texts("csp", "none"), "head": texts("fpn", "gfm")},
            ids=[f"{rng.integers(2**48):012x}" for _ in range(rows)],
        )
    )  # fmt: skip


def sent(columns: Columns) -> str:
    study = StudyRow(id=1, name="default", config=config(), seed=0, state="complete", message=None, timing=None,
                     created_at=0.0, updated_at=0.0)  # fmt: skip
    header = wire.header(Snapshot(phase="ready", study=study, columns=columns), (), None)
    return base64.b64encode(
        gzip.decompress(wire.encode(header, columns, ["id", *columns.numbers, *columns.texts]))
    ).decode()


def views(rng: np.random.Generator, columns: Columns) -> list[View]:
    """All four direction pairs, both fronts, budgets, chips and toggles."""
    result = [View(x=x, y=y) for x, y in (("latency_ms", "ap"), ("ap", "latency_ms"), ("macs", "latency_ms"),
                                          ("ap50", "ap"), ("partial_ratio", "ap"), ("ap", "ap"))]  # fmt: skip
    result.append(View(ranges={"ap": (1.5, None), "latency_ms": (None, 0.0), "macs": (None, -1.0)}))  # none fits two
    for _ in range(24):
        ranges = {}
        for name in rng.choice(["ap", "latency_ms", "macs", "partial_ratio"], int(rng.integers(0, 4)), replace=False):
            known = columns[str(name)][~np.isnan(columns[str(name)])]
            end = float(rng.choice(known)) if len(known) else 1.0  # equal to a value: both ends count
            ranges[str(name)] = [(None, end), (end, None), (end / 2, end)][int(rng.integers(3))]
        kinds = {"block": ("dense",)} if rng.random() < 0.3 else {"fusion": ()} if rng.random() < 0.1 else {}
        shown = tuple(name for name in ("dominated", "failed", "waiting") if rng.random() < 0.5)
        result.append(View(x=str(rng.choice(["latency_ms", "macs", "ap50"])), ranges=ranges, kinds=kinds, show=shown,
                           front=str(rng.choice(["axes", "all"])), selected=(3, 1), pinned=(2,)))  # fmt: skip
    return result


def loosened(view: View, columns: Columns, row: int, ends: list[tuple[str, str]]) -> View:
    """The view whose named ends are moved out to the values of a row."""
    ranges = dict(view.ranges)
    for name, end in ends:
        low, high = ranges[name]
        value = float(columns[name][row])
        ranges[name] = (low, value) if end == "max" else (value, high)
    return replace(view, ranges=ranges)


@pytest.mark.parametrize(("rows", "coarse"), [(0, True), (1, False), (7, True), (400, True), (400, False)])
def test_the_browser_picks_what_python_picks(modules: Any, rows: int, coarse: bool) -> None:
    rng = np.random.default_rng(rows + coarse)
    columns = table(rng, rows, coarse)
    default, chosen = default_view(config()), views(rng, columns)
    # Ranges follow the order of the rail, as they do once they went through a URL.
    chosen = [View.from_query(view.to_query(default), default) for view in chosen]
    results = modules.evaluate(PICK, [sent(columns), [view.to_query(default) for view in chosen]])
    filters, bound = wire.filters(columns), 0
    for view, found in zip(chosen, results, strict=True):
        if set(view.ranges) - set(filters):
            continue  # a slider that has no data is not there
        picked = oracle.pick(columns, view, OBJECTIVES)
        assert found["inside"] == np.flatnonzero(picked.matching).tolist()
        assert found["axes"] == np.flatnonzero(picked.axes_front).tolist(), view
        assert found["highlighted"] == np.flatnonzero(picked.highlighted).tolist(), view
        assert found["shown"] == np.flatnonzero(picked.shown).tolist()
        assert found["free"] == np.flatnonzero(picked.free_front if picked.filtered else picked.axes_front).tolist()
        assert found["best"] == (-1 if picked.best is None else picked.best)
        assert found["ids"] == [columns.ids[row] for row in np.flatnonzero(picked.matching)]
        if picked.best is None and view.ranges:
            nearest = oracle.binding(columns, view, OBJECTIVES[0])
            assert found["binding"] == (nearest and [nearest[0], [list(end) for end in nearest[1]]])
            if nearest:
                assert oracle.pick(columns, loosened(view, columns, *nearest), OBJECTIVES).best is not None
                bound += len(nearest[1]) > 1
        assert parse_qsl(found["url"]) == parse_qsl(view.to_query(default))
    assert bound or rows < 400, "some views have several budgets that bind"


def test_the_browser_reads_every_type_of_number_exactly(modules: Any) -> None:
    code = """async bytes => {
        const {decode} = await import("/assets/data.js");
        const {columns} = decode(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)).buffer);
        return [...columns].map(([name, {values}]) => [name, [...values].map(v => v === v ? v : null)]);
    }"""
    rows = [None, 5_000_000_001, 5_000_000_002, 2**53]
    numbers = {"macs": rows, "params": [None, 1, 2**31 - 1, -7], "ap": [None, 0.5, 0.25, -1.5]}
    columns = Columns(numbers={name: np.array(given, dtype=float) for name, given in numbers.items()}, texts={},
                      ids=["0" * 12] * 4)  # fmt: skip
    block = gzip.decompress(wire.encode({"rows": 4}, columns, list(numbers)))
    assert dict(modules.evaluate(code, base64.b64encode(block).decode())) == numbers


def test_fronts_of_one_to_five_names_are_moocores(modules: Any) -> None:
    rng = np.random.default_rng(4)
    code = """async ([columns, names]) => {
        const {front} = await import("/assets/model.js");
        const rows = columns[0].length, cache = new Map();
        const table = {rows, cache, complete: new Uint8Array(rows).fill(1), num: n => Float64Array.from(columns[n]),
                       field: n => ({direction: names[n]})};
        return front(table, columns.map((_, n) => n), new Uint8Array(rows).fill(1)).sort((a, b) => a - b);
    }"""
    for width, grid in itertools.product((1, 2, 3, 4, 5), (3, 1000)):
        directions = [str(rng.choice(["minimize", "maximize"])) for _ in range(width)]
        values = rng.integers(0, grid, (width, 300)).astype(float)
        found = modules.evaluate(code, [values.tolist(), directions])
        assert found == np.flatnonzero(front(minimised(values.T, directions))).tolist()


@pytest.mark.parametrize(("x_direction", "y_direction"), DIRECTIONS)
def test_the_step_line_bounds_exactly_what_the_front_attains(modules: Any, x_direction: str, y_direction: str) -> None:
    points = np.random.default_rng(3).random((200, 2))
    signs = [1 if direction == "minimize" else -1 for direction in (x_direction, y_direction)]
    on = points[front(minimised(points, [x_direction, y_direction]))]
    worst = ((points * signs).max(axis=0) * signs).tolist()
    code = """async given => (await import("/assets/model.js")).steps(...given)"""
    line = np.array(modules.evaluate(code, [on.tolist(), x_direction, y_direction, worst]))
    assert (np.isclose(np.diff(line, axis=0), 0).any(axis=1)).all(), "only horizontal and vertical pieces"
    assert {tuple(p) for p in on} <= {tuple(p) for p in line}
    samples = np.concatenate([a + np.linspace(0, 1, 9)[:, None] * (b - a) for a, b in itertools.pairwise(line)])
    good, best = samples * signs, on * signs
    assert (best[None] <= good[:, None] + 1e-12).all(axis=2).any(axis=1).all(), "never what no candidate gives"
    assert not (best[None] < good[:, None] - 1e-9).all(axis=2).any(axis=1).any(), "the boundary, not inside it"
    assert modules.evaluate(code, [[], x_direction, y_direction, [1, 1]]) == []


def test_slider_ends_hold_all_values_and_what_was_chosen_and_bins_count_all(modules: Any) -> None:
    columns = table(np.random.default_rng(1), 200, False)
    code = """async ([bytes, names, chosen]) => {
        const {decode, Table} = await import("/assets/data.js");
        const {bounds, histogram} = await import("/assets/model.js");
        const {header, columns} = decode(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)).buffer);
        const table = new Table(header, columns);
        return names.map(name => chosen.map(pair => {
            const ends = bounds(table, name, pair);
            return ends && [ends.low, ends.high, ends.step, histogram(table, name, ends.low, ends.high)];
        }));
    }"""
    names, chosen = ["ap", "macs", "latency_ms", "accuracy"], [[None, None], [0, None], [None, 1e9]]
    found = modules.evaluate(code, [sent(columns), names, chosen])
    assert found[3] == [None] * 3
    for name, results in zip(names[:3], found[:3], strict=True):
        values = columns[name] * FIELDS[name].scale
        for (low, high, step, bars), pair in zip(results, chosen, strict=True):
            ends = [end * FIELDS[name].scale for end in pair if end is not None]
            assert low <= min([np.nanmin(values), *ends]) + 1e-9
            assert high >= max([np.nanmax(values), *ends]) - 1e-9
            assert (high - low) / step <= 2000
            assert max(bars) == 1.0


@pytest.fixture
def shows() -> Callable[[str, float], str]:
    """How Python shows a value."""
    return lambda name, value: FIELDS[name].show(value)


def test_numbers_are_shown_as_the_command_line_shows_them(modules: Any, shows: Callable[[str, float], str]) -> None:
    given = [("macs", 412.4e6), ("macs", 1.2346e9), ("latency_ms", 8.914), ("latency_ms", 12.0), ("ap", 0.3519),
             ("peak_bytes", 2.5 * 2**20), ("params", 46_900.0), ("depth", 12.0), ("front_share", 0.984)]  # fmt: skip
    code = """async given => {
        const {show} = await import("/assets/dom.js");
        return given.map(([field, value]) => show(field, value));
    }"""
    found = modules.evaluate(code, [[wire.described(FIELDS[name]), value] for name, value in given])
    for (name, value), text in zip(given, found, strict=True):
        assert text == (shows(name, value) if name != "front_share" else "98.4 %")
    assert modules.evaluate(code, [[wire.described(FIELDS["ap"]), None]]) == ["–"]
    assert set(CHIPS) <= set(FIELDS)
    assert set(FILTERED) <= set(FIELDS)
