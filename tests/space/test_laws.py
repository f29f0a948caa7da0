"""Laws that hold for every architecture, in the default space and outside it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from evaluator.audit import fvcore_macs
from evaluator.backends.onnxruntime import session
from space.architecture import SPLITS, Architecture, ArchitectureError, Head, Stage, Stem
from space.blocks import BLOCKS
from space.cost import breakdown, cost, peak_elements
from space.lower import lower
from space.module import Network, fold, initialise
from space.onnx import to_onnx
from space.ops import ACTIVATIONS, Input
from space.stages import FUSIONS
from tests.strategies import architectures, exists, random_architectures, sizes, wild_architectures


def built(architecture: Architecture, height: int, width: int, seed: int = 0) -> Network:
    return initialise(Network(lower(architecture, height, width)), seed)


@given(wild_architectures(), sizes)
def test_outputs_have_the_stated_shapes(architecture, size):
    network = built(architecture, *size)
    outputs = network.eval()(torch.zeros(2, 3, *size))
    stated = [(2, *shape) for shape in network.graph.output_shapes]
    if architecture.head.kind == "classifier":
        stated = [shape[:2] for shape in stated]
    assert [tuple(output.shape) for output in outputs] == stated
    assert all(torch.isfinite(output).all() for output in outputs)


@given(architectures)
@settings(max_examples=25)
def test_a_training_step_gives_every_parameter_a_gradient(architecture):
    network = built(architecture, 64, 64).train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.stack([output.square().mean() for output in network(x)]).sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert all(torch.isfinite(p).all() for p in network.parameters())
    assert any(not torch.equal(before[name], p) for name, p in network.named_parameters())


@given(wild_architectures(), sizes)
def test_macs_and_parameters_equal_torchs_own_counts(architecture, size):
    network = built(architecture, *size).eval()
    counted = cost(network.graph)
    assert counted.params == sum(p.numel() for p in network.parameters())
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *size))
    assert 2 * counted.macs == counted.flops == counter.get_total_flops()


@given(wild_architectures(), sizes)
@settings(max_examples=12)
def test_macs_equal_fvcores_convolutions_and_linear_layers(architecture, size):
    network = built(architecture, *size)
    assert cost(network.graph).macs == fvcore_macs(network)


@given(wild_architectures(), sizes)
@settings(max_examples=25)
def test_onnx_runtime_agrees_with_torch(architecture, size):
    network = built(architecture, *size, seed=3).train()
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    network(x)  # running statistics that are not 0 and 1
    network.eval()
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    onnx.checker.check_model(to_onnx(network.graph, weights), full_check=True)
    with torch.inference_mode():
        expected = [output.numpy() for output in network(x)]
        folded = [output.numpy() for output in fold(network)(x)]
    got = session(network.graph, weights=weights, batch=2).run(None, {"image": x.numpy()})
    for a, b, c in zip(expected, got, folded, strict=True):
        scale = max(1.0, np.abs(a).max())
        np.testing.assert_allclose(b / scale, a / scale, atol=1e-4)
        np.testing.assert_allclose(c / scale, a / scale, atol=1e-4)


def test_a_dynamic_batch_runs_at_any_batch():
    graph = lower(random_architectures(1)[0], 100, 100)
    import onnxruntime

    model = to_onnx(graph, batch="batch")
    ready = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((3, 3, 100, 100), dtype=np.float32)
    together = ready.run(None, {"image": x})
    alone = ready.run(None, {"image": x[1:2]})
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a[1:2], b, atol=1e-4)


class _Alive(TorchDispatchMode):
    """Most bytes of distinct storages alive after any operator, those of `known` not counted."""

    def __init__(self, known):
        super().__init__()
        self.known, self.peak, self.storages = known, 0, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            # Max-pooling makes int64 indices that it drops at once; a deployment runtime has none.
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self.known:
                    # A storage is gone when its last tensor is: the weak reference tells.
                    self.storages[storage._cdata] = (torch.multiprocessing.reductions.StorageWeakRef(storage),
                                                     storage.nbytes())  # fmt: skip
        self.storages = {key: (ref, size) for key, (ref, size) in self.storages.items() if not ref.expired()}
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return out


@given(wild_architectures(), sizes)
@settings(max_examples=25)
def test_peak_memory_is_what_is_alive_under_torch(architecture, size):
    # torch pads by a copy before an even pool of stride 1; no deployment runtime does.
    assume(all(stage.down != "pool_stride1" for stage in architecture.stages))
    network = fold(built(architecture, *size))
    known = {p.untyped_storage().data_ptr() for p in network.parameters()}
    with torch.inference_mode(), _Alive(known) as alive:
        network(torch.ones(1, 3, *size))
    assert alive.peak == 4 * peak_elements(network.graph)


@given(wild_architectures())
def test_json_round_trip_keeps_the_id(architecture):
    data = json.loads(json.dumps(architecture.to_dict()))
    assert Architecture.from_dict(data) == architecture
    assert Architecture.from_dict(data).id == architecture.id
    canonical = architecture.canonical()
    assert canonical.canonical() == canonical
    assert canonical.id == architecture.id
    assert lower(canonical) == lower(architecture)


@given(wild_architectures(), st.integers(1, 64), st.sampled_from(SPLITS))
def test_spellings_of_one_network_have_one_id(architecture, ignored, split):
    """What the canonical form drops has no effect on the graph."""
    respelled = []
    for stage in architecture.stages:
        reads = BLOCKS.get(stage.block).reads
        changes = {a: ignored for a in ("growth_rate", "cardinality", "bottleneck_ratio") if a not in reads}
        if stage.fusion == "none":
            changes |= {"split": split, "fusion": "csp", "partial_ratio": 0.0}
        respelled.append(replace(stage, **changes))
    other = replace(architecture, stages=tuple(respelled))
    assert other.id == architecture.id
    assert lower(other) == lower(architecture)


@given(wild_architectures())
def test_different_canonical_forms_are_different_networks(architecture):
    """Changing any axis that is read changes the id."""
    first, *rest = architecture.canonical().stages
    deeper = replace(architecture, stages=(replace(first, depth=first.depth + 1), *rest))
    assert deeper.id != architecture.id
    assert cost(lower(deeper)).macs > cost(lower(architecture)).macs


@given(wild_architectures(), sizes)
def test_parts_add_up(architecture, size):
    graph = lower(architecture, *size)
    whole = cost(graph)
    for by in ("layer", "stage"):
        rows = breakdown(graph, by=by)
        for name in ("macs", "params", "activations", "cio"):
            assert sum(getattr(row.cost, name) for row in rows) == getattr(whole, name)
    assert len(breakdown(graph)) == sum(not isinstance(node.op, Input) for node in graph.nodes)


@given(wild_architectures())
def test_split_widths_add_up(architecture):
    for stage in architecture.canonical().stages:
        assert stage.cross + stage.main == stage.width
        assert stage.main > 0
        assert (stage.cross == 0) == (stage.fusion == "none")


def _network(stage: Stage, count: int = 3, **head) -> Architecture:
    return Architecture(stem=Stem(width=16), stages=(stage,) * count, head=Head(**head))


def _stage(block: str, **changes) -> Stage:
    base = Stage(block=block, depth=2, width=64, bottleneck_ratio=0.5, growth_rate=32, cardinality=2)
    return replace(base, **changes)


@pytest.mark.parametrize("block", BLOCKS.names())
@pytest.mark.parametrize("split", ["slice", "conv"])
@pytest.mark.parametrize("fusion", ["csp", "last", "first"])
def test_macs_fall_with_the_partial_ratio_and_rise_with_width_and_depth(block, split, fusion):
    def macs(**changes) -> int:
        return cost(lower(_network(_stage(block, fusion=fusion, split=split, **changes)))).macs

    by_gamma = [macs(partial_ratio=gamma) for gamma in (0.125, 0.25, 0.5, 0.75)]
    assert all(a > b for a, b in itertools.pairwise(by_gamma))
    assert macs(width=64) < macs(width=80) < macs(width=128)
    assert macs(depth=1) < macs(depth=2) < macs(depth=5)


def test_dense_fusions_cost_as_the_paper_orders_them():
    """CSPNet Table 1, on PeleeNet's depths and square transitions: first < last < CSP < plain for γ >= 0.5."""

    def macs(fusion: str, gamma: float) -> int:
        stages = tuple(
            Stage(block="dense", depth=depth, width=width, growth_rate=32, bottleneck_ratio=ratio, fusion=fusion,
                  partial_ratio=gamma)
            for depth, width, ratio in ((3, 32, 0.5), (4, 128, 1.0), (8, 256, 2.0), (6, 512, 2.0))
        )  # fmt: skip
        architecture = Architecture(stem=Stem(), stages=stages, head=Head(kind="classifier"))
        return cost(lower(architecture, 224, 224)).macs

    for gamma in (0.5, 0.75):
        assert macs("first", gamma) < macs("last", gamma) < macs("csp", gamma) < macs("none", gamma)
    for fusion in ("first", "last", "csp"):
        assert macs(fusion, 0.75) < macs(fusion, 0.5) < macs(fusion, 0.25)


