"""Any graph as a .cfg that darknet reads, or one line that says which node it cannot say.

Nodes are written in their order, so weights keep theirs. A layer that reads something else than the layer before it
gets a [route]. What another name says as well is rewritten: a share of the channels that is not one of G is a route a
piece and one that joins them; a stride before an addition is part of the [shortcut]; a linear layer before the
softmax is a 1x1 convolution, as in the published files, and [connected] elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from space.darknet.heads import Anchors, Ends, ends, in_place
from space.darknet.syntax import ACTIVATIONS, EXTENSIONS, DarknetError
from space.graph import Graph, Node, Ref
from space.ops import (
    Act,
    Add,
    AvgPool,
    Concat,
    Conv,
    GlobalPool,
    Linear,
    Maxout,
    MaxPool,
    Mul,
    Norm,
    Resize,
    Slice,
    Stride,
)

NAMES = {ours: name for name, ours in ACTIVATIONS.items()}


class Written(NamedTuple):
    """The text of a .cfg, and what its user should know, which also stands at its top."""

    text: str
    notes: tuple[str, ...]


def write(graph: Graph, *, num_classes: int | None = None, anchors: Anchors | None = None) -> Written:
    """`graph` as a .cfg; outputs with axes get a [yolo] of `num_classes` and `anchors`, logits a [softmax].

    `anchors` are (width, height) pairs in pixels for all levels, the finest first; without them 3 a level, or as many
    as `num_classes` leaves, are written as placeholders. A single map that is no 3 x (5 + classes) stays plain.
    Raises DarknetError that names the node which darknet cannot say.
    """
    writer = _Writer(graph, ends(graph, num_classes, anchors), trailing=not in_place(graph))
    c, height, width = graph.nodes[0].shape
    for ref in range(1, len(graph.nodes)):
        writer.node(ref)
    writer.finish()
    notes = tuple(dict.fromkeys(writer.notes))
    head = [f"# {note}" for note in notes]
    net = ["[net]", "batch=1", "subdivisions=1", f"width={width}", f"height={height}", f"channels={c}"]
    return Written("\n\n".join("\n".join(block) for block in [head, net, *writer.layers] if block) + "\n", notes)


class _Writer:
    """The layers so far, and the layer at which each node's value stands."""

    def __init__(self, graph: Graph, ends: Ends, *, trailing: bool) -> None:
        self.graph, self.ends, self.trailing = graph, ends, trailing
        self.layers: list[list[str]] = []
        self.notes = list(ends.notes)
        self.at: dict[Ref, int] = {0: -1}
        self.readers: dict[Ref, list[Ref]] = {ref: [] for ref in range(len(graph.nodes))}
        for ref, node in enumerate(graph.nodes):
            for source in node.inputs:
                self.readers[source].append(ref)
        if self.readers[0] != [1] or isinstance(graph.nodes[1].op, Slice):
            # Darknet has no name for the image: a layer that does nothing stands for it.
            self.at[0] = self.layer("activation", activation="linear")

    def layer(self, kind: str, **options: Any) -> int:
        """Append a section; returns its layer's index."""
        self.layers.append([f"[{kind}]", *(f"{key.rstrip('_')}={value}" for key, value in options.items())])
        return len(self.layers) - 1

    def relative(self, ref: Ref) -> int:
        """The value's layer as the next layer counts back to it."""
        return self.at[ref] - len(self.layers)

    def bring(self, ref: Ref) -> None:
        """Make `ref` what the next layer reads by default."""
        if self.relative(ref) != -1:
            self.layer("route", layers=self.relative(ref))

    def node(self, ref: Ref) -> None:
        """Write one node, unless it went into another one's section."""
        node = self.graph.nodes[ref]
        if ref in self.at or self._goes_into_shortcut(ref):
            return
        write = _WRITERS.get(type(node.op))
        if write is None:
            raise self.refusal(node, "has no section in darknet; leave it out")
        self.at[ref] = write(self, ref, node)
        if not self.trailing:
            self.end(ref)

    def end(self, ref: Ref) -> None:
        """Write the output's last section."""
        if ref in self.ends.sections:
            self.bring(ref)
            self.layers.append(self.ends.sections[ref])

    def finish(self) -> None:
        """Write what must stand last: outputs in an order of their own, or the one plain output."""
        for ref in self.graph.outputs:
            if self.trailing:
                self.end(ref)
        if not self.ends.sections:
            self.bring(self.graph.outputs[0])

    def refusal(self, node: Node, why: str) -> DarknetError:
        """The complaint about a node."""
        return DarknetError(f"node '{node.name}' ({type(node.op).__name__}) {why}")

    def activation(self, name: str | None) -> str:
        """Darknet's name of one of our activations."""
        if NAMES[name] in EXTENSIONS:
            self.notes.append(f"activation={NAMES[name]} is an extension of CSP Explorer; darknet does not know it")
        return NAMES[name]

    def activated(self, ref: Ref) -> str:
        """The activation that follows a sum, if it is the sum's only reader: part of the [shortcut]."""
        readers = self.readers[ref]
        if len(readers) == 1 and ref not in self.graph.outputs:
            op = self.graph.nodes[readers[0]].op
            if isinstance(op, Act):
                self.at[readers[0]] = len(self.layers)
                return self.activation(op.activation)
        return "linear"

    def _goes_into_shortcut(self, ref: Ref) -> bool:
        """Whether a stride is read by additions alone, as what they add, from a size that it divides."""
        node, nodes = self.graph.nodes[ref], self.graph.nodes
        if not isinstance(node.op, Stride) or ref in self.graph.outputs or not self.readers[ref]:
            return False
        _, h, w = nodes[node.inputs[0]].shape
        return not (h % node.op.step or w % node.op.step) and all(
            isinstance(nodes[reader].op, Add) and nodes[reader].inputs[0] != ref for reader in self.readers[ref]
        )


