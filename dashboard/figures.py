"""Frames and options -> Plotly figures. Pure functions; SVG traces only (WebGL fails in silence, DASHBOARD.md).

Points are keyed by `customdata` [proposal number, architecture id], always plain lists.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from dashboard.candidates import Mask, Numbers, Picked, any_verified, categories, numbers, status, verdicts
from dashboard.fields import FIELDS, VERIFIED, Field
from dashboard.references import Reference
from dashboard.view import View, Zoom
from search.verification import statement
from space.cost import Part

if TYPE_CHECKING:
    import pandas as pd

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
SHOW_IN_HOVER = ("latency_ms", "macs", "params", "peak_bytes")
SYMBOLS = {"unverified": "circle", "verified": "square", "overturned": "circle"}
"""Complete candidates by verdict; an overturned one is crossed out besides."""
CROSSED = "circle-x-open"


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


def step_line(x: Numbers, y: Numbers, x_direction: str, y_direction: str,
              worst: tuple[float, float] | None = None) -> tuple[list[float], list[float]]:  # fmt: skip
    """The corners of the boundary of what a front attains, as points to be joined by straight lines.

    `x`, `y` are the front in any order. Between two neighbours the line goes over the corner that both of
    them dominate, never over one that none attains. With `worst` the line is drawn out to these two values.
    """
    order = np.lexsort((y, x))
    xs, ys = x[order].tolist(), y[order].tolist()
    line_x: list[float] = []
    line_y: list[float] = []
    for index in range(len(xs)):
        if index:
            # The worse of both in each direction: attained by either neighbour.
            corner_x = max(xs[index - 1 : index + 1]) if x_direction == "minimize" else min(xs[index - 1 : index + 1])
            corner_y = max(ys[index - 1 : index + 1]) if y_direction == "minimize" else min(ys[index - 1 : index + 1])
            line_x.append(corner_x)
            line_y.append(corner_y)
        line_x.append(xs[index])
        line_y.append(ys[index])
    if worst is not None and xs:
        # The end with the best x drops to the worst y; the end with the best y runs on to the worst x.
        best_x_first = x_direction == "minimize"
        drop = (line_x[0 if best_x_first else -1], worst[1])
        run = (worst[0], line_y[-1 if best_x_first else 0])
        first, last = (drop, run) if best_x_first else (run, drop)
        line_x = [first[0], *line_x, last[0]]
        line_y = [first[1], *line_y, last[1]]
    return line_x, line_y


def scatter(frame: pd.DataFrame, view: View, picked: Picked, theme: Theme, *, score: str,
            references: Sequence[Reference] = ()) -> go.Figure:  # fmt: skip
    """The Pareto plot: dominated candidates pale, the front as a step line with filled markers.

    Verified candidates are squares, overturned ones crossed out; a verified score has its spread as a bar.
    `references` are drawn as dashed lines at their cost, or as diamonds where both axes are costs. Candidates
    without a y value (failed, refused, waiting) stand in a strip below the axis at their x value.
    """
    fx, fy = FIELDS[view.x], FIELDS[view.y]
    x, y = numbers(frame, view.x) * fx.scale, numbers(frame, view.y) * fy.scale
    drawn = picked.shown & _drawable(x, view.x_log)
    inside = drawn & _drawable(y, view.y_log)
    strip = drawn & np.isnan(y)
    figure = go.Figure()
    context = _Context(frame=frame, x=x, y=y, theme=theme, texts=hover_texts(frame, picked, score),
                       sizes=_sizes(frame, view.size), symbols=[SYMBOLS[verdict] for verdict in verdicts(frame)],
                       spread=numbers(frame, f"{view.y}_spread") * fy.scale if view.y.startswith(VERIFIED) else None,
                       )  # fmt: skip
    _front_lines(figure, context, picked, view)
    done = inside & np.asarray(frame["state"] == "complete", dtype=bool)
    _candidates(figure, context, done, picked.highlighted, view)
    for state, symbol, name in (("stopped", "triangle-up-open", "stopped early"), ("failed", "x-thin", "failed"),
                                ("refused", "triangle-down-open", "refused"),
                                ("proposed", "circle-open-dot", "waiting")):  # fmt: skip
        rows = np.asarray(frame["state"] == state, dtype=bool)
        marker = {"symbol": symbol, "size": 8, "color": theme.warn, "line": {"width": 1.5, "color": theme.warn}}
        if (rows & inside).any():
            _points(figure, context, rows & inside, marker, name=name)
        if (rows & strip).any():
            _points(figure, context, rows & strip, marker, name=name, strip=True,
                    legend=not (rows & inside).any())  # fmt: skip
    # A complete candidate without this metric is not lost either.
    if (strip & np.asarray(frame["state"] == "complete")).any():
        marker = {"symbol": "circle-open", "size": 7, "color": theme.muted}
        _points(figure, context, strip & np.asarray(frame["state"] == "complete"), marker,
                name=f"no {fy.label}", strip=True)  # fmt: skip
    _marks(figure, context, picked, view, inside)
    _verification(figure, context, picked, view, done)
    _references(figure, references, view, theme, x[inside], y[inside])
    _style_scatter(figure, view, theme, bool(strip.any()))
    return figure


def _references(figure: go.Figure, references: Sequence[Reference], view: View, theme: Theme, x: Numbers,
                y: Numbers) -> None:  # fmt: skip
    fx, fy = FIELDS[view.x], FIELDS[view.y]
    dashes = ("dash", "dot", "dashdot", "longdash", "longdashdot")
    for number, reference in enumerate(references):
        at_x, at_y = (reference.costs[f.name] * f.scale if f.name in reference.costs else None for f in (fx, fy))
        line = {"color": theme.muted, "width": 1.5, "dash": dashes[number % len(dashes)]}
        common = {"name": f"{reference.name} (counted)", "hoverinfo": "name", "showlegend": True}
        if at_x is not None and at_y is not None:
            marker = {"symbol": "diamond-open", "size": 11, "color": theme.ink, "line": {"width": 1.5}}
            figure.add_trace(go.Scatter(x=[at_x], y=[at_y], mode="markers", marker=marker, **common))
        elif at_x is not None and len(y):
            ends = [float(y.min()), float(y.max())]
            figure.add_trace(go.Scatter(x=[at_x] * 2, y=ends, mode="lines", line=line, **common))
        elif at_y is not None and len(x):
            ends = [float(x.min()), float(x.max())]
            figure.add_trace(go.Scatter(x=ends, y=[at_y] * 2, mode="lines", line=line, **common))


def _drawable(values: Numbers, log: bool) -> Mask:
    result: Mask = np.isfinite(values) & ((values > 0) | (not log))
    return result


@dataclass(frozen=True, kw_only=True)
class _Context:
    frame: pd.DataFrame
    x: Numbers
    y: Numbers
    theme: Theme
    texts: list[str]
    sizes: list[float]
    symbols: list[str]
    spread: Numbers | None
    """Length of the bars on y."""


def _front_lines(figure: go.Figure, context: _Context, picked: Picked, view: View) -> None:
    theme = context.theme
    directions = FIELDS[view.x].direction, FIELDS[view.y].direction
    if None in directions:
        return
    known = _drawable(context.x, view.x_log) & _drawable(context.y, view.y_log)
    known &= np.asarray(context.frame["state"] == "complete", dtype=bool)
    lines = [(picked.free_front, {"color": theme.muted, "width": 1, "dash": "dot"}, "without filters")]
    if not picked.filtered or (picked.free_front == picked.axes_front).all():
        lines = []
    lines.append((picked.axes_front, {"color": theme.ink, "width": 2}, "front"))
    for mask, line, name in lines:
        rows = mask & known
        if not rows.any():
            continue
        extent = known & (picked.matching if name == "front" else known)
        worst = (_worst(context.x[extent], directions[0]), _worst(context.y[extent], directions[1]))
        xs, ys = step_line(context.x[rows], context.y[rows], str(directions[0]), str(directions[1]), worst)
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, name=name, hoverinfo="skip"))


def _worst(values: Numbers, direction: str | None) -> float:
    return float(values.max() if direction == "minimize" else values.min())


def _candidates(figure: go.Figure, context: _Context, rows: Mask, highlighted: Mask, view: View) -> None:
    """Complete candidates, dominated ones pale, coloured by the view's field."""
    theme, frame = context.theme, context.frame
    field = FIELDS.get(view.color)
    edge = {"width": 1.5, "color": theme.ink}
    if field is not None and field.kind != "category":
        values = numbers(frame, field.name) * field.scale
        unknown = rows & np.isnan(values)
        if unknown.any():
            _points(figure, context, unknown, {"color": theme.muted, "opacity": 0.5}, name=f"no {field.label}")
        for mask, opacity, line, name in ((rows & ~highlighted, 0.75, None, "dominated"),
                                          (rows & highlighted, 1.0, edge, "on front")):  # fmt: skip
            mask = mask & ~np.isnan(values)
            if mask.any():
                marker = {"color": values[mask].tolist(), "coloraxis": "coloraxis", "opacity": opacity}
                _points(figure, context, mask, {**marker, "line": line or {"width": 0}}, name=name, legend=False)
        bar = {"title": {"text": field.title, "side": "right"}, "thickness": 10, "outlinewidth": 0, "xpad": 4}
        figure.update_layout(coloraxis={"colorscale": list(theme.scale), "colorbar": bar})
        return
    names = categories(frame, field.name) if field else ["candidate"] * len(frame)
    groups = np.array(names, dtype=object)
    for name, color in family_colors(names, theme).items():
        mine = rows & (groups == name)
        symbol = {"verified": "square", "overturned": CROSSED}.get(name, "circle")
        # The legend names each family once, in full colour, even where only pale points are left.
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=html.escape(name),
                                    marker={"color": color, "size": 8, "symbol": symbol}))  # fmt: skip
        for mask, marker in ((mine & ~highlighted, {"color": color, "opacity": 0.35, "line": {"width": 0}}),
                             (mine & highlighted, {"color": color, "line": edge})):  # fmt: skip
            if mask.any():
                _points(figure, context, mask, marker, name=name, legend=False)


