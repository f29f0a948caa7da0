"""Figures of `/analysis`: hypervolume history, proxy against verified score, error distributions. SVG only."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from dashboard import effects
from dashboard.candidates import numbers
from dashboard.fields import FIELDS, VERIFIED
from dashboard.figures import FONT, Theme

if TYPE_CHECKING:
    from search.columns import Columns

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
"""With the colours, so that curves are told apart without them."""


def style(figure: go.Figure, theme: Theme) -> None:
    """Fonts and colours of a theme, on no ground of its own."""
    font = {"family": FONT, "size": 12, "color": theme.ink}
    figure.update_layout(
        template="none", font=font, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"bgcolor": theme.surface, "bordercolor": theme.muted, "font": font, "align": "left"},
    )  # fmt: skip


def colors_of(names: Sequence[str], theme: Theme) -> dict[str, str]:
    """A colour for each name in the given order, the muted one after the fifth."""
    return dict(zip(names, [*theme.families, *[theme.muted] * len(names)], strict=False))


def axis(title: str, theme: Theme, **more: Any) -> dict[str, Any]:
    """An axis as all figures of evidence have it."""
    return {"title": {"text": title, "standoff": 6}, "gridcolor": theme.grid, "zeroline": False, "automargin": True,
            "linecolor": theme.grid, "exponentformat": "none", **more}  # fmt: skip


def finish(figure: go.Figure, theme: Theme, x: dict[str, Any], y: dict[str, Any], *, legend: bool = False) -> go.Figure:
    """Axes, margins, legend and theme."""
    style(figure, theme)
    figure.update_layout(
        xaxis=x, yaxis=y, showlegend=legend, margin={"l": 8, "r": 12, "t": 8, "b": 8}, dragmode=False,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False,
                "itemdoubleclick": False},
    )  # fmt: skip
    return figure


def unavailable(reason: str, theme: Theme) -> go.Figure:
    """No chart, but the reason in its place."""
    figure = go.Figure()
    text = "<br>".join(map(html.escape, wrap(reason, 70)))
    figure.add_annotation(text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return finish(figure, theme, {"visible": False}, {"visible": False})


def history(found: effects.History, theme: Theme) -> go.Figure:
    """Hypervolume as a step line over complete candidates."""
    figure = go.Figure(
        go.Scatter(x=[0, *found.numbers], y=[0.0, *found.shares], mode="lines", name="hypervolume",
                   line={"color": theme.families[0], "width": 2, "shape": "hv"},
                   hovertemplate="after %{x:,} candidates<br>%{y:.1%} of the box<extra></extra>")
    )  # fmt: skip
    return finish(figure, theme, axis("complete candidates", theme, range=[0, found.complete * 1.02]),
                  axis("hypervolume", theme, rangemode="tozero", tickformat=".0%"))  # fmt: skip


def agreement(frame: Columns, score: str, found: effects.Agreement, theme: Theme) -> go.Figure:
    """The verified score, with its spread, over the proxy's; squares as everywhere for what is verified."""
    field = FIELDS[score]
    rows = effects.drawn(np.array(found.rows), 600)
    x = numbers(frame, score)[rows] * field.scale
    y = numbers(frame, f"{VERIFIED}{score}")[rows] * field.scale
    spread = np.nan_to_num(numbers(frame, f"{VERIFIED}{score}_spread")[rows]) * field.scale
    keys = effects.keys(frame, rows)
    names = [f"#{number} {html.escape(str(identity))}" for number, identity in keys]
    figure = go.Figure(
        go.Scatter(
            x=x.tolist(), y=y.tolist(), mode="markers", text=names, customdata=keys,
            marker={"symbol": "square", "size": 7, "color": theme.families[0], "opacity": 0.8},
            error_y={"type": "data", "array": spread.tolist(), "color": theme.muted, "thickness": 1, "width": 2},
            hovertemplate="%{text}<br>proxy %{x:.4g}<br>verified %{y:.4g}<extra></extra>",
        )
    )  # fmt: skip
    return finish(figure, theme, axis(f"{field.title}, proxy", theme), axis(f"{field.title}, verified", theme))


def distribution(frame: Columns, metric: str, by: str, theme: Theme) -> go.Figure:
    """The empirical distribution function of a metric's error, one curve a value of `by`; a 95 % band around one."""
    values, title = effects.error(effects.measured(frame, metric), metric)
    figure = go.Figure()
    found = effects.subsets(frame, by)
    colors = colors_of([label for label, _ in found], theme)
    for place, (label, mask) in enumerate(found):
        x, share = effects.distribution(np.where(mask, values, np.nan))
        n = int(np.isfinite(values[mask]).sum())
        if not n:
            continue
        color = colors[label] if by else theme.families[0]
        few = n < effects.FEW
        if not by:
            _band(figure, x, share, n, theme)
        figure.add_trace(
            go.Scatter(x=[x[0], *x], y=[0.0, *share], mode="lines", name=f"{html.escape(label)} ({n:,})",
                       line={"color": theme.muted if few else color, "width": 1 if few else 2, "shape": "hv",
                             "dash": DASHES[place % len(DASHES)]},
                       hovertemplate=f"{html.escape(label)}<br>%{{y:.0%}} at or below %{{x:.4g}}<extra></extra>")
        )  # fmt: skip
    return finish(figure, theme, axis(title, theme), axis("share of candidates", theme, range=[0, 1.02],
                  tickformat=".0%"), legend=bool(by))  # fmt: skip


def _band(figure: go.Figure, x: list[float], share: list[float], n: int, theme: Theme) -> None:
    """The Dvoretzky-Kiefer-Wolfowitz band: the true function lies inside with 95 %."""
    width = math.sqrt(math.log(2 / 0.05) / (2 * n))
    low, high = [max(0.0, y - width) for y in share], [min(1.0, y + width) for y in share]
    figure.add_trace(
        go.Scatter(x=[*x, *x[::-1]], y=[*high, *low[::-1]], mode="lines", line={"width": 0}, fill="toself",
                   fillcolor=theme.grid, hoverinfo="skip", name="95 % band")
    )  # fmt: skip
