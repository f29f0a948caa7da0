"""Anchors to boxes and back: grid, assignment, loss and non-maximum suppression of the detector.

Sources: box terms of YOLOv5 (a bounded form of YOLOv3's), assignment by overlap with every object's best
anchor forced (SSD), GIoU (Rezatofighi et al. 2019), objectness x softmax over classes as the score. All of it
is batched tensor code, so that it costs little beside a small network on one core.

Legend: B images, N anchors over all levels, G object slots, C classes, K kept detections. Boxes are corner
pairs (left, top, right, bottom) in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from evaluator.recipe import Recipe
from evaluator.tasks import CROWD
from space.module import Network


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every anchor of a detector at one image size, finest level first."""

    cells_N2: Tensor
    """Column and row of the anchor's cell."""
    strides_N1: Tensor
    sizes_N2: Tensor
    """Anchor width and height in pixels."""

    @property
    def boxes_N4(self) -> Tensor:
        centres = (self.cells_N2 + 0.5) * self.strides_N1
        return torch.cat([centres - self.sizes_N2 / 2, centres + self.sizes_N2 / 2], 1)


class Suppression(Protocol):
    """What non-maximum suppression goes by; see `evaluator.recipe.Recipe`."""

    @property
    def candidates(self) -> int: ...
    @property
    def detections(self) -> int: ...
    @property
    def nms_iou(self) -> float: ...


class Detections(NamedTuple):
    """The best boxes of each image, best first; score 0 pads."""

    boxes_BK4: Tensor
    scores_BK: Tensor
    classes_BK: Tensor


def spread(anchors_LA2: npt.NDArray[np.int16], levels: int) -> npt.NDArray[np.int16]:
    """A task's anchors for a head of another number of levels: as many a level, evenly picked from small to large."""
    if len(anchors_LA2) == levels:
        return np.array(anchors_LA2)
    each = anchors_LA2.shape[1]
    flat = anchors_LA2.reshape(-1, 2)
    picked = ((np.arange(levels * each) + 0.5) * len(flat) / (levels * each)).astype(int)
    return np.array(flat[picked].reshape(levels, each, 2), np.int16)


def grid(shapes: list[tuple[int, int]], size: int, anchors_LA2: Tensor) -> Grid:
    """The anchors of maps with the given heights and widths over an image of `size` pixels.

    The grid lives where `anchors_LA2` does.
    """
    device = anchors_LA2.device
    cells, strides, sizes = [], [], []
    for (height, width), anchors_A2 in zip(shapes, anchors_LA2, strict=True):
        y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
        cell = torch.stack([x, y], -1).reshape(-1, 2).float()
        number = len(anchors_A2)
        cells.append(cell.repeat(number, 1))
        strides.append(torch.full((number * len(cell), 1), size / height, device=device))
        sizes.append(anchors_A2.float().repeat_interleave(len(cell), 0))
    return Grid(cells_N2=torch.cat(cells), strides_N1=torch.cat(strides), sizes_N2=torch.cat(sizes))


def flatten(maps: list[Tensor], num_classes: int) -> Tensor:
    """Raw maps [B, A x (5 + C), H, W] of all levels as one [B, N, 5 + C] in the order of `grid`."""
    terms = 5 + num_classes
    flat = [x.reshape(len(x), -1, terms, x[0, 0].numel()).transpose(2, 3).flatten(1, 2) for x in maps]
    return torch.cat(flat, 1)


def start(network: Network, num_classes: int, prior: float) -> None:
    """Make a fresh detector answer its anchors, objectness `prior` and equal classes, near enough."""
    with torch.no_grad():
        for output in network.graph.outputs:
            predict = network.get_submodule(network.graph.nodes[output].name).get_submodule("conv")
            predict.weight.mul_(0.05)  # type: ignore[operator]
            bias: Tensor = predict.bias  # type: ignore[assignment]
            bias.view(-1, 5 + num_classes)[:, 4] = math.log(prior / (1 - prior))


def decode(raw_BNX: Tensor, grid: Grid) -> Tensor:
    """Boxes [B, N, 4]: centres at most one cell outside their own, sizes at most four times the anchor's."""
    terms = raw_BNX[..., :4].sigmoid() * 2
    centres = (terms[..., :2] - 0.5 + grid.cells_N2) * grid.strides_N1
    half = terms[..., 2:].square() * grid.sizes_N2 / 2
    return torch.cat([centres - half, centres + half], -1)


def area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def _shared(a: Tensor, b: Tensor) -> Tensor:
    """Area of the intersection."""
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes with broadcast leading dimensions."""
    shared = _shared(a, b)
    return shared / (area(a) + area(b) - shared).clamp(min=1e-6)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union, in (-1, 1]."""
    shared = _shared(a, b)
    union = (area(a) + area(b) - shared).clamp(min=1e-6)
    hull = area(torch.cat([torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])], -1))
    return shared / union - (hull - union) / hull.clamp(min=1e-6)


