"""ncnn's network file: its structure for random networks of the whole space, and its operators on odd sizes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from evaluator.backends import BACKENDS, fixed_image
from evaluator.backends.ncnn import FILES, load
from evaluator.oracle import check
from evaluator.record import Deployment
from space.blocks import BLOCKS
from space.cost import cost
from space.graph import Builder
from space.lower import lower
from space.ncnn import to_ncnn
from space.ops import ACTIVATIONS, OTHER_ACTIVATIONS, Norm
from tests.space.test_runtimes import proposals


@pytest.mark.parametrize("block", BLOCKS.names())
def test_every_value_is_made_once_before_its_one_reader(block):
    (architecture,) = proposals(block, 1)
    graph = lower(architecture, 64, 96)
    text, weights = to_ncnn(graph)
    magic, counts, *lines = text.splitlines()
    made, read, kinds = Counter(), Counter(), Counter()
    for line in lines:
        kind, _, inputs, outputs, *rest = line.split()
        names = rest[: int(inputs) + int(outputs)]
        read.update(names[: int(inputs)])
        assert set(names[: int(inputs)]) <= set(made), line
        made.update(names[int(inputs) :])
        kinds[kind] += 1
    assert (magic, counts) == ("7767517", f"{len(lines)} {len(made)}")
    assert set(made.values()) == set(read.values()) == {1}
    assert set(made) - set(read) == {f"output{k}" for k in range(len(graph.outputs))}
    flagged = sum(kinds[kind] for kind in ("Convolution", "ConvolutionDepthWise", "InnerProduct"))
    apart = sum(node.shape[0] for node in graph.nodes if isinstance(node.op, Norm))  # mean, variance, scale, shift
    assert len(weights) == cost(graph).weight_bytes + 4 * flagged + 8 * apart


def agree(g: Builder, *outputs: int) -> None:
    graph = g.graph(outputs)
    channels, height, width = graph.nodes[0].shape
    place = Deployment(height=height, width=width, batch=1)
    runner = BACKENDS.get("ncnn")(graph, place)
    ones = np.ones((1, channels, height, width), np.float32)
    first = runner.outputs(ones)
    assert (ones == 1).all()  # layers that work in place did not write into the caller's image
    check(graph, place, runner)
    for a, b in zip(first, runner.outputs(ones), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("channels", [3, 8, 12, 16])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (5, 9), (16, 17)])
def test_operators_agree_with_torch_on_odd_sizes(channels, size):
    height, width = size

    def new(activation: str = "relu") -> Builder:
        return Builder((channels, *size), activation=activation)

    for kernel, stride in ((2, 2), (2, 1), (3, 2), (5, 1), (13, 1)):
        agree(g := new(), g.max_pool(0, kernel, stride=stride), g.avg_pool(0, kernel, stride=stride))
    for shape in ((2 * height, 2 * width), (height + 1, width + 6), (31, 33)):
        agree(g := new(), g.resize(0, *shape))
    agree(g := new(), g.stride(0, 2), g.act(0), 0)
    gate = (g := new()).conv(g.global_pool(0), channels, 1, name="gate", activation="logistic")
    agree(g, g.mul(0, gate), gate, g.linear(0, 7, name="linear"))
    wide = (g := new()).conv(0, channels + 3, 1, name="wide")
    agree(g, g.add(0, wide), g.add(wide, 0), g.concat([g.slice(wide, 1, channels, name="part"), 0]))
    agree(g := new(), g.conv(0, 2 * channels, name="grouped", groups=channels), g.maxout(0, channels))
    for name in ACTIVATIONS + OTHER_ACTIVATIONS:
        agree(g := new(name), g.conv(0, channels, name="conv", groups=channels), g.norm(0), g.act(0))


def test_a_saved_network_gives_the_same_on_more_threads(tmp_path):
    (architecture,) = proposals("resx", 1)
    graph, place = lower(architecture, 64, 96), Deployment(height=64, width=96, batch=1)
    runner = BACKENDS.get("ncnn")(graph, place)
    runner.save(tmp_path)
    wanted = runner.outputs(fixed_image(graph, place))
    for threads in (1, 3):
        found = load(tmp_path, threads)()
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(np.array(a)[None], b, atol=1e-4 * np.abs(b).max())
    (tmp_path / FILES[0]).write_text("no network")
    with pytest.raises(ValueError, match=r"ncnn does not read model\.ncnn\.param"):
        load(tmp_path, 1)


def test_a_batch_is_refused_in_one_line():
    graph = (g := Builder((3, 8, 8), activation="relu")).graph([g.act(0)])
    with pytest.raises(ValueError, match="one image at a time; batch 2 is not possible, use 1"):
        BACKENDS.get("ncnn")(graph, Deployment(height=8, width=8, batch=2))
