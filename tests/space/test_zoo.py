"""The published networks, rebuilt: exact counts, the paper's claims, timm's weights, the command line."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from space.architecture import Architecture
from space.cost import cost, layer_cost, norm_elements
from space.module import Network, initialise
from space.onnx import to_onnx
from space.ops import Maxout
from space.zoo import ZooError, entries, get
from space.zoo.__main__ import main
from space.zoo.compare import comparisons, overview
from space.zoo.published import claims, interpretations, published, recount
from space.zoo.table1 import PARTIAL_RATIOS, READINGS, csppeleenet
from space.zoo.timm import NAMES, load_timm

CFGS = {
    "Darknet Reference": "cfg/darknet.cfg",
    "DarkNet-53": "cfg/darknet53.cfg",
    "CSPDarkNet-53": "cfg/csdarknet53.cfg",
    "CSPDarkNet-53-Elastic": "cfg/csdarknet53-elastic.cfg",
    "ResNet-10": "cfg/resnet10.cfg",
    "CSPResNet-50": "cfg/csresnet50.cfg",
    "CSPResNet-50-Elastic": "cfg/csresnet50-elastic.cfg",
    "ResNeXt-50": "cfg/resnext50.cfg",
    "CSPResNeXt-50": "cfg/csresnext50.cfg",
    "CSPResNeXt-50-Elastic": "cfg/csresnext50-elastic.cfg",
    "Res2NetLite-72": "cfg/res2netlite72.cfg",
    "MobileNetV2": "cfg/mobilenet-v2.cfg",
    "ResNet-50": "in progress/darknet/icfg/resnet50-leaky.cfg",
    "CSPResNeXt50-PANet-SPP": "cfg/csresnext50-panet-spp.cfg",
    "CSPDarknet53-PANet-SPP": "cfg/csdarknet53-panet-spp.cfg",
    "CSPResNet50-PANet-SPP": "cfg/csresnet50-panet-spp.cfg",
    "CSPResNeXt50-YOLO-SPP": "in progress/csresnext50-yolo-spp.cfg",
    "YOLOv3-SPP": "cfg/yolov3-spp.cfg",
}


@pytest.mark.parametrize(("name", "cfg"), CFGS.items())
def test_a_network_counts_to_its_published_file(name, cfg):
    """Kernels and trainable parameters to the last one, BFLOPs to the digits of the recount."""
    known = recount(cfg)
    ours = get(name).cost(known.resolution)
    assert ours.kernels == known.kernels
    assert ours.params == known.params
    assert 2 * ours.macs / 1e9 == pytest.approx(known.bflops_conv, abs=6e-5)
    assert ours.bflops == pytest.approx(known.bflops_conv_max, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "kernels", "bflops"),
    [("PeleeNet", 2_791_520, 1.016619), ("SparsePeleeNet", 2_391_136, 0.9042), ("YOLOv3-tiny", None, 5.5707),
     ("YOLOv3-tiny-PRN", None, 3.4666), ("PeleeNet-PRN", None, 4.038), ("PeleeNet-PRN-3l", None, 5.034),
     ("PeleeNet-FPN", None, 4.836), ("CSPPeleeNet-PRN", None, 3.590), ("CSPPeleeNet-PRN-3l", None, 4.586)],
)  # fmt: skip
def test_a_network_without_a_file_counts_to_its_published_figures(name, kernels, bflops):
    ours = get(name).cost()
    assert ours.bflops == pytest.approx(bflops, rel=2e-4)
    assert kernels in (None, ours.kernels)


@pytest.mark.parametrize(
    ("name", "params", "bflops"),
    [("DenseNet-121", 7_978_856, None), ("DenseNet-169", 14_149_480, None), ("DenseNet-201", 20_013_928, 8.6321),
     ("DenseNet-264", 33_337_704, 11.5713), ("DenseNet-264 (paper)", 27_205_480, 11.0236),
     ("DenseNet-201-Elastic", 19_482_824, None)],
)  # fmt: skip
def test_densenets_have_torchs_parameters_and_the_papers_bflops(name, params, bflops):
    graph = get(name).graph()
    assert cost(graph).params == params
    if bflops is not None:
        assert 2 * (cost(graph).macs + norm_elements(graph)) / 1e9 == pytest.approx(bflops, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "params", "gmacs_224", "gmacs_256"),
    [("cspresnet50", 21_616_168, 3.4588, 4.5172), ("cspresnext50", 20_569_896, 3.0744, 4.0149),
     ("cspdarknet53", 27_642_184, 5.0026, 6.5337)],
)  # fmt: skip
def test_timms_networks_count_exactly(name, params, gmacs_224, gmacs_256):
    entry = get(f"{name} (timm)")
    assert entry.cost().params == params
    for resolution, gmacs in ((224, gmacs_224), (256, gmacs_256)):
        assert entry.cost(resolution).macs / 1e9 == pytest.approx(gmacs, abs=6e-5)


def test_every_published_count_is_met_or_explained():
    """0.1 % under the row's own convention, or a reason: an approximate network, a note, or the printed digits."""
    explained = {
        ("Darknet Reference", "bflops"): "0.965 or 0.967, printed truncated",
        ("Res2NetLite-72", "bflops"): "5.19 counts shortcuts",
    }
    checked = 0
    for entry in entries().values():
        if entry.approximate:
            continue
        for found in comparisons(entry):
            row = found.row
            if row.status != "published" or row.bflops_convention == "literature":
                continue
            if row.gmacs_convention in ("with norm", "with norm and activations") or row.table == "PRN Results.md":
                continue  # activations are not counted here; PRN Results.md repeats the README with other trainings
            work = row.bflops or (row.gmacs and 2 * row.gmacs)
            for kind, ours, theirs in (("params", found.params_m, row.params_m), ("bflops", found.bflops, work)):
                if theirs is None or (entry.name, kind) in explained:
                    continue
                printed = 0.5 * 10.0 ** -len(str(theirs).partition(".")[2])
                slack = max(0.001 * theirs, printed)
                if row.params_convention == "weights file" and kind == "params":
                    slack = 0.003 * theirs  # "nearer the number of floats in the weights file" than to kernels
                if row.note and ("typo" in row.note or "printed" in row.note):
                    continue
                assert abs(ours - theirs) <= slack, (entry.name, row.table, kind, ours, theirs)
                checked += 1
    assert checked >= 50


