"""Figures of `/studies`: fronts of comparable studies over one cost. SVG only."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from urllib.parse import quote

import plotly.graph_objects as go

from dashboard.comparison import Group, front
from dashboard.effects import keys
from dashboard.fields import FIELDS
from dashboard.figures import Theme
from dashboard.figures_analysis import DASHES, axis, finish


def fronts(group: Group, cost: str, theme: Theme) -> go.Figure:
    """The front of each study of a group, one step line each."""
    figure, fx, fy = go.Figure(), FIELDS[cost], FIELDS[group.score]
    for place, study in enumerate(group.studies):
        x, y, rows = front(study, cost)
        if not len(rows):
            continue
        color = theme.families[place] if place < len(theme.families) else theme.muted
        name = html.escape(study.row.name)
        named = [[*key, study.row.name] for key in keys(study.frame, rows)]
        style = {"color": color, "width": 2, "shape": "hv", "dash": DASHES[place // len(theme.families) % len(DASHES)]}
        figure.add_trace(
            go.Scatter(x=(x * fx.scale).tolist(), y=(y * fy.scale).tolist(), mode="lines+markers", name=name,
                       line=style, marker={"color": color, "size": 7}, customdata=named,
                       text=[f"{name} #{key[0]}" for key in named],
                       hovertemplate=f"%{{text}}<br>{fx.label} %{{x:.4g}} {fx.unit}<br>{fy.label} %{{y:.3f}}"
                                     "<extra></extra>")
        )  # fmt: skip
    return finish(figure, theme, axis(fx.title, theme), axis(fy.title, theme), legend=len(group.studies) > 1)


def spark(shares: Sequence[float], numbers: Sequence[int]) -> str:
    """A step line as an SVG in a `data:` address, one colour: the page gives it by using it as a mask."""
    width, height, most = 120, 28, max(numbers, default=1) or 1
    top = max(shares, default=1.0) or 1.0
    points = [f"M1 {height - 1}"]
    for number, share in zip(numbers, shares, strict=True):
        x, y = 1 + (width - 2) * number / most, height - 2 - (height - 4) * share / top
        if math.isfinite(x) and math.isfinite(y):
            points.append(f"H{x:.1f}V{y:.1f}")
    path = "".join(points)
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
           f'<path d="{path}V{height - 1}Z" opacity=".25"/>'
           f'<path d="{path}" fill="none" stroke="#000" stroke-width="1.6"/></svg>')  # fmt: skip
    return f"data:image/svg+xml,{quote(svg)}"
