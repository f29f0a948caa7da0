"""Charts of the benchmarks as SVG: points, lines and bands over two axes, on the canvas of `space.draw`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from space.draw.canvas import INK, MUTED, PANEL_LINE, Canvas

COLOURS = ("#3b6ea8", "#c0510c", "#1b7f5f", "#8d5a97", "#b47613", "#5d6470", "#a8324a", "#2a9db0")
WIDTH, HEIGHT = 400.0, 260.0


@dataclass(kw_only=True)
class Series:
    """One set of points. `low` and `high` are a band around `y`; `line` joins the points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    line: bool = True


@dataclass(kw_only=True)
class Chart:
    """Axes with series."""

    title: str
    x: str
    y: str
    series: list[Series] = field(default_factory=list)


def draw(charts: Sequence[Chart], *, title: str, description: str) -> str:
    """The charts beside one another as one SVG file."""
    canvas = Canvas()
    for index, chart in enumerate(charts):
        _chart(canvas, chart, 64 + index * (WIDTH + 90), 52)
    return canvas.svg(title=title, description=description)


def _chart(canvas: Canvas, chart: Chart, left: float, top: float) -> None:
    xs = np.concatenate([np.asarray(s.x, float) for s in chart.series])
    ys = np.concatenate([np.asarray([*s.y, *s.low, *s.high], float) for s in chart.series])
    x_ticks, y_ticks = _ticks(xs.min(), xs.max()), _ticks(ys.min(), ys.max())

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return left + across * WIDTH, top + (1 - up) * HEIGHT

    canvas.text(left, top - 30, chart.title, size=13, anchor="start", bold=True)
    for tick in y_ticks:
        canvas.path(at(x_ticks[0], tick), at(x_ticks[-1], tick), colour=PANEL_LINE, arrow=False, thick=0.6)
        canvas.text(left - 6, at(x_ticks[0], tick)[1] + 4, f"{tick:g}", size=10, anchor="end", colour=MUTED)
    for tick in x_ticks:
        canvas.text(at(tick, y_ticks[0])[0], top + HEIGHT + 16, f"{tick:g}", size=10, colour=MUTED)
    canvas.text(left + WIDTH / 2, top + HEIGHT + 34, chart.x, size=11, colour=INK)
    canvas.text(left, top - 12, chart.y, size=11, anchor="start", colour=INK)
    for series, colour in zip(chart.series, COLOURS):
        for edge in (series.low, series.high):
            if len(edge):
                points = [at(x, y) for x, y in zip(series.x, edge, strict=True)]
                canvas.path(*points, colour=colour, arrow=False, thick=0.6, dashed=True, radius=0)
        points = [at(x, y) for x, y in zip(series.x, series.y, strict=True)]
        if series.line:
            canvas.path(*points, colour=colour, arrow=False, radius=0)
        for x, y in points if not series.line else ():
            canvas.circle(x, y, 2.6, fill=colour, line="#ffffff")
    named = [(s.name, colour) for s, colour in zip(chart.series, COLOURS) if len(chart.series) > 1]
    for row, (name, colour) in enumerate(named):
        y = top + HEIGHT + 54 + 16 * row
        canvas.circle(left + 6, y - 4, 4, fill=colour, line=colour)
        canvas.text(left + 16, y, name, size=11, anchor="start", colour=INK)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that span [low, high], some five of them."""
    span = high - low or abs(high) or 1.0
    step = min((m * 10.0**e for e in range(-6, 12) for m in (1, 2, 2.5, 5)), key=lambda s: abs(span / s - 5))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [float(round(k * step, 12)) for k in np.arange(first, max(last, first + 1) + 1)]
