"""The page `/c/<architecture id>`: one architecture, what it costs and where, how it learned, every measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from dashboard import annotate, peers
from dashboard.candidates import numbers
from dashboard.data import Detail, Snapshot
from dashboard.deployed import TIMED, Where, counted, graph_of
from dashboard.diagram import diagram
from dashboard.exports import FORMATS, commands
from dashboard.fields import FIELDS, MISSING, VERIFIED
from dashboard.foresight import Prediction
from dashboard.layers import bars, layers
from dashboard.markup import raw
from dashboard.pages.message import option
from dashboard.pages.parts import pick_one
from dashboard.pages.tables import (
    date,
    environment_cards,
    evaluation_table,
    measurement_table,
    scrolled,
    stage_table,
    table,
)
from dashboard.query import carried, link, read
from dashboard.texts import isolated, quoted
from dashboard.view import objectives_of
from evaluator.record import Deployment
from search.verification import belongs, in_effect, statement
from space.architecture import Architecture, ArchitectureError
from space.cost import breakdown
from space.twin import twin

HEADLINE = ("macs", "params", "peak_bytes", "weight_bytes", "cio")
SAVED = ("macs", "params", "peak_bytes", "cio")
"""What is compared with the γ = 0 twin."""
SIGNS = {"verified": "✓", "overturned": "✗", "unverified": "?"}


def layout(detail: Detail, snapshot: Snapshot, query: str, where: Where, *, ahead: Prediction | None = None,
           places: peers.Places | None = None, devices: Mapping[str, str] | None = None) -> html.Div:  # fmt: skip
    """The page; only the learning curve comes by callback. `query` leads back to the view that the person came from.

    Latencies are those at `where`, `ahead` is what is predicted there; `places` are the study's candidates, for the
    nearest ones; `devices` are the places to choose from.
    """
    identity, deployment = detail.architecture.id, where.target.deployment
    graph = graph_of(detail.architecture, deployment)
    found = layers(graph, batch=deployment.batch, precision=deployment.precision,
                   latency=ahead.layers if ahead else None)  # fmt: skip
    return html.Div(
        [
            crumbs(f"/?{query}" if query else "/", where, devices, f"/c/{identity}", query),
            header(detail, snapshot, where),
            html.Dl(headline(detail, snapshot, where, ahead), id="facts", className="facts cards"),
            html.Section(
                [
                    html.Div([html.H2("The network and its layers"),
                              html.Span(f"{where.at}.", className="muted")], className="section-head"),
                    scrolled(raw(diagram(graph, f"candidate {identity}"), className="diagram"), "Stage diagram"),
                    raw(bars(found)),
                ],
                className="linked",
            ),
            html.Div(
                [
                    html.Section(saved(detail.architecture, deployment), id="twin"),
                    html.Section([html.H2("Nearest candidates"),
                                  *near(snapshot, places, detail.architecture, query, where)]),
                ],
                className="columns",
            ),
            html.Div(
                [
                    html.Section(exported(identity, snapshot, where), id="export"),
                    html.Section([html.H2("Notes and tags"), raw(annotate.notes(identity, detail.note, detail.tags))]),
                ],
                className="columns",
            ),
            html.Div(body(detail, snapshot, where), id="candidate-page", className="panels"),
            dcc.Store(id="candidate", data=identity),
        ],
        className="candidate detail",
    )  # fmt: skip


def crumbs(back: str, where: Where, devices: Mapping[str, str] | None, path: str, query: str) -> html.Nav:
    """The way back, and whose latencies the page shows: a choice where there are several."""
    ways = [html.A("← All candidates", id="back", href=back)]
    if where.problem:
        ways.append(html.Span(f"{where.problem}. The latencies are the study’s own.", className="problem"))
    if devices and len(devices) > 1:
        ways.append(pick_one("Latencies on", devices, where.dev, path, read(query), "dev", ""))
    return html.Nav(ways, className="crumbs", **{"aria-label": "Way back and device"})


def body(detail: Detail, snapshot: Snapshot, where: Where) -> list[Any]:
    """What changes while a search or a verification goes on."""
    graph = graph_of(detail.architecture, where.target.deployment)
    curve = (
        [dcc.Graph(id="learning", className="chart", responsive=True, style={"height": "300px"},
                   config={"displayModeBar": False})]
        if any(row["curve"] for row in detail.evaluations)
        else [html.Div(id="learning"), html.P("Not trained yet: no learning curve.", className="muted")]
    )  # fmt: skip
    return [
        html.Section(verification(detail, snapshot), id="verification"),
        html.Section([html.H2("Learning curve"), *curve, html.H2("Evaluations"),
                      evaluation_table(detail.evaluations)]),
        html.Section([html.H2("Cost by stage"),
                      scrolled(stage_table(detail.architecture, breakdown(graph, by="stage")), "Cost by stage")]),
        html.Section(
            [
                html.H2("Every measurement"),
                html.P("± is one standard deviation over n repeats. Newest first.", className="muted"),
                scrolled(measurement_table(detail.measurements), "Every measurement"),
                html.H2("Environments"),
                *environment_cards(detail.measurements),
            ]
        ),
        dcc.Store(id="fingerprint", data=fingerprint(detail)),
    ]  # fmt: skip


def fingerprint(detail: Detail) -> str:
    """Changes when something was recorded of this architecture."""
    return f"{len(detail.measurements)}/{len(detail.evaluations)}"


# -- what it is


def header(detail: Detail, snapshot: Snapshot, where: Where) -> html.Header:
    """Names, words, and what can be done with it."""
    identity = detail.architecture.id
    study = snapshot.study.name if snapshot.study else ""
    proposals = _proposals(snapshot, identity)
    own = carried(snapshot, where)
    return html.Header(
        [
            html.Div(
                [
                    html.H1(["Candidate ", html.Code(identity)]),
                    html.P(proposals, className="muted") if proposals else None,
                    html.P(detail.architecture.words(), className="words"),
                ]
            ),
            html.Div(
                [
                    raw(annotate.pin(identity, study, pinned=detail.pinned)) if study and proposals else None,
                    html.A("Compare", className="button", href=link("/compare", own, ids=identity)),
                    html.A("Edit", className="button", href=link("/explore", {"from": identity, **own}),
                           title="Start the architecture editor from this network"),
                    html.A("Export", className="button primary", href="#export"),
                ],
                className="actions",
            ),
        ],
        className="title",
    )  # fmt: skip


def _proposals(snapshot: Snapshot, architecture_id: str) -> str:
    frame = snapshot.columns
    if frame is None or snapshot.study is None:
        return ""
    texts = []
    for row in peers.rows_of(frame, architecture_id)[::-1]:
        number, state, reason = (frame[name].tolist()[row] for name in ("number", "state", "reason"))
        tail = f": {isolated(reason)}" if isinstance(reason, str) and reason else ""
        texts.append(f"#{int(number)} of study “{isolated(snapshot.study.name)}”, {state}{tail}")
    return "; ".join(texts)


def headline(detail: Detail, snapshot: Snapshot, where: Where, ahead: Prediction | None = None) -> list[html.Div]:
    """The numbers that matter, each with its place among the study's candidates; a cost not stored is counted."""
    paper = counted(detail.architecture, where.target.deployment)
    names = dict.fromkeys((*objectives_of(where.config), *(("latency_ms",) if where.dev else ()), *HEADLINE))
    known = peers.Known(detail, snapshot, where)
    return [fact(snapshot, where, name, known(name), getattr(paper, name, None), ahead) for name in names]