def _conv(out: _Writer, ref: Ref, node: Node) -> int:
    op = node.op
    assert isinstance(op, Conv)
    out.bring(node.inputs[0])
    if not op.norm and not op.bias:
        out.notes.append("a convolution without normalisation has a bias in darknet; here some had none")
    if op.norm and op.bias:
        out.notes.append("a normalised convolution has no bias in darknet; here some had one")
    pad = {"pad": 1} if op.padding == op.kernel // 2 else {"padding": op.padding}
    groups = {"groups": op.groups} if op.groups > 1 else {}
    norm = {"batch_normalize": 1} if op.norm else {}
    return out.layer("convolutional", **norm, filters=node.shape[0], size=op.kernel, stride=op.stride, **pad, **groups,
                     activation=out.activation(op.activation))  # fmt: skip


def _linear(out: _Writer, ref: Ref, node: Node) -> int:
    out.bring(node.inputs[0])
    pooled = isinstance(out.graph.nodes[node.inputs[0]].op, GlobalPool)
    if pooled and out.ends.sections.get(ref, [""])[0] == "[softmax]":
        return out.layer("convolutional", filters=node.shape[0], size=1, stride=1, pad=1, activation="linear")
    return out.layer("connected", output=node.shape[0], activation="linear")


def _pool(out: _Writer, ref: Ref, node: Node) -> int:
    op = node.op
    assert isinstance(op, MaxPool | AvgPool)
    out.bring(node.inputs[0])
    return out.layer("maxpool" if isinstance(op, MaxPool) else "local_avgpool", size=op.kernel, stride=op.stride)


def _stride(out: _Writer, ref: Ref, node: Node) -> int:
    assert isinstance(node.op, Stride)
    out.bring(node.inputs[0])
    return out.layer("maxpool", size=1, stride=node.op.step)


def _global_pool(out: _Writer, ref: Ref, node: Node) -> int:
    out.bring(node.inputs[0])
    return out.layer("avgpool")


def _maxout(out: _Writer, ref: Ref, node: Node) -> int:
    out.bring(node.inputs[0])
    return out.layer("maxpool", size=1, stride=1, maxpool_depth=1, out_channels=node.shape[0])


def _norm(out: _Writer, ref: Ref, node: Node) -> int:
    assert isinstance(node.op, Norm)
    out.bring(node.inputs[0])
    index = out.layer("batchnorm")
    if node.op.activation is None:
        return index
    return out.layer("activation", activation=out.activation(node.op.activation))


def _act(out: _Writer, ref: Ref, node: Node) -> int:
    assert isinstance(node.op, Act)
    out.bring(node.inputs[0])
    return out.layer("activation", activation=out.activation(node.op.activation))


def _add(out: _Writer, ref: Ref, node: Node) -> int:
    first, second = node.inputs
    out.bring(first)
    source = second if second in out.at else out.graph.nodes[second].inputs[0]
    place = out.relative(source)
    return out.layer("shortcut", from_=place, activation=out.activated(ref))


def _mul(out: _Writer, ref: Ref, node: Node) -> int:
    x, gate = node.inputs
    out.bring(gate)
    same = out.graph.nodes[x].shape == out.graph.nodes[gate].shape
    return out.layer("sam" if same else "scale_channels", from_=out.relative(x))


def _concat(out: _Writer, ref: Ref, node: Node) -> int:
    return out.layer("route", layers=",".join(str(out.relative(source)) for source in node.inputs))


def _slice(out: _Writer, ref: Ref, node: Node) -> int:
    op, source = node.op, node.inputs[0]
    assert isinstance(op, Slice)
    channels = out.graph.nodes[source].shape[0]
    width = math.gcd(op.start, op.stop, channels)
    pieces = [out.layer("route", layers=out.relative(source), groups=channels // width, group_id=group)
              for group in range(op.start // width, op.stop // width)]  # fmt: skip
    if len(pieces) == 1:
        return pieces[0]
    return out.layer("route", layers=",".join(str(piece - len(out.layers)) for piece in pieces))


def _resize(out: _Writer, ref: Ref, node: Node) -> int:
    _, h, w = out.graph.nodes[node.inputs[0]].shape
    _, height, width = node.shape
    if height % h or width % w or height // h != width // w:
        raise out.refusal(node, f"resizes {h}x{w} to {height}x{width}, which is no [upsample] by a whole number; "
                                "use a square image whose sides are divisible by 64")  # fmt: skip
    out.bring(node.inputs[0])
    return out.layer("upsample", stride=height // h)


_WRITERS: dict[type, Callable[[_Writer, Ref, Node], int]] = {
    Conv: _conv,
    Norm: _norm,
    Linear: _linear,
    MaxPool: _pool,
    AvgPool: _pool,
    GlobalPool: _global_pool,
    Stride: _stride,
    Act: _act,
    Add: _add,
    Mul: _mul,
    Concat: _concat,
    Slice: _slice,
    Maxout: _maxout,
    Resize: _resize,
}
