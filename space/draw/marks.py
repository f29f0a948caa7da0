"""Boxes with words in them: blocks, transitions, joins and the head of a panel."""

from __future__ import annotations

from collections.abc import Sequence

from space.draw.canvas import FILLS, MUTED, PANEL, PANEL_LINE, Box, Canvas, text_width
from space.draw.outline import Item

SMALL, BODY, TITLE = 9.5, 11.0, 13.0
GAP, PAD = 18.0, 16.0
JOIN = 11.0
HEADER = 66.0
"""Height of a panel's name, facts and share of the MACs."""
BAR = 56.0


def item_size(item: Item) -> tuple[float, float]:
    """Width and height of an item's box."""
    if item.kind == "join":
        return 2 * JOIN, 2 * JOIN
    lines = item_lines(item)
    widths = [text_width(words, BODY if i == 0 else SMALL, bold=i == 0) for i, words in enumerate(lines)]
    inner = 16 if item.kind == "block" else 12
    return max(*widths, 22) + inner, max(36.0, 15.0 * len(lines) + 13)


def item_lines(item: Item) -> list[str]:
    """Words of an item; a repeated block says how often."""
    first, *rest = item.lines
    return [f"{first} ×{item.count}" if item.count > 1 or item.kind == "block" else first, *rest]


def draw_item(canvas: Canvas, item: Item, left: float, middle: float) -> None:
    """An item whose left edge and vertical middle are given, with its channels beneath."""
    width, height = item_size(item)
    x, top = left + width / 2, middle - height / 2
    if item.kind == "join":
        canvas.circle(x, middle, JOIN)
        canvas.text(x, middle + 4, item.lines[0], bold=True)
    else:
        draw_box(canvas, item.kind, item_lines(item), left, top, width, height)
        if item.count > 1:
            canvas.path((left + 4, top - 3), (left + width + 3, top - 3), (left + width + 3, top + height - 4),
                        colour=FILLS["block"][1], arrow=False, thick=1.0, radius=3)  # fmt: skip
    canvas.text(x, top + height + 14, str(item.channels), size=SMALL, colour=MUTED)


def draw_box(canvas: Canvas, kind: str, lines: Sequence[str], left: float, top: float, width: float,
             height: float) -> None:  # fmt: skip
    """A box of a kind with centred lines, the first one bold."""
    fill, line = FILLS.get(kind, FILLS["plain"])
    shape = canvas.trapezoid if kind == "down" else canvas.box
    shape(left, top, width, height, fill=fill, line=line)
    y = top + height / 2 - 7.5 * (len(lines) - 1) + 4
    for number, words in enumerate(lines):
        canvas.text(left + width / 2, y, words, size=SMALL if number else BODY, bold=number == 0)
        y += 15


def percent(share: float) -> str:
    """A share of the network's MACs in words."""
    return "< 0.1 % of MACs" if 0 < share < 0.001 else f"{100 * share:.1f} % of MACs"


def panel_width(name: str, facts: str, share: float) -> float:
    """Width that the head of a panel needs, borders included."""
    words = text_width(name, TITLE, bold=True), text_width(facts, SMALL), text_width(percent(share), SMALL) + BAR + 8
    return max(words) + 2 * PAD


def draw_panel(canvas: Canvas, box: Box, kind: str, name: str, facts: str, share: float) -> None:
    """A group's background with its name, its facts and a bar for its share of the MACs."""
    left, top = box.left + PAD, box.top
    canvas.box(box.left, top, box.right - box.left, box.bottom - top, fill=PANEL, line=PANEL_LINE, radius=6, name=kind)
    canvas.text(left, top + 21, name, size=TITLE, anchor="start", bold=True)
    canvas.text(left, top + 38, facts, size=SMALL, anchor="start")
    canvas.box(left, top + 47, BAR, 6, fill="#e3e5ea", line="none", radius=2)
    canvas.box(left, top + 47, max(0.8, BAR * share), 6, fill=FILLS["block"][1], line="none", radius=2)
    canvas.text(left + BAR + 6, top + 54, percent(share), size=SMALL, anchor="start", colour=MUTED)