def fact(snapshot: Snapshot, where: Where, name: str, known: tuple[float | None, float | None], paper: float | None,
         ahead: Prediction | None) -> html.Div:  # fmt: skip
    """One number; a latency that nobody measured is the predicted one, and says so."""
    field, spread = FIELDS[name], known[1]
    value = paper if known[0] is None else known[0]
    label = where.label(name, field.label)
    if value is None and name == "latency_ms" and ahead is not None:
        return html.Div([html.Dt(f"{label}, predicted", title=field.meaning),
                         html.Dd(f"≈ {field.show(ahead.latency_ms)}"),
                         html.Dd(ahead.source, className="delta", title=ahead.source)])  # fmt: skip
    shown: list[Any] = [field.show(value)]
    if field.plus_minus(spread):
        shown.append(html.Span(field.plus_minus(spread), className="unit"))
    if name == "macs" and value is not None:
        shown.append(html.Span(f" = {FIELDS['flops'].show(2 * value)} FLOPs", className="unit"))
    beneath = placed(snapshot, where, name, value)
    if value is None and name in TIMED:
        beneath = [html.Dd("not measured", className="delta")]
    return html.Div([html.Dt(label, title=field.meaning), html.Dd(shown), *beneath])


def placed(snapshot: Snapshot, where: Where, name: str, value: float | None) -> list[Any]:
    """`better than 87 %` of the study's finished candidates, with a bar; nothing where that has no meaning."""
    if snapshot.columns is None:
        return []
    values = peers.peers(snapshot.columns, name, where)
    share = peers.percentile(values, value, FIELDS[name].direction)
    if share is None:
        return []
    known = int((values == values).sum())
    return [
        html.Dd(
            [
                html.Span(html.Span(style={"width": f"{share:.0%}"}), className="place", **{"aria-hidden": "true"}),
                f"better than {share:.0%}",
            ],
            className="percentile",
            title=f"of the {known} finished candidates of this study that have it; equal ones count half",
        )
    ]


