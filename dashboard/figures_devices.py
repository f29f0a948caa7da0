"""Figures of `/devices`: one front a place, and latency over MACs. SVG only; measured filled, predicted hollow."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.candidates import Numbers, categories, complete, numbers
from dashboard.effects import drawn, keys, measured
from dashboard.fields import FIELDS
from dashboard.figures import Theme
from dashboard.figures_analysis import axis, colors_of, finish, style
from dashboard.places import Place
from search.pareto import front, minimised

if TYPE_CHECKING:
    from search.columns import Columns

MOST = 400
"""Dominated candidates drawn in one panel at most: a random draw of them, always the same."""
SHOWN = 12
"""Panels drawn at most."""
COMMON = 3.0
"""Panels share a latency axis up to this ratio of their largest values: beyond it the fastest front is one stroke."""


def columns_for(count: int) -> int:
    """Panels beside each other: as few places as possible stay empty in the last row, and no panel stands alone."""
    if count <= 4:
        return (1, 1, 2, 3, 2)[count]
    return min((4, 3), key=lambda wide: -min(count, SHOWN) % wide)


def height_for(count: int) -> int:
    """Pixels that so many panels need."""
    return 60 + 260 * math.ceil(min(count, SHOWN) / columns_for(count))


def common_end(frame: Columns, shown: Sequence[Place], score: str) -> float | None:
    """Where a latency axis of all panels ends; None where their values differ too much for one."""
    known = np.isfinite(measured(frame, score))
    slowest = (np.fmax(place.measured, place.predicted)[known] for place in shown)
    ends = [float(np.nanmax(values)) for values in slowest if np.isfinite(values).any()]
    return max(ends) if ends and max(ends) <= COMMON * min(ends) else None


def fronts(frame: Columns, found: Sequence[Place], score: str, theme: Theme) -> go.Figure:
    """A panel a place: score over latency there, the measured front solid, the predicted one dotted."""
    shown = list(found)[:SHOWN]
    across = columns_for(len(shown))
    down = math.ceil(len(shown) / across)
    titles = [f"{_cut(place.title)}<br>{_cut(place.runtime)}" for place in shown]
    ends = {"x": "latency (ms)", "y": FIELDS[score].title}
    figure = make_subplots(rows=down, cols=across, shared_yaxes="all", subplot_titles=titles, horizontal_spacing=0.03,
                           vertical_spacing=min(0.25, 0.3 / down), x_title=ends["x"], y_title=ends["y"])  # fmt: skip
    score_values = measured(frame, score)
    for index, place in enumerate(shown):
        where = {"row": index // across + 1, "col": index % across + 1}
        for origin, values in (("predicted", place.predicted), ("measured", place.measured)):
            _cloud(figure, frame, values, score_values, score, origin, theme, where, first=_first(shown, index, origin))
    style(figure, theme)
    # Titles of all panels together are annotations: a file of the points finds them here.
    figure.update_layout(meta=ends, margin={"l": 56, "r": 8, "t": 60, "b": 54}, dragmode=False,
                         legend={"orientation": "h", "x": 0, "y": 1.0, "yref": "container", "yanchor": "top",
                                 "itemclick": False, "itemdoubleclick": False})  # fmt: skip
    figure.update_annotations(font={"size": 12, "color": theme.ink})
    end = common_end(frame, shown, score)
    figure.update_xaxes(**axis("", theme, **({"rangemode": "tozero"} if end is None else {"range": [0, 1.05 * end]})))
    figure.update_yaxes(**axis("", theme))
    return figure


def _cut(text: str, most: int = 32) -> str:
    return html.escape(text if len(text) <= most else f"{text[: most - 1]}…")


def _first(shown: Sequence[Place], index: int, origin: str) -> bool:
    """Whether this place is the first that has values of an origin: it names them in the legend."""
    return not any(np.isfinite(getattr(place, origin)).any() for place in shown[:index])


def _cloud(figure: go.Figure, frame: Columns, values: Numbers, score_values: Numbers, score: str, origin: str,
           theme: Theme, where: dict[str, int], *, first: bool) -> None:  # fmt: skip
    rows = np.flatnonzero(np.isfinite(values) & np.isfinite(score_values))
    if not len(rows):
        return
    field, color = FIELDS[score], theme.families[0] if origin == "measured" else theme.families[1]
    pairs = np.column_stack([values[rows], score_values[rows]])
    on = rows[front(minimised(pairs, ["minimize", str(field.direction)]))]
    behind = drawn(np.setdiff1d(rows, on), MOST)
    hollow = {} if origin == "measured" else {"line": {"width": 1.5, "color": color}}
    symbol = "circle" if origin == "measured" else "circle-open"
    for part, opacity, size, name in ((behind, 0.3, 6, False), (on, 1.0, 8, first)):
        if len(part):
            figure.add_trace(
                go.Scatter(
                    x=values[part].tolist(), y=(score_values[part] * field.scale).tolist(), mode="markers",
                    marker={"symbol": symbol, "color": color, "size": size, "opacity": opacity, **hollow},
                    name=origin, showlegend=bool(name), customdata=keys(frame, part), text=_texts(frame, part),
                    hovertemplate=f"%{{text}}<br>%{{x:.3g}} ms {origin}<br>{field.label} %{{y:.3f}}<extra></extra>",
                ),
                **where,
            )  # fmt: skip
    # Sorted by latency, a front attains of two neighbours what the slower one's latency and the faster one's score are.
    line = on[np.argsort(values[on], kind="stable")]
    style = {"color": theme.ink if origin == "measured" else color, "width": 1.5, "shape": "hv",
             "dash": "solid" if origin == "measured" else "dot"}  # fmt: skip
    figure.add_trace(go.Scatter(x=values[line].tolist(), y=(score_values[line] * field.scale).tolist(), mode="lines",
                                name=f"{origin} front", customdata=keys(frame, line), hoverinfo="skip",
                                showlegend=False, line=style), **where)  # fmt: skip


def _texts(frame: Columns, rows: Any) -> list[str]:
    return [f"#{number} {html.escape(identity)}" for number, identity in keys(frame, rows)]


def not_latency(frame: Columns, place: Place, pair: tuple[int, int, float] | None, theme: Theme) -> go.Figure:
    """Latency on a place over MACs, coloured by block, with the pair of similar MACs that differs most ringed."""
    values, origin = place.best
    macs = numbers(frame, "macs")
    rows = np.flatnonzero(np.isfinite(macs) & np.isfinite(values) & complete(frame))
    ringed = list(pair[:2]) if pair else []
    rows = np.union1d(drawn(rows, 3 * MOST), np.array(ringed, int)).astype(int)
    blocks = np.array(categories(frame, "block"), dtype=object)
    figure = go.Figure()
    for (block, color), symbol in zip(colors_of(sorted(set(blocks[rows].tolist())), theme).items(), SYMBOLS * 20):
        part = rows[blocks[rows] == block]
        figure.add_trace(
            go.Scatter(
                x=(macs[part] * 1e-6).tolist(), y=values[part].tolist(), mode="markers", name=html.escape(block),
                marker={"color": color, "size": 7, "opacity": 0.75,
                        "symbol": symbol if origin == "measured" else f"{symbol}-open"},
                customdata=keys(frame, part), text=_texts(frame, part),
                hovertemplate="%{text}<br>%{x:.4g} M MACs<br>%{y:.3g} ms<extra></extra>",
            )
        )  # fmt: skip
    if ringed:
        figure.add_trace(
            go.Scatter(x=(macs[ringed] * 1e-6).tolist(), y=values[ringed].tolist(), mode="markers+text",
                       text=[f"#{number}" for number, _ in keys(frame, ringed)], textposition="middle right",
                       textfont={"color": theme.ink}, hoverinfo="skip", showlegend=False,
                       marker={"symbol": "circle-open", "size": 16, "color": theme.ink, "line": {"width": 2}})
        )  # fmt: skip
    return finish(figure, theme, axis("MACs (M)", theme, rangemode="tozero"),
                  axis(f"latency (ms), {origin}", theme, rangemode="tozero"), legend=True)  # fmt: skip


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "pentagon")
