"""Data and options -> Plotly figures of a candidate. Pure functions; SVG traces only (WebGL fails in silence).

The plot of all candidates is drawn by the browser: assets/plot.js.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from dashboard.fields import FIELDS
from space.cost import Part

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of a figure; the page's own are in assets/style.css."""

    ink: str
    muted: str
    grid: str
    surface: str
    families: tuple[str, ...]
    """Categories: told apart in normal, protan, deutan and tritan vision."""
    warn: str
    scale: tuple[str, ...]
    """Numbers, low to high: cividis, without the end that the surface swallows."""


_CIVIDIS = ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55",
            "#fee838")  # fmt: skip

LIGHT = Theme(
    ink="#16181d", muted="#5d6470", grid="#e6e8ec", surface="#ffffff", warn="#6b7280",
    families=("#0D3792", "#B01A25", "#00A87B", "#AB84CB", "#D28300"), scale=_CIVIDIS[:9],
)  # fmt: skip
DARK = Theme(
    ink="#f2f4f7", muted="#a3abb8", grid="#2b313b", surface="#15181d", warn="#9aa3b0",
    families=("#56B4E9", "#F28E2B", "#2BC48A", "#E29CC6", "#F0E442"), scale=_CIVIDIS[2:],
)  # fmt: skip


def theme_called(name: str | None) -> Theme:
    """The theme `dark` or, for anything else, `light`."""
    return DARK if name == "dark" else LIGHT


def _style(figure: go.Figure, theme: Theme) -> None:
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": theme.ink},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"bgcolor": theme.surface, "bordercolor": theme.muted,
                    "font": {"family": FONT, "size": 12, "color": theme.ink}, "align": "left"},
    )  # fmt: skip


LAYER_QUANTITIES = {"macs": "MACs (M)", "params": "Parameters (k)", "activations": "Activations (k)"}
"""What the per-layer chart shows, with its unit."""
_LAYER_SCALES = {"macs": 1e-6, "params": 1e-3, "activations": 1e-3}


def layers(parts: Sequence[Part], quantity: str, theme: Theme) -> go.Figure:
    """One bar a layer that costs anything, in order, coloured by stage. `quantity` is of LAYER_QUANTITIES."""
    scale = _LAYER_SCALES[quantity]
    costly = [part for part in parts if getattr(part.cost, quantity)]
    figure = go.Figure()
    groups = list(dict.fromkeys(part.name.split(".")[0] for part in costly))
    for index, group in enumerate(groups):
        rows = [row for row, part in enumerate(costly) if part.name.split(".")[0] == group]
        mine = [costly[row] for row in rows]
        shapes = [" × ".join(str(size) for size in part.shape) for part in mine]
        figure.add_trace(
            go.Bar(
                x=rows,
                y=[getattr(part.cost, quantity) * scale for part in mine],
                name=group,
                marker={"color": theme.families[index % len(theme.families)], "line": {"width": 0}},
                customdata=[[part.name, part.kind, shape] for part, shape in zip(mine, shapes, strict=True)],
                hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} → %{customdata[2]}"
                "<br>%{y:,.3~g}<extra></extra>",
            )
        )
    _style(figure, theme)
    figure.update_layout(
        xaxis={"title": {"text": "layer, in the order of execution", "standoff": 6}, "showgrid": False,
               "zeroline": False, "showticklabels": False, "automargin": True},
        yaxis={"title": {"text": LAYER_QUANTITIES[quantity], "standoff": 6}, "gridcolor": theme.grid,
               "zeroline": False, "automargin": True, "rangemode": "tozero"},
        bargap=0.15, barmode="overlay", uirevision=quantity,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False,
                "itemdoubleclick": False},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )  # fmt: skip
    return figure


def bottleneck(parts: Sequence[Part]) -> float | None:
    """MACs of the largest layer over the mean of all that have any; None without one."""
    macs = [part.cost.macs for part in parts if part.cost.macs]
    return max(macs) / (sum(macs) / len(macs)) if macs else None


def learning(evaluations: Sequence[Mapping[str, Any]], score: str, theme: Theme) -> go.Figure:
    """Training loss over image visits, one line an evaluation; the score's points on a second axis."""
    figure = go.Figure()
    scored = False
    for index, row in enumerate(evaluations):
        curve = [point for point in row["curve"] or [] if point.get("image_visits") is not None]
        if not curve:
            continue
        color = theme.families[index % len(theme.families)]
        name = f"rung {row['rung']}, seed {row['seed']}" + ("" if row["state"] == "complete" else " (failed)")
        visits = [point["image_visits"] for point in curve]
        rates = [point.get("learning_rate") for point in curve]
        figure.add_trace(
            go.Scatter(
                x=visits,
                y=[point.get("loss") for point in curve],
                mode="lines",
                name=f"loss, {name}",
                line={"color": color, "width": 2},
                customdata=[["–" if rate is None else f"{rate:.2g}"] for rate in rates],
                hovertemplate="%{x} visits<br>loss %{y:.4g}<br>learning rate %{customdata[0]}<extra></extra>",
            )
        )
        points = [point for point in curve if point.get(score) is not None]
        if points:
            scored = True
            figure.add_trace(
                go.Scatter(
                    x=[point["image_visits"] for point in points],
                    y=[point[score] for point in points],
                    mode="lines+markers",
                    name=f"{FIELDS[score].label}, {name}",
                    yaxis="y2",
                    line={"color": color, "width": 1.5, "dash": "dot"},
                    marker={"size": 8, "color": color},
                    hovertemplate=f"%{{x}} visits<br>{FIELDS[score].label} %{{y:.3f}}<extra></extra>",
                )
            )
    _style(figure, theme)
    axis = {"gridcolor": theme.grid, "zeroline": False, "automargin": True}
    figure.update_layout(
        xaxis={**axis, "title": {"text": "image visits", "standoff": 6}, "rangemode": "tozero"},
        yaxis={**axis, "title": {"text": "training loss", "standoff": 6}},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        uirevision="learning",
    )
    if scored:
        figure.update_layout(
            yaxis2={"title": {"text": FIELDS[score].label, "standoff": 6}, "overlaying": "y", "side": "right",
                    "showgrid": False, "zeroline": False, "automargin": True, "rangemode": "tozero", "tickmode": "auto"}
        )  # fmt: skip
    return figure
