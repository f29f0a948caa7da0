"""The page `/compare?ids=a,b`: two to six candidates side by side, what differs first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from dash import dcc, html

from dashboard import peers
from dashboard.candidates import numbers
from dashboard.data import Detail, Snapshot
from dashboard.deployed import Where, counted, graph_of
from dashboard.fields import FIELDS, Field
from dashboard.foresight import Predict, Prediction
from dashboard.layers import layers, overlay
from dashboard.markup import Markup, raw
from dashboard.pages.candidate import crumbs
from dashboard.pages.tables import scrolled
from dashboard.query import carried, link
from dashboard.view import objectives_of
from evaluator.metrics import METRICS

MOST = 6


def ids_of(text: str) -> tuple[list[str], list[str]]:
    """The ids of a query, each once, and those that are left out: too many."""
    found = list(dict.fromkeys(part.strip()[:40] for part in text.split(",") if part.strip()))
    return found[:MOST], found[MOST:]


def layout(details: Mapping[str, Detail | None], left_out: Sequence[str], snapshot: Snapshot, where: Where,
           predict: Predict | None = None, devices: Mapping[str, str] | None = None) -> html.Div:  # fmt: skip
    """The page. `details` are by id as the query says it, None for an id that the database does not have.

    Latencies are those at `where`; `devices` are the places to choose from.
    """
    known = {identity: detail for identity, detail in details.items() if detail is not None}
    kept = carried(snapshot, where)
    query = urlencode({"ids": ",".join(details), **kept}, safe=",")
    return html.Div(
        [
            crumbs(link("/", kept), where, devices, "/compare", query),
            html.Header([html.H1("Compare"), form(list(details))], className="title"),
            *notices([identity for identity in details if identity not in known], left_out),
            *(compared(known, snapshot, where, predict) if known else [html.Section(html.P(
                "Give the ids of two to six candidates above, or follow Compare on a candidate's page."))]),
        ],
        className="candidate detail compare",
    )  # fmt: skip


def form(ids: Sequence[str]) -> Any:
    """Which candidates: their ids, separated by commas."""
    return raw(Markup(
        '<form data-compare class="row"><label>Candidates <input name="ids" value="{}" size="42" '
        'autocomplete="off" spellcheck="false" placeholder="ids, separated by commas"></label>'
        "<button>Compare</button></form>").format(",".join(ids)))  # fmt: skip


def notices(unknown: Sequence[str], left_out: Sequence[str]) -> list[Any]:
    """What was asked for and is not shown."""
    said: list[Any] = []
    if unknown:
        codes = [part for identity in unknown for part in (html.Code(identity), ", ")][:-1]
        said.append(html.P(["This database has no architecture ", *codes, "."], className="problem"))
    if left_out:
        said.append(html.P(f"At most {MOST} are compared; {len(left_out)} more are left out.", className="problem"))
    return [html.Section(said, role="status")] if said else []


def compared(known: Mapping[str, Detail], snapshot: Snapshot, where: Where, predict: Predict | None) -> list[Any]:
    """The table, the layers and the learning curves."""
    deployment = where.target.deployment
    titles = {identity: title_of(identity, snapshot) for identity in known}
    graphs = {titles[identity]: graph_of(detail.architecture, deployment) for identity, detail in known.items()}
    ahead = {title: predict(graph, snapshot, where) if predict else None for title, graph in graphs.items()}
    networks = {
        title: layers(graph, batch=deployment.batch, precision=deployment.precision,
                      latency=said.layers if (said := ahead[title]) else None)
        for title, graph in graphs.items()
    }  # fmt: skip
    trained = any(row["curve"] for detail in known.values() for row in detail.evaluations)
    curve = (
        dcc.Graph(id="compared-learning", className="chart", responsive=True, style={"height": "340px"},
                  config={"displayModeBar": False})
        if trained
        else html.P("None of them is trained yet.", className="muted")
    )  # fmt: skip
    return [
        html.Section(differences(known, titles, snapshot, where, list(ahead.values())), className="differences"),
        html.Section([html.H2("Cost by layer"),
                      html.P(f"{where.at}. Stages stand above each other, whatever their depth.",
                             className="muted"), raw(overlay(networks))]),
        html.Section([html.H2("Learning curves"), curve]),
        dcc.Store(id="compared", data=list(known)),
    ]  # fmt: skip


def title_of(identity: str, snapshot: Snapshot) -> str:
    """A candidate's number in its study with its id, or the id alone."""
    frame = snapshot.columns
    rows = peers.rows_of(frame, identity) if frame is not None else []
    return f"#{int(numbers(frame, 'number')[rows[0]])} {identity}" if frame is not None and rows else identity