# -- Table 1 ----------------------------------------------------------------------------------------------------


def table1(reading: str, fusion: str, partial_ratio: float):
    base = get("PeleeNet").architecture
    stages = csppeleenet(fusion, partial_ratio, reading)
    from space.lower import lower

    graph = lower(Architecture(stem=base.stem, stages=stages, head=base.head, activation="relu"), 224, 224,
                  num_classes=1000)  # fmt: skip
    return cost(graph)


@pytest.mark.parametrize("reading", READINGS)
def test_table_1_agrees_with_the_earlier_computation_of_both_readings(reading):
    known = [item for item in interpretations() if item.reading == reading]
    assert len(known) == 9
    for item in known:
        fusion = {"P": "csp", "f": "first", "l": "last"}["P" if item.network.startswith("CSP") else
                                                         item.network.split("-")[1][0]]  # fmt: skip
        ours = table1(reading, fusion, item.gamma)
        assert ours.bflops == pytest.approx(item.bflops, abs=6e-4), item
        assert ours.kernels / 1e6 == pytest.approx(item.kernels_m, abs=6e-4), item


def test_table_1_readings_are_as_close_to_the_paper_as_stated():
    paper = {row.network: row for row in published(table="CSPNet Table 1")}
    for gamma in PARTIAL_RATIOS:
        assert table1("paper-flops", "csp", gamma).bflops == pytest.approx(
            paper[f"CSPPeleeNet {gamma}"].bflops, rel=0.002
        )
        for fusion in ("first", "last"):
            row = paper[f"PeleeNet fusion-{fusion} {gamma}"]
            assert table1("paper-flops", fusion, gamma).bflops == pytest.approx(row.bflops, rel=0.008)
    standard = table1("textbook", "csp", 0.5)
    assert standard.bflops == pytest.approx(0.888, rel=0.0062)
    assert standard.kernels / 1e6 == pytest.approx(2.83, rel=0.006)


@pytest.mark.parametrize("reading", READINGS)
def test_table_1_has_the_papers_order(reading):
    """first < last < csp < PeleeNet for γ >= 0.5; MACs fall as γ rises."""
    plain = get("PeleeNet").cost().macs
    for gamma in PARTIAL_RATIOS:
        macs = [table1(reading, fusion, gamma).macs for fusion in ("first", "last", "csp")]
        assert macs == sorted(macs)
        assert macs[-1] < plain or gamma < 0.5
    for fusion in ("first", "last", "csp"):
        assert all(a < b for a, b in itertools.pairwise(table1(reading, fusion, g).macs for g in PARTIAL_RATIOS))


# -- The paper's other countable claims -------------------------------------------------------------------------


def largest(graph, *, prefix: str = "") -> float:
    return max(layer_cost(graph, node).bflops for node in graph.nodes if node.name.startswith(prefix))