def test_a_dense_stage_is_what_the_issue_says():
    """Channels of every convolution of a CSP dense stage, by hand: c = 64, γ = 0.25, n = 2, k = 32."""
    stage = _stage("dense", width=64, partial_ratio=0.25, bottleneck_ratio=1.0)
    graph = lower(_network(stage))
    shapes = {node.name: (graph.nodes[node.inputs[0]].shape[0], node.shape[0]) for node in graph.nodes[1:]}
    assert shapes["stage1.block1.conv1"] == (48, 32)  # blocks see (1 - γ) c
    assert shapes["stage1.block2.conv1"] == (48 + 32, 32)
    assert shapes["stage1.t1"] == (48 + 2 * 32, 48 + 2 * 32)  # T1 from (1 - γ) c + nk
    assert shapes["stage1.concat"][1] == 16 + 48 + 2 * 32  # then the γ c that bypassed
    assert shapes["stage1.t2"] == (64 + 2 * 32, 64)  # T2 to the next stage
    last = lower(_network(replace(stage, fusion="last")))
    assert not any(node.name.endswith(".t2") for node in last.nodes)
    first = [node.name for node in lower(_network(replace(stage, fusion="first"))).nodes if node.name[:6] == "stage1"]
    assert "stage1.t1" not in first
    assert "stage1.t2" in first


