"""Zoo networks outside the family's data are exact; rows without a public file are as near as their table here says."""

from __future__ import annotations

import pytest
import torch

from space.cost import cost, norm_elements
from space.module import Network
from space.zoo import Entry, approximate, entries, get, irregular
from space.zoo.published import published, recount

OTHERS = (*irregular.ENTRIES, *approximate.ENTRIES)
EXACT = {"CSPMobileNetV2": "cfg/csmobilenet-v2.cfg", "EfficientNet-B0": "cfg/enetb0.cfg"}
# Deviation in percent from the published parameters and BFLOPs, each in the row's own convention, measured 2026-11-21.
DEVIATIONS = {
    "Res2NeXt-50": (1.65, -0.65),
    "HarDNet-138s": (-0.98, 10.19),
    "ResNet-152": (-4.62, -1.29),
    "CSPResNet-10": (-0.33, -8.66),
    "CSPDenseNet-201": (-1.61, -3.99),
    "CSPDenseNet-201-Elastic": (4.26, 7.27),
    "CSPDenseNet Reference": (2.43, -0.22),
    "CSPPeleeNet Reference": (-5.33, -4.97),
    "CSPDenseNetb Reference": (22.02, 8.89),
    "CSPPeleeNetb Reference": (-0.46, -5.10),
}


def counted(name: str) -> tuple[float, float]:
    """Parameters in millions and BFLOPs, in the convention of the published row."""
    row, graph = published(name)[0], get(name).graph()
    costs = cost(graph)
    params = costs.kernels if row.params_convention == "kernels" else costs.params
    if name.startswith("CSPDenseNet-201"):  # like the DenseNet rows beside it
        return params / 1e6, (costs.flops + 2 * norm_elements(graph)) / 1e9
    return params / 1e6, (costs.flops / 1e9 if row.bflops_convention == "literature" else costs.bflops)


@pytest.mark.parametrize(("name", "cfg"), EXACT.items())
def test_networks_of_a_public_file_count_exactly_what_it_counts(name, cfg):
    costs, counts = get(name).cost(), recount(cfg)
    assert get(name).approximate is None
    assert (costs.kernels, costs.params) == (counts.kernels, counts.params)
    assert costs.bflops == pytest.approx(counts.bflops_conv_max, abs=5e-7)


def test_res2next50_is_timms():
    (row,) = published("Res2NeXt-50", "CSPNet Table 3")
    costs = get("Res2NeXt-50").cost()
    assert round(costs.params / 1e6, 4) == row.recount_params_m
    assert round(costs.flops / 1e9, 3) == row.recount_bflops


def test_hardnet138s_has_138_layers():
    nodes = get("HarDNet-138s").graph().nodes
    assert sum(type(node.op).__name__ in ("Conv", "Linear") for node in nodes) == 138


def test_every_network_is_exact_or_says_what_was_assumed():
    said = {entry.name: entry.approximate for entry in OTHERS if entry.name not in EXACT}
    assert set(said) == set(DEVIATIONS)
    for name, sentence in said.items():
        assert sentence, name
        assert sentence.endswith("."), name
        assert "\n" not in sentence, name
        assert ". " not in sentence, name
    assert all(published(entry.name) and get(entry.name) is entries()[entry.name] for entry in OTHERS)


@pytest.mark.parametrize("name", DEVIATIONS)
def test_the_distance_from_the_published_figures_is_as_recorded(name):
    row = published(name)[0]
    params, bflops = counted(name)
    assert (100 * (params / row.params_m - 1), 100 * (bflops / row.bflops - 1)) == pytest.approx(
        DEVIATIONS[name], abs=0.01
    )


@pytest.mark.parametrize(
    ("name", "against", "params_fall"),
    [
        ("CSPResNet-10", "ResNet-10", True),
        ("CSPDenseNet-201", "DenseNet-201", False),
        ("CSPDenseNet-201-Elastic", "DenseNet-201-Elastic", False),
        ("CSPDenseNet Reference", "Darknet Reference", True),
        ("CSPDenseNet Reference", "CSPPeleeNet Reference", True),
        ("CSPDenseNetb Reference", "CSPDenseNet Reference", True),
        ("CSPDenseNetb Reference", "CSPPeleeNetb Reference", True),
        ("CSPPeleeNetb Reference", "CSPPeleeNet Reference", True),
        ("CSPMobileNetV2", "MobileNetV2", True),
    ],
)
def test_what_is_cheaper_in_the_paper_is_cheaper_here(name, against, params_fall):
    row, other = published(name)[0], published(against)[0]
    assert row.bflops < other.bflops
    assert (row.params_m < other.params_m) == params_fall
    costs, others = get(name).cost(), get(against).cost()
    assert costs.bflops < others.bflops
    assert (costs.kernels < others.kernels) == params_fall


@pytest.mark.parametrize("entry", OTHERS, ids=lambda entry: entry.name)
def test_every_network_runs_and_every_parameter_gets_a_gradient(entry: Entry):
    torch.manual_seed(0)
    network = Network(entry.graph(64))
    logits = network(torch.randn(2, 3, 64, 64))
    (logits[0] if isinstance(logits, list | tuple) else logits).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert sum(parameter.numel() for parameter in network.parameters()) == entry.cost(64).params