def test_the_largest_layers_of_figure_7():
    """PeleeNet's transition, its YOLO head's 3x3 of 640 channels, a 3x3 128 -> 128 at 26: -43.75 % and -80.0 %."""
    transition = largest(get("PeleeNet").graph(416), prefix="stage")
    assert transition == pytest.approx(0.35442, abs=5e-6)
    yolo = largest(get("PeleeNet-FPN").graph(416), prefix="head")
    assert yolo == pytest.approx(0.99680, abs=5e-6)
    efm = next(layer_cost(graph, node).bflops for graph in [get("CSPPeleeNet-PRN").graph(416)]
               for node in graph.nodes if node.name == "head.fuse0")  # fmt: skip
    assert efm == pytest.approx(0.19936, abs=5e-6)
    assert 1 - efm / transition == pytest.approx(0.4375, abs=1e-4)
    assert 1 - efm / yolo == pytest.approx(0.80, abs=1e-4)
    stated = {claim.name: claim.value for claim in claims()}
    assert transition == pytest.approx(stated["largest layer, PeleeNet-PRN"], abs=5e-5)
    assert yolo == pytest.approx(stated["largest layer, PeleeNet-YOLO"], abs=5e-5)
    assert efm == pytest.approx(stated["largest layer, CSPPeleeNet-EFM"], abs=5e-5)


def test_the_cio_of_figure_8():
    assert get("ResNeXt-50").cost(256).cio / 1e6 == pytest.approx(34.411, abs=5e-4)
    assert get("CSPResNeXt-50").cost(256).cio / 1e6 == pytest.approx(32.642, abs=5e-4)