# -- what it is compared with


def saved(architecture: Architecture, deployment: Deployment) -> list[Any]:
    """What the cross-stage path saves: this network beside its γ = 0 twin."""
    title = html.H2("What does the cross-stage path save?")
    if not any(stage.cross for stage in architecture.canonical().stages):
        return [title, html.P("This network has no cross-stage path (γ = 0): it is its own twin.", className="muted")]
    try:
        plain = twin(architecture)
        ours, theirs = counted(architecture, deployment), counted(plain, deployment)
    except ArchitectureError as error:
        return [title, html.P(f"Its γ = 0 twin cannot be built: {error}", className="muted")]
    rows = []
    for name in SAVED:
        mine, other = getattr(ours, name), getattr(theirs, name)
        words, kind = FIELDS[name].against(mine, other)
        rows.append([FIELDS[name].label, FIELDS[name].show(mine), FIELDS[name].show(other),
                     html.Span(words, className=kind)])  # fmt: skip
    return [
        title,
        html.P(["The same network without the path (", html.A(html.Code(plain.id), href=f"/c/{plain.id}"),
                "): all channels go through the blocks. Counted, not trained."], className="muted"),
        scrolled(table(("", "This network", "γ = 0 twin", "Difference"), rows, numeric=(1, 2, 3)), "The γ = 0 twin"),
    ]  # fmt: skip


def near(snapshot: Snapshot, places: peers.Places | None, architecture: Architecture, query: str,
         where: Where) -> list[Any]:  # fmt: skip
    """The nearest finished candidates of the study, what they have otherwise, and their scores."""
    frame = snapshot.columns
    found = peers.neighbours(frame, places, architecture) if frame is not None and places is not None else []
    if frame is None or not found:
        return [html.P("There is no finished candidate beside it.", className="muted")]
    columns = {name: peers.column(frame, name, where) for name in objectives_of(where.config)}
    order = numbers(frame, "number")
    tail = f"?{query}" if query else ""
    body = [
        [
            html.A(f"#{int(order[each.row])}", href=f"/c/{each.id}{tail}", className="mono"),
            *(FIELDS[name].show(float(values[each.row])) for name, values in columns.items()),
            html.Span("; ".join(each.changes) or "the same axes", className="changes"),
        ]
        for each in found
    ]
    head = ("", *(where.label(name, FIELDS[name].label) for name in columns), "What it has otherwise")
    return [scrolled(table(head, body, numeric=range(1, len(columns) + 1)), "Nearest candidates")]