def differences(known: Mapping[str, Detail], titles: Mapping[str, str], snapshot: Snapshot, where: Where,
                ahead: Sequence[Prediction | None]) -> list[Any]:  # fmt: skip
    """Metrics and axes, rows that differ first; each cost and score beside the first candidate's."""
    rows = [*metric_rows(known, snapshot, where, ahead), *axis_rows(known)]
    differing = [row for row in rows if row[1]]
    same = [row for row in rows if not row[1]]
    kept = carried(snapshot, where)
    head = html.Thead(html.Tr([html.Th("", scope="col"), *(column(identity, titles[identity], list(known), kept)
                                                           for identity in known)]))  # fmt: skip
    shown = [html.H2("What differs" if len(known) > 1 else "The candidate")]
    if differing or len(known) == 1:
        body = [html.Tr([html.Th(label, scope="row"), *cells]) for label, _, cells in differing or rows]
        shown.append(scrolled(html.Table([head, html.Tbody(body)]), "What differs"))
        if len(known) > 1:
            shown.append(html.P("▲ better and ▼ worse than the first; ★ the best of them.", className="muted"))
    else:
        shown.append(html.P("Nothing that is known differs.", className="muted"))
    if same and len(known) > 1:
        body = [html.Tr([html.Th(label, scope="row"), *cells[:1]]) for label, _, cells in same]
        shown.append(html.Details([html.Summary(f"The same in all: {len(same)}"),
                                   scrolled(html.Table(html.Tbody(body)), "The same in all")]))  # fmt: skip
    return shown


Row = tuple[str, bool, list[html.Td]]
"""Label, whether the candidates differ in it, one cell a candidate."""


def column(identity: str, title: str, ids: Sequence[str], kept: Mapping[str, str]) -> html.Th:
    """Head of a column: the candidate, and ways to make it the first or to leave it out."""

    def way(words: str, chosen: Sequence[str]) -> html.A:
        href = link("/compare", {"ids": ",".join(chosen), **kept})
        return html.A(words, href=href, **{"aria-label": f"{words} {title}"})

    rest = [other for other in ids if other != identity]
    ways = [way("put first", [identity, *rest]) if ids[0] != identity else html.Span("first", className="muted")]
    if rest:
        ways += [" · ", way("remove", rest)]
    return html.Th([html.A(title, href=link(f"/c/{identity}", kept), className="mono"),
                    html.Div(ways, className="ways")], scope="col", className="number")  # fmt: skip


def metric_rows(known: Mapping[str, Detail], snapshot: Snapshot, where: Where,
                ahead: Sequence[Prediction | None] = ()) -> list[Row]:  # fmt: skip
    """One row a metric that any of them has: the study's objectives first.

    Where the latency of one is not measured there is a row of predicted ones besides, of all: the two are never mixed.
    """
    papers = [counted(detail.architecture, where.target.deployment) for detail in known.values()]
    said = [peers.Known(detail, snapshot, where) for detail in known.values()]
    rows = []
    for name in dict.fromkeys((*objectives_of(where.config), *METRICS)):
        found = [each(name) for each in said]
        values = [_first(value, getattr(paper, name, None)) for (value, _), paper in zip(found, papers, strict=True)]
        label = where.label(name, FIELDS[name].label)
        if not all(math.isnan(value) for value in values):
            rows.append(_metric_row(label, name, values, [spread for _, spread in found]))
        if name == "latency_ms" and any(map(math.isnan, values)) and any(ahead):
            values = [math.nan if each is None else each.latency_ms for each in ahead]
            rows.append(_metric_row(f"{label}, predicted", name, values, [None] * len(values)))
    return rows


def _first(*values: float | None) -> float:
    return next((float(value) for value in values if value is not None), math.nan)


def _metric_row(label: str, name: str, values: Sequence[float], spreads: Sequence[float | None]) -> Row:
    return label, len({FIELDS[name].show(value) for value in values}) > 1, metric_cells(name, values, spreads)


def metric_cells(name: str, values: Sequence[float], spreads: Sequence[float | None]) -> list[html.Td]:
    """Values with spread, the signed difference to the first in words and signs, and a star for the best."""
    field = FIELDS[name]
    known = [value for value in values if not math.isnan(value)]
    best = ""  # as it is shown: what shows as equal is equal
    if field.direction and len({field.show(value) for value in known}) > 1:
        best = field.show(max(known) if field.direction == "maximize" else min(known))
    cells = []
    for value, spread in zip(values, spreads, strict=True):
        top = field.show(value) == best
        parts: list[Any] = ["★ " if top else "", field.show(value)]
        if field.plus_minus(spread):
            parts.append(html.Span(field.plus_minus(spread), className="unit"))
        parts.append(against(field, value, values[0]))
        cells.append(html.Td(parts, className="number best" if top else "number"))
    return cells


def against(field: Field, value: float, first: float) -> html.Div:
    """`▲ +12.0% better` than the first, or nothing where there is nothing to say."""
    words, kind = field.against(value, first)
    return html.Div("" if kind == "same" else words, className=f"delta {kind}".strip())


def axis_rows(known: Mapping[str, Detail]) -> list[Row]:
    """One row an axis of the design space."""
    described = [peers.described(detail.architecture) for detail in known.values()]
    return [
        (FIELDS[name].label if name in FIELDS else name.capitalize(), len({each[name] for each in described}) > 1,
         [html.Td(each[name], className="number") for each in described])
        for name in peers.AXES
    ]  # fmt: skip
