"""The γ = 0 twin: no cross path, nothing else changed, and more work in its blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from space.cost import alive_elements, breakdown, cost, peak_elements
from space.lower import lower
from space.twin import twin
from space.zoo import get
from tests.strategies import architectures, random_architectures


def block_macs(architecture):
    parts = breakdown(lower(architecture, 128, 128))
    return sum(part.cost.macs for part in parts if ".block" in part.name)


@given(architectures)
@settings(max_examples=60)
def test_a_twin_differs_in_nothing_but_the_cross_path(architecture):
    plain = twin(architecture)
    assert all(stage.cross == 0 and stage.fusion == "none" for stage in plain.stages)
    assert twin(plain) == plain
    for ours, theirs in zip(architecture.stages, plain.stages, strict=True):
        assert (ours.block, ours.depth, ours.width, ours.growth_rate) == (
            theirs.block, theirs.depth, theirs.width, theirs.growth_rate)  # fmt: skip
    assert (plain.stem, plain.head, plain.activation) == (architecture.stem, architecture.head, architecture.activation)
    before, after = block_macs(architecture), block_macs(plain)
    assert after > before if any(stage.cross for stage in architecture.stages) else after == before


def test_the_more_bypasses_the_blocks_the_more_macs_are_saved():
    for base in random_architectures(40, seed=8):
        shares = [
            replace(base, stages=tuple(replace(s, width=64, fusion="last", partial_ratio=g, block="dense",
                                               growth_rate=16, bottleneck_ratio=1.0, depth=3, split="slice")
                                       for s in base.stages)).canonical()
            for g in (0.25, 0.5, 0.75)
        ]  # fmt: skip
        assert len({twin(a).id for a in shares}) == 1
        saved = [1 - block_macs(a) / block_macs(twin(a)) for a in shares]
        assert 0 < saved[0] < saved[1] < saved[2]


@pytest.mark.parametrize("name", ["CSPPeleeNet", "CSPResNet-50", "CSPResNeXt-50", "CSPDarknet-53"])
def test_published_networks_cost_less_than_their_twins(name):
    entry = get(name)
    ours = cost(lower(entry.architecture, 256, 256, num_classes=1000))
    plain = cost(lower(twin(entry.architecture), 256, 256, num_classes=1000))
    assert plain.macs > ours.macs


def test_the_largest_memory_alive_is_the_peak():
    for architecture in random_architectures(20, seed=2):
        graph = lower(architecture)
        alive = alive_elements(graph)
        assert len(alive) == len(graph.nodes)
        assert max(alive) == peak_elements(graph)
        assert min(alive) >= 3 * 256 * 256
