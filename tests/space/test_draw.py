"""The diagram: valid, complete, legible (no text on text, none outside), and the same every time."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from space.architecture import Architecture, Head, Stage, Stem
from space.cost import cost
from space.draw import caption, draw, layout
from space.draw.__main__ import main
from space.draw.canvas import text_width
from space.draw.outline import groups
from space.graph import Builder
from space.heads import NECKS
from space.lower import lower
from space.zoo import entries, get
from tests.space.test_torch_source import chain, every_op
from tests.strategies import random_architectures, sizes, wild_architectures

SVG = "{http://www.w3.org/2000/svg}"


def network(count: int = 3, head: Head | None = None, **changes) -> Architecture:
    stage = Stage(block="res", depth=3, width=64, bottleneck_ratio=0.5, growth_rate=16, cardinality=4)
    stages = tuple(replace(stage, width=64 + 32 * i, **changes) for i in range(count))
    return Architecture(stem=Stem(), stages=stages, head=head or Head(kind="classifier"))


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def assert_legible(graph) -> None:
    canvas = layout(graph, title="A network")
    for one, other in itertools.combinations(canvas.texts, 2):
        assert not one.box.overlaps(other.box), (one, other)
    svg = canvas.svg(title="t", description="d")
    _, _, width, height = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    for text in canvas.texts:
        box = text.box
        assert min(box.left, box.top, width - box.right, height - box.bottom) >= 0, text


@given(wild_architectures(), sizes)
def test_every_architecture_is_drawn_whole_and_legible(architecture, size):
    graph = lower(architecture, *size)
    assert_legible(graph)
    svg = draw(graph, title="x")
    shown = words(svg)
    rectangles = [rect.get("class") for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    assert rectangles.count("stage") == len(architecture.stages)
    for number, stage in enumerate(architecture.canonical().stages, 1):
        assert f"stage{number}" in shown
        assert any(text.endswith(f", {stage.width} ch") for text in shown)
        if stage.cross:
            assert f"cross path, {stage.cross} ch" in shown
    assert sum(text.startswith("cross path, ") for text in shown) == sum(s.cross > 0 for s in architecture.stages)
    assert caption(graph) in shown


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("block", ["dense", "res", "resx"])
@pytest.mark.parametrize("changes", [{"fusion": "none"}, {"split": "conv"}, {"fusion": "last"}])
def test_any_number_of_stages(count, block, changes):
    graph = lower(network(count, block=block, **changes), 512, 512)
    assert_legible(graph)
    assert sum(group.is_stage for group in groups(graph)) == count


@pytest.mark.parametrize("fusion", ["fpn", "gfm", "efm"])
@pytest.mark.parametrize("maxout", [1, 4])
def test_a_head_shows_its_levels(fusion, maxout):
    graph = lower(network(4, Head(fusion=fusion, width=64, maxout=maxout)))
    assert_legible(graph)
    shown = words(draw(graph))
    assert shown.count("predict") == 3
    assert shown.count("maxout 4:1") == 3 * (maxout == 4)
    rising = {"fpn": 2, "efm": 2, "gfm": 3}[fusion]
    assert sum(text.startswith("↑") for text in shown) == rising
    assert sum(text.startswith("↓") for text in shown) == {"fpn": 0, "efm": 2, "gfm": 3}[fusion]


@pytest.mark.parametrize("fusion", NECKS.names())
@pytest.mark.parametrize("spp", [False, True])
def test_every_neck_is_legible(fusion, spp):
    graph = lower(network(4, Head(fusion=fusion, width=64, maxout=1, attention="sam", spp=spp)))
    assert_legible(graph)
    assert words(draw(graph)).count("predict") == 3


def test_repeated_blocks_are_one_box():
    shown = words(draw(lower(network(3, depth=7))))
    assert shown.count("residual ×7") == 3
    assert "1×1 → 3×3 → 1×1" in shown


def test_a_stage_says_what_its_graph_says():
    graph = lower(network(1, partial_ratio=0.25, split="conv", block="resx"))
    (stage,) = [group for group in groups(graph) if group.is_stage]
    assert [item.kind for item in stage.items] == ["conv", "block", "transition", "join", "transition"]
    (bypass,) = stage.bypasses
    assert (bypass.start, bypass.stop, bypass.channels) == (0, 3, 16)
    assert stage.items[1].count == 3
    assert "4 groups" in stage.items[1].lines
    assert sum(group.macs for group in groups(graph)) == cost(graph).macs


def test_the_caption_has_the_totals():
    graph = lower(network(), 128, 192)
    text = caption(graph)
    assert "128 × 192" in text
    assert f"{cost(graph).peak_bytes / 2**20:.1f} MiB" in text


def yolo():
    """A head in YOLOv4's manner: SPP, a top-down path with convolutions, spatial attention, two levels."""
    g = Builder((3, 64, 64), activation="mish")
    with g.scope("backbone"):
        fine = g.conv(0, 16, 3, stride=2, name="a")
        coarse = g.conv(fine, 32, 3, stride=2, name="b")
    with g.scope("neck"):
        x = g.conv(coarse, 16, 1, name="c1")
        x = g.concat([x, *(g.max_pool(x, k, stride=1) for k in (5, 9, 13))])
        x = g.conv(g.conv(x, 16, 1, name="c2"), 32, 3, name="c3")
        gate = g.conv(x, 32, 1, name="gate", norm=False, activation="logistic")
        x = g.mul(x, gate)
        y = g.concat([g.conv(fine, 16, 1, name="c4"), g.resize_like(g.conv(x, 8, 1, name="c5"), fine, name="up")])
        y = g.conv(y, 16, 3, name="c6")
    with g.scope("head"):
        a = g.conv(y, 18, 1, norm=False, linear=True, name="p0")
        x = g.concat([x, g.conv(y, 16, 3, stride=2, name="down")])
        b = g.conv(g.conv(x, 16, 3, name="c7"), 18, 1, norm=False, linear=True, name="p1")
    return g.graph([a, b])