def assign(grid: Grid, boxes_BG4: Tensor, real_BG: Tensor, positive_iou: float) -> Tensor:
    """The object slot [B, N] that each anchor has to find, -1 for none."""
    overlap_BNG = iou(grid.boxes_N4[None, :, None], boxes_BG4[:, None]) * real_BG[:, None]
    best_BN, slot_BN = overlap_BNG.max(2)
    slot_BN = torch.where(best_BN >= positive_iou, slot_BN, -1)
    forced_BG = overlap_BNG.argmax(1)
    for g in range(real_BG.shape[1]):  # in turn: two objects may want one anchor, the later slot gets it
        rows = real_BG[:, g].nonzero()[:, 0]
        slot_BN[rows, forced_BG[rows, g]] = g
    return slot_BN


def in_crowd(grid: Grid, boxes_BG4: Tensor, crowd_BG: Tensor) -> Tensor:
    """Whether more than half of each anchor [B, N] lies in one of the boxes that are crowds."""
    anchors_N4 = grid.boxes_N4
    shared_BNG = _shared(anchors_N4[None, :, None], boxes_BG4[:, None]) * crowd_BG[:, None]
    return shared_BNG.amax(2) > 0.5 * area(anchors_N4)


def loss(raw_BNX: Tensor, grid: Grid, targets_BG5: Tensor, recipe: Recipe) -> Tensor:
    """Mean loss per positive anchor. `targets_BG5` is class (-1: none, `CROWD` and less: a crowd) and corners.

    Anchors that lie in a crowd by more than half and find no object learn nothing.
    """
    classes_BG, boxes_BG4 = targets_BG5[..., 0].long(), targets_BG5[..., 1:]
    slot_BN = assign(grid, boxes_BG4, classes_BG >= 0, recipe.positive_iou)
    image_P, anchor_P = (slot_BN >= 0).nonzero(as_tuple=True)
    slot_P = slot_BN[image_P, anchor_P]
    number = max(len(slot_P), 1)
    overlap_P = giou(decode(raw_BNX, grid)[image_P, anchor_P], boxes_BG4[image_P, slot_P])
    box = (1 - overlap_P).sum()
    kind = F.cross_entropy(raw_BNX[image_P, anchor_P, 5:], classes_BG[image_P, slot_P], reduction="sum")
    wanted_BN = (slot_BN >= 0).float()
    found_BN = F.binary_cross_entropy_with_logits(raw_BNX[..., 4], wanted_BN, reduction="none")
    if (classes_BG <= CROWD).any():
        found_BN = found_BN * ((slot_BN >= 0) | ~in_crowd(grid, boxes_BG4, classes_BG <= CROWD))
    found = found_BN.sum()
    return (recipe.box_weight * box + recipe.class_weight * kind + recipe.object_weight * found) / number


def score(raw_BNX: Tensor) -> Tensor:
    """Scores [B, N, C]: objectness times the probability of each class."""
    return raw_BNX[..., 4:5].sigmoid() * raw_BNX[..., 5:].contiguous().softmax(-1)


def detect(raw_BNX: Tensor, grid: Grid, size: int, rules: Suppression) -> Detections:
    """Scored boxes after non-maximum suppression within each class."""
    return suppress(decode(raw_BNX, grid).clamp(0, size), score(raw_BNX), rules)


def suppress(boxes_BN4: Tensor, scores_BNC: Tensor, rules: Suppression) -> Detections:
    """The best boxes of each class that no better one of the class overlaps by more than `rules.nms_iou`."""
    number, classes = min(rules.candidates, scores_BNC[0].numel()), scores_BNC.shape[2]
    scores_BK, index_BK = scores_BNC.flatten(1).topk(number)
    anchor_BK, classes_BK = index_BK // classes, index_BK % classes
    boxes_BK4 = boxes_BN4.gather(1, anchor_BK[..., None].expand(-1, -1, 4))
    clash_BKK = iou(boxes_BK4[:, :, None], boxes_BK4[:, None]) > rules.nms_iou
    clash_BKK &= classes_BK[:, :, None] == classes_BK[:, None]
    keep_BK = torch.ones_like(scores_BK, dtype=torch.bool)
    for k in range(number - 1):  # greedy: what still stands at its turn removes its lesser rivals
        keep_BK[:, k + 1 :] &= ~(clash_BKK[:, k, k + 1 :] & keep_BK[:, k, None])
    scores_BK, order_BK = (scores_BK * keep_BK).topk(min(rules.detections, number))
    return Detections(
        boxes_BK4.gather(1, order_BK[..., None].expand(-1, -1, 4)), scores_BK, classes_BK.gather(1, order_BK)
    )