def family_colors(names: Sequence[str], theme: Theme) -> dict[str, str]:
    """A colour for each distinct name, in order; grey after the fifth."""
    found = sorted(set(names), key=lambda name: (name == "–", _natural(name)))
    colors = [*theme.families, *[theme.muted] * len(found)]
    return dict(zip(found, colors, strict=False))


def _natural(name: str) -> tuple[float, str]:
    try:
        return float(name), ""
    except ValueError:
        return math.inf, name


def _points(figure: go.Figure, context: _Context, mask: Mask, marker: Mapping[str, Any], *, name: str,
            strip: bool = False, legend: bool = True) -> None:  # fmt: skip
    rows = np.flatnonzero(mask)
    frame = context.frame
    key = [[int(frame["number"].iloc[row]), str(frame["id"].iloc[row])] for row in rows]
    given: dict[str, Any] = {}
    if "symbol" not in marker:
        given = {"size": [context.sizes[row] for row in rows], "symbol": [context.symbols[row] for row in rows]}
    bars = None
    if context.spread is not None and not strip:
        lengths = [0.0 if math.isnan(context.spread[row]) else float(context.spread[row]) for row in rows]
        bars = {"type": "data", "array": lengths, "color": context.theme.muted, "thickness": 1, "width": 3}
    figure.add_trace(
        go.Scatter(
            x=context.x[rows].tolist(),
            y=[0.5] * len(rows) if strip else context.y[rows].tolist(),
            yaxis="y2" if strip else "y",
            mode="markers",
            marker={**given, **marker},
            error_y=bars,
            name=html.escape(name),
            showlegend=legend,
            customdata=key,
            text=[context.texts[row] for row in rows],
            hovertemplate="%{text}<extra></extra>",
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": marker.get("opacity", 1.0)}},
        )
    )