def test_a_maxout_of_four_saves_three_quarters_of_the_pyramids_memory():
    graph = get("CSPPeleeNet-EFM").graph(416)
    for node in graph.nodes:
        if isinstance(node.op, Maxout):
            c, h, w = graph.nodes[node.inputs[0]].shape
            assert node.op.groups == 4
            assert node.shape == (c // 4, h, w)
    concatenated = [node for node in graph.nodes if node.name.startswith("head.p") and node.name.endswith("concat")]
    width = get("CSPPeleeNet-EFM").architecture.head.width
    assert [node.shape[0] for node in concatenated] == [2 * width // 4, 3 * width // 4, 2 * width // 4]


def test_table_2s_attention_costs_what_the_paper_says():
    """CEM's spatial attention adds 1x1 128 -> 128 on three scales: 0.116 BFLOPs, the published difference."""
    ours = get("CSPPeleeNet-CEM(SAM)").cost().bflops - get("CSPPeleeNet-CEM").cost().bflops
    assert ours == pytest.approx(4.165 - 4.049, abs=5e-4)


# -- Every network ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(entries()))
def test_every_network_runs_and_exports_at_a_small_and_at_an_odd_size(name):
    import onnx

    entry = get(name)
    for height, width in ((64, 64), (96, 80)):
        graph = entry.graph(height, width)
        network = initialise(Network(graph), 0).eval()
        with torch.inference_mode():
            outputs = network(torch.zeros(1, 3, height, width))
        assert [tuple(out.shape[1:]) for out in outputs] == [
            shape if entry.num_classes != 1000 else shape[:1] for shape in graph.output_shapes
        ]
    if cost(graph).params < 10_000_000:
        onnx.checker.check_model(to_onnx(graph), full_check=True)


def test_names_are_found_in_any_spelling():
    for spelling in ("CSPResNeXt-50", "cspresnext50", "csresnext50", "csp_resnext 50"):
        assert get(spelling).name == "CSPResNeXt-50"
    assert get("csdarknet53").name == "CSPDarkNet-53"
    assert get("CSPPeleeNet").name == "CSPPeleeNet 0.5"
    with pytest.raises(ZooError, match="did you mean CSPResNet-50"):
        get("cspresnt-50")


def test_every_architecture_of_the_zoo_survives_json():
    for entry in entries().values():
        if entry.architecture:
            data = json.loads(json.dumps(entry.architecture.to_dict()))
            assert Architecture.from_dict(data).id == entry.architecture.id


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_every_row_of_the_papers_tables_is_in_the_zoo(number):
    shown = {name for entry in entries().values() for name in (entry.name, *entry.published_as)}
    others = {"SNet49-ThunderNet", "SNet146-ThunderNet", "ResNet101-LRF", "Res2NeXt-50 (10-crop)"}  # not the authors'
    assert not {row.network for row in published(table=f"CSPNet Table {number}")} - shown - others


# -- timm -------------------------------------------------------------------------------------------------------

KEYS = json.loads((Path(__file__).parent.parent / "golden" / "timm_keys.json").read_text())


def random_timm(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under timm's keys and shapes (timm 1.0.31), with normalisations that are not identities."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for key, shape in KEYS[name].items():
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.tensor(3)
        elif key.endswith(("running_var", "bn.weight")):
            weights[key] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            weights[key] = torch.randn(shape, generator=generator) * (1.5 / fan_in) ** 0.5
        else:
            weights[key] = torch.randn(shape, generator=generator) * 0.1
    return weights


def timm_forward(weights: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    """timm's CSP network in plain functions, written from its keys: an independent reading of models/cspnet.py."""
    dark, groups = name == "cspdarknet53", 32 if name == "cspresnext50" else 1

    def unit(x, key, *, stride=1, act=True, groups=1):
        kernel = weights[f"{key}.conv.weight"]
        x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, groups=groups)
        x = F.batch_norm(x, *(weights[f"{key}.bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))
        return F.leaky_relu(x, 0.01) if act else x

    x = unit(x, "stem.conv1", stride=1 if dark else 2)
    x = x if dark else F.max_pool2d(x, 3, 2, 1)
    for stage in range(5 if dark else 4):
        key = f"stages.{stage}"
        if f"{key}.conv_down.conv.weight" in weights:
            x = unit(x, f"{key}.conv_down", stride=2, groups=groups)
        cross, main = unit(x, f"{key}.conv_exp", act=dark).chunk(2, 1)
        index = 0
        while f"{key}.blocks.{index}.conv1.conv.weight" in weights:
            b = f"{key}.blocks.{index}"
            y = unit(unit(main, f"{b}.conv1"), f"{b}.conv2", groups=groups)
            main = main + y if dark else F.leaky_relu(main + unit(y, f"{b}.conv3", act=False), 0.01)
            index += 1
        main = unit(main, f"{key}.conv_transition_b")
        x = unit(torch.cat([cross, main], 1), f"{key}.conv_transition")
    return F.linear(x.mean((2, 3)), weights["head.fc.weight"], weights["head.fc.bias"])


@pytest.mark.parametrize("name", ["cspresnet50", "cspresnext50", "cspdarknet53"])
def test_timms_weights_give_timms_outputs(name):
    weights = random_timm(name)
    network = Network(get(f"{name} (timm)").graph(64)).eval()
    network.load_timm(weights)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, got = timm_forward(weights, name, x), network(x)[0]
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(got / scale, expected / scale, atol=1e-5, rtol=0)
    arrays = load_timm({key: value.numpy() for key, value in weights.items()})
    assert all(np.array_equal(arrays[key], value) for key, value in network.state_dict().items())


def test_weights_that_do_not_fit_are_refused_by_name():
    weights = random_timm("cspresnet50")
    with pytest.raises(ZooError, match=r"stages\.2\.conv_exp\.conv\.weight"):
        load_timm({key: value for key, value in weights.items() if "stages.2.conv_exp.conv" not in key})
    with pytest.raises(ZooError, match="extra"):
        load_timm({**weights, "extra": torch.zeros(1)})
    with pytest.raises(ZooError, match="not the weights"):
        load_timm({"conv1.weight": torch.zeros(1)})
    with pytest.raises(ZooError, match="shape"):
        load_timm({**weights, "head.fc.weight": torch.zeros(10, 1024)})
    assert set(NAMES) <= set(entries())


# -- Command line -----------------------------------------------------------------------------------------------


def test_the_table_shows_every_network(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    for name in entries():
        assert name in text
    assert "never published" in text


def test_json_has_one_object_for_each_network(capsys):
    assert main(["--json"]) == 0
    objects = json.loads(capsys.readouterr().out)
    assert [found["name"] for found in objects] == list(entries())
    for found in objects:
        assert {"name", "resolution", "macs", "bflops", "kernels", "params", "published"} <= set(found)
    assert main(["csresnext50", "--json", "--layers", "--resolution", "320x416"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["resolution"] == "320x416"
    assert sum(layer["macs"] for layer in found["layers"]) == found["macs"]
    assert main(["csresnext50", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bflops"] == pytest.approx(7.930282, abs=1e-6)


def test_one_network_in_detail(capsys):
    assert main(["CSPResNeXt-50", "--layers"]) == 0
    text = capsys.readouterr().out
    assert "stage4.block2.conv2" in text
    assert "20.4991 M kernels" in text
    assert "CSPNet Table 3" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["resnext-5"], "no network 'resnext-5'"), (["PeleeNet", "--resolution", "x"], "--resolution is 'x'"),
     (["PeleeNet", "--resolution", "0"], "1 to 16384"), (["--layers"], "give its name"), (["--what"], "what")],
)  # fmt: skip
def test_bad_input_is_one_line_and_code_2(arguments, words, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_the_zoo_needs_no_torch():
    code = "import sys; from space.zoo.__main__ import main; main(['PeleeNet']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_overviews_quote_scores_at_the_size_of_the_counts():
    found = overview(get("CSPResNeXt-50"))
    assert found.resolution == 256
    assert found.scores.top1 == 77.9
