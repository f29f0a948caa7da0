"""Darknet's files: published counts, round trips of any graph, and one line for everything that is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from space.cost import cost
from space.darknet import DarknetError, parse, read, write
from space.darknet.__main__ import main
from space.graph import Builder, Graph
from space.lower import lower
from space.module import Network
from space.ops import (
    ACTIVATIONS,
    OTHER_ACTIVATIONS,
    Act,
    Add,
    AvgPool,
    Concat,
    Conv,
    Linear,
    Maxout,
    MaxPool,
    Mul,
    Norm,
    Slice,
    Stride,
)
from tests.strategies import random_architectures, wild_architectures

GOLDEN = Path(__file__).parents[1] / "golden" / "darknet"
YOLO, RESNET = GOLDEN / "yolov3-tiny.cfg", GOLDEN / "resnet10.cfg"
NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
CONV = "[convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"


def ops(text: str) -> list[object]:
    """Operators of a small file, without the image."""
    return [node.op for node in parse(NET + text).graph.nodes[1:]]


# ------------------------------------------------------------------------------------------------ published counts


def test_yolov3_tiny_counts_what_darknet_prints():
    network = read(YOLO)
    assert round(network.total.bflops, 4) == 5.5707
    assert network.graph.output_shapes == [(255, 26, 26), (255, 13, 13)]
    assert [row.kind for row in network.rows].count("convolutional") == 13
    assert read(YOLO, resolution=608).graph.output_shapes == [(255, 38, 38), (255, 19, 19)]
    assert read(YOLO, resolution=(320, 416)).graph.output_shapes == [(255, 20, 26), (255, 10, 13)]


def test_resnet10_counts_what_the_paper_prints():
    network = read(RESNET)
    assert network.total.kernels == 5_240_000
    assert round(network.total.bflops, 5) == 2.27329
    assert isinstance(network.graph.nodes[network.graph.outputs[0]].op, Linear)
    strided = [node.op for node in network.graph.nodes if isinstance(node.op, Stride)]
    assert strided == [Stride(2)] * 3


def section(kind: str, **options: object) -> str:
    return "".join([f"[{kind}]\n", *(f"{key.rstrip('_')}={value}\n" for key, value in options.items()), "\n"])


def conv(filters: int, size: int = 1, stride: int = 1, groups: int = 1, activation: str = "leaky") -> str:
    return section("convolutional", batch_normalize=1, filters=filters, size=size, stride=stride, pad=1, groups=groups,
                   activation=activation)  # fmt: skip


def cross_stage(cross: int, path: int, post: int, out: int, blocks: list[str], length: int) -> str:
    """cross and path of the same map, blocks of `length` layers with a shortcut, post, both joined, transition."""
    body = "".join(block + section("shortcut", from_=-length, activation="leaky") for block in blocks)
    join = section("route", layers=f"-1,-{len(blocks) * length + 4}")
    return conv(cross) + section("route", layers=-2) + conv(path) + body + conv(post) + join + conv(out)


def classifier(body: str) -> str:
    fc = section("convolutional", filters=1000, size=1, stride=1, pad=1, activation="linear")
    return section("net", width=256, height=256, channels=3) + body + section("avgpool") + fc + section("softmax")


def test_csresnext50_counts_what_the_paper_prints():
    text = conv(64, 7, 2) + section("maxpool", size=2, stride=2)
    for stage, (width, blocks) in enumerate([(128, 3), (256, 3), (512, 5), (1024, 2)]):
        block = conv(width) + conv(width, 3, groups=32) + conv(width, activation="linear")
        text += conv(width, 3, 2, groups=32) if stage else ""
        text += cross_stage(width, width if stage else 64, width, 2 * width, [block] * blocks, 4)
    network = parse(classifier(text))
    assert round(network.total.kernels / 1e6, 4) == 20.4991
    assert round(network.total.bflops, 4) == 7.9303
    assert_same(network.graph, compare=False)


def test_csdarknet53_counts_what_the_paper_prints():
    text = conv(32, 3)
    for width, blocks in [(64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)]:
        half = 64 if width == 64 else width // 2
        block = conv(half // 2 if width == 64 else half) + conv(half, 3)
        text += conv(width, 3, 2) + cross_stage(half, half, half, width, [block] * blocks, 3)
    network = parse(classifier(text))
    assert round(network.total.kernels / 1e6, 4) == 27.6059
    assert round(network.total.bflops, 4) == 13.0673
    assert_same(network.graph, compare=False)


# ----------------------------------------------------------------------------------------------------- round trips


def network(graph: Graph, like: Network | None = None) -> Network:
    """The module with random weights, or with those of `like`, whose weighted nodes come in the same order."""
    torch.manual_seed(0)
    module = Network(graph).eval()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
    if like is not None:
        mine, theirs = ([node.name for node in g.nodes if isinstance(node.op, Conv | Linear | Norm)]
                        for g in (graph, like.graph))  # fmt: skip
        for a, b in zip(mine, theirs, strict=True):
            part, source = module.get_submodule(a), dict(like.get_submodule(b).state_dict())
            for key in part.state_dict().keys() - source.keys():
                source[key] = torch.zeros_like(part.state_dict()[key])  # the bias that darknet adds
            part.load_state_dict(source)
    return module


def assert_same(graph: Graph, *, compare: bool = True, **arguments: object) -> Graph:
    """Written and read again, `graph` costs and computes the same; from then on its text stays."""
    text = write(graph, **arguments).text
    again = parse(text).graph
    before, after = cost(graph), cost(again)
    names = ("macs", "kernels", "darknet_flops", "cio")
    assert {name: getattr(after, name) for name in names} == {name: getattr(before, name) for name in names}
    assert again.output_shapes == graph.output_shapes
    settled = write(again, **arguments).text
    assert write(parse(settled).graph, **arguments).text == settled
    if compare:
        reference = network(graph)
        x = torch.randn(2, *graph.nodes[0].shape, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            for a, b in zip(reference(x), network(again, reference)(x), strict=True):
                torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5)
    return again


@given(wild_architectures(), st.sampled_from([(128, 128), (128, 256)]))
@settings(max_examples=60)
def test_every_architecture_survives_the_round_trip(architecture, size):
    if architecture.head.fusion == "cem":
        size = (128, 128)  # its context fills a map from one place, which darknet can only for squares
    graph = lower(architecture, *size)
    again = assert_same(graph, num_classes=10)
    assert _operators(again) == _operators(graph)


def _operators(graph: Graph) -> list[str]:
    """All operators but those of channels, which a file says as several routes.

    A file parts a norm from its activation, and gives every convolution without a norm a bias.
    """
    found: list[str] = []
    for node in graph.nodes:
        if isinstance(node.op, Norm) and node.op.activation:
            found += [str(Norm(None)), str(Act(node.op.activation))]
        elif isinstance(node.op, Conv):
            found.append(str(node.op._replace(bias=not node.op.norm)))
        elif not isinstance(node.op, Slice | Concat):
            found.append(str(node.op))
    return sorted(found)


@pytest.mark.parametrize("architecture", random_architectures(4), ids=lambda architecture: architecture.id)
def test_architectures_of_the_default_space_survive_the_round_trip(architecture):
    assert_same(lower(architecture, 128, 128), num_classes=10)


class Steps:
    """Random nodes on a random earlier value, each of any operator that a file can say."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.g = Builder((draw(st.integers(1, 6)), 16, 16), activation="relu")
        self.refs = [0]

    def pick(self, *choices: object) -> object:
        return self.draw(st.sampled_from(choices))

    def any(self) -> int:
        return self.draw(st.sampled_from(self.refs[-6:]))

    def partners(self, x: int) -> list[int]:
        """Values of the height and width of `x`."""
        return [ref for ref in self.refs if self.g.shape(ref)[1:] == self.g.shape(x)[1:]]

    def step(self) -> None:
        kind = self.pick("conv", "conv", "conv", "slice", "slice", "concat", "add", "stride", "sam", "gate", "pool",
                         "maxout", "up", "act", "norm", "context")  # fmt: skip
        ref = getattr(self, kind)(self.any())
        if ref is not None and ref not in self.refs:
            self.refs.append(ref)

    def activation(self) -> str:
        return self.pick(*ACTIVATIONS, *OTHER_ACTIVATIONS)

    def conv(self, x: int) -> int:
        groups = self.pick(1, self.g.channels(x))
        norm, kernel = self.pick(True, False), self.pick(1, 2, 3, 5)
        return self.g.conv(x, groups * self.draw(st.integers(1, 12 if groups == 1 else 2)), kernel, name="conv",
                           stride=self.pick(1, 1, 2), groups=groups, norm=norm, linear=self.pick(True, False),
                           bias=None if norm else self.pick(True, False), activation=self.activation(),
                           padding=self.pick(kernel // 2, 2))  # fmt: skip

    def slice(self, x: int) -> int:
        start = self.draw(st.integers(0, self.g.channels(x) - 1))
        return self.g.slice(x, start, self.draw(st.integers(start + 1, self.g.channels(x))), name="slice")

    def concat(self, x: int) -> int | None:
        others = self.draw(st.lists(st.sampled_from(self.partners(x)), max_size=3))
        return None if sum(map(self.g.channels, others)) > 64 else self.g.concat([x, *others])

    def add(self, x: int) -> int:
        return self.g.add(x, self.pick(*self.partners(x)))

    def stride(self, x: int) -> int | None:
        _, h, w = self.g.shape(x)
        larger = [ref for ref in self.refs if self.g.shape(ref)[1] > h
                  and -(-self.g.shape(ref)[1] // -(-self.g.shape(ref)[1] // h)) == h and h == w]  # fmt: skip
        return self.g.add(x, self.pick(*larger)) if larger else None

    def sam(self, x: int) -> int:
        return self.g.mul(x, self.pick(*[ref for ref in self.refs if self.g.shape(ref) == self.g.shape(x)]))

    def gate(self, x: int) -> int:
        gate = self.g.conv(self.g.global_pool(x), self.g.channels(x), 1, name="gate", norm=False, activation="logistic")
        return self.g.mul(x, gate)

    def pool(self, x: int) -> int:
        pool = self.g.max_pool if self.pick(True, False) else self.g.avg_pool
        return pool(x, self.pick(2, 3, 5), stride=self.pick(1, 2))

    def maxout(self, x: int) -> int:
        return self.g.maxout(x, self.pick(1, self.g.channels(x)))

    def up(self, x: int) -> int | None:
        side = self.g.shape(x)[1]
        larger = [ref for ref in self.refs if self.g.shape(ref)[1] > side and self.g.shape(ref)[1] % side == 0]
        return self.g.resize_like(x, self.pick(*larger), name="up") if larger else None

    def act(self, x: int) -> int:
        # Activations are in place, so they stand only on what nothing else reads.
        return self.g.act(self.pick(self.add, self.conv)(x), activation=self.activation())

    def norm(self, x: int) -> int:
        return self.g.norm(x, linear=self.pick(True, False))

    def context(self, x: int) -> int:
        return self.g.resize_like(self.g.global_pool(x), x, name="context")

    def outputs(self) -> list[int]:
        kind = self.pick("plain", "pooled", "classifier", "detector")
        x = self.refs[-1]
        if kind == "detector":
            maps = [self.g.conv(ref, 27, 1, name="predict", norm=False, linear=True) for ref in {x, self.any()}]
            return sorted(maps, key=lambda ref: -self.g.shape(ref)[1])
        if kind == "plain" and x:
            return [x]
        pooled = self.g.global_pool(x)
        if kind == "pooled":
            return [self.g.conv(pooled, 9, 1, name="predict", norm=False, linear=True)]
        return [self.g.linear(pooled, 7, name="fc")]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    steps = Steps(draw)
    for _ in range(draw(st.integers(1, 10))):
        steps.step()
    return steps.g.graph(steps.outputs())


@given(graphs())
@settings(max_examples=150)
def test_every_graph_survives_the_round_trip(graph):
    assert_same(graph)


def test_files_survive_the_round_trip():
    for path in (YOLO, RESNET):
        graph = read(path, resolution=96).graph
        again = assert_same(graph)
        assert [node[1:] for node in again.nodes] == [node[1:] for node in graph.nodes]


# ----------------------------------------------------------------------------------------------------- the language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[maxpool]\nsize=2\nstride=2\n", [MaxPool(2, 2)]),
        ("[maxpool]\nstride=3\n", [MaxPool(3, 3)]),
        ("[maxpool]\nsize=1\nstride=2\n", [Stride(2)]),
        ("[max]\nmaxpool_depth=1\nout_channels=1\n", [Maxout(3)]),
        ("[local_avgpool]\nsize=3\nstride=2\n", [AvgPool(3, 2)]),
        ("[dropout]\nprobability=.5\n[activation]\nactivation=mish\n", [Act("mish")]),
        ("[activation]\nactivation=relie\n", [Act("leaky_relu_0.01")]),
        ("[batchnorm]\n", [Norm(None)]),
        ("[conv]\nfilters=4\nsize=5\npadding=1\n", [Conv(5, 1, 1, False, "logistic", True, 1)]),
        ("[conv]\nfilters=4\nsize=5\npadding=1\npad=1\nactivation=linear\n", [Conv(5, 1, 1, False, None, True, 2)]),
        ("[conv]\nfilters=4\nfilters=8\nbatch_normalize=1\n", [Conv(1, 1, 1, True, "logistic", False, 0)]),
        (CONV + "[route]\nlayers=-1\ngroups=4\ngroup_id=1\n[batchnorm]\n", [..., Slice(2, 4), Norm(None)]),
        (CONV * 2 + "[route]\nlayers=1, 0\n", [..., ..., Concat()]),
        (CONV * 2 + "[shortcut]\nfrom=0\nactivation=leaky\n", [..., ..., Add(), Act("leaky_relu")]),
        (CONV * 2 + "[sam]\nfrom=-2\n", [..., ..., Mul()]),
        (CONV + "[avgpool]\n[scale_channels]\nfrom=0\n", [..., ..., Mul()]),
        ("[avgpool]\n[connected]\noutput=5\nactivation=relu\n[softmax]\n", [..., Linear(), Act("relu")]),
    ],
)
def test_sections_mean_what_darknet_takes_them_for(text, expected):
    found = ops(text)
    assert len(found) == len(expected)
    assert [op for op, wanted in zip(found, expected) if wanted is not ...] == [op for op in expected if op is not ...]


def test_text_is_read_as_darknet_reads_it():
    strange = "\ufeff; a comment\r\n\r\n[ net ]  # first\r\n wid th = 32 # comment\r\nheight=32;\r\nchannels\t= 3.0\r\n"
    again = parse(strange + CONV.replace("\n", "\r"))
    assert [node[1:] for node in again.graph.nodes] == [node[1:] for node in parse(NET + CONV).graph.nodes]


def test_a_first_convolution_after_the_pool_is_linear_only_before_softmax():
    head = "[avgpool]\n[conv]\nfilters=5\nactivation=linear\n"
    assert isinstance(ops(head + "[dropout]\n[softmax]\n[cost]\n")[-1], Linear)
    assert isinstance(ops(head)[-1], Conv)


def test_an_option_that_nobody_knows_is_a_note():
    (note,) = parse(NET + CONV + "filers=3\nlearning_rate=1\n").notes
    assert note == "line 11: [convolutional] has no option 'filers', it is ignored; did you mean 'filters'?"


def test_a_piece_that_is_no_share_of_one_in_g_is_one_slice_again():
    g = Builder((3, 8, 8), activation="relu")
    x = g.conv(0, 64, name="conv")
    graph = g.graph([g.conv(g.slice(x, 16, 64, name="slice"), 8, name="out")])
    text = write(graph).text
    assert text.count("groups=4") == 3
    assert [node.op for node in parse(text).graph.nodes] == [node.op for node in graph.nodes]


def test_hard_swish_is_marked_as_ours():
    g = Builder((3, 8, 8), activation="hard_swish")
    written = write(g.graph([g.conv(0, 7, name="conv")]))
    assert "darknet does not know it" in written.notes[0]
    assert written.text.startswith(f"# {written.notes[0]}\n")
    assert "extension of CSP Explorer" in parse(written.text).notes[0]


def test_boxes_get_masks_anchors_and_classes():
    g = Builder((3, 64, 64), activation="relu")
    fine = g.conv(0, 30, stride=8, name="fine", norm=False, linear=True)
    graph = g.graph([fine, g.conv(fine, 30, stride=2, name="coarse", norm=False, linear=True)])
    assert "3 anchors a level are assumed" in " ".join(write(graph).notes)
    text = write(graph, num_classes=10).text
    assert "mask=0,1\nanchors=8,8, 16,16, 16,16, 32,32\nclasses=10\nnum=4\n" in text
    assert "mask=2,3\n" in text
    assert "placeholders" in text
    given_anchors = write(graph, anchors=[(1, 2.5), (3, 4), (5, 6), (7, 8)])
    assert given_anchors.notes == ()
    assert "anchors=1,2.5, 3,4, 5,6, 7,8\nclasses=10\n" in given_anchors.text
    for wrong in ({"num_classes": 9}, {"anchors": [(1, 1)] * 3}, {"num_classes": 10, "anchors": [(1, 1)] * 6}):
        with pytest.raises(DarknetError, match=r"anchors|A x"):
            write(graph, **wrong)
    with pytest.raises(DarknetError, match="finest first"):
        write(Graph(nodes=graph.nodes, outputs=graph.outputs[::-1]))


def test_what_darknet_cannot_say_names_the_node():
    g = Builder((3, 25, 25), activation="relu")
    small = g.max_pool(g.conv(0, 8, name="conv"))
    graph = g.graph([g.resize_like(small, 1, name="bring_up")])
    with pytest.raises(DarknetError, match=r"node 'bring_up' \(Resize\) resizes 13x13 to 25x25.*divisible by 64"):
        write(graph)


# --------------------------------------------------------------------------------------------------------- bad input

WRONG = {
    "": r"cfg:1: there is no section",
    "width=3\n": r"cfg:1: option 'width' before any section; begin the file with \[net\]",
    CONV: r"cfg:1: \[convolutional\] stands first",
    NET: r"cfg:1: \[net\] has no layers",
    "[net]\nwidth=32\n" + CONV: r"cfg:1: \[net\] has no channels=",
    NET + CONV + "[network]\n": r"cfg:11: \[net\] is the second one \(the first is in line 1\)",
    NET + "[convolutonal]\n": r"cfg:5: no section '\[convolutonal\]'; did you mean 'convolutional'\? Allowed: ",
    NET + "[reorg]\n": r"cfg:5: no section '\[reorg\]'",
    NET + "[conv\n": r"cfg:5: '\[conv' is no section header",
    NET + CONV + "filters\n": r"cfg:11: 'filters' is no line of a darknet cfg",
    NET + CONV.replace("8", "-1"): r"cfg:6: \[convolutional\] filters=-1 is out of bounds; allowed: 1 to 1048576",
    NET + CONV.replace("8", "0x10"): r"cfg:6: .* filters=0x10 is not a whole number",
    NET + CONV.replace("8", "9" * 5000): r"cfg:6: .* filters=9+… is not a whole number",
    NET.replace("=32", "=1000000000") + CONV: r"cfg:3: \[net\] height=1000000000 is out of bounds; allowed: 1 to 65536",
    NET.replace("=32", "=65536") + CONV: r"cfg:5: \[convolutional\] needs 128 GiB for a map; allowed: 64 GiB",
    NET + (CONV.replace("8", "1000000")) * 2: r"cfg:11: \[convolutional\] needs .* GiB for the weights so far",
    NET + "[upsample]\nstride=65536\n" * 3: r"cfg:5: \[upsample\] needs .* GiB for a map",
    NET + CONV * 10_001: r"cfg:1: \[net\] has 10,001 layers after it; allowed: 10,000",
    NET + CONV.replace("leaky", "leeky"): r"cfg:10: .* no activation 'leeky'; did you mean 'leaky'",
    NET + CONV + "groups=3\n": r"cfg:11: .* groups=3 do not divide 3 -> 8 channels",
    NET + CONV + "dilation=2\n": r"cfg:11: .* dilation=2 changes what is computed.*allowed: dilation=1",
    NET + CONV + "stride_x=2\n": r"cfg:11: .* stride_x=2 changes what is computed.*allowed: stride_x=1",
    NET + CONV + "xnor=1\n": r"cfg:11: .* xnor=1",
    NET + CONV * 2 + "[shortcut]\nfrom=-2\nweights_type=per_channel\n": r"cfg:19: .* weights_type=per_channel",
    NET + "[conv]\nfilters=4\nsize=40\n": r"cfg:5: .* a 40x40 kernel does not fit a map of 32x32",
    NET + "[maxpool]\nsize=2\nstride=2\npadding=0\n": r"cfg:8: .* padding=0 is not supported; allowed: size - 1 = 1",
    NET + "[maxpool]\nmaxpool_depth=1\nout_channels=2\n": r"cfg:7: .* out_channels=2 does not divide 3",
    NET + CONV + "[route]\nlayers=1\n": r"cfg:12: .* layers=1 of layer 1 is no earlier layer; allowed: 0 to 0, or -1",
    NET + CONV + "[shortcut]\nfrom=-2\n": r"cfg:12: .* from=-2 of layer 1 is no earlier layer",
    NET + "[route]\nlayers=-1\n": r"cfg:6: .* allowed: none, it is the first",
    NET + CONV + "[route]\nlayers=-1,\n": r"cfg:12: .* layers= is not a whole number",
    NET + CONV + "[route]\nlayers=" + "0," * 1000 + "0": r"cfg:12: .* layers= has 1,001 numbers; allowed: 1,000",
    NET + CONV + "[sam]\nfrom=0,0\n": r"cfg:12: .* from= names 2 layers; allowed: one",
    NET + CONV + "[route]\n": r"cfg:11: \[route\] has no layers=",
    NET + CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n": r"cfg:14: .* group_id=2 is out of bounds",
    NET + CONV + "[route]\nlayers=-1\ngroups=3\n": r"cfg:13: .* groups=3 do not divide 8 channels",
    NET + CONV + "[maxpool]\nstride=2\n[route]\nlayers=0,1\n": r"cfg:14: .* joins maps of 16x16, 32x32",
    NET + CONV + "[maxpool]\nstride=2\n[upsample]\nstride=4\n[shortcut]\nfrom=1\n": r"cfg:15: .* no stride leads from",
    NET + CONV + "[sam]\nfrom=-1\n[avgpool]\n[sam]\nfrom=0\n": r"cfg:15: .* multiplies maps of",
    NET + CONV * 2 + "[scale_channels]\nfrom=0\n": r"cfg:18: .* scales a map of .* allowed: \(8, 1, 1\)",
    NET + CONV + "[yolo]\nmask=0,1\nnum=2\nclasses=3\n": r"cfg:11: .* 8 channels, but 2 masks x 8 .* set filters=16",
    NET + CONV + "[yolo]\nmask=0,5\nnum=2\nclasses=3\n": r"cfg:12: .* mask=5 is none of num=2 anchors",
    NET + CONV + "[softmax]\n" + CONV: r"cfg:12: .* reads layer 1, a \[softmax\], which ends its branch",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=lambda text: repr(text[-30:]))
def test_a_wrong_file_gets_one_line_with_its_place(text):
    with pytest.raises(DarknetError, match=f"^{WRONG[text]}") as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


def test_files_that_are_no_cfg_are_refused(tmp_path, capsys):
    (tmp_path / "weights.cfg").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "latin.cfg").write_bytes(b"\xff\xfe garbage")
    (tmp_path / "large.cfg").write_bytes(b"#" * 3 * 2**20)
    (tmp_path / "empty.cfg").touch()
    for path, reason in [
        (tmp_path, "is a directory"),
        (tmp_path / "weights.cfg", "is binary"),
        (tmp_path / "latin.cfg", ":1:"),
        (tmp_path / "large.cfg", "more than 2 MiB"),
        (tmp_path / "empty.cfg", ":1: there is no section"),
        (tmp_path / "missing.cfg", "no such file"),
        (tmp_path / "missing.cfg" / "x", "no such file"),
        (tmp_path / ("x" * 300), "file name too long"),
        ("/dev/zero", "not a regular file"),
    ]:
        assert main([str(path)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert reason in err
        assert "Traceback" not in err
    with pytest.raises(DarknetError):
        read("a\0b")


LINES = YOLO.read_text().splitlines()


@given(st.integers(0, len(LINES) - 1), st.sampled_from(["delete", "repeat", "swap", "cut", "value", "garbage"]),
       st.sampled_from(["", "-1", "0", "1", "3", "99", "10**9", "999999999", "-99", "nan", "0,1", "#", "=", "["]),
       st.integers(0, 40))  # fmt: skip
@settings(max_examples=400)
def test_a_changed_line_never_raises_anything_else(number, change, value, place):
    lines = list(LINES)
    if change == "delete":
        del lines[number]
    elif change == "repeat":
        lines.insert(number, lines[number])
    elif change == "swap":
        lines[number], lines[place] = lines[place], lines[number]
    elif change == "cut":
        lines[number:] = [lines[number][:place]]
    elif change == "value":
        lines[number] = lines[number].partition("=")[0] + "=" + value
    else:
        lines[number] = lines[number][:place] + value + lines[number][place:]
    assert_only_ours("\n".join(lines))


@given(st.integers(0, len(RESNET.read_text())))
def test_a_cut_file_never_raises_anything_else(length):
    assert_only_ours(RESNET.read_text()[:length])


@given(st.text(max_size=200))
def test_any_text_never_raises_anything_else(text):
    assert_only_ours(text)
    assert_only_ours(NET + text)


def assert_only_ours(text: str) -> None:
    """Read or refused with one line; any other exception fails the test."""
    message = ""
    try:
        parse(text)
    except DarknetError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


# ------------------------------------------------------------------------------------------------------ command line


def test_the_command_prints_totals_and_layers(capsys):
    assert main([str(YOLO)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("  ")[:4] == ["yolov3-tiny", "416x416", "5.5707 BFLOPs", "8.8455 M kernels"]
    assert main([str(YOLO), "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 24 + 1
    assert " ".join(lines[1].split()) == "0 convolutional 16 3 x 3 / 1 416 x 416 x 3 416 x 416 x 16 0.150"
    assert lines[-1] == line


def test_the_command_gives_json(capsys):
    assert main([str(RESNET), "--json", "--layers", "--resolution", "224x256"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "resnet10"
    assert found["resolution"] == "224x256"
    assert found["kernels"] == 5_240_000
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"])
    assert found["layers"][0]["output"] == [64, 112, 128]
    assert main([str(RESNET), "--json", "--resolution", "256"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["resolution"], round(found["bflops"], 5), "layers" in found) == (256, 2.27329, False)


@pytest.mark.parametrize("arguments", [["--resolution", "big"], ["--resolution", "0"], ["--resolution", "9x999999999"],
                                       ["--layer"], []])  # fmt: skip
def test_wrong_arguments_are_one_line(arguments, capsys):
    assert main([*([str(YOLO)] if arguments else []), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_the_command_exits_with_two_and_does_without_torch(tmp_path):
    done = subprocess.run([sys.executable, "-m", "space.darknet", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    code = "import sys, space.darknet.table; assert not {'torch', 'onnx', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
