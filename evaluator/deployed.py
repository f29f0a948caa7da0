"""A trained network as it is used: pixels in, and out what `evaluator.interface.OUTPUTS` says. In torch, and in ONNX.

The ONNX part appends nodes of opset 17 to the model of `space.onnx`; suppression is NonMaxSuppression over the best
candidates, with the semantics of `evaluator.detection.suppress`. The torch part is its oracle.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from evaluator import detection
from evaluator.interface import Interface
from space.cost import cost
from space.graph import Graph
from space.module import Network
from space.onnx import Weights, to_onnx

if TYPE_CHECKING:
    import onnx


class Deployed(nn.Module):
    """`network` (folded) between pixels and `outputs`; without `normalise` pixels come normalised already."""

    def __init__(self, network: Network, interface: Interface, outputs: str, *, normalise: bool = True) -> None:
        super().__init__()
        self.network, self.interface, self.outputs, self.normalise = network, interface, outputs, normalise
        self.cells_N2: Tensor
        self.strides_N1: Tensor
        self.sizes_N2: Tensor
        self.edges_4: Tensor
        _, self.height, self.width = network.graph.nodes[0].shape
        if outputs != "raw":
            found = grid_of(network.graph, interface)
            for name in ("cells_N2", "strides_N1", "sizes_N2"):
                self.register_buffer(name, getattr(found, name))
            self.register_buffer("edges_4", torch.tensor([self.width, self.height] * 2, dtype=torch.float32))

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, ...]:
        if self.normalise:
            image_BCHW = (image_BCHW - self.interface.pixel_mean) * (1 / self.interface.pixel_std)
        maps = self.network(image_BCHW)
        if self.outputs == "raw":
            return tuple(maps)
        raw_BNX = detection.flatten(maps, len(self.interface.classes))
        grid = detection.Grid(cells_N2=self.cells_N2, strides_N1=self.strides_N1, sizes_N2=self.sizes_N2)
        boxes_BN4 = detection.decode(raw_BNX, grid).clamp(min=0).minimum(self.edges_4)
        scores_BNC = detection.score(raw_BNX)
        if self.outputs == "decoded":
            return boxes_BN4, scores_BNC
        return tuple(detection.suppress(boxes_BN4, scores_BNC, self.interface))


def grid_of(graph: Graph, interface: Interface) -> detection.Grid:
    """The anchors of a detector's graph. Raises ValueError where a level's stride is not one number."""
    _, height, width = graph.nodes[0].shape
    shapes = [graph.nodes[output].shape[1:] for output in graph.outputs]
    for rows, columns in shapes:
        if height * columns != width * rows:
            raise ValueError(f"boxes of {height}x{width} cannot be decoded: use sides that are multiples of "
                             f"{2 ** round(np.log2(height / shapes[-1][0]))}, or the outputs 'raw'")  # fmt: skip
    anchors = detection.spread(np.array(interface.anchors, np.int16), len(shapes))
    return detection.grid([(h, w) for h, w in shapes], height, torch.from_numpy(anchors))


def to_model(graph: Graph, weights: Weights, interface: Interface, outputs: str, *, normalise: bool = True,
             batch: int = 1, about: dict[str, Any] | None = None) -> onnx.ModelProto:  # fmt: skip
    """The same in ONNX: input `image` [B, 3, H, W] float32, RGB, 0 to 255 or normalised.

    `metadata_props` say what a caller needs; `about` adds to them.
    """
    model = to_onnx(graph, weights, batch=batch, name=(about or {}).get("id", "csp"))
    tail = _Tail(model, graph, interface, batch)
    if normalise:
        tail.normalise()
    if outputs != "raw":
        tail.decode(("boxes", "scores") if outputs == "decoded" else ("all_boxes", "all_scores"))
    if outputs == "nms":
        tail.suppress()
    _, height, width = graph.nodes[0].shape
    facts = {
        **interface.to_dict(), "height": height, "width": width, "outputs": outputs,
        "input": "RGB, 0 to 255" if normalise else "RGB, (value - pixel_mean) / pixel_std",
        "strides": [height / graph.nodes[o].shape[1] for o in graph.outputs] if interface.anchors else [],
        "macs": cost(graph).macs, **(about or {}),
    }  # fmt: skip
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    return model


class _Tail:
    """Appends nodes to a model. Values are named for what they are; see `Deployed.forward` for the same in torch."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, interface: Interface, batch: int) -> None:
        from onnx import helper, numpy_helper

        self.model, self.graph, self.interface, self.batch = model, graph, interface, batch
        self._helper, self._numpy = helper, numpy_helper

    def node(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        made = self._helper.make_node(kind, inputs, list(outputs), name=f"{kind}_{outputs[0]}", **attributes)
        self.model.graph.node.append(made)
        return outputs[0]

    def constant(self, name: str, value: Any, kind: Any = np.float32) -> str:
        array = value.numpy() if isinstance(value, Tensor) else np.asarray(value, kind)
        self.model.graph.initializer.append(self._numpy.from_array(np.ascontiguousarray(array), name))
        return name

    def give(self, **shapes: list[int]) -> None:
        """Make the named values the model's outputs."""
        from onnx import TensorProto

        del self.model.graph.output[:]
        for name, shape in shapes.items():
            kind = TensorProto.INT64 if name == "classes" else TensorProto.FLOAT
            self.model.graph.output.append(self._helper.make_tensor_value_info(name, kind, shape))

    def normalise(self) -> None:
        first = self.model.graph.node[0]
        assert list(first.input) == ["image"], "the graph's input comes first"
        first.input[0] = "image_normalised"
        centred = self.node("Sub", ["image", self.constant("pixel_mean", self.interface.pixel_mean)], "image_centred")
        gain = self.constant("pixel_gain", 1 / self.interface.pixel_std)
        self.node("Mul", [centred, gain], "image_normalised")
        # Nodes stand in the order in which they run.
        nodes = list(self.model.graph.node)
        del self.model.graph.node[:]
        self.model.graph.node.extend([*nodes[-2:], *nodes[:-2]])

    def decode(self, names: tuple[str, str]) -> None:
        grid, classes = grid_of(self.graph, self.interface), len(self.interface.classes)
        terms, levels = 5 + classes, []
        for level, output in enumerate(self.graph.outputs):
            channels, h, w = self.graph.nodes[output].shape
            apart = self.constant(f"apart{level}", [0, channels // terms, terms, h * w], np.int64)
            flat = self.constant(f"flat{level}", [0, channels // terms * h * w, terms], np.int64)
            shaped = self.node("Reshape", [f"output{level}", apart], f"level{level}_apart")
            turned = self.node("Transpose", [shaped], f"level{level}_turned", perm=[0, 1, 3, 2])
            levels.append(self.node("Reshape", [turned, flat], f"level{level}"))
        raw = self.node("Concat", levels, "raw", axis=1)
        sizes = self.constant("terms", [4, 1, classes], np.int64)
        self.node("Split", [raw, sizes], "raw_box", "raw_object", "raw_class", axis=2)
        two = self.constant("two", 2.0)
        box = self.node("Mul", [self.node("Sigmoid", ["raw_box"], "box_share"), two], "box_terms")
        self.node("Split", [box, self.constant("halves", [2, 2], np.int64)], "box_place", "box_side", axis=2)
        place = self.node("Add", ["box_place", self.constant("cells", grid.cells_N2 - 0.5)], "box_cell")
        centre = self.node("Mul", [place, self.constant("strides", grid.strides_N1)], "box_centre")
        square = self.node("Mul", ["box_side", "box_side"], "box_square")
        half = self.node("Mul", [square, self.constant("half_anchors", grid.sizes_N2 / 2)], "box_half")
        ends = [self.node("Sub", [centre, half], "box_start"), self.node("Add", [centre, half], "box_stop")]
        whole = self.node("Concat", ends, "box_corners", axis=2)
        _, height, width = self.graph.nodes[0].shape
        inside = self.node("Max", [whole, self.constant("zero", 0.0)], "box_inside")
        self.node("Min", [inside, self.constant("edges", [width, height] * 2)], names[0])
        objects = self.node("Sigmoid", ["raw_object"], "object_share")
        self.node("Mul", [objects, self.node("Softmax", ["raw_class"], "class_share", axis=-1)], names[1])
        number = len(grid.cells_N2)
        self.give(**{names[0]: [self.batch, number, 4], names[1]: [self.batch, number, classes]})

    def suppress(self) -> None:
        classes, rules = len(self.interface.classes), self.interface
        total = len(grid_of(self.graph, self.interface).cells_N2) * classes
        number = min(rules.candidates, total)
        kept = min(rules.detections, number)
        flat = self.node("Reshape", ["all_scores", self.constant("one_row", [0, -1], np.int64)], "flat_scores")
        most = self.constant("candidates", [number], np.int64)
        self.node("TopK", [flat, most], "top_scores", "top_index", axis=1)
        count = self.constant("num_classes", classes, np.int64)
        anchor = self.node("Div", ["top_index", count], "top_anchor")
        label = self.node("Mod", ["top_index", count], "top_class")
        boxes = self.gather("all_boxes", anchor, "top")
        # The operator wants a score for each class: one box has one class here, and 0 of the others, which is no box.
        ones = self.node("Unsqueeze", [label, self.constant("axis1", [1], np.int64)], "top_class_row")
        mine = self.node("Equal", [ones, self.constant("labels", np.arange(classes)[:, None], np.int64)], "class_mask")
        weight = self.node("Cast", [mine], "class_weight", to=1)
        row = self.node("Unsqueeze", ["top_scores", "axis1"], "top_scores_row")
        scores = self.node("Mul", [weight, row], "class_scores")
        limits = [self.constant("most", [number], np.int64), self.constant("nms_iou", [rules.nms_iou]),
                  self.constant("least", [0.0])]  # fmt: skip
        chosen = self.node("NonMaxSuppression", [boxes, scores, *limits], "chosen")
        shape = self.node("Shape", [scores], "scores_shape")
        none = self.node("ConstantOfShape", [shape], "kept_none",
                         value=self._numpy.from_array(np.zeros(1, np.float32)))  # fmt: skip
        rows = self.node("Slice", [self.node("Shape", [chosen], "chosen_shape"), self.constant("first", [0], np.int64),
                                   self.constant("second", [1], np.int64)], "chosen_rows")  # fmt: skip
        marks = self.node("ConstantOfShape", [rows], "marks", value=self._numpy.from_array(np.ones(1, np.float32)))
        marked = self.node("ScatterND", [none, chosen, marks], "kept_by_class")
        kept_mask = self.node("ReduceMax", [marked], "kept_mask", axes=[1], keepdims=0)
        left = self.node("Mul", ["top_scores", kept_mask], "kept_scores")
        self.node("TopK", [left, self.constant("detections", [kept], np.int64)], "scores", "order", axis=1)
        self.gather(boxes, "order", "kept", "boxes")
        self.node("GatherElements", [label, "order"], "classes", axis=1)
        self.give(boxes=[self.batch, kept, 4], scores=[self.batch, kept], classes=[self.batch, kept])

    def gather(self, boxes: str, index: str, prefix: str, name: str | None = None) -> str:
        """Rows `index` [B, K] of boxes [B, N, 4]."""
        column = self.node("Unsqueeze", [index, self.constant(f"{prefix}_axis", [2], np.int64)], f"{prefix}_column")
        wide = self.node("Expand", [column, self.constant(f"{prefix}_four", [1, 1, 4], np.int64)], f"{prefix}_rows")
        return self.node("GatherElements", [boxes, wide], name or f"{prefix}_boxes", axis=1)
