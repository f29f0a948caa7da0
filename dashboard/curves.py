"""Learning curves as a Plotly figure: every training of a candidate, or those of several candidates."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.fields import FIELDS
from dashboard.figures import FONT, Theme

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
"""One for each candidate beside its colour, in the order of `.outline.n0` … in assets/detail.css."""


def own_seed(evaluations: Sequence[Mapping[str, Any]]) -> int | None:
    """The seed that was trained first, the search's own; those of audits and verifications come later."""
    first = min(evaluations, key=lambda row: row["id"], default=None)
    return None if first is None else int(first["seed"])


def learning(candidates: Mapping[str, Sequence[Mapping[str, Any]]], score: str, theme: Theme) -> go.Figure:
    """Training loss and score over image visits, one line an evaluation, the search's own seed the strongest.

    `candidates` are evaluations by what their candidate is called.
    """
    figure, several = go.Figure(), len(candidates) > 1
    colors = [*theme.families, theme.muted]
    for number, (name, evaluations) in enumerate(candidates.items()):
        own = own_seed(evaluations)
        for index, row in enumerate(sorted(evaluations, key=lambda row: (row["seed"] != own, row["id"]))):
            curve = [point for point in row["curve"] or [] if point.get("image_visits") is not None]
            if not curve:
                continue
            mine = row["seed"] == own
            said = f"seed {row['seed']}, {row['image_visits']:,} visits" + ("" if row["state"] == "complete" else
                                                                           " (failed)")  # fmt: skip
            line = {"color": colors[(number if several else index) % len(colors)], "width": 2.4 if mine else 1.1,
                    "dash": DASHES[number % len(DASHES)] if several else "solid" if mine else "dash"}  # fmt: skip
            label = html.escape(f"{name}, {said}" if several else said + (" (the search's own)" if mine else ""))
            group = html.escape(name) if several else label
            shared = {"legendgroup": group, "opacity": 1.0 if mine else 0.65, "line": line, "name": group,
                      "showlegend": index == 0 or not several}  # fmt: skip
            figure.add_trace(_trace(curve, "loss", label, shared, yaxis="y"))
            points = [point for point in curve if point.get(score) is not None]
            if points:
                marks = {"mode": "lines+markers", "marker": {"size": 7 if mine else 5}}
                figure.add_trace(_trace(points, score, label, {**shared, **marks, "showlegend": False}, yaxis="y2"))
    _style(figure, score, theme)
    return figure


def _trace(curve: Sequence[Mapping[str, Any]], name: str, label: str, given: Mapping[str, Any], *,
           yaxis: str) -> go.Scatter:  # fmt: skip
    word = FIELDS[name].label if name in FIELDS else name
    return go.Scatter(
        **{"mode": "lines", **given}, x=[point["image_visits"] for point in curve],
        y=[point.get(name) for point in curve], yaxis=yaxis, meta={"label": label},
        hovertemplate=f"<b>{label}</b><br>%{{x:,}} visits<br>{word} %{{y:.4g}}<extra></extra>",
    )  # fmt: skip


def _style(figure: go.Figure, score: str, theme: Theme) -> None:
    axis = {"gridcolor": theme.grid, "zeroline": False, "automargin": True, "exponentformat": "none"}
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 12, "color": theme.ink},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"bgcolor": theme.surface, "bordercolor": theme.muted, "font": {"color": theme.ink}},
        xaxis={**axis, "title": {"text": "image visits", "standoff": 6}, "rangemode": "tozero", "anchor": "y"},
        yaxis={**axis, "title": {"text": "training loss", "standoff": 6}, "domain": [0.48, 1.0]},
        yaxis2={**axis, "title": {"text": FIELDS[score].label, "standoff": 6}, "domain": [0.0, 0.38],
                "rangemode": "tozero"},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        uirevision="learning",
    )  # fmt: skip
