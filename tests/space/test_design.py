"""The design space: what it holds, its rules, and the one spelling of every network."""

from __future__ import annotations

import copy
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from space.architecture import Architecture, ArchitectureError
from space.axes import SpaceError, round_channels
from space.cost import cost
from space.design import DesignSpace
from space.lower import lower
from space.nearest import nearest
from tests.strategies import SPACE, STUDY, genomes, random_architectures

SMALL = {
    "network": {"num_stages": [3, 4], "stem_width": [16], "activation": ["relu"]},
    "shared": {"block": ["dense", "res"], "fusion": ["csp", "last"], "growth_rate": [16], "split": ["slice"],
               "bottleneck_ratio": {"dense": [1.0], "res": [0.5, 1.0]}},
    "per_stage": {"partial_ratio": [0.0, 0.5], "depth": [1], "width": [[16, 32], [16, 32], [32], [48]]},
    "head": {"head_fusion": ["fpn"], "head_width": [16], "maxout": [1]},
}  # fmt: skip


def test_the_default_space_is_wide():
    assert SPACE.size > 10**8
    ends = [cost(lower(SPACE.build(genome))).macs for genome in _ends()]
    assert max(ends) / min(ends) >= 30


def _ends():
    """A small and a large genome, found by walking to the neighbour with fewer or more MACs."""
    for sign in (1, -1):
        best = SPACE.extremes()[0 if sign > 0 else 1]
        while True:
            near = [genome for genome in SPACE.neighbours(best) if SPACE.valid(genome)]
            better = min(near, key=lambda genome: sign * _macs(genome))
            if sign * _macs(better) >= sign * _macs(best):
                break
            best = better
        yield best


def _macs(genome) -> int:
    return cost(lower(SPACE.build(genome))).macs


def test_size_is_the_number_of_networks_that_enumeration_finds():
    space = DesignSpace.from_dict(SMALL)
    ids, refused = set(), 0
    for genome in space.enumerate():
        try:
            ids.add(space.build(genome).id)
        except ArchitectureError:
            refused += 1
    assert len(ids) == space.size
    assert refused > 0  # the rule for 'last' is exercised: size must not count what cannot be built
    assert space.size + refused < space.num_genomes  # and so is the canonical form


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=10)
def test_size_is_exact_for_random_spaces(seed, shared_width):
    rng = np.random.default_rng(seed)

    def some(choices, most=2):
        count = int(rng.integers(1, min(most, len(choices)) + 1))
        return [choices[i] for i in sorted(rng.choice(len(choices), count, replace=False))]

    data = copy.deepcopy(SMALL)
    data["shared"] |= {"fusion": some(["csp", "last", "first", "none"], 3), "growth_rate": some([16, 32])}
    data["per_stage"] |= {"partial_ratio": some([0.0, 0.25, 0.75], 3), "width": some([16, 32, 48], 3)}
    data["network"]["num_stages"] = [3]
    if shared_width:
        data["shared"]["width"] = data["per_stage"].pop("width")
    space = DesignSpace.from_dict(data)
    assert space.size == len({space.build(g).id for g in space.enumerate() if space.valid(g)})


@given(genomes)
def test_every_path_is_a_multiple_of_sixteen_wide(genome):
    graph = lower(SPACE.build(genome))
    # All but the image, the prediction maps, and maxout's halves of the head's width.
    paths = [n for n in graph.nodes[1:] if not re.search("predict|maxout|head", n.name)]
    assert all(node.shape[0] % SPACE.channel_multiple == 0 for node in paths)


@given(genomes, st.integers(0, 2**32))
def test_moves_stay_in_the_space(genome, seed):
    rng = np.random.default_rng(seed)
    child = SPACE.mutate(genome, rng)
    assert child != genome
    mixed = SPACE.crossover(genome, child, rng)
    for one in (child, mixed, SPACE.sample(rng), *itertools.islice(SPACE.neighbours(genome), 5)):
        assert one.keys() == SPACE.genes.keys()
        assert all(one[name] in choices for name, choices in SPACE.genes.items())
    assert all(mixed[name] in (genome[name], child[name]) for name in mixed)
    for near in SPACE.neighbours(genome):
        assert sum(near[name] != genome[name] for name in genome) == 1


@given(genomes, genomes)
def test_encoding_tells_genomes_apart(a, b):
    x, y = SPACE.encode(a), SPACE.encode(b)
    assert x.shape == y.shape
    assert ((x >= 0) & (x <= 1)).all()
    assert (a == b) == np.array_equal(x, y)


def test_rounded_shares_are_one_network():
    """At width 32 a share of 0.4 and one of 0.5 round to the same 16 channels, and to one id."""
    data = copy.deepcopy(SMALL)
    data["per_stage"] |= {"partial_ratio": [0.4, 0.5], "width": [32]}
    space = DesignSpace.from_dict(data)
    a, b = ({**space.extremes()[0], **{f"stage{i}.partial_ratio": g for i in range(1, 5)}} for g in (0.4, 0.5))
    assert space.build(a).id == space.build(b).id
    assert space.build(a).stages[0].partial_ratio == 0.5


@pytest.mark.parametrize(("channels", "expected"), [(1, 16), (23.9, 16), (24, 32), (40, 48), (64, 64)])
def test_rounding_goes_to_the_nearest_multiple_halves_up(channels, expected):
    assert round_channels(channels, 16) == expected


def test_partial_ratio_zero_and_fusion_none_are_one_network():
    genome = dict(SPACE.extremes()[0], **{f"stage{i}.partial_ratio": 0.0 for i in range(1, 5)})
    ids = {SPACE.build({**genome, "fusion": f, "split": s}).id for f in ("csp", "none") for s in ("slice", "conv")}
    assert len(ids) == 1


@given(genomes)
def test_a_built_architecture_is_canonical(genome):
    architecture = SPACE.build(genome)
    assert architecture == architecture.canonical()
    assert Architecture.from_dict(architecture.to_dict()) == architecture


@pytest.mark.parametrize(
    ("section", "axis", "choices", "message"),
    [
        ("shared", "partial_ration", [0.5], "did you mean 'partial_ratio'"),
        ("shared", "block", ["rez"], "did you mean 'res'"),
        ("per_stage", "partial_ratio", [1.0], "share that bypasses"),
        ("per_stage", "depth", [0], "whole number from 1"),
        ("per_stage", "width", [], "needs a list of choices"),
        ("shared", "bottleneck_ratio", {"rez": [1.0]}, "did you mean 'res'"),
        ("network", "num_stages", [2], "at least 3"),
        ("network", "activation", ["gelu"], "no activation 'gelu'"),
        ("shared", "growth_rate", [[16], [32]], "lists of lists"),
        ("shared", "depth", [1], "shared and per stage"),
        ("head", "maxout", ["two"], "not a number"),
    ],
)
def test_a_wrong_axis_is_named(section, axis, choices, message):
    data = copy.deepcopy(STUDY.space_data)
    data[section][axis] = choices
    with pytest.raises(SpaceError, match=message):
        DesignSpace.from_dict(data)


def test_a_missing_axis_is_named():
    data = copy.deepcopy(STUDY.space_data)
    del data["per_stage"]["depth"]
    with pytest.raises(SpaceError, match="lacks the axis 'depth'"):
        DesignSpace.from_dict(data)


def test_the_nearest_genome_to_a_network_of_the_space_is_that_network():
    for architecture in random_architectures(60, seed=3):
        genome, changes = nearest(SPACE, architecture)
        assert SPACE.build(genome).id == architecture.id
        assert changes == []
