"""The editor: what a query means, what is forbidden and where that is said, and what goes into a queue."""

from __future__ import annotations

import sys
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest

from dashboard import peers
from dashboard.data import Database, Snapshot
from dashboard.deployed import Where
from dashboard.editor import EXTRAS, HEAD, NETWORK, STAGE, as_text, edit, into_space, plain, query_of, space_of
from dashboard.foresight import Prediction
from dashboard.pages import explore
from evaluator.metrics import METRICS
from space.cost import cost
from space.lower import lower
from space.zoo import entries, get
from tests.databases import config
from tests.strategies import SPACE, random_architectures

NETWORKS = [entry.architecture.canonical() for entry in entries().values() if entry.architecture is not None]


def test_every_network_survives_an_edit_that_changes_nothing():
    for base in [*NETWORKS, *random_architectures(30, seed=2)]:
        found = edit(base, "x", {})
        assert found.architecture is not None
        assert found.architecture.id == base.id
        said = {key: as_text(value) for key, value in found.values.items() if value is not None}
        again = edit(base, "x", said)
        assert again.wrong == {}
        assert again.architecture.id == base.id


def test_the_editor_can_turn_any_network_into_any_other():
    networks = random_architectures(40, seed=11)
    for base, goal in zip(networks[::2], networks[1::2], strict=True):
        wanted = plain(goal, len(goal.stages))
        given = {key: as_text(value) for key, value in wanted.items()
                 if value is not None and not key.endswith("has_extras")}  # fmt: skip
        given["num_stages"] = str(len(goal.stages))
        found = edit(base, "x", given)
        assert found.architecture is not None, found.problem
        assert found.architecture.id == goal.id
        # and the link says the same
        linked = edit(base, "x", dict(parse_qsl(urlencode(query_of(found)))))
        assert linked.architecture.id == goal.id


def test_what_the_editor_shows_is_what_space_counts():
    rng = np.random.default_rng(3)
    for base in random_architectures(15, seed=9):
        given = {"stage2.depth": str(int(rng.integers(1, 5))), "stage1.width": str(int(rng.integers(1, 9)) * 16)}
        found = edit(base, "x", given)
        assert found.architecture is not None
        shown = str(explore.results(found, base, Snapshot(phase="missing"), Where.own(None)))
        counted = cost(lower(found.architecture, 256, 256))
        for name in explore.SHOWN:
            assert METRICS[name].show(getattr(counted, name)) in shown
        assert "not known" in shown


def test_a_prediction_is_shown_with_its_source_and_its_layers():
    base = random_architectures(1)[0]
    found = edit(base, "x", {})
    graph = lower(base, 256, 256)
    said = Prediction(latency_ms=12.5, source="<card> of pi5",
                              layers=[(node.name, 0.25) for node in graph.nodes])  # fmt: skip
    shown = str(explore.results(found, base, Snapshot(phase="missing"), Where.own(None), predict=lambda *_: said))
    assert "12.5 ms" in shown
    assert "&lt;card&gt; of pi5" in shown
    assert "no prediction for each layer" not in shown


def test_a_rule_is_said_at_the_setting_that_breaks_it():
    base = random_architectures(1)[0]
    assert base.head.width == 32
    found = edit(base, "x", {"head.maxout": "5", "stage1.depth": "7"})
    assert found.architecture is None
    assert found.wrong == {"head.maxout": found.problem}
    assert "maxout 5:1 does not divide" in found.problem
    few = edit(base, "x", {"num_stages": "2"})
    assert "num_stages" in few.wrong
    assert "a detector of 3 levels needs" in few.problem
    shown = str(explore.results(found, base, Snapshot(phase="missing"), Where.own(None)))
    assert 'role="alert"' in shown
    assert "maxout 5:1" in str(explore.form(found))


@pytest.mark.parametrize(("key", "value", "said"), [
    ("stage1.width", "abc", "'abc' is not a whole number from 1 to 8192"), ("stage1.width", "0", "is not a whole"),
    ("stage1.width", "1e3", "is not a whole"), ("stage1.depth", "9" * 400, "is not a whole number from 1 to 64"),
    ("stage1.partial_ratio", "nan", "is not a number from 0 to 0.95"), ("stage1.partial_ratio", "-0.5", "is not a"),
    ("stage1.partial_ratio", "٠", "is not a"), ("stage1.fusion", "cps", "did you mean 'csp'"),
    ("head.spp", "yes", "neither 0 nor 1"), ("activation", "<script>", "no activation '<script>'"),
    ("num_stages", "99", "from 1 to 8")])  # fmt: skip
