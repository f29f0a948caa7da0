"""A small SVG canvas that knows where its text stands, so that a test can see that none overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
INK, MUTED, LINE = "#16181d", "#5d6470", "#8b93a1"
PANEL, PANEL_LINE = "#f6f7f9", "#cfd4dc"
FILLS = {
    "block": ("#dbe6f4", "#3b6ea8"),
    "transition": ("#fbe7c6", "#b47613"),
    "down": ("#e3e5ea", "#5d6470"),
    "conv": ("#ffffff", "#5d6470"),
    "plain": ("#ffffff", "#8b93a1"),
    "extra": ("#efe3f1", "#8d5a97"),
    "predict": ("#d8efe6", "#1b7f5f"),
}
"""Fill and border of a box by what it is: restrained, and told apart by readers who are blind to red and green."""
CROSS, UP, DOWN = "#c0510c", "#1b7f5f", "#8d5a97"
"""Colours of lines: the cross path, up-sampling and down-sampling between scales."""

_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]/· "), frozenset("mwMW→%@—×+<>=&↑↓")


class Box(NamedTuple):
    """A rectangle: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share more than a border."""
        across = min(self.right, other.right) - max(self.left, other.left)
        return across > 0.01 and min(self.bottom, other.bottom) - max(self.top, other.top) > 0.01


class Text(NamedTuple):
    """A line of text and the rectangle that it needs at most."""

    words: str
    box: Box


def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """Width that `words` need at most, in the widest font of the stack (DejaVu Sans)."""
    units = sum(0.4 if c in _NARROW else 0.98 if c in _WIDE else 0.71 if c.isupper() else 0.64 for c in words)
    return units * size * (1.1 if bold else 1.0)


class Canvas:
    """Shapes and text in drawing order; `texts` are the rectangles of all text so far."""

    def __init__(self) -> None:
        self.texts: list[Text] = []
        self.right = self.bottom = 0.0
        self.marks: list[list[int]] = []
        """Nodes of the graph that each mark stands for."""
        self._parts: list[str | int] = []
        """Elements, and in the place of a mark's opening tag the mark's number."""

    @contextmanager
    def mark(self, nodes: Sequence[int]) -> Iterator[list[int]]:
        """What is drawn inside stands for these nodes of the graph; more may be added to the list that it gives."""
        self._parts.append(len(self.marks))
        self.marks.append(list(nodes))
        try:
            yield self.marks[-1]
        finally:
            self._parts.append("</g>")

    def text(self, x: float, y: float, words: str, *, size: float = 11, anchor: str = "middle", bold: bool = False,
             colour: str = INK) -> None:  # fmt: skip
        """A line of text with its baseline at `y`; `anchor` is start, middle or end."""
        width = text_width(words, size, bold=bold)
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        self.texts.append(Text(words, Box(left, y - 0.78 * size, left + width, y + 0.24 * size)))
        self._reach(left + width, y + 0.24 * size)
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" text-anchor="{anchor}" fill="{colour}"{weight}>'
            f"{escape(words)}</text>"
        )

    def box(self, left: float, top: float, width: float, height: float, *, fill: str, line: str, radius: float = 4,
            name: str | None = None) -> None:  # fmt: skip
        """A rectangle; `name` marks it as a group of that kind for whoever reads the file."""
        mark = f" class={quoteattr(name)}" if name else ""
        self._reach(left + width, top + height)
        self._parts.append(
            f'<rect{mark} x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}" '
            f'fill="{fill}" stroke="{line}"/>'
        )

    def trapezoid(self, left: float, top: float, width: float, height: float, *, fill: str, line: str) -> None:
        """A box that narrows to the right: fewer pixels leave than come."""
        cut = height * 0.16
        self._reach(left + width, top + height)
        points = [(left, top), (left + width, top + cut), (left + width, top + height - cut), (left, top + height)]
        shown = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(f'<polygon points="{shown}" fill="{fill}" stroke="{line}" stroke-linejoin="round"/>')

    def circle(self, x: float, y: float, radius: float, *, fill: str = "#ffffff", line: str = INK) -> None:
        """A circle around (x, y)."""
        self._reach(x + radius, y + radius)
        self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{fill}" stroke="{line}"/>')

    def path(self, *points: tuple[float, float], colour: str = LINE, arrow: bool = True, thick: float = 1.4,
             dashed: bool = False, radius: float = 7) -> None:  # fmt: skip
        """A line through `points` with rounded corners, with an arrow head at its end."""
        steps = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
        for before, corner, after in zip(points, points[1:], points[2:]):
            start, end = _towards(corner, before, radius), _towards(corner, after, radius)
            steps.append(f"L{_n(start[0])} {_n(start[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(end[0])} {_n(end[1])}")
        steps.append(f"L{_n(points[-1][0])} {_n(points[-1][1])}")
        for x, y in points:
            self._reach(x, y)
        more = ' stroke-dasharray="4 3"' if dashed else ""
        if arrow:
            more += f' marker-end="url(#arrow-{colour[1:]})"'
        self._parts.append(f'<path d="{"".join(steps)}" fill="none" stroke="{colour}" stroke-width="{thick}"{more}/>')

    def svg(self, *, title: str, description: str, names: Sequence[str] = (), margin: float = 16, ids: str = "",
            backdrop: bool = True) -> str:  # fmt: skip
        """The whole drawing as an SVG file; the group of a mark has the `names` of its nodes as `data-nodes`.

        `ids` begins every id, for a drawing inside a page; there `backdrop` would hide the page's own colour.
        """
        width, height = self.right + margin, self.bottom + margin
        arrows = "".join(
            f'<marker id="{ids}arrow-{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6.5" '
            f'markerHeight="6.5" orient="auto"><path d="M0 0.6L8 4L0 7.4z" fill="{colour}"/></marker>'
            for colour in dict.fromkeys((LINE, CROSS, UP, DOWN))
        )
        parts = [self._opening(part, names) if isinstance(part, int) else part for part in self._parts]
        body = "\n".join(parts).replace("url(#", f"url(#{ids}") if ids else "\n".join(parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
            f'height="{_n(height)}" role="img" aria-labelledby="{ids}title {ids}description" '
            f"font-family={quoteattr(FONT)}>\n"
            f'<title id="{ids}title">{escape(title)}</title>\n'
            f'<desc id="{ids}description">{escape(description)}</desc>\n'
            f"<defs>{arrows}</defs>\n"
            + ('<rect width="100%" height="100%" fill="#ffffff"/>\n' if backdrop else "")
            + f"{body}\n</svg>\n"
        )

    def _opening(self, number: int, names: Sequence[str]) -> str:
        known = " ".join(names[ref] for ref in self.marks[number]) if names else ""
        return f'<g class="mark" data-nodes={quoteattr(known)}>'

    def _reach(self, x: float, y: float) -> None:
        self.right, self.bottom = max(self.right, x), max(self.bottom, y)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _towards(start: tuple[float, float], end: tuple[float, float], most: float) -> tuple[float, float]:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    share = min(most, length / 2) / length
    return start[0] + dx * share, start[1] + dy * share
