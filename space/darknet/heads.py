"""How the outputs of a graph end a .cfg: [softmax] for logits, [yolo] with masks, anchors and classes for maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from space.darknet.syntax import DarknetError
from space.graph import Graph, Ref
from space.ops import Conv, GlobalPool

Anchors = Sequence[tuple[float, float]]
"""Width and height of every anchor in pixels of the image, those of the finest level first."""


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The section, as lines, that ends each output (none for a plain one), and notes."""

    sections: dict[Ref, list[str]]
    notes: list[str]


def ends(graph: Graph, num_classes: int | None, anchors: Anchors | None) -> Ends:
    """The ends of all outputs. Raises DarknetError where the channels are no boxes of `num_classes`."""
    logits = [ref for ref in graph.outputs if _is_logits(graph, ref)]
    maps = [ref for ref in graph.outputs if ref not in logits]
    sections = {ref: ["[softmax]", "groups=1"] for ref in logits}
    alone = len(graph.outputs) == 1 and num_classes is None and anchors is None
    if not maps or (alone and (graph.nodes[maps[0]].shape[1:] == (1, 1) or not _divides(graph, maps[0], 3))):
        return Ends(sections=sections, notes=[])
    notes = []
    counts = [_num_anchors(graph, ref, num_classes, None if anchors is None else len(anchors) / len(maps))
              for ref in maps]  # fmt: skip
    if num_classes is None and anchors is None:
        notes.append("neither classes nor anchors were given: 3 anchors a level are assumed")
    if anchors is not None and len(anchors) != sum(counts):
        raise DarknetError(f"{len(anchors)} anchors for outputs that need {sum(counts)}; give {sum(counts)}")
    if anchors is None:
        notes.append("no anchors were given: those below are placeholders, squares of 1, 2, … cells of their level")
        anchors = _placeholders(graph, maps, counts)
    first, text = 0, ", ".join(f"{width:g},{height:g}" for width, height in anchors)
    for ref, count in zip(maps, counts):
        mask = ",".join(str(number) for number in range(first, first + count))
        classes = graph.nodes[ref].shape[0] // count - 5
        sections[ref] = ["[yolo]", f"mask={mask}", f"anchors={text}", f"classes={classes}", f"num={len(anchors)}"]
        first += count
    return Ends(sections=sections, notes=notes)


def in_place(graph: Graph) -> bool:
    """Whether each end may stand right after its map, so that a reader finds the outputs in their order.

    Raises DarknetError for an order that no file can say: a reader sorts the finest first.
    """
    order = list(graph.outputs)
    areas = [-graph.nodes[ref].shape[1] * graph.nodes[ref].shape[2] for ref in order]
    if areas != sorted(areas) or len(set(order)) < len(order) or not order or 0 in order:
        raise DarknetError("the outputs are not distinct maps, finest first; order them so")
    keys = list(zip(areas, order))
    return keys == sorted(keys)


def is_logits_conv(graph: Graph, ref: Ref) -> bool:
    """Whether a reader takes this convolution, once [softmax] follows it, for a fully connected layer."""
    node = graph.nodes[ref]
    op = node.op
    return (isinstance(op, Conv) and (op.kernel, op.stride, op.groups, op.norm, op.activation) == (1, 1, 1, False, None)
            and isinstance(graph.nodes[node.inputs[0]].op, GlobalPool))  # fmt: skip


def _is_logits(graph: Graph, ref: Ref) -> bool:
    return graph.nodes[ref].shape[1:] == (1, 1) and not is_logits_conv(graph, ref) and len(graph.outputs) == 1


def _divides(graph: Graph, ref: Ref, count: int) -> bool:
    channels = graph.nodes[ref].shape[0]
    return channels % count == 0 and channels // count > 5


def _num_anchors(graph: Graph, ref: Ref, num_classes: int | None, given: float | None) -> int:
    """Anchors of one output: from the classes, else from the anchors, else 3."""
    node = graph.nodes[ref]
    count = node.shape[0] / (5 + num_classes) if num_classes is not None else 3 if given is None else given
    if count != int(count) or count < 1 or node.shape[0] % int(count) or node.shape[0] // int(count) < 5:
        asked = f"boxes of {num_classes} classes" if num_classes is not None else f"{count:g} anchors"
        raise DarknetError(f"output '{node.name}' has {node.shape[0]} channels, which are no A x (5 + classes) with "
                           f"{asked}; give num_classes= or anchors= that fit")  # fmt: skip
    return int(count)


def _placeholders(graph: Graph, maps: list[Ref], counts: list[int]) -> list[tuple[float, float]]:
    height = graph.nodes[0].shape[1]
    sides = [height / graph.nodes[ref].shape[1] * number
             for ref, count in zip(maps, counts) for number in range(1, count + 1)]  # fmt: skip
    return [(side, side) for side in sides]