def test_absurd_values_are_refused_by_name_and_the_rest_stands(key, value, said):
    base = random_architectures(1)[0]
    found = edit(base, "x", {key: value, "stage3.depth": "9"})
    assert said in found.wrong[key]
    assert found.architecture is not None
    assert found.architecture.id != base.id
    assert "<script>" not in str(explore.form(found))


def test_a_link_cannot_import_a_module():
    base = random_architectures(1)[0]
    for key in ("stage1.block", "stage1.fusion", "head.fusion", "head.kind", "stem.kind", "activation"):
        found = edit(base, "x", {key: "antigravity:fly"})
        assert found.architecture.id == base.id
    assert "antigravity" not in sys.modules


def test_settings_bring_along_what_they_need():
    base = next(a for a in random_architectures(30) if all(s.fusion == "none" and s.block == "res" for s in a.stages))
    crossed = edit(base, "x", {"stage1.partial_ratio": "0.5"}).architecture
    assert (crossed.stages[0].fusion, crossed.stages[0].partial_ratio) == ("csp", 0.5)
    assert edit(base, "x", {"stage1.fusion": "last"}).architecture.stages[0].partial_ratio == 0.5
    assert edit(base, "x", {"stage1.fusion": "last", "stage1.partial_ratio": "0"}).architecture.id == base.id
    dense = edit(base, "x", {f"stage{n}.block": "dense" for n in range(1, len(base.stages) + 1)}).architecture
    assert all(stage.growth_rate == 32 for stage in dense.stages)
    shown = edit(base, "x", {"stage1.block": "dense"})
    assert shown.reads(1, "growth_rate")
    assert not shown.reads(2, "growth_rate")


def test_extras_of_a_published_network_can_be_dropped():
    base = get("CSPResNet-50").architecture.canonical()
    assert "extras" in {axis.name for axis in edit(base, "x", {}).stage_axes()}
    count = len(base.stages)
    dropped = edit(base, "x", {f"stage{n}.extras": "drop" for n in range(1, count + 1)}).architecture
    assert dropped is not None
    assert all(getattr(stage, name) in (None, False) for stage in dropped.stages for name in EXTRAS)


def test_the_controls_name_every_axis_once():
    base = random_architectures(1)[0]
    form = str(explore.form(edit(base, "x", {})))
    for axis in (*NETWORK, *(axis for axis in HEAD if axis.name != "head.last_width")):
        assert form.count(f'name="{axis.name}"') == 1, axis.name
    assert form.count('name="stage1.') == sum(edit(base, "x", {}).reads(1, axis.name) for axis in STAGE)


def test_a_network_outside_the_space_becomes_its_nearest_there():
    space = space_of(config())
    assert space is not None
    near, changes = into_space(space, get("CSPPeleeNet").architecture)
    assert changes
    assert SPACE.valid(dict(zip(SPACE.genes, [c[0] for c in SPACE.genes.values()], strict=True)))
    assert into_space(space, near) == (near, [])
    assert space_of({}) is None
    assert space_of({"space": {"nonsense": 1}}) is None


def test_the_update_sends_controls_only_where_others_are_needed(path):
    snapshot = Database(str(path)).snapshot()
    base = random_architectures(1)[0]
    found = edit(base, "x", {"stage1.depth": "3"})
    shape, own = explore.shape(found), Where.own(snapshot.study.config)
    places = peers.Places(snapshot.columns)
    assert "form" not in explore.update(found, base, snapshot, own, shape, places=places)
    more = edit(base, "x", {"num_stages": "5"})
    answer = explore.update(more, base, snapshot, own, shape, places=places)
    assert 'name="stage5.width"' in answer["form"]
    assert answer["values"]["num_stages"] == "5"


def test_a_slider_meets_no_rule_on_its_way_and_rounding_is_said():
    base = next(a for a in random_architectures(40) if all(s.block == "resx" for s in a.stages))
    for step in range(20):
        found = edit(base, "x", {f"stage{n}.partial_ratio": f"{step / 20:g}" for n in range(1, len(base.stages) + 1)})
        assert found.architecture is not None, found.problem
        for stage in found.architecture.stages:
            assert stage.main % 16 == 0
            assert stage.cross % 16 == 0
    found = edit(base, "x", {"stage1.width": "100", "stage1.partial_ratio": "0.4"})
    assert any(each.startswith("stage1.width 100 → ") for each in found.rounded)
    assert "Rounded: " in str(explore.results(found, base, Snapshot(phase="missing"), Where.own(None)))
    exact = edit(base, "x", {"stage1.width": "100", "stage1.partial_ratio": "0.4", "stage1.block": "res", "round": "1"})
    assert exact.architecture.stages[0].width == 100
    assert exact.architecture.stages[0].cross == 40
    assert exact.rounded == []
