"""The published figures: every row has a source, and rows that should agree do."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections import defaultdict
from importlib import resources

import pytest

from space.zoo.published import (
    Published,
    claims,
    conventions,
    interpretations,
    published,
    recount,
    recounts,
    tables,
)

PERCENT = ("top1", "top5", "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
FIGURES = ("params_m", "bflops", "gmacs", *PERCENT, "fps")
CONVENTIONS = {
    "params": (None, "kernels", "trainable", "weights file"),
    "bflops": (None, "darknet", "torch with norm", "literature"),
    "gmacs": (None, "conv+fc", "with norm", "with norm and activations"),
}
ROWS = published()
COUNTED = [row for row in ROWS if row.cfg and row.bflops]
# Rows of a cfg that print something else than convolutions plus max-pools; the test of each says what.
ODD = {"ResNet-50", "Res2NetLite-72", "Darknet Reference"}


def label(row: Published) -> str:
    return f"{row.network} in {row.table} at {row.resolution}"


def rounds_to(value: float, printed: float) -> bool:
    """Whether `value`, rounded to as many decimals as `printed` shows, is `printed`."""
    decimals = len(repr(printed).partition(".")[2])
    return math.isclose(round(value, decimals), printed, abs_tol=1e-9)


def at(row: Published) -> float:
    """BFLOPs of the row's cfg at the row's resolution; the strides divide both, so cost goes with the area."""
    counts = recount(row.cfg, branch=row.branch)
    return counts.bflops_conv_max * (row.resolution / counts.resolution) ** 2


def only(network: str, table: str) -> Published:
    (row,) = published(network, table)
    return row


@pytest.mark.parametrize("table", tables())
def test_every_row_has_a_source_and_a_figure(table):
    for row in published(table=table):
        assert all((row.network, row.table, row.source)), label(row)
        assert any(getattr(row, figure) is not None for figure in FIGURES), label(row)
        assert row.status in ("published", "derived", "doubtful"), label(row)
        assert row.status == "published" or row.note, label(row)
        assert row.note is None or (row.note.endswith(".") and "\n" not in row.note), label(row)


@pytest.mark.parametrize("table", tables())
def test_every_figure_has_a_convention_and_is_in_range(table):
    for row in published(table=table):
        for kind, allowed in CONVENTIONS.items():
            value = row.params_m if kind == "params" else getattr(row, kind)
            convention = getattr(row, f"{kind}_convention")
            assert convention in allowed, label(row)
            assert value is not None or convention is None, label(row)
            assert value is None or convention or row.note, label(row)
        assert (row.fps is None) == (row.device is None), label(row)
        assert row.resolution in (None, 224, 256, 304, 320, 416, 512, 608), label(row)
        assert row.resolution or "size" in (row.note or ""), label(row)
        for figure in FIGURES:
            value = getattr(row, figure)
            assert value is None or 0 < value < (100 if figure in PERCENT else 1000), label(row)


@pytest.mark.parametrize("table", tables())
def test_looser_criteria_give_more(table):
    for row in published(table=table):
        assert row.top5 is None or row.top5 > row.top1, label(row)
        if row.ap is not None:
            assert row.ap50 > max(row.ap, row.ap75), label(row)
        if row.ap_small is not None:
            assert row.ap_small < row.ap_medium < row.ap_large, label(row)
            assert row.ap_small < row.ap < row.ap_large, label(row)


def test_no_row_stands_twice():
    keys = [(r.network, r.table, r.resolution, r.device, r.bflops, r.gmacs, r.gmacs_convention) for r in ROWS]
    assert [key for key in keys if keys.count(key) > 1] == []


def test_every_key_of_the_file_is_read_and_every_convention_explained():
    data = json.loads(resources.files("space.zoo").joinpath("published.json").read_text(encoding="utf-8"))
    assert set(data) == {"about", "conventions", "rows", "claims", "interpretations", "recounts"}
    used = {getattr(row, f"{kind}_convention") for row in ROWS for kind in CONVENTIONS} - {None}
    used |= {row.status for row in ROWS} | {item.reading for item in interpretations()}
    assert used <= set(conventions())
    assert all(text.endswith(".") for text in conventions().values())
    assert {field.name for field in dataclasses.fields(Published)} == set().union(*data["rows"])


@pytest.mark.parametrize("counts", recounts(), ids=lambda item: f"{item.branch} {item.cfg}")
def test_recounts_are_consistent(counts):
    assert 0 < counts.bflops_conv <= counts.bflops_conv_max <= counts.bflops_with_shortcut
    assert counts.kernels < counts.params
    assert counts.weights_file is None or counts.params < counts.weights_file
    assert counts.resolution % 32 == 0


def test_all_public_cfgs_are_recounted_once():
    keys = [(item.branch, item.cfg) for item in recounts()]
    assert len(keys) == len(set(keys)) == 57
    assert {row.cfg for row in ROWS} - {None} <= {cfg for _, cfg in keys}


def test_a_cfg_of_two_branches_is_masters_unless_asked():
    cfg = "cfg/csresnext50-panet-spp.cfg"
    assert recount(cfg).resolution == 416
    assert recount(cfg, branch="pytorch").resolution == 512
    with pytest.raises(ValueError, match=r"did you mean 'cfg/csdarknet53\.cfg'"):
        recount("cfg/cspdarknet53.cfg")
    with pytest.raises(ValueError, match=r"no cfg 'cfg/darknet53\.cfg'"):
        recount("cfg/darknet53.cfg", branch="pytorch")


@pytest.mark.parametrize("row", [row for row in COUNTED if row.network not in ODD], ids=label)
def test_published_bflops_are_convolutions_plus_max_pools(row):
    assert row.bflops_convention == "darknet"
    assert at(row) == pytest.approx(row.bflops, rel=1e-3)
    decimals = len(repr(row.bflops).partition(".")[2])
    assert abs(at(row) - row.bflops) <= 0.5 * 10**-decimals + 1e-4


@pytest.mark.parametrize("row", [r for r in COUNTED if r.params_m], ids=label)
def test_published_parameters_are_kernels(row):
    assert row.params_convention == "kernels"
    assert rounds_to(recount(row.cfg).kernels / 1e6, row.params_m)


def test_the_odd_rows_are_what_their_notes_say():
    readme = "repository README, ImageNet"
    resnet = only("ResNet-50", readme)
    assert not rounds_to(at(resnet), resnet.bflops)
    assert rounds_to(recount("in progress/darknet/icfg/resnet50-leaky.cfg").bflops_conv_max, resnet.bflops)
    res2net = only("Res2NetLite-72", readme)
    assert not rounds_to(at(res2net), res2net.bflops)
    assert rounds_to(recount(res2net.cfg).bflops_with_shortcut, res2net.bflops)
    darknet = only("Darknet Reference", readme)
    assert not rounds_to(at(darknet), darknet.bflops)
    assert math.floor(100 * at(darknet)) / 100 == darknet.bflops


@pytest.mark.parametrize("row", [r for r in ROWS if r.recount_bflops or r.recount_params_m], ids=label)
def test_known_structures_count_to_the_printed_figures(row):
    explained = row.status == "doubtful" or row.bflops_convention in (None, "literature")
    if row.recount_bflops is not None:
        assert (row.bflops == pytest.approx(row.recount_bflops, rel=1e-3)) != explained
    if row.recount_params_m is not None and row.params_convention in ("kernels", "trainable"):
        assert row.params_m == pytest.approx(row.recount_params_m, rel=1e-3)


def test_tables_agree_about_the_same_network():
    for first, second in (
        ("CSPNet Table 3", "repository README, ImageNet"),
        ("PRN README", "PRN Results.md"),
        ("repository README, ImageNet", "repository imagenet/results.md"),
        ("repository README, COCO", "CSPNet Table 5"),
        ("repository README, COCO", "CSPNet Table 2"),
    ):
        others = defaultdict(list)
        for row in published(table=second):
            others[row.network, row.resolution].append(row)
        shared = [(row, other) for row in published(table=first) for other in others[row.network, row.resolution]]
        assert shared
        for row, other in shared:
            figures = FIGURES if row.device == other.device else FIGURES[:-1]
            both = [f for f in figures if None not in (getattr(row, f), getattr(other, f))]
            assert [(label(row), f) for f in both if getattr(row, f) != getattr(other, f)] == []


@pytest.mark.parametrize(
    ("network", "base", "changes"),
    [("CSPDarkNet-53", "DarkNet-53", (-34, -30, 0, -0.2)),
     ("CSPDarkNet-53-Elastic", "DarkNet-53", (None, -58, -1.1, -0.5)),
     ("CSPResNet-50", "ResNet-50", (-5, -8, 0.8, 0.4)), ("CSPResNet-50-Elastic", "ResNet-50", (None, -4, 1.0, 0.6)),
     ("CSPResNeXt-50", "ResNeXt-50", (-8, -22, 0.1, -0.2)),
     ("CSPResNeXt-50-Elastic", "ResNeXt-50", (None, -46, -0.6, -0.4)),
     ("CSPResNeXt-50+Elastic", "ResNeXt-50", (None, -23, 0.4, 0)), ("CSPPeleeNet", "PeleeNet", (1, -13, 0.2, 0.2)),
     ("CSPDenseNet-201-Elastic", "DenseNet-201-Elastic", (4, -19, 0, 0)),
     ("CSPPeleeNet-swish", "PeleeNet-swish", (1, -13, 0.2, 0.1)),
     ("CSPPeleeNet-swish-SE", "PeleeNet-swish-SE", (1, -13, 0.3, 0)),
     ("CSPMobileNetV2", "MobileNetV2", (-28, -11, 0.7, 0.6)), ("CSPResNet-10", "ResNet-10", (-48, -16, 1.8, 1.5)),
     ("CSPDenseNet Reference", "Darknet Reference", (-52, -8, 4.6, 3.6)),
     ("CSPPeleeNet Reference", "Darknet Reference", (-44, 15, 7.8, 5.7)),
     ("CSPDenseNetb Reference", "Darknet Reference", (-81, -34, 3.1, 2.5)),
     ("CSPPeleeNetb Reference", "Darknet Reference", (-73, -7, 6.7, 5.1))],
)  # fmt: skip
def test_the_readmes_own_differences_hold(network, base, changes):
    """The README prints each change beside the figure: percent of cost, points of accuracy."""
    row, plain = (only(name, "repository README, ImageNet") for name in (network, base))
    params, bflops, top1, top5 = changes
    assert (row.params_m is None) == (params is None)
    assert params is None or abs(100 * (row.params_m / plain.params_m - 1) - params) <= 0.55
    assert abs(100 * (row.bflops / plain.bflops - 1) - bflops) <= 0.55
    assert (row.top1 - plain.top1, row.top5 - plain.top5) == pytest.approx((top1, top5))


def test_table_1_orders_the_fusions_and_falls_with_gamma():
    cost = {row.network: row.bflops for row in published(table="CSPNet Table 1")}
    assert len(cost) == 10
    for gamma in ("0.75", "0.5", "0.25"):
        family = [cost[f"{name} {gamma}"] for name in ("PeleeNet fusion-first", "PeleeNet fusion-last", "CSPPeleeNet")]
        assert family == sorted(family)
        assert family[-1] < cost["PeleeNet"]
    for name in ("PeleeNet fusion-first", "PeleeNet fusion-last", "CSPPeleeNet"):
        assert cost[f"{name} 0.75"] < cost[f"{name} 0.5"] < cost[f"{name} 0.25"]


@pytest.mark.parametrize(("reading", "fusion", "error"), [("paper-flops", "", 0.0085), ("textbook", "CSP", 0.028)])
def test_the_readings_of_table_1_are_as_near_as_stated(reading, fusion, error):
    items = [item for item in interpretations() if item.reading == reading]
    assert len(items) == 9
    for item in items:
        if item.network.startswith(fusion):
            row = only(item.network, "CSPNet Table 1")
            assert item.bflops == pytest.approx(row.bflops, rel=error)
            assert row.network.endswith(f" {item.gamma:g}")


def test_no_reading_has_both_the_bflops_and_the_parameters_of_csppeleenet():
    row = only("CSPPeleeNet", "CSPNet Table 3")
    for item in interpretations():
        if item.network == "CSPPeleeNet 0.5":
            near = (abs(item.bflops / row.bflops - 1) < 0.005, abs(item.kernels_m / row.params_m - 1) < 0.005)
            assert near == ((True, False) if item.reading == "paper-flops" else (False, True))


def test_claims_are_recounted_or_explained():
    names = [claim.name for claim in claims()]
    assert len(names) == len(set(names))
    for claim in claims():
        assert claim.source
        if claim.recount is None:
            assert claim.note
        else:
            printed = claim.value if claim.unit != "%" else int(claim.value)
            decimals = len(repr(printed).partition(".")[2])
            assert abs(claim.recount - claim.value) <= 0.5 * 10**-decimals + 1e-9, claim.name


def test_the_largest_layers_have_the_stated_cost():
    value = {claim.name: claim.recount for claim in claims()}

    def conv(kernel: int, channels_in: int, channels_out: int, side: int) -> float:
        return 2 * kernel**2 * channels_in * channels_out * side**2 / 1e9

    pelee, yolo, efm = conv(1, 128, 128, 104), conv(3, 640, 128, 26), conv(3, 128, 128, 26)
    assert value["largest layer, PeleeNet-PRN"] == pytest.approx(pelee, abs=1e-5)
    assert value["largest layer, PeleeNet-YOLO"] == pytest.approx(yolo, abs=1e-5)
    assert value["largest layer, CSPPeleeNet-EFM"] == pytest.approx(efm, abs=1e-5)
    assert value["bottleneck against PeleeNet"] == pytest.approx(100 * (efm / pelee - 1))
    assert value["bottleneck against PeleeNet-YOLO"] == pytest.approx(100 * (efm / yolo - 1))


def test_the_text_of_the_paper_agrees_with_its_tables():
    """Sections 3.1 and 4.2 to 4.5 state these differences in words."""
    efm, gfm, giou = (only(f"CSPPeleeNet-{head}", "CSPNet Table 2") for head in ("EFM", "GFM", "EFM(GIoU)"))
    assert gfm.fps - efm.fps == 2
    assert (efm.ap - gfm.ap, efm.ap50 - gfm.ap50) == pytest.approx((2.1, 2.4))
    assert (giou.ap - efm.ap, giou.ap50 - efm.ap50) == pytest.approx((0.7, -2.7))
    top1 = {row.network: row.top1 for row in ROWS if row.table in ("CSPNet Table 1", "repository README, ImageNet")}
    for network, base, gain in (
        ("PeleeNet fusion-first 0.5", "PeleeNet", -1.5),
        ("PeleeNet fusion-last 0.5", "PeleeNet", -0.1),
        ("PeleeNet fusion-last 0.25", "PeleeNet", 0.1),
        ("CSPPeleeNet 0.5", "PeleeNet", 0.2),
        ("CSPPeleeNet 0.25", "PeleeNet", 0.8),
        ("CSPResNet-10", "ResNet-10", 1.8),
        ("CSPPeleeNet-swish-SE", "EfficientNet-B0", 1.1),
    ):
        assert top1[network] - top1[base] == pytest.approx(gain)
    fps = {(row.network, row.device): row.fps for row in ROWS if row.table in ("CSPNet Table 4", "CSPNet Table 5")}
    fast, gpu, cpu = "CSPDenseNetb Reference-PRN", "GTX 1080 Ti", "Core i9-9900K, OpenCV DNN"
    three, efm_sam = "CSPPeleeNet Reference-PRN-3l", "CSPPeleeNet Reference-EFM(SAM)"
    assert fps[fast, gpu] - fps["SNet49-ThunderNet", gpu] == 133
    assert fps[three, gpu] - fps["SNet146-ThunderNet", gpu] == 19
    assert fps[three, gpu] - fps[efm_sam, gpu] == 62
    assert fps[efm_sam, "Jetson TX2"] - fps[three, "Jetson TX2"] == 3
    slower = [("SNet49-ThunderNet", "Xeon E5-2682v4"), ("YOLOv3-tiny", cpu), ("YOLOv3-tiny-PRN", cpu)]
    assert [fps[fast, cpu] - fps[key] for key in slower] == [55, 48, 31]
    assert fps[three, cpu] - fps["SNet146-ThunderNet", "Xeon E5-2682v4"] == 20


def test_timm_and_the_cfg_count_the_same_darknets():
    for network, cfg in (("cspdarknet53", "cfg/csdarknet53.cfg"), ("darknet53", "cfg/darknet53.cfg")):
        rows = published(f"{network} (timm)", "timm 1.0.31")
        (row,) = (r for r in rows if r.gmacs_convention == "conv+fc" and r.resolution == 256)
        assert 2 * row.gmacs == pytest.approx(recount(cfg).bflops_conv, abs=2e-4)
        assert row.params_m * 1e6 == pytest.approx(recount(cfg).params)


def test_rows_are_found_by_network_and_table():
    assert [row.table for row in published("CSPPeleeNet")] == ["CSPNet Table 3", "repository README, ImageNet"]
    assert published("a network of ours") == ()
    assert sum(len(published(table=table)) for table in tables()) == len(ROWS)
    with pytest.raises(ValueError, match="did you mean 'CSPNet Table 3'"):
        published(table="CSPNet table 3")


def test_reading_the_figures_needs_no_torch():
    code = "import sys; from space.zoo.published import published; assert published() and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
