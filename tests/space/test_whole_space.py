"""The design space as a whole: every combination of its parts is valid by construction, or refused by a rule."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.backends.onnxruntime import session
from search.study import load
from space.architecture import ArchitectureError
from space.axes import SpaceError
from space.blocks import BLOCKS
from space.cost import cost
from space.design import DesignSpace
from space.heads import ATTENTIONS, NECKS
from space.lower import lower
from space.module import Network, initialise
from space.nearest import nearest
from space.ops import ACTIVATIONS
from space.stages import FUSIONS
from space.stems import STEMS
from space.zoo import entries, get

STUDY = load(Path(__file__).parents[2] / "studies" / "whole.toml")
SPACE = STUDY.space
SPLITS = ("slice", "conv", "cross")
PROPOSED_STEMS = [stem for stem in STEMS if stem != "single"]
"""`single` wants a stage that goes on down-sampling, which no proposal has."""


def chosen(**genes) -> dict:
    """The first genome of the space with some genes replaced; a stage gene without its stage means all stages."""
    genome = {name: choices[0] for name, choices in SPACE.genes.items()}
    for name in genome:
        plain = name.split(".")[1] if name.startswith("stage") else name.split(".")[0]
        if plain in genes:
            genome[name] = genes[plain]
    return genome


def test_the_study_of_the_whole_space_leaves_nothing_out():
    assert set(SPACE.genes["stage1.block"]) == set(BLOCKS.names())
    assert set(SPACE.genes["stage1.fusion"]) == set(FUSIONS.names())
    assert set(SPACE.genes["stage1.split"]) == set(SPLITS)
    assert set(SPACE.genes["stem"]) == set(PROPOSED_STEMS)
    assert set(SPACE.genes["head_fusion"]) == set(NECKS.names())
    assert set(SPACE.genes["attention"]) == {"none", *ATTENTIONS}
    assert set(ACTIVATIONS) - set(SPACE.genes["activation"]) == {"leaky_relu_0.01"}  # timm's slope, for its weights


@pytest.mark.parametrize("block", BLOCKS.names())
def test_every_combination_of_parts_lowers_at_odd_sizes(block):
    """block × fusion × split × γ × stem × neck, at 100x100 and at 320x416 in turn; each has a cost."""
    sizes = itertools.cycle([(100, 100), (320, 416)])
    for fusion, split, gamma, stem, neck in itertools.product(
        FUSIONS.names(), SPLITS, (0.25, 0.5, 0.75), PROPOSED_STEMS, NECKS.names()
    ):
        genome = chosen(block=block, fusion=fusion, split=split, partial_ratio=gamma, stem=stem, head_fusion=neck)
        for index in (1, 2, 3, 4):
            genome[f"stage{index}.width"] = SPACE.genes[f"stage{index}.width"][-1]
        found = cost(lower(SPACE.build(genome), *next(sizes)))
        assert found.macs > 0
        assert found.peak_bytes > 0


@pytest.mark.parametrize("block", BLOCKS.names())
@pytest.mark.parametrize("fusion", FUSIONS.names())
def test_parts_run_alike_under_torch_and_onnx_runtime(block, fusion):
    """Each block and fusion once, with options and other parts drawn at random; odd size, unfolded weights too."""
    rng = np.random.default_rng([BLOCKS.names().index(block), FUSIONS.names().index(fusion)])
    genome = SPACE.sample(rng)
    for gene, value in (("block", block), ("fusion", fusion), ("depth", 1)):
        genome |= {name: value for name in genome if name.endswith(f".{gene}")}
    for index in (1, 2, 3, 4):
        genome[f"stage{index}.width"] = SPACE.genes[f"stage{index}.width"][-1]
    genome["maxout"] = 1
    graph = lower(SPACE.build(genome), 100, 68)
    network = initialise(Network(graph), 0).train()
    x = torch.randn(2, 3, 100, 68, generator=torch.Generator().manual_seed(1))
    network(x)
    network.eval()
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    with torch.inference_mode():
        expected = [output.numpy() for output in network(x)]
    for a, b in zip(expected, session(graph, weights=weights, batch=2).run(None, {"image": x.numpy()}), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4 * max(1.0, np.abs(a).max()))


@given(st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in SPACE.genes.items()}))
@settings(max_examples=200)
def test_a_genome_is_valid_or_breaks_a_rule_that_is_named(genome):
    try:
        architecture = SPACE.build(genome)
    except ArchitectureError as error:
        refused = str(error)
        assert "must exceed the cross path" in refused or "does not divide the head's width" in refused
        return
    assert architecture.canonical() == architecture
    for stage in architecture.stages:
        assert stage.cross % SPACE.channel_multiple == 0
        assert stage.main % SPACE.channel_multiple == 0
    assert cost(lower(architecture, 100, 100)).macs < cost(lower(architecture, 320, 416)).macs


@pytest.mark.parametrize("end", [0, -1])
def test_the_extremes_exist(end):
    genome = SPACE.extremes()[end]
    genome |= {name: "csp" for name in genome if name.endswith(".fusion")} | {"maxout": 1}
    assert cost(lower(SPACE.build(genome), 256, 256)).macs > 0


def small(**sections) -> DesignSpace:
    data = {
        "network": {"num_stages": [3], "stem": ["double", "pelee"], "stem_width": [16, 32], "activation": ["relu"]},
        "shared": {"block": ["res", "dense_two_way"], "fusion": ["csp", "last"], "partial_ratio": [0.0, 0.5],
                   "split": ["slice", "cross"], "depth": [1], "bottleneck_ratio": [1.0], "growth_rate": [16],
                   "width": [32], "elastic": [False, True]},
        "per_stage": {},
        "head": {"head_fusion": ["efm", "prn"], "head_width": [16, 24], "maxout": [1, 4], "attention": ["none", "sam"]},
    }  # fmt: skip
    for name, axes in sections.items():
        data[name] |= axes
    return DesignSpace.from_dict(data)


def test_the_size_counts_each_network_once():
    """Against brute force: the ids of all genomes that can be built, with ignored options and stems among them."""
    for space in (small(), small(per_stage={"squeeze": [0.0, 0.25]}, shared={"fusion": ["csp", "none"]})):
        ids = set()
        for genome in space.enumerate():
            if space.valid(genome):
                ids.add(space.build(genome).id)
        assert space.size == len(ids)
        assert space.num_genomes > len(ids)


def test_proposals_are_different_networks():
    rng = np.random.default_rng(0)
    assert len({SPACE.build(SPACE.sample(rng)).id for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("sections", "words"),
    [({"network": {"stem": ["resnet"]}}, "no stem 'resnet'"),
     ({"head": {"attention": ["cbam"]}}, "no attention 'cbam'"),
     ({"head": {"spp": [1]}}, "not true or false"), ({"shared": {"elastic": ["yes"]}}, "not true or false"),
     ({"shared": {"split": ["early"]}}, "no split 'early'"), ({"shared": {"squeeze": [2]}}, "[0, 1]"),
     ({"network": {"stem": ["single"]}}, "no stem 'single'")],
)  # fmt: skip
def test_a_wrong_option_is_refused_with_what_is_allowed(sections, words):
    with pytest.raises(SpaceError) as caught:
        small(**sections)
    assert words in str(caught.value)


def test_stems_of_a_fixed_stride_are_refused_at_another():
    with pytest.raises(SpaceError, match="stem 'pelee' has stride 4"):
        DesignSpace.from_dict({**STUDY.space_data, "stem_stride": 2, "network": {
            **STUDY.space_data["network"], "stem": ["double", "pelee"]}})  # fmt: skip


# -- Starting from a published network --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [entry.name for entry in entries().values() if entry.architecture])
def test_every_network_of_the_family_has_a_nearest_genome(name):
    genome, _ = nearest(SPACE, get(name).architecture)
    assert SPACE.valid(genome)
    default = load().space
    assert default.valid(nearest(default, get(name).architecture)[0])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_the_nearest_genome_of_a_proposal_is_that_network(seed):
    """Up to what a shared gene cannot say of stages that ignore it."""
    space = small()
    architecture = space.build(space.sample(np.random.default_rng(seed)))
    genome, _ = nearest(space, architecture)
    again = space.build(genome)
    assert [(s.block, s.fusion, s.depth, s.width, s.partial_ratio) for s in again.stages] == [
        (s.block, s.fusion, s.depth, s.width, s.partial_ratio) for s in architecture.stages
    ]
    assert again.head == architecture.head
    assert again.activation == architecture.activation


def test_what_had_to_change_is_told():
    _, changes = nearest(load().space, get("CSPPeleeNet").architecture)
    assert "block dense_two_way -> dense" in changes
    assert any(change.startswith("stage4.width 512 -> ") for change in changes)


@pytest.mark.parametrize("block", BLOCKS.names())
@pytest.mark.parametrize("neck", ["efm", "prn", "panet"])
def test_every_parameter_gets_a_gradient(block, neck):
    rng = np.random.default_rng([BLOCKS.names().index(block), len(neck)])
    genome = SPACE.sample(rng) | {"head_fusion": neck, "maxout": 1}
    for gene, value in (("block", block), ("fusion", "csp"), ("depth", 2)):
        genome |= {name: value for name in genome if name.endswith(f".{gene}")}
    network = initialise(Network(lower(SPACE.build(genome), 64, 64)), 0).train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.stack([output.square().mean() for output in network(x)]).sum().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]