def test_maxout_takes_strided_groups_as_darknet_does():
    """out[g] = max of channels g, g + n, g + 2n, …"""
    stage = _stage("res")
    architecture = _network(stage, fusion="gfm", width=16, maxout=4)
    network = built(architecture, 64, 64).eval()
    node = next(node for node in network.graph.nodes if node.name.endswith("maxout"))
    x = torch.randn(1, 16, 5, 7)
    out = network.get_submodule(node.name)(x)
    for g in range(4):
        assert torch.equal(out[:, g], x[:, [g, g + 4, g + 8, g + 12]].amax(1))


def test_pyramids_fuse_the_scales_that_the_paper_names():
    """FPN s and s+1; GFM all at every scale; EFM s-1, s and s+1 (section 3.3). Read off the concatenations."""
    reach = {
        "fpn": [{0, 1}, {1, 2}, {2}],
        "gfm": [{0, 1, 2}] * 3,
        "efm": [{0, 1}, {0, 1, 2}, {1, 2}],
    }
    for fusion in reach:
        graph = lower(_network(_stage("res"), fusion=fusion, width=16, maxout=1))
        nodes = graph.nodes
        for level, expected in enumerate(reach[fusion]):
            fused = next(node for node in nodes if node.name == f"head.fuse{level}")
            seen, todo = set(), list(fused.inputs)
            while todo:
                node = nodes[todo.pop()]
                if "lateral" in node.name:
                    seen.add(int(node.name[-1]))
                else:
                    todo.extend(node.inputs)
            assert seen == expected, (fusion, level)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_the_same_in_torch_and_onnx(activation):
    architecture = replace(_network(_stage("resx")), activation=activation)
    network = built(architecture, 64, 64).eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(x)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    got = session(network.graph, weights=weights).run(None, {"image": x.numpy()})
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=1e-4)


def test_impossible_architectures_name_the_rule():
    cases = [
        (_network(_stage("resx", cardinality=3)), "3 groups do not divide"),
        (_network(_stage("dense", growth_rate=None)), "needs the axis 'growth_rate'"),
        (_network(_stage("res", partial_ratio=0.999)), "leaves no channel"),
        (_network(_stage("res"), count=2), "of 3 levels needs as many"),
        (_network(_stage("res"), fusion="efm", width=16, maxout=3), "maxout 3:1 does not divide the head"),
        (_network(_stage("dense", fusion="last", partial_ratio=0.5, width=64)), None),
        (replace(_network(_stage("res")), stem=Stem(stride=3)), "stem stride 3"),
    ]
    for architecture, message in cases:
        if message is None:
            lower(architecture)
            continue
        with pytest.raises(ArchitectureError, match=message):
            lower(architecture)
    narrowing = Architecture(
        stem=Stem(),
        stages=(
            _stage("dense", fusion="last", partial_ratio=0.75, width=64),
            _stage("res", width=32),
            _stage("res", width=32),
        ),
        head=Head(),
    )
    with pytest.raises(ArchitectureError, match="must exceed the cross path's 48"):
        lower(narrowing)


