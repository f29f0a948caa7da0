"""The head: marks of a pyramid below the backbone, one column a scale, arrows between them."""

from __future__ import annotations

from collections import defaultdict

from space.draw.canvas import DOWN, LINE, MUTED, UP, Box, Canvas, text_width
from space.draw.marks import BODY, PAD, SMALL, draw_box, draw_panel, panel_width
from space.draw.pyramid import Mark, Pyramid
from space.draw.row import Row
from space.graph import Graph, Ref


class Head:
    """Marks of a pyramid below the backbone, one column a level."""

    def __init__(self, canvas: Canvas, graph: Graph, found: Pyramid, row: Row, left: float, share: float,
                 name: str) -> None:  # fmt: skip
        self.canvas, self.graph, self.found = canvas, graph, found
        self.entries = self._entries()
        self.width = max(self._size(mark)[0] for mark in found.marks)
        busiest = max((len(v) for v in self.entries.values()), default=1)
        pitch = self.width + 2 * (34 + 12 * busiest)
        wanted: dict[int, float] = {}
        for ref, mark in found.taps():
            wanted.setdefault(mark.level, row.wires.get(ref, row.right))
        facts = f"{len(found.sizes)} scale{'s' * (len(found.sizes) > 1)}"
        room = max(panel_width(name, facts, share), pitch / 2 + 10 - self.width / 2) + self.width / 2
        self.x: list[float] = []
        for level in range(len(found.sizes)):
            least = self.x[-1] + pitch if self.x else left + room
            self.x.append(max(wanted.get(level, least), least))
        self.top = row.bottom + 26 + 12 * len(found.taps())
        rows = self._rows(self.top + 62)
        bottom = max(y + height for y, height in rows.values()) + 16
        box = Box(self.x[0] - room, self.top, self.x[-1] + pitch / 2 + PAD, bottom)
        draw_panel(canvas, box, "head", name, facts, share)
        self._taps(row, rows)
        self._arrows(rows)
        for mark in found.marks:
            width, height = self._size(mark)
            y, tall = rows[mark.rank]
            kind = "plain" if mark.kind == "join" else mark.kind
            top = y + (tall - height) / 2
            with canvas.mark(mark.nodes):
                draw_box(canvas, kind, mark.lines, self.x[mark.level] - width / 2, top, width, height)
        for level, (h, w) in enumerate(found.sizes):
            canvas.text(self.x[level] + 10, self.top + 42, f"{h} × {w}", size=SMALL, anchor="start", colour=MUTED)

    def _entries(self) -> dict[tuple[int, int], list[Ref]]:
        """By mark (level, rank): the values that come from other levels, left ones first."""
        entries: dict[tuple[int, int], list[Ref]] = defaultdict(list)
        for mark in self.found.marks:
            for ref in mark.sources:
                source = self.found.home.get(ref)
                if source and source.level != mark.level:
                    entries[mark.level, mark.rank].append(ref)
        return entries

    def _size(self, mark: Mark) -> tuple[float, float]:
        widths = [text_width(w, BODY if i == 0 else SMALL, bold=i == 0) for i, w in enumerate(mark.lines)]
        entries = len(self.entries.get((mark.level, mark.rank), []))
        return max(*widths, 40) + 16, max(36.0, 16.0 * entries + 6)

    def _rows(self, top: float) -> dict[int, tuple[float, float]]:
        rows: dict[int, tuple[float, float]] = {}
        leaving: dict[int, set[Ref]] = defaultdict(set)
        for refs in self.entries.values():
            for ref in refs:
                leaving[self.found.home[ref].rank].add(ref)
        for rank in range(max(mark.rank for mark in self.found.marks) + 1):
            height = max((self._size(mark)[1] for mark in self.found.marks if mark.rank == rank), default=0.0)
            rows[rank] = (top, height)
            top += height + 20 + 9 * len(leaving[rank])
        return rows

    def _taps(self, row: Row, rows: dict[int, tuple[float, float]]) -> None:
        for number, (ref, mark) in enumerate(self.found.taps()):
            wire, x = row.wires.get(ref, row.right), self.x[mark.level]
            lane = row.bottom + 14 + 12 * number
            y, tall = rows[mark.rank]
            down = [(wire, row.middle), (wire, lane), (x, lane)] if abs(wire - x) > 1 else [(x, row.middle)]
            self.canvas.circle(wire, row.middle, 2.6, fill=LINE, line=LINE)
            self.canvas.path(*down, (x, y + (tall - self._size(mark)[1]) / 2))

    def _arrows(self, rows: dict[int, tuple[float, float]]) -> None:
        lanes: dict[int, list[Ref]] = defaultdict(list)
        filled = {(mark.level, mark.rank) for mark in self.found.marks}
        for mark in self.found.marks:
            y, tall = rows[mark.rank]
            x, (width, height) = self.x[mark.level], self._size(mark)
            for ref in mark.sources:
                source = self.found.home.get(ref)
                if source is None:
                    continue
                from_y = rows[source.rank][0] + (rows[source.rank][1] + self._size(source)[1]) / 2
                if source.level == mark.level:
                    between = [r for r in range(source.rank + 1, mark.rank) if (mark.level, r) in filled]
                    top = y + (tall - height) / 2
                    if not between:
                        self.canvas.path((x, from_y), (x, top))
                    else:
                        side = x - self.width / 2 - 5
                        self.canvas.path((x, from_y), (x, from_y + 6), (side, from_y + 6), (side, top - 8),
                                         (x - 8, top - 8), (x - 8, top))  # fmt: skip
                    continue
                if ref not in lanes[source.rank]:
                    lanes[source.rank].append(ref)
                lane = rows[source.rank][0] + rows[source.rank][1] + 8 + 9 * lanes[source.rank].index(ref)
                self._crossing(mark, source, ref, lane, from_y, y + tall / 2, width)

    def _crossing(self, mark: Mark, source: Mark, ref: Ref, lane: float, from_y: float, middle: float,
                  width: float) -> None:  # fmt: skip
        """An arrow between levels: along the lane under its source, down beside its target, and in from the side."""
        entries, up = self.entries[mark.level, mark.rank], source.level > mark.level
        place = entries.index(ref)
        side = 1 if up else -1
        x, y = self.x[mark.level], middle + 16 * (place - (len(entries) - 1) / 2)
        gutter = x + side * (self.width / 2 + 34 + 8 * place)
        colour = UP if up else DOWN
        begin = self.x[source.level]
        self.canvas.path((begin, from_y), (begin, lane), (gutter, lane), (gutter, y), (x + side * width / 2, y),
                         colour=colour)  # fmt: skip
        sizes = self.graph.nodes[ref].shape[1], self.found.sizes[mark.level][0]
        words = f"{'↑' if up else '↓'}{round(max(sizes) / max(1, min(sizes)))}"
        self.canvas.text(x + side * (self.width / 2 + 18), y - 3, words, size=SMALL, colour=colour)