@pytest.mark.parametrize("graph", [every_op(), chain("a"), chain("a.x", "b.x", "a.y", "b.y"), yolo(),
                                   chain(*(f"conv{i}" for i in range(30))), chain("q<&>\".a", "ü.b")],
                         ids=["ops", "flat", "mixed", "yolo", "long", "markup"])  # fmt: skip
def test_any_graph_is_drawn(graph):
    assert_legible(graph)
    ElementTree.fromstring(draw(graph, title="<&>\"'"))


def test_a_neck_shows_its_marks():
    shown = words(draw(yolo()))
    assert {"SPP 5 · 9 · 13", "SAM", "↑2", "↓2"} <= set(shown)
    assert shown.count("predict") == 2


@given(wild_architectures())
@settings(max_examples=5)
def test_a_drawing_is_the_same_every_time(architecture):
    assert draw(architecture) == draw(lower(architecture))


def test_a_drawing_can_be_read_aloud():
    root = ElementTree.fromstring(draw(network(), title="csresnet"))
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "Stage diagram of csresnet"
    assert "stage2" in root.findtext(f"{SVG}desc")


def test_text_is_measured_wide_enough():
    """Widths of DejaVu Sans, the widest font of the stack, as its own metrics give them (units of the size)."""
    widths = {"cross path, 32 ch": 8.62, "1×1 → 3×3 → 1×1": 9.28, "0123456789": 6.36, "maxout 4:1": 5.74}
    for text, units in widths.items():
        assert text_width(text, 1.0) >= units


def test_the_command_draws_a_file(tmp_path, capsys):
    path, out = tmp_path / "net.json", tmp_path / "net.svg"
    path.write_text(json.dumps(random_architectures(1)[0].to_dict()))
    assert main([str(path), "-o", str(out), "--resolution", "96x160"]) == 0
    assert "96 × 160" in words(out.read_text())
    assert "net" in words(out.read_text())
    assert main([str(path), "--title", "Mine"]) == 0
    assert "Mine" in words(capsys.readouterr().out)


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    good, bad, wrong = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "wrong.json"
    good.write_text(json.dumps(random_architectures(1)[0].to_dict()))
    bad.write_text("{")
    wrong.write_text('{"stem": 3, "stages": [], "head": {}, "activation": "relu"}')
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    cases = [
        ["nosuchnet"],
        [str(tmp_path / "none.json")],
        [str(tmp_path / "none.cfg")],
        [str(bad)],
        [str(wrong)],
        [str(tmp_path / "list.json")],
        [str(tmp_path / "binary.json")],
        [str(good), "-o", str(tmp_path / "no" / "x.svg")],
        [str(good), "-o", str(tmp_path)],
        [str(good), "--resolution", "big"],
        [str(good), "--resolution", "0"],
        [str(good), "--resolution", "99999"],
        [str(good), "--nonsense"],
        [],
    ]
    for arguments in cases:
        assert main(arguments) == 2, arguments
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1, captured.err


def test_a_name_is_looked_up_among_the_published_networks(capsys):
    for more, size in (([], "224 × 224"), (["--resolution", "64"], "64 × 64"), (["--resolution", "64x96"], "64 × 96")):
        assert main(["peleenet", *more]) == 0
        shown = words(capsys.readouterr().out)
        assert {"PeleeNet", size} <= set(shown)
    assert main(["pelenet"]) == 2
    assert capsys.readouterr().err.startswith("error: no network 'pelenet'; did you mean PeleeNet")


@pytest.mark.parametrize("name", list(entries()))
def test_every_network_of_the_zoo_is_legible(name):
    assert_legible(get(name).graph(128))


def test_help_needs_no_torch():
    code = "import sys; from space.draw.__main__ import main; main(['--help']); assert 'torch' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for option in ("--output", "-o", "--resolution", "--title"):
        assert option in shown


@pytest.mark.parametrize("name", list(entries()))
def test_the_marks_name_every_node_of_the_graph_once(name):
    graph = get(name).graph()
    root = ElementTree.fromstring(draw(graph))
    named = [node for mark in root.iter(f"{SVG}g") for node in (mark.get("data-nodes") or "").split()]
    assert sorted(named) == sorted(node.name for node in graph.nodes)