def test_the_space_is_described_without_torch():
    code = (
        "import sys, space.lower, space.cost, space.design, space.onnx, search.study, search.store, search.pareto;"
        "from tests.strategies import random_architectures as r; from space.lower import lower;"
        "from space.cost import cost; [cost(lower(a)) for a in r(3)];"
        "bad = [m for m in ('torch', 'optuna', 'fvcore', 'onnx') if m in sys.modules]; assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


OPTIONS = {
    "entry": [None, 5, 9], "exit": [None, 7], "main_entry": [None, 3], "down": [None, "conv", "pool", "none"],
    "down_groups": [None, 1], "split_linear": [True, False], "pool_first": [None, True, False],
    "transition": [None, True, False], "elastic": [True, False], "squeeze": [0.0, 0.25, 0.26], "block": ["res", "resx"],
    "fusion": FUSIONS.names(), "cardinality": [1, 2, 3],
}  # fmt: skip


@given(wild_architectures(), st.data())
@settings(max_examples=150)
def test_one_option_changes_the_id_if_and_only_if_it_changes_the_graph(architecture, data):
    index = data.draw(st.integers(0, len(architecture.stages) - 1))
    name = data.draw(st.sampled_from(sorted(OPTIONS)))
    stages = list(architecture.stages)
    stages[index] = replace(stages[index], **{name: data.draw(st.sampled_from(OPTIONS[name]))})
    other = replace(architecture, stages=tuple(stages))
    assume(exists(other))
    graphs = [[node[1:] for node in lower(one, 64, 64).nodes] for one in (architecture, other)]
    assert (architecture.id == other.id) == (graphs[0] == graphs[1])


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [("stage", {"width": 32.0}, "stage width is 32.0"), ("stage", {"depth": 10**9}, "stage depth is 1000000000"),
     ("stage", {"depth": True}, "stage depth is True"), ("stage", {"elastic": 1}, "stage elastic is 1"),
     ("stage", {"squeeze": float("nan")}, "stage squeeze is nan"), ("stage", {"squeeze": -0.5}, "squeeze is -0.5"),
     ("stage", {"bottleneck_ratio": float("inf")}, "ratio is inf"), ("stage", {"entry": "a"}, "entry is 'a'"),
     ("stage", {"down": "up"}, "no down 'up'"), ("stage", {"partial_ratio": "half"}, "partial_ratio is 'half'"),
     ("stem", {"width": -1}, "stem width is -1"), ("stem", {"kind": "vgg"}, "no stem 'vgg'"),
     ("head", {"levels": 2.0}, "head levels is 2.0"), ("head", {"fusion": None}, "needs a fusion"),
     ("head", {"spp": []}, "head spp is []"), ("head", {"width": 10**12}, "head width is")],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_by_its_name(part, changes, words):
    architecture = _network(_stage("res"))
    if part == "stage":
        broken = replace(architecture, stages=(replace(architecture.stages[0], **changes), *architecture.stages[1:]))
    else:
        broken = replace(architecture, **{part: replace(getattr(architecture, part), **changes)})
    with pytest.raises(ArchitectureError) as caught:
        lower(broken)
    assert words in str(caught.value)


def test_a_classifier_needs_no_width_and_an_older_file_keeps_its_network():
    names = [node.name for node in lower(replace(_network(_stage("res")), head=Head(kind="classifier"))).nodes]
    assert "head.conv" not in names
    plain = replace(_network(_stage("res")), head=Head(kind="classifier", fusion=None, width=None, maxout=None))
    assert replace(plain, head=Head(kind="classifier", fusion="fpn", width=16)).id == plain.id


@pytest.mark.parametrize("block", ["dense", "dense_pre"])
def test_the_sum_of_elastic_halves_is_no_shortcut(block):
    """Only the end of a residual branch starts small."""
    network = built(_network(_stage(block, elastic=True)), 64, 64)
    assert all((module.weight == 1).all() for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    residual = built(_network(_stage("basic", elastic=True)), 64, 64)
    small = [name for name, module in residual.named_modules()
             if isinstance(module, torch.nn.BatchNorm2d) and (module.weight != 1).all()]  # fmt: skip
    assert all(name.endswith("conv2.bn") for name in small)
    assert len(small) == 3 * 2 * 2


def test_a_strided_shortcut_reads_a_map_of_one_row():
    from space.zoo import get

    assert lower(get("ResNet-50").architecture, 16, 64).output_shapes


def test_enormous_weights_are_refused_before_anything_is_allocated():
    stage = Stage(block="res", depth=4, width=60_000, fusion="none", partial_ratio=0.0, bottleneck_ratio=1.0)
    with pytest.raises(ArchitectureError, match="GiB; an ONNX file holds less"):
        to_onnx(lower(_network(stage, count=3)))