def badge(verdict: str, title: str) -> html.Span:
    """A verdict as a word with a sign."""
    return html.Span(f"{SIGNS.get(verdict, '?')} {verdict}", className=f"badge {verdict}", title=title)


def verification(detail: Detail, snapshot: Snapshot) -> list[Any]:
    """The proxy's score beside the long trainings, seed by seed, and what follows."""
    title = html.H2("Verification")
    config = snapshot.study.config if snapshot.study else {}
    score, frame = objectives_of(config)[0], snapshot.columns
    rows = [] if frame is None else peers.rows_of(frame, detail.architecture.id)
    if frame is None or not rows:
        return [title, html.P("This network is no candidate of the study.", className="muted")]
    name, field, chosen = f"{VERIFIED}{score}", FIELDS[score], in_effect(config)
    row: dict[str, Any] = {key: frame[key].tolist()[rows[0]] for key in ("state", "verdict")}
    row |= {key: float(numbers(frame, key)[rows[0]]) for key in (name, f"{name}_spread", f"{name}_n", "front_share")}
    row[f"{name}_n"] = 0 if math.isnan(row[f"{name}_n"]) else int(row[f"{name}_n"])
    said = [title, html.P([badge(row["verdict"], statement(row, score)),
                           f" {statement(row, score).partition(': ')[2]}."])]  # fmt: skip
    own = [m for m in detail.measurements if m["metric"] == score and m["value"] is not None and belongs(config, m)]
    if not own or chosen is None:
        if row["state"] == "complete" and snapshot.database is not None and snapshot.study is not None:
            study = f" --name {quoted(snapshot.study.name)}" if len(snapshot.studies) > 1 else ""
            command = f"python -m search.verify --ids {detail.architecture.id}{option(snapshot.database)}{study}"
            said += [html.P("Train it longer, with several seeds:"), html.Pre(command, tabIndex=0)]
        return said
    proxy = Where.own(config).newest(detail.measurements, score)
    lines: list[list[Any]] = []
    if proxy:
        lines.append(["proxy", MISSING, f"{proxy['image_visits']:,}" if proxy["image_visits"] else MISSING,
                      field.show(proxy["value"]), date(proxy["created_at"])])  # fmt: skip
    lines += [
        ["long", chosen[1].index(m["seed"]) + 1, f"{m['image_visits']:,}", field.show(m["value"]),
         date(m["created_at"])]
        for m in sorted(own, key=lambda m: chosen[1].index(m["seed"]))
    ]  # fmt: skip
    mean = field.show(row[name]) + field.plus_minus(row[f"{name}_spread"])
    lines.append([html.B("mean"), f"{row[f'{name}_n']} seeds", "", html.B(mean), ""])
    head = ("Training", "Seed", "Visits", field.label, "Date (UTC)")
    return [*said, scrolled(table(head, lines, numeric=(1, 2, 3)), "Verification")]


# -- what can be had of it


def exported(architecture_id: str, snapshot: Snapshot, where: Where) -> list[Any]:
    """Commands that export with trained weights, and files that can be had at once."""
    study, kept = snapshot.study.name if snapshot.study else "", carried(snapshot, where)
    lines = commands(architecture_id, snapshot.database, study if len(snapshot.studies) > 1 else "")
    return [
        html.H2("Export"),
        html.P("With trained weights, in a terminal:"
               if lines else "The demo has no trained weights to export.", className="muted"),
        *(html.Div([html.Pre(line, tabIndex=0),
                    html.Button("Copy", className="copy", **{"aria-label": f"Copy: {line}"})], className="command")
          for line in lines),
        html.P("Without training, here and now:", className="muted"),
        html.Ul([html.Li([html.A(label, href=link(f"/export/{architecture_id}/{architecture_id}{ending}", kept),
                                 download=True), html.Span(f" {meaning}", className="muted")])
                 for ending, (label, meaning) in FORMATS.items()], className="files"),
    ]  # fmt: skip
