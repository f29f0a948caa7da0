"""What the pages of evidence are made of: sections, choices that are links, tables, strips of spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html

from dashboard.effects import FEW, Summary
from dashboard.fields import MISSING, Field
from dashboard.query import link


def page(title: str, lead: str, children: Sequence[Any]) -> html.Div:
    """A page with its heading and one sentence."""
    return html.Div([html.Header([html.H1(title), html.P(lead, className="muted")]), *children], className="evidence")


def section(title: str, *children: Any, name: str, wide: bool = False) -> html.Section:
    """A titled block of a page; `name` is its id."""
    return html.Section([html.H2(title, id=f"{name}-title"), *children], id=name, className="wide" if wide else "",
                        **{"aria-labelledby": f"{name}-title"})  # fmt: skip


def note(*children: Any) -> html.P:
    """A sentence that qualifies what stands beside it."""
    return html.P(list(children), className="muted")


def chips(label: str, options: Mapping[str, str], chosen: str, path: str, given: Mapping[str, str], key: str,
          default: str = "") -> html.Nav:  # fmt: skip
    """A choice as links, value -> text; the URL keeps it under `key`, but for the default."""
    items = [
        html.Li(
            html.A(
                text,
                href=link(path, given, **{key: "" if value == default else value}),
                className="chip chosen" if value == chosen else "chip",
                **({"aria-current": "true"} if value == chosen else {}),
            )
        )
        for value, text in options.items()
    ]
    return html.Nav([html.Span(label, className="muted"), html.Ul(items)], className="chips-row",
                    **{"aria-label": label})  # fmt: skip


def pick_one(label: str, options: Mapping[str, str], chosen: str, path: str, given: Mapping[str, str], key: str,
             default: str) -> html.Details:  # fmt: skip
    """A long choice as links behind a button that names what is chosen."""
    items = [html.Li(html.A(text, href=link(path, given, **{key: "" if value == default else value})))
             for value, text in options.items() if value != chosen]  # fmt: skip
    return html.Details([html.Summary([html.Span(f"{label} ", className="muted"), html.B(options.get(chosen, chosen))]),
                         html.Ul(items)], className="menu")  # fmt: skip


def chart(name: str, label: str, height: int = 300) -> html.Div:
    """A place for a figure, which a callback fills; `label` says in words what it shows."""
    graph = dcc.Graph(id={"type": "evidence", "name": name}, responsive=True, config={"displayModeBar": False},
                      style={"height": f"{height}px"})  # fmt: skip
    return html.Div(graph, role="img", className="figure", style={"minHeight": f"{height}px"}, **{"aria-label": label})


def table(caption: str, head: Sequence[Any], body: Sequence[Sequence[Any]], *, numeric: Sequence[int] = (),
          faint: Sequence[int] = ()) -> html.Div:  # fmt: skip
    """A table in a box that scrolls sideways; the first cell of a row is its heading, rows in `faint` are greyed."""

    def align(index: int) -> str:
        return "number" if index in numeric else ""

    rows = [
        html.Tr(
            [html.Th(row[0], scope="row"), *(html.Td(cell, className=align(i)) for i, cell in enumerate(row[1:], 1))],
            className="few" if place in faint else "",
        )
        for place, row in enumerate(body)
    ]
    columns = html.Tr([html.Th(cell, scope="col", className=align(i)) for i, cell in enumerate(head)])
    return scroll(html.Table([html.Caption(caption), html.Thead(columns), html.Tbody(rows)]), caption)


def scroll(child: Any, label: str) -> html.Div:
    """A box that scrolls sideways, also by keyboard."""
    return html.Div(child, className="scroll", tabIndex=0, role="region", **{"aria-label": label})


def two_lines(title: str, detail: str) -> list[Any]:
    """A heading with its detail, lighter, beneath."""
    return [title, html.Span(detail, className="unit beneath")] if detail else [title]


def plus_minus(field: Field, mean: float, std: float) -> list[Any]:
    """`0.352 ± 0.012`, the spread lighter; an en dash without a mean."""
    if math.isnan(mean):
        return [MISSING]
    scaled = std * field.scale
    tail = "" if not math.isfinite(std) else f" ± {scaled:,.0f}" if scaled >= 100 else f" ± {scaled:.2g}"
    return [field.show(mean), html.Span(tail, className="unit")]


def strip(found: Summary, low: float, high: float, text: str) -> html.Span:
    """Percentiles of a group on a scale from `low` to `high`: a line from 10 to 90, a box from 25 to 75, the median."""
    span = high - low or 1.0

    def at(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - low) / span)), 2)

    a, b, c, d, e = (at(value) for value in found.ends)
    parts = [
        html.Span(className="whisker", style={"left": f"{a}%", "width": f"{max(0.4, e - a)}%"}),
        html.Span(className="box", style={"left": f"{b}%", "width": f"{max(0.4, d - b)}%"}),
        html.Span(className="median", style={"left": f"{c}%"}),
    ]
    return html.Span(parts, className="strip few" if found.n < FEW else "strip", role="img",
                     **{"aria-label": text})  # fmt: skip


def bar(share: float, className: str = "") -> html.Span:
    """A bar of a share of its column; decoration, the number stands beside it."""
    width = 0.0 if math.isnan(share) else max(0.0, min(1.0, share))
    return html.Span(html.Span(style={"width": f"{width:.1%}"}), className=f"level {className}".strip(),
                     **{"aria-hidden": "true"})  # fmt: skip


def candidate_link(identity: str, number: int, study: str) -> html.A:
    """A link to a candidate's page, by its proposal number."""
    return html.A(f"#{number}", href=link(f"/c/{identity}", {"study": study}), title=f"candidate {identity}")


def interval(low: float, high: float, digits: int = 2) -> str:
    """`0.03 to 0.20`; an en dash where it is not known."""
    return MISSING if math.isnan(low) or math.isnan(high) else f"{signed(low, digits)} to {signed(high, digits)}"


def signed(value: float, digits: int = 2) -> str:
    """A number with a true minus sign."""
    return MISSING if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
