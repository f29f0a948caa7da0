"""Pages of single architectures as plain functions: laws, oracles, and hostile text."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboard import annotate, curves, layers, peers
from dashboard.candidates import complete
from dashboard.data import Database
from dashboard.diagram import diagram
from dashboard.fields import FIELDS
from dashboard.figures import LIGHT
from dashboard.pages import candidate, compare
from evaluator.record import Deployment
from search.store import Store
from space.cost import cost
from space.lower import lower
from space.zoo import get
from tests.dashboard.test_pages import text
from tests.databases import build
from tests.places import own
from tests.strategies import random_architectures

CSS = (Path(__file__).parents[2] / "dashboard" / "assets" / "detail.css").read_text()
EVIL = "<img src=x onerror=alert(1)>'\"; DROP TABLE notes; --"


def raws(component: Any) -> str:
    """All markup inside a component."""
    if isinstance(component, list | tuple):
        return "".join(map(raws, component))
    own = getattr(component, "data-html", "") if hasattr(component, "to_plotly_json") else ""
    return str(own) + (raws(component.children) if getattr(component, "children", None) is not None else "")


# -- among the others


def test_a_percentile_is_the_share_of_the_others_that_are_worse():
    rng = np.random.default_rng(0)
    values = np.array([*rng.integers(0, 20, 60), np.nan], dtype=float)
    for mine in values[:-1]:
        others = sorted(values[:-1])
        others.remove(mine)
        worse = sum(other < mine for other in others) + sum(other == mine for other in others) / 2
        share = peers.percentile(values, mine, "maximize")
        assert share == pytest.approx(worse / len(others))
        assert peers.percentile(values, mine, "minimize") == pytest.approx(1 - share)
    # One that is not among them, such as a failed candidate, is beside all of them.
    assert peers.percentile(values, float(np.nanmax(values)) + 1, "maximize") == 1.0
    assert peers.percentile(values, float(np.nanmin(values)) - 1, "minimize") == 1.0
    for nothing in ((values, None, "maximize"), (values, np.nan, "maximize"), (values, 3.0, None),
                    (values[:1], 3.0, "maximize")):  # fmt: skip
        assert peers.percentile(*nothing) is None


def test_the_nearest_candidate_is_the_one_with_fewest_changes(path):
    frame = Database(str(path)).snapshot().columns
    database_rows = np.flatnonzero(complete(frame))
    places = peers.Places(frame)
    architecture = random_architectures(40, seed=1)[int(frame["number"][database_rows[0]])]
    assert architecture.id == frame["id"][database_rows[0]]
    assert places.distances(architecture)[peers.rows_of(frame, architecture.id)[0]] == 0
    found = peers.neighbours(frame, places, architecture, 60)
    assert len(found) == len(database_rows) - 1
    assert architecture.id not in {each.id for each in found}
    assert [each.distance for each in found] == sorted(each.distance for each in found)
    changed = replace(architecture, activation="mish")
    assert peers.neighbours(frame, places, changed, 1)[0].id == architecture.id
    assert peers.neighbours(frame, places, changed, 1)[0].changes == [
        f"activation mish → {architecture.activation}"]  # fmt: skip


@pytest.mark.parametrize(("name", "a", "b", "least", "most"), [
    ("block", "res", "resx", 1, 1), ("partial_ratio", "0.25", "0.75", 0.5, 0.5), ("widths", "32-64", "32-64", 0, 0),
    ("widths", "32-64", "32-128", 0.2, 0.3), ("depths", "2-2", "2-2-2", 0.3, 0.34), ("growth_rate", "–", "32", 1, 1),
    ("widths", "1", "4096", 1, 1)])  # fmt: skip
def test_distances_of_an_axis(name, a, b, least, most):
    assert least <= peers.axis_distance(name, a, b) <= most
    assert peers.axis_distance(name, a, b) == pytest.approx(peers.axis_distance(name, b, a))


# -- layers and drawing


def test_layers_sum_to_the_cost_of_the_graph():
    for architecture in random_architectures(20, seed=5):
        graph = lower(architecture, 192, 320)
        found, whole = layers.layers(graph, batch=3, precision="fp16"), cost(graph, batch=3, precision="fp16")
        sums = {name: sum(each.values[name] for each in found) for name in ("macs", "params")}
        assert sums == {"macs": whole.macs, "params": whole.params}
        assert max(each.values["peak_bytes"] for each in found) == whole.peak_bytes
        assert all(each.values["latency_ms"] is None for each in found)
        assert sum(layers.groups(found).values()) == len(found)


def test_the_bars_say_where_the_bottleneck_is_and_what_is_not_known():
    graph = lower(random_architectures(1)[0])
    found = layers.layers(graph)
    root = ElementTree.fromstring(str(layers.bars(found)))
    assert json.loads(root.get("data-layers"))[0][0] == found[0].name
    assert len(json.loads(root.get("data-layers"))) == len(found)
    said = "".join(root.itertext())
    macs = [each.values["macs"] for each in found if each.values["macs"]]
    assert f"largest ÷ mean {max(macs) / np.mean(macs):.1f}" in said
    assert layers.bottleneck(macs) == pytest.approx(max(macs) / np.mean(macs))
    assert layers.bottleneck([0.0, None]) is None
    assert layers.NOT_KNOWN in said
    predicted = [(node.name, 0.5) for node in graph.nodes]
    timed = layers.layers(graph, latency=predicted)
    assert {each.values["latency_ms"] for each in timed} == {0.5}
    assert layers.NOT_KNOWN not in str(layers.bars(timed))
    assert f"{METRIC_LATENCY(0.5 * len(timed))} in all" in str(layers.bars(timed))


def METRIC_LATENCY(value: float) -> str:
    from evaluator.metrics import METRICS

    return METRICS["latency_ms"].show(value)


def test_bars_are_as_high_as_what_they_stand_for():
    found = layers.layers(lower(random_architectures(1, seed=3)[0]))
    root = ElementTree.fromstring(str(layers.bars(found)))
    path = "".join(each.get("d") for each in root.findall(".//svg")[0].findall("path") if "bar" in each.get("class"))
    top = max(each.values["macs"] for each in found)
    drawn = {int(at): 100 - float(y) for at, y in re.findall(r"M(\d+)\.08 100V([\d.e-]+)", path)}
    for at, each in enumerate(found):
        height = 100 * each.values["macs"] / top
        assert drawn.get(at, 0.0) == pytest.approx(max(height, 1.0) if height else 0.0, abs=0.1)


def test_an_overlay_has_one_outline_a_network_and_quantity():
    networks = {f"n{i}": layers.layers(lower(a)) for i, a in enumerate(random_architectures(6, seed=4))}
    root = ElementTree.fromstring(str(layers.overlay(networks)))
    classes = [path.get("class") for path in root.findall(".//div[@class='quantity']/svg/path")]
    assert sorted(set(classes)) == [f"outline n{i}" for i in range(6)]
    assert len(classes) == 3 * 6
    for path in root.findall(".//div[@class='quantity']/svg/path"):
        ends = [float(x) for x in re.findall(r"H([\d.]+)", path.get("d"))]
        assert ends == sorted(ends)
    for number in range(6):
        assert f".outline.n{number}" in CSS


def test_the_drawing_in_a_page_names_every_node_once_and_has_a_colour_in_both_themes():
    used = set()
    for network in (*random_architectures(12, seed=6), get("CSPPeleeNet-EFM(SAM)").architecture,
                    get("CSPDarknet53-PANet-SPP").architecture):  # fmt: skip
        if network is None:
            continue
        graph = lower(network)
        root = ElementTree.fromstring(str(diagram(graph, EVIL)))
        named = [name for mark in root.iter() for name in (mark.get("data-nodes") or "").split()]
        assert sorted(named) == sorted(node.name for node in graph.nodes)
        used |= {(kind, each.get(kind)) for each in root.iter() for kind in ("fill", "stroke") if each.get(kind)}
        ids = [each.get("id") for each in root.iter() if each.get("id")]
        assert all(name.startswith("diagram-") for name in ids)
    missing = [(kind, colour) for kind, colour in used
               if colour not in ("none",) and f'.diagram [{kind}="{colour}"]' not in CSS]  # fmt: skip
    assert missing == []
    for name in set(re.findall(r"var\((--(?:draw|n)[-\w]*)", CSS)) - {"--natural"}:
        assert CSS.count(f"{name}:") == 2, name


# -- the twin


def test_the_twin_says_what_the_cross_path_saves_signed_and_in_words(path, frame):
    crossing = get("CSPPeleeNet").architecture
    said = text(candidate.saved(crossing, Deployment()))
    assert re.search(r"▲ −\d+\.\d% better", said)
    plain = get("PeleeNet").architecture
    assert "no cross-stage path" in text(candidate.saved(plain, Deployment()))


# -- pages


def test_every_candidate_has_a_page_of_plain_json(path, frame):
    database = Database(str(path))
    snapshot = database.snapshot()
    places = peers.Places(snapshot.columns)
    for identity in frame["id"].tolist()[:12]:
        page = candidate.layout(database.detail(identity), snapshot, "", own(snapshot), places=places)
        json.dumps(page, cls=PlotlyJSONEncoder, allow_nan=False)
        assert "python -m search.export " + identity in text(page)


def test_notes_and_tags_are_text(tmp_path):
    build(str(tmp_path / "a.db"), 4)
    with Store.open(str(tmp_path / "a.db")) as store:
        identity = store.proposals(1)[0].architecture.id
        store.set_note(identity, f"</textarea>{EVIL}")
        store.add_tag(identity, EVIL[:40])
    database = Database(str(tmp_path / "a.db"))
    detail = database.detail(identity)
    markup = str(annotate.notes(identity, detail.note, detail.tags))
    assert "<img" not in markup
    root = ElementTree.fromstring(markup)
    assert root.find(".//textarea").text.strip() == f"</textarea>{EVIL}"
    assert root.find(".//li/span").text == EVIL[:40].strip()
    assert "<img" not in raws(candidate.layout(detail, database.snapshot(), EVIL, own(database.snapshot())))


def test_a_network_of_no_study_has_a_page(path):
    database = Database(str(path))
    detail = database.detail(database.snapshot().columns["id"][0])
    alone = replace(detail, architecture=get("CSPResNeXt-50").architecture, measurements=[], evaluations=[])
    said = text(candidate.layout(alone, database.snapshot(), "", own(database.snapshot())))
    assert "This network is no candidate of the study" in said
    assert "no learning curve" in said


# -- comparison


def compared(database: Database, ids: list[str]) -> Any:
    wanted, left_out = compare.ids_of(",".join(ids))
    snapshot = database.snapshot()
    return compare.layout({i: database.detail(i) for i in wanted}, left_out, snapshot, own(snapshot))


def test_rows_that_differ_come_first_and_better_is_a_word(path, frame):
    done = frame[frame["state"] == "complete"]["id"].tolist()
    database = Database(str(path))
    page = compared(database, done[:3])
    json.dumps(page, cls=PlotlyJSONEncoder, allow_nan=False)
    section = next(child for child in page.children if getattr(child, "className", "") == "differences")
    head, body = text(section).split("The same in all")
    assert "AP" in head
    assert re.search(r"▲ [+−][\d.]+% better|▼ [+−][\d.]+% worse", head)
    assert "★" in head
    assert "★" not in body
    same = text(compared(database, done[:1]))
    assert "better" not in same


@pytest.mark.parametrize(("name", "value", "first", "said"), [
    ("ap", 0.5, 0.4, "▲ +25.0% better"), ("ap", 0.3, 0.4, "▼ −25.0% worse"),
    ("latency_ms", 3.0, 4.0, "▲ −25.0% better"), ("latency_ms", 5.0, 4.0, "▼ +25.0% worse"),
    ("latency_ms", 4.0, 4.0, "equal"), ("latency_ms", math.nan, 4.0, ""), ("latency_ms", 4.0, math.nan, ""),
    ("latency_ms", 1.0, 0.0, ""), ("depth", 1.0, 2.0, ""),
    ("ap_medium", 0.53891, 0.53909, "equal"), ("latency_ms", 12345.4, 12344.6, "equal"),
    ("latency_ms", 12346.0, 12344.0, "▼ less than 0.1% worse")])  # fmt: skip
def test_better_and_worse_follow_the_direction_and_what_is_shown(name, value, first, said):
    words, kind = FIELDS[name].against(value, first)
    assert words == said
    assert kind == ("same" if said == "equal" else said.rpartition(" ")[2])
    assert text(compare.against(FIELDS[name], value, first)) == ("" if said == "equal" else said)


def test_equal_as_shown_has_one_look_and_no_star():
    cells = compare.metric_cells("ap", [0.5391, 0.5389, 0.4], [None, math.inf, 0.01])
    said = [" ".join(text(cell).split()) for cell in cells]
    assert said == ["★ 0.539", "★ 0.539", "0.400 ± 0.01 ▼ −25.8% worse"]
    assert ["★" in text(cell) for cell in compare.metric_cells("ap", [0.5391, 0.5389], [None, None])] == [False] * 2


def test_unknown_ids_and_too_many_are_said(path, frame):
    database = Database(str(path))
    ids = frame["id"].tolist()
    said = text(compared(database, [*ids[:2], "0" * 12, EVIL]))
    assert "no architecture  000000000000 ,  <img src=x" in said
    assert "At most 6 are compared; 3 more are left out" in text(compared(database, ids[:9]))
    assert compare.ids_of("a, b,a,,") == (["a", "b"], [])
    assert "Give the ids of two to six candidates" in text(compared(database, []))


def test_the_searchs_own_seed_is_the_strongest_line():
    def row(identity: int, seed: int, state: str = "complete") -> dict[str, Any]:
        curve = [{"image_visits": v, "loss": 2.0, "ap": 0.1} for v in (10, 20)]
        return {"id": identity, "seed": seed, "state": state, "image_visits": 20, "curve": curve}

    rows = [row(9, 3), row(4, 7), row(12, 5, "failed")]
    assert curves.own_seed(rows) == 7
    figure = curves.learning({"x": rows}, "ap", LIGHT)
    width = {trace.name: trace.line.width for trace in figure.data}
    own = next(name for name in width if "search's own" in name or "search&#x27;s own" in name)
    assert all(width[own] > other for name, other in width.items() if name != own)
    assert any("failed" in name for name in width)
    several = curves.learning({"#1 a": rows, "<b>": rows}, "ap", LIGHT)
    legend = [trace.name for trace in several.data if trace.showlegend is not False]
    assert legend == ["#1 a", "&lt;b&gt;"]
    assert len({trace.line.dash for trace in several.data}) == 2