def _verification(figure: go.Figure, context: _Context, picked: Picked, view: View, done: Mask) -> None:
    """The crosses over overturned candidates, and what square and cross mean; nothing before a verification."""
    if not any_verified(context.frame):
        return
    said, theme = verdicts(context.frame), context.theme
    crossed = {"symbol": CROSSED, "color": theme.ink, "line": {"width": 1.5}}
    square = {"symbol": "square", "color": theme.muted, "size": 9}
    for name, marker in (("verified", square), ("overturned", {**crossed, "size": 11})):
        if view.color != "verdict" and (done & (said == name)).any():
            figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=marker))
    rows = np.flatnonzero(done & (said == "overturned"))
    if len(rows):
        marker = {**crossed, "size": [22 if row == picked.best else context.sizes[row] + 3 for row in rows]}
        figure.add_trace(go.Scatter(x=context.x[rows].tolist(), y=context.y[rows].tolist(), mode="markers",
                                    marker=marker, name="overturned", hoverinfo="skip", showlegend=False))  # fmt: skip


def _marks(figure: go.Figure, context: _Context, picked: Picked, view: View, inside: Mask) -> None:
    """The answer's star and the rings of the selection, above everything else."""
    theme = context.theme
    if picked.best is not None and inside[picked.best]:
        x, y = context.x[picked.best], context.y[picked.best]
        marker = {"symbol": "star", "size": 15, "color": theme.ink, "line": {"width": 1.5, "color": theme.surface}}
        figure.add_trace(go.Scatter(x=[float(x)], y=[float(y)], mode="markers", marker=marker, name="best",
                                    hoverinfo="skip", showlegend=False))  # fmt: skip
    ringed = inside & np.isin(np.asarray(context.frame["number"]), list(view.selected))
    if ringed.any():
        marker = {"symbol": "circle-open", "size": 20, "color": theme.ink, "line": {"width": 2.5}}
        figure.add_trace(go.Scatter(x=context.x[ringed].tolist(), y=context.y[ringed].tolist(), mode="markers",
                                    marker=marker, name="selected", hoverinfo="skip", showlegend=False))  # fmt: skip


