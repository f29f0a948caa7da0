"""The backbone: groups from left to right, cross paths above the blocks, wrapped where it grows too wide."""

from __future__ import annotations

from collections.abc import Sequence

from space.draw.canvas import CROSS, MUTED, Box, Canvas, text_width
from space.draw.marks import (
    BODY,
    GAP,
    HEADER,
    PAD,
    SMALL,
    draw_box,
    draw_item,
    draw_panel,
    item_lines,
    item_size,
    panel_width,
)
from space.draw.outline import Bypass, Group
from space.graph import Graph, Ref

WIDEST = 1900.0
"""A backbone wider than this is drawn in several rows."""
IMAGE = 72.0
"""Width of the image's words at the beginning."""


class Plan:
    """Where the items of a group stand, from the left edge of its panel."""

    def __init__(self, group: Group, macs: int) -> None:
        self.group, self.share = group, group.macs / max(1, macs)
        self.facts = f"{group.size[0]} × {group.size[1]}, {group.channels} ch"
        self.sizes = [item_size(item) for item in group.items]
        self.lefts: list[float] = []
        cursor = 2 * GAP if group.bypasses else PAD
        for number, (width, _) in enumerate(self.sizes):
            cursor += 14 * (number > 0 and any(bypass.start == number for bypass in group.bypasses))
            self.lefts.append(cursor)
            cursor += width + GAP
        items, words = cursor - GAP + PAD, max(map(self._label_end, group.bypasses), default=0.0) + PAD
        self.width = max(items, words, panel_width(group.name, self.facts, self.share))
        shift = min((self.width - items) / 2, self.width - words)
        self.lefts = [left + shift for left in self.lefts]
        self.tallest = max(height for _, height in self.sizes)
        self.lanes = sum(_lane(bypass) for bypass in group.bypasses)

    def fork(self, bypass: Bypass) -> float:
        """Where a by-pass leaves the main path."""
        return self.lefts[bypass.start] - GAP / 2 - 3

    def label(self, bypass: Bypass) -> tuple[float, str]:
        """Where the words on a by-pass begin, behind its boxes, and the words."""
        at = self.fork(bypass) + 14 + sum(item_size(item)[0] + GAP for item in bypass.items)
        return at, f"{'cross path, ' if self.group.is_stage else ''}{bypass.channels} ch"

    def _label_end(self, bypass: Bypass) -> float:
        at, words = self.label(bypass)
        return at + text_width(words, SMALL)


def _lane(bypass: Bypass) -> float:
    return max((item_size(item)[1] for item in bypass.items), default=20.0) + 12


def wrap(plans: Sequence[Plan], together: set[int], widest: float = WIDEST) -> list[list[Plan]]:
    """Rows of about one width, at most `widest` if they can; those in `together`, which are tapped, in the last."""
    total = IMAGE + sum(plan.width + GAP for plan in plans)
    num_rows = -(-int(total) // int(widest))
    rows: list[list[Plan]] = [[]]
    used, least = IMAGE, min(together, default=len(plans))
    for number, plan in enumerate(plans):
        full = used + plan.width + GAP > max(total / num_rows * 1.08, plan.width)
        if rows[-1] and full and len(rows) < num_rows and number <= least:
            rows.append([])
            used = IMAGE
        rows[-1].append(plan)
        used += plan.width + GAP
    return rows


class Row:
    """The drawn backbone. `wires` says where a value can be tapped: on the wire behind the item that makes it.

    `middle` and `bottom` are those of its last row.
    """

    def __init__(self, canvas: Canvas, graph: Graph, rows: Sequence[Sequence[Plan]], left: float, top: float, *,
                 tapped: bool) -> None:  # fmt: skip
        self.canvas = canvas
        self.wires: dict[Ref, float] = {}
        self.right = left
        for number, plans in enumerate(rows):
            before = self.right, getattr(self, "middle", 0.0), getattr(self, "bottom", 0.0)
            tallest = max(plan.tallest for plan in plans)
            self.top = top
            self.middle = top + HEADER + max(plan.lanes for plan in plans) + tallest / 2 + 12
            self.bottom = self.middle + tallest / 2 + 30
            x = left + IMAGE - GAP
            if number == 0:
                x = self._image(graph, left)
            else:
                between = (before[2] + top) / 2
                canvas.path((before[0], before[1]), (before[0] + 14, before[1]), (before[0] + 14, between),
                            (left + 14, between), (left + 14, self.middle), (x, self.middle), arrow=False)  # fmt: skip
            for plan in plans:
                last = plan is rows[-1][-1]
                x = self._group(plan, x, tail=not last, arrow=last and not tapped)
            self.right, top = x, self.bottom + 36

    def _image(self, graph: Graph, left: float) -> float:
        c, h, w = graph.nodes[0].shape
        half = max(text_width(f"{h} × {w}", SMALL), text_width("image", BODY, bold=True)) / 2
        with self.canvas.mark([0]):
            self.canvas.text(left + half, self.middle - 12, "image", size=BODY, bold=True)
            self.canvas.text(left + half, self.middle + 4, f"{h} × {w}", size=SMALL)
            self.canvas.text(left + half, self.middle + 18, f"{c} ch", size=SMALL, colour=MUTED)
        return left + 2 * half + 4

    def _group(self, plan: Plan, x: float, *, tail: bool, arrow: bool) -> float:
        canvas, middle, group = self.canvas, self.middle, plan.group
        left, before = x + GAP, x
        right = left + plan.width
        box = Box(left, self.top, right, self.bottom)
        draw_panel(canvas, box, "stage" if group.is_stage else "scope", group.name, plan.facts, plan.share)
        for item, (width, _), at in zip(group.items, plan.sizes, plan.lefts):
            canvas.path((before, middle), (left + at, middle))
            before = left + at + width
            self.wires[item.last] = before + 5
        for item, at in zip(group.items, plan.lefts):
            with canvas.mark(item.nodes):
                draw_item(canvas, item, left + at, middle)
        lane = middle - plan.tallest / 2 - 10
        for bypass in sorted(group.bypasses, key=lambda bypass: bypass.stop - bypass.start):
            lane -= _lane(bypass) / 2
            self._bypass(plan, bypass, left, lane)
            lane -= _lane(bypass) / 2
        if tail or arrow:
            canvas.path((before, middle), (right if tail else before + GAP / 2 + 4, middle), arrow=arrow)
        return right

    def _bypass(self, plan: Plan, bypass: Bypass, left: float, lane: float) -> None:
        canvas, middle = self.canvas, self.middle
        begin, (width, height) = left + plan.fork(bypass), plan.sizes[bypass.stop]
        end = left + plan.lefts[bypass.stop] + width / 2
        points = (begin, middle), (begin, lane), (end, lane), (end, middle - height / 2)
        where, words = plan.label(bypass)
        with canvas.mark(bypass.nodes):
            canvas.path(*points, colour=CROSS, thick=1.8)
            canvas.text(left + where, lane - 5, words, size=SMALL, anchor="start", colour=CROSS)
        at = begin + 14
        for item in bypass.items:
            wide, tall = item_size(item)
            with canvas.mark(item.nodes):
                draw_box(canvas, item.kind, item_lines(item), at, lane - tall / 2, wide, tall)
            at += wide + GAP
