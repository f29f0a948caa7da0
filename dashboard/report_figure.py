"""The scatter of a report as inline SVG: a score over a cost with its front. Colours are variables of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.candidates import Mask, Numbers, categories, numbers
from dashboard.fields import FIELDS
from dashboard.markup import Markup, attributes, join

if TYPE_CHECKING:
    from search.columns import Columns

WIDTH, HEIGHT = 860, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 46
GRAIN = 2
"""Points closer than so many pixels are one: 10,000 candidates stay below 200 kB."""


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round values from `low` to `high`."""
    raw = (high - low) / most
    if not raw > 0 or not math.isfinite(raw):
        return [low]
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(digit * base for digit in (1, 2, 5, 10) if digit * base >= raw * (1 - 1e-9))
    return [round(at * step, 12) for at in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def scatter(frame: Columns, cost: str, score: str, among: Mask, front: Mask, marked: Sequence[int]) -> Markup:
    """Candidates of `among`, those of `front` joined by its steps; `marked` rows carry their number."""
    x, y = (numbers(frame, name) * FIELDS[name].scale for name in (cost, score))
    drawn = among & np.isfinite(x) & np.isfinite(y)
    if not drawn.any():
        return Markup("<p>No candidate has both values.</p>")
    ends = [_padded(values[drawn]) for values in (x, y)]
    px = LEFT + (x - ends[0][0]) / (ends[0][1] - ends[0][0]) * (WIDTH - LEFT - RIGHT)
    py = HEIGHT - BOTTOM - (y - ends[1][0]) / (ends[1][1] - ends[1][0]) * (HEIGHT - TOP - BOTTOM)
    families = categories(frame, "block")
    names = sorted({families[row] for row in np.flatnonzero(drawn)})[:5]
    label = f"{FIELDS[score].title} over {FIELDS[cost].title}: {int(drawn.sum()):,} candidates"
    parts = [_axes(ends, cost, score)]
    parts += [_cloud(px, py, [row for row in np.flatnonzero(drawn & ~front) if families[row] == name], place)
              for place, name in enumerate(names)]  # fmt: skip
    parts += [_steps(px, py, np.flatnonzero(front & drawn), cost, score)]
    parts += [_dots(px, py, [row for row in np.flatnonzero(front & drawn) if families[row] == name], place, frame)
              for place, name in enumerate(names)]  # fmt: skip
    parts += [_named(px[row], py[row], int(frame["number"][row])) for row in marked if drawn[row]]
    legend = join(Markup('<span class="key"><i class="f{}"></i>{}</span>').format(place, name)
                  for place, name in enumerate(names))  # fmt: skip
    front_key = Markup('<span class="key"><i class="line"></i>front of these two</span>')
    return Markup('<figure><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
                  "<figcaption>{}{}</figcaption></figure>").format(
        WIDTH, HEIGHT, label, join(parts), legend, front_key)  # fmt: skip


def _padded(values: Numbers) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return low - pad, high + pad


def _axes(ends: Sequence[tuple[float, float]], cost: str, score: str) -> Markup:
    parts = []
    for value in ticks(*ends[0]):
        at = LEFT + (value - ends[0][0]) / (ends[0][1] - ends[0][0]) * (WIDTH - LEFT - RIGHT)
        parts.append(Markup('<path class="grid" d="M{0:.1f} {1}V{2}"/><text x="{0:.1f}" y="{3}" text-anchor="middle">'
                            "{4:g}</text>").format(at, TOP, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 17, value))  # fmt: skip
    for value in ticks(*ends[1], 6):
        at = HEIGHT - BOTTOM - (value - ends[1][0]) / (ends[1][1] - ends[1][0]) * (HEIGHT - TOP - BOTTOM)
        parts.append(Markup('<path class="grid" d="M{0} {1:.1f}H{2}"/><text x="{3}" y="{4:.1f}" text-anchor="end">'
                            "{5:g}</text>").format(LEFT, at, WIDTH - RIGHT, LEFT - 7, at + 4, value))  # fmt: skip
    parts.append(Markup('<text class="title" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, FIELDS[cost].title))  # fmt: skip
    parts.append(Markup('<text class="title" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>')
                 .format((TOP + HEIGHT - BOTTOM) / 2, FIELDS[score].title))  # fmt: skip
    return join(parts)


def _cloud(px: Numbers, py: Numbers, rows: Sequence[Any], place: int) -> Markup:
    """Points as one path of round dots, each place once."""
    cells = {(round(float(px[row]) / GRAIN) * GRAIN, round(float(py[row]) / GRAIN) * GRAIN) for row in rows}
    path = "".join(f"M{x} {y}h0" for x, y in sorted(cells))
    return Markup('<path class="cloud f{}" d="{}"/>').format(place, path) if path else Markup("")


def _dots(px: Numbers, py: Numbers, rows: Sequence[Any], place: int, frame: Columns) -> Markup:
    """Members of the front, verified ones as squares, each with its number on hover."""
    said, named = frame["verdict"], frame["number"]
    parts = []
    for row in rows:
        title = Markup("<title>#{:.0f} {}</title>").format(named[row], said[row])
        x, y = float(px[row]), float(py[row])
        if said[row] == "verified":
            shape = attributes(x=round(x - 4, 1), y=round(y - 4, 1), width=8, height=8)
            parts.append(Markup("<rect{}>{}</rect>").format(shape, title))
        else:
            shape = attributes(cx=round(x, 1), cy=round(y, 1), r=4.5)
            cross = f"M{x - 4:.1f} {y - 4:.1f}l8 8M{x - 4:.1f} {y + 4:.1f}l8-8" if said[row] == "overturned" else ""
            parts.append(Markup("<circle{}>{}</circle>").format(shape, title))
            parts.append(Markup('<path class="cross" d="{}"/>').format(cross) if cross else Markup(""))
    return Markup('<g class="dots f{}">{}</g>').format(place, join(parts))


def _steps(px: Numbers, py: Numbers, rows: Any, cost: str, score: str) -> Markup:
    """The front's attainment: between two members the worse of both in each direction."""
    if not len(rows):
        return Markup("")
    order = rows[np.argsort(px[rows], kind="stable")]
    # On the screen y grows downwards, so the worse of a maximised score is the larger y.
    worse_x = max if FIELDS[cost].direction == "minimize" else min
    worse_y = max if FIELDS[score].direction == "maximize" else min
    path = f"M{px[order[0]]:.1f} {py[order[0]]:.1f}"
    for a, b in pairwise(order):
        path += f"L{worse_x(px[a], px[b]):.1f} {worse_y(py[a], py[b]):.1f}L{px[b]:.1f} {py[b]:.1f}"
    return Markup('<path class="front" d="{}"/>').format(path)


def _named(x: float, y: float, number: int) -> Markup:
    end = x > WIDTH - 90
    given = attributes(x=round(x - 8 if end else x + 8, 1), y=round(y - 8, 1), text_anchor="end" if end else None)
    return Markup('<text class="named"{}>#{}</text>').format(given, number)
