"""The generated file is our network: same parameter names, same outputs, and it needs torch alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from space.architecture import Architecture, Head, Stage, Stem
from space.cost import cost
from space.graph import Builder, Graph, Node
from space.lower import lower
from space.module import Network, initialise
from space.ops import ACTIVATIONS, OTHER_ACTIVATIONS, Add, Input, Op
from space.torch_source import to_torch_source
from tests.strategies import exists, random_architectures, sizes, wild_architectures


def loaded(graph: Graph, network: Network, name: str = "CSPNet") -> torch.nn.Module:
    """The generated network with the weights of `network`."""
    source = to_torch_source(graph, name=name)
    assert max(map(len, source.splitlines())) <= 120
    space: dict = {"__name__": "generated"}
    exec(compile(source, "generated.py", "exec"), space)
    other = space[name]()
    other.load_state_dict(network.state_dict())
    assert set(other.state_dict()) == set(network.state_dict())
    return other


def assert_same(graph: Graph, batch: int = 2) -> None:
    network = initialise(Network(graph), 3)
    other = loaded(graph, network)
    x = torch.randn(batch, *graph.nodes[0].shape, generator=torch.Generator().manual_seed(1))
    for mode in (True, False, False):  # in training both move their running statistics alike
        network.train(mode)
        other.train(mode)
        with torch.no_grad():
            expected, got = network(x.clone()), other(x.clone())
        assert [tuple(t.shape) for t in got] == [tuple(t.shape) for t in expected]
        for a, b in zip(expected, got, strict=True):
            torch.testing.assert_close(b, a, atol=1e-6, rtol=0)


def every_op() -> Graph:
    """A graph with every operator, in the variants that differ in torch."""
    g = Builder((3, 33, 71), activation="leaky_relu")
    with g.scope("stem"):
        x = g.conv(0, 8, 3, stride=2, name="conv1")
        for kernel, stride in ((2, 2), (2, 1), (3, 2), (4, 1), (5, 1), (4, 2)):
            g.max_pool(x, kernel, stride=stride, name="unread")
        pools = [g.max_pool(x, k, stride=1) for k in (2, 3, 4, 5)] + [g.avg_pool(x, k, stride=1) for k in (2, 3, 4)]
        x = g.concat([x, *pools])
        x = g.conv(g.norm(x), 16, 1, name="conv2", padding=1)
    outputs = []
    with g.scope("stage1"):
        small = g.conv(x, 8, 3, stride=2, name="conv1", norm=False, bias=False, activation="relu6")
        with g.scope("block1"):
            wide = g.add(g.conv(small, 12, 3, name="conv1"), small)  # onto more channels
            narrow = g.add(small, wide, name="narrow")  # onto fewer
            strided = g.add(narrow, x, name="strided")
        with g.scope("attention"):
            gate = g.conv(strided, 8, 1, name="gate", norm=False, activation="logistic")
            y = g.mul(strided, gate)
            squeeze = g.conv(g.global_pool(y), 8, 1, name="squeeze", linear=True, norm=False)
            y = g.mul(y, g.act(squeeze, activation="logistic"), name="excite")
        y = g.maxout(y, 4)
        y = g.concat([g.slice(small, 0, 3, name="a"), g.slice(small, 3, 8, name="b"), y])
        for activation in (*ACTIVATIONS, *OTHER_ACTIVATIONS):
            y = g.act(g.conv(y, 8, 1, name="conv", activation=activation, groups=1), activation=activation)
        up = g.resize_like(y, x, name="up")
        outputs.append(g.concat([x, up]))
        y = g.avg_pool(g.max_pool(y, 4, stride=2), 4, stride=2)
        y = g.norm(g.avg_pool(y), linear=True)
    with g.scope("head"):
        outputs.append(g.linear(g.linear(y, 7, name="fc1"), 5, name="fc2"))
    return g.graph([*outputs, small, small])


def test_every_operator_is_translated():
    graph = every_op()
    used = {type(node.op) for node in graph.nodes}
    assert used == set(Op.__args__)
    assert Add in used
    assert_same(graph)


@given(wild_architectures(), sizes)
def test_the_file_computes_what_the_network_computes(architecture, size):
    assert_same(lower(architecture, *size))


@given(wild_architectures())
@settings(max_examples=10)
def test_gradients_flow_as_in_the_network(architecture):
    graph = lower(architecture, 64, 64)
    network = initialise(Network(graph), 0).train()
    other = loaded(graph, network).train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for module in (network, other):
        sum(output.square().mean() for output in module(x)).backward()
    theirs = dict(other.named_parameters())
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(theirs[name].grad, parameter.grad, atol=1e-5, rtol=1e-4)


def test_the_file_needs_nothing_of_ours(tmp_path):
    graph = lower(random_architectures(1)[0], 100, 100)
    source = to_torch_source(graph)
    roots = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else (node.module or "").split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert roots == {"torch"}
    (tmp_path / "net.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-I", "net.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout.splitlines() == [str((1, *shape)) for shape in graph.output_shapes]


def test_the_header_says_what_the_network_is():
    graph = lower(random_architectures(1)[0], 96, 128)
    head = ast.get_docstring(ast.parse(to_torch_source(graph, name="Tiny"))) or ""
    total = cost(graph)
    for fact in (
        "Tiny",
        "3 x 96 x 128",
        f"{total.macs:,} MACs",
        f"{total.params:,} param",
        "csp-explorer",
        "torch only",
    ):
        assert fact in head


def test_equal_blocks_share_a_class():
    stage = Stage(block="res", depth=5, width=64)
    architecture = Architecture(stem=Stem(), stages=(stage,) * 3, head=Head(kind="classifier"))
    source = to_torch_source(lower(architecture))
    classes = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if "Block" in name] == ["ResidualBlock"]
    assert classes.count("Stage") == 1  # the first two stages are equal
    assert source.count("= ResidualBlock(") == 2 * 5


@given(wild_architectures())
@settings(max_examples=10)
def test_a_file_made_at_one_size_runs_at_another(architecture):
    """A pyramid resizes to the maps that it meets, so even sizes are not built in."""
    architecture = replace(architecture, head=Head(fusion="fpn", width=8, maxout=1, levels=2))
    assume(exists(architecture))
    graph = lower(architecture, 512, 512)  # large enough that no two scales have one size
    other = loaded(graph, initialise(Network(graph), 0)).eval()
    larger = lower(architecture, 400, 300)
    shapes = [tuple(output.shape[1:]) for output in other(torch.zeros(1, 3, 400, 300))]
    assert shapes == larger.output_shapes


def _renamed(graph: Graph, names: dict[int, str]) -> Graph:
    nodes = [node._replace(name=names.get(index, node.name)) for index, node in enumerate(graph.nodes)]
    return replace(graph, nodes=tuple(nodes))


def chain(*names: str) -> Graph:
    """Convolutions one after the other, and all of them joined at the end."""
    g = Builder((4, 8, 8), activation="relu")
    x, refs = 0, []
    for number in range(len(names)):
        x = g.conv(x, 4, 3, name=f"c{number}")
        refs.append(x)
    graph = g.graph([x, g.concat(refs, name="all")])
    return _renamed(graph, dict(enumerate(names, 1)))


@pytest.mark.parametrize(
    "names",
    [
        ("a.x", "b.x", "a.y", "b.y"),  # scopes that wait for each other
        ("a.b.x", "a.c.x", "a.b.y", "d.x", "a.c.y"),
        ("0.0", "0.1", "1.0"),
        ("a", "a.b", "a.b.c"),  # a layer that is a scope too
        ("class.for", "class.if", "x.self.torch"),
        ("none.list", "true.super", "list", "a.max"),
        ("ConvBNAct.x", "conv_bn_act.y", "CSPNet.z", "F.nn"),
        ("weiß-1.größe", "weiß-1.b c", 'q"uote.a\\b'),
    ],
)
def test_odd_scopes_become_valid_python(names):
    assert_same(chain(*names))


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_any_nesting_of_scopes_gives_the_same_network(letters, random):
    names = [".".join([*random.choices("ab", k=random.randint(0, 3)), f"n{i}"]) for i, _ in enumerate(letters)]
    assert_same(chain(*names))


def test_scopes_of_one_structure_keep_their_own_numbers():
    """Blocks too different for one class keep stages apart that differ in one number alone."""
    g = Builder((3, 8, 8), activation="relu")
    x = 0
    for stage, widths in enumerate([(4, 5, 6, 7), (4, 5, 6, 9), (9, 8, 3, 2), (7, 11, 12, 13), (5, 2, 2, 14)]):
        x = g.conv(x, 3, 1, name=f"in{stage}")
        with g.scope(f"stage{stage}"):
            with g.scope("block"):
                for number, width in enumerate(widths):
                    x = g.conv(x, width, 1, name=f"conv{number}")
                x = g.conv(x, widths[0] + 20, 1, name="last")
            x = g.conv(x, 3, 3, name="out") if stage > 1 else g.maxout(x, 2)
    assert_same(g.graph([x]))


def test_a_class_name_is_checked():
    graph = chain("a")
    for name in ("my net", "class", "torch", ""):
        with pytest.raises(ValueError, match="cannot be the name"):
            to_torch_source(graph, name=name)


def test_the_input_alone_is_a_network():
    graph = Graph(nodes=(Node("input", Input(), (), (3, 8, 8)),), outputs=(0,))
    assert_same(graph)