def _sizes(frame: pd.DataFrame, name: str) -> list[float]:
    """Marker diameters: 9 px, or 6 to 20 px with area following the field; the smallest where missing."""
    if not name:
        return [9.0] * len(frame)
    values = numbers(frame, name)
    known = values[np.isfinite(values)]
    if not len(known) or known.max() == known.min():
        return [9.0] * len(frame)
    share = np.nan_to_num((values - known.min()) / (known.max() - known.min()), nan=0.0)
    return [float(size) for size in np.round(np.sqrt(36 + share * (400 - 36)), 1)]


def hover_texts(frame: pd.DataFrame, picked: Picked, score: str) -> list[str]:
    """What hovering says of each row; text of the database is escaped."""
    names = list(dict.fromkeys((score, *SHOW_IN_HOVER)))
    columns = {name: numbers(frame, name) for name in names}
    spreads = {name: numbers(frame, f"{name}_spread") for name in names}
    labels, said = status(frame, picked.highlighted), verdicts(frame)
    described = ["·".join(part) for part in zip(*(categories(frame, c) for c in ("block", "fusion", "head")))]
    texts = []
    for row, (number, key, reason) in enumerate(
        zip(frame["number"].tolist(), frame["id"].tolist(), frame["reason"].tolist(), strict=True)
    ):
        lines = [f"<b>#{number}</b> {html.escape(str(key))} · {labels[row]}", html.escape(described[row])]
        for name in names:
            spread = spreads[name][row]
            tail = "" if math.isnan(spread) else f" ± {FIELDS[name].show(spread)}"
            lines.append(f"{FIELDS[name].label} {FIELDS[name].show(columns[name][row])}{tail}")
        if said[row] != "unverified":
            lines.append("<br>on the front".join(statement(frame.iloc[row], score).split(" on the front")))
        if isinstance(reason, str) and reason:
            lines.append(html.escape(reason[:90]))
        texts.append("<br>".join(lines))
    return texts


def _axis(field: Field, log: bool, theme: Theme) -> dict[str, Any]:
    better = {"minimize": "lower is better", "maximize": "higher is better", None: ""}[field.direction]
    tail = f"  <span style='font-size:11px;color:{theme.muted}'>{better}</span>" if better else ""
    return {
        "title": {"text": f"{field.title}{tail}", "standoff": 8},
        "type": "log" if log else "linear",
        "gridcolor": theme.grid,
        "zeroline": False,
        "linecolor": theme.grid,
        "ticks": "",
        "automargin": True,
        "exponentformat": "none",
        **({"dtick": "D2"} if log else {}),
    }


def _zoomed(zoom: Zoom | None) -> dict[str, Any]:
    return {"autorange": True} if zoom is None else {"autorange": False, "range": list(zoom)}


def _style_scatter(figure: go.Figure, view: View, theme: Theme, strip: bool) -> None:
    fx, fy = FIELDS[view.x], FIELDS[view.y]
    _style(figure, theme)
    figure.update_layout(
        xaxis={**_axis(fx, view.x_log, theme), "anchor": "y2" if strip else "y", **_zoomed(view.zoom_x)},
        yaxis={**_axis(fy, view.y_log, theme), "domain": [0.1, 1.0] if strip else [0.0, 1.0], **_zoomed(view.zoom_y)},
        dragmode=view.drag,
        hovermode="closest",
        hoverdistance=12,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False,
                "itemdoubleclick": False, "font": {"size": 12}, "indentation": -8},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        modebar={"orientation": "h", "bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.ink},
    )  # fmt: skip
    if strip:
        figure.update_layout(
            yaxis2={"domain": [0.0, 0.07], "range": [0, 1], "fixedrange": True, "showgrid": False,
                    "zeroline": False, "tickvals": [0.5], "ticktext": [f"no {fy.label}"], "ticks": "",
                    "anchor": "x", "automargin": True, "tickfont": {"size": 11, "color": theme.muted}},
        )  # fmt: skip


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
