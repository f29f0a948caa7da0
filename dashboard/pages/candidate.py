"""The page `/c/<architecture id>`: one architecture, what it costs, how it learned, every measurement."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dash import dcc, html

from dashboard.data import Detail, Snapshot
from dashboard.fields import FIELDS, MISSING, VERIFIED
from dashboard.figures import LAYER_QUANTITIES, bottleneck
from dashboard.pages.message import option
from dashboard.view import objectives_of
from evaluator.metrics import METRICS
from evaluator.record import Deployment
from search.verification import belongs, in_effect, rung_of, statement
from space.architecture import Architecture
from space.cost import Cost, Part, breakdown, cost
from space.graph import Graph
from space.lower import lower

HEADLINE = ("macs", "params", "peak_bytes", "weight_bytes", "activations")


def deployment_of(config: Mapping[str, Any] | None) -> Deployment:
    """The deployment of a study; the default one for what its config does not say."""
    given = (config or {}).get("deployment") or {}
    return Deployment(**{key: value for key, value in given.items() if key in Deployment.__dataclass_fields__})


def graph_of(architecture: Architecture, deployment: Deployment) -> Graph:
    """The network as it is deployed."""
    return lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)


def layout(detail: Detail, snapshot: Snapshot, query: str) -> html.Div:
    """The page; its charts come by callback. `query` leads back to the view that the person came from."""
    return html.Div(body(detail, snapshot, query), id="candidate-page", className="candidate")


def body(detail: Detail, snapshot: Snapshot, query: str) -> list[Any]:
    """What stands on the page."""
    config = snapshot.study.config if snapshot.study else {}
    deployment = deployment_of(config)
    architecture = detail.architecture
    graph = graph_of(architecture, deployment)
    parts = breakdown(graph)
    ratio = bottleneck(parts)
    proposals = _proposals(snapshot, architecture.id)
    return [
            html.Nav(html.A("← All candidates", id="back", href=f"/?{query}" if query else "/"), className="crumbs"),
            html.Header(
                [
                    html.H1(["Candidate ", html.Code(architecture.id)]),
                    html.P(proposals, className="muted") if proposals else None,
                    html.P(architecture.words(), className="words"),
                ]
            ),
            html.Dl(headline(detail, cost(graph, batch=deployment.batch, precision=deployment.precision), config),
                    className="facts wide"),
            html.Div(
                [
                    html.Section(verification(detail, snapshot), id="verification"),
                    html.Section(
                        [
                            html.H2("Cost by stage"),
                            html.P(f"At deployment: {deployment}.", className="muted"),
                            html.Div(stage_table(architecture, breakdown(graph, by="stage")), className="scroll",
                                     tabIndex=0, role="region", **{"aria-label": "Cost by stage"}),
                        ]
                    ),
                    html.Section(
                        [
                            html.Div(
                                [
                                    html.H2("Cost by layer"),
                                    dcc.RadioItems(
                                        id="quantity",
                                        options=[{"label": label.split(" (")[0], "value": name}
                                                 for name, label in LAYER_QUANTITIES.items()],
                                        value="macs", inline=True, className="checks chips",
                                    ),
                                ],
                                className="section-head",
                            ),
                            html.P(f"The largest layer has {ratio:.1f} times the MACs of the mean one."
                                   if ratio else "", className="muted"),
                            dcc.Graph(id="layers", className="chart", responsive=True, style={"height": "300px"},
                                      config={"displayModeBar": False}),
                        ]
                    ),
                    html.Section(
                        [
                            html.H2("Learning curve"),
                            *([dcc.Graph(id="learning", className="chart", responsive=True, style={"height": "300px"},
                                         config={"displayModeBar": False})]
                              if any(row["curve"] for row in detail.evaluations)
                              else [html.Div(id="learning"),
                                    html.P("Not trained yet: no learning curve.", className="muted")]),
                        ]
                    ),
                    html.Section([html.H2("Evaluations"), evaluation_table(detail.evaluations)]),
                ],
                className="panels",
            ),
            html.Section(
                [
                    html.H2("Every measurement"),
                    html.P("± is one standard deviation over n repeats. Newest first.", className="muted"),
                    html.Div(measurement_table(detail.measurements), className="scroll", tabIndex=0, role="region",
                             **{"aria-label": "Every measurement"}),
                ]
            ),
            html.Section([html.H2("Environments"), *environment_cards(detail.measurements)]),
            dcc.Store(id="candidate", data=architecture.id),
            dcc.Store(id="fingerprint", data=fingerprint(detail)),
    ]  # fmt: skip


def fingerprint(detail: Detail) -> str:
    """Changes when something was recorded of this architecture."""
    return f"{len(detail.measurements)}/{len(detail.evaluations)}"


def _proposals(snapshot: Snapshot, architecture_id: str) -> str:
    texts = []
    for row in rows_of(snapshot, architecture_id):
        tail = f": {row['reason']}" if row["reason"] else ""
        name = snapshot.study.name if snapshot.study else ""
        texts.append(f"#{row['number']} of study “{name}”, {row['state']}{tail}")
    return "; ".join(texts)


def rows_of(snapshot: Snapshot, architecture_id: str) -> list[dict[str, Any]]:
    """The study's proposals of an architecture, oldest first."""
    columns = snapshot.columns
    if columns is None:
        return []
    return [columns.row(index) for index, identity in enumerate(columns.ids) if identity == architecture_id]


def badge(row: Mapping[str, Any], score: str) -> html.Span:
    """Whether a candidate is verified, as a word with a sign; the whole sentence is its tooltip."""
    signs = {"verified": "✓", "overturned": "✗", "unverified": "?"}
    return html.Span(f"{signs[row['verdict']]} {row['verdict']}", className=f"badge {row['verdict']}",
                     title=statement(row, score))  # fmt: skip


def headline(detail: Detail, paper: Cost, config: Mapping[str, Any]) -> list[html.Div]:
    """The numbers that matter, as the table of candidates shows them; a cost that was not stored is counted."""
    facts = []
    for name in dict.fromkeys((*objectives_of(config), *HEADLINE)):
        field = FIELDS[name]
        found = newest(detail.measurements, name, config)
        shown: list[Any] = [field.show(found["value"] if found else getattr(paper, name, None))]
        if found and found["spread"] is not None:
            shown.append(html.Span(f" ± {found['spread'] * field.scale:.2g}", className="unit"))
        facts.append(html.Div([html.Dt(field.label, title=field.meaning), html.Dd(shown)]))
    facts.append(html.Div([html.Dt("FLOPs", title="2 × MACs"), html.Dd(FIELDS["flops"].show(paper.flops))]))
    return facts


def newest(measurements: Sequence[Mapping[str, Any]], name: str, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The measurement that speaks for a study: of its recipe at its own highest rung, or of its deployment.

    Of several seeds the first that was trained, the search's own: those of an audit come later.
    """
    mine = [
        row
        for row in measurements
        if row["metric"] == name
        and row["value"] is not None
        and (row["recipe"] is None or rung_of(config, row) is not None)
        and row["deployment"] in (None, config.get("deployment_id"))
    ]
    return max(mine, key=lambda row: (row["rung"] or 0, -row["id"] if row["recipe"] else row["id"]), default=None)


def verification(detail: Detail, snapshot: Snapshot) -> list[Any]:
    """The proxy's score beside the long trainings, seed by seed, and what follows."""
    title = html.H2("Verification")
    config = snapshot.study.config if snapshot.study else {}
    score = objectives_of(config)[0]
    mine = rows_of(snapshot, detail.architecture.id)
    if not mine:
        return [title, html.P("This candidate is of another study.", className="muted")]
    row, field, chosen = mine[-1], FIELDS[score], in_effect(config)
    said = [title, html.P([badge(row, score), f" {statement(row, score).partition(': ')[2]}."])]
    own = [m for m in detail.measurements if m["metric"] == score and m["value"] is not None and belongs(config, m)]
    if not own or chosen is None:
        if row["state"] == "complete" and snapshot.database is not None and snapshot.study is not None:
            name = f" --name {shlex.quote(snapshot.study.name)}" if len(snapshot.studies) > 1 else ""
            command = f"python -m search.verify --ids {detail.architecture.id}{option(snapshot.database)}{name}"
            said += [html.P("Train it longer, with several seeds:"), html.Pre(command, tabIndex=0)]
        return said
    proxy = newest(detail.measurements, score, config)
    body: list[list[Any]] = []
    if proxy:
        body.append(["proxy", MISSING, f"{proxy['image_visits']:,}" if proxy["image_visits"] else MISSING,
                     field.show(proxy["value"]), date(proxy["created_at"])])  # fmt: skip
    body += [
        [
            "long",
            chosen[1].index(m["seed"]) + 1,
            f"{m['image_visits']:,}",
            field.show(m["value"]),
            date(m["created_at"]),
        ]
        for m in sorted(own, key=lambda m: chosen[1].index(m["seed"]))
    ]
    name = f"{VERIFIED}{score}"
    spread = row[f"{name}_spread"]
    mean = field.show(row[name]) + ("" if math.isnan(spread) else f" ± {field.show(spread)}")
    body.append([html.B("mean"), f"{row[f'{name}_n']:.0f} seeds", "", html.B(mean), ""])
    head = ("Training", "Seed", "Visits", field.label, "Date (UTC)")
    return [*said, html.Div(_table(head, body, numeric=(1, 2, 3)), className="scroll", tabIndex=0, role="region",
                            **{"aria-label": "Verification"})]  # fmt: skip


# -- tables


def _table(head: Sequence[str], body: Sequence[Sequence[Any]], numeric: Sequence[int] = ()) -> html.Table:
    def align(index: int) -> str:
        return "number" if index in numeric else ""

    return html.Table(
        [
            html.Thead(html.Tr([html.Th(text, scope="col", className=align(i)) for i, text in enumerate(head)])),
            html.Tbody([html.Tr([html.Td(cell, className=align(i)) for i, cell in enumerate(row)]) for row in body]),
        ]
    )


def stage_table(architecture: Architecture, parts: Sequence[Part]) -> html.Table:
    """One row for the stem, each stage and the head, with the total."""
    total = sum(part.cost.macs for part in parts) or 1
    body: list[list[Any]] = []
    for part in parts:
        index = int(part.name.removeprefix("stage")) - 1 if part.name.startswith("stage") else None
        stage = architecture.stages[index] if index is not None and index < len(architecture.stages) else None
        size = "×".join(str(side) for side in part.shape[1:])
        described: list[Any] = (
            [f"{stage.block} · {stage.fusion}", stage.depth, stage.width, paths(stage.cross, stage.main)]
            if stage
            else [MISSING] * 4
        )
        share = f"{part.cost.macs / total:.0%}"
        body.append([part.name, *described, f"{part.shape[0]}×{size}", *_costs(part.cost), share])
    sums = [sum(getattr(part.cost, name) for part in parts) for name in ("macs", "params", "activations")]
    body.append([html.B("total"), *[""] * 5, *(METRICS[name].show(value) for name, value in
                                               zip(("macs", "params", "activations"), sums)), "100%"])  # fmt: skip
    head = ("Part", "Block · fusion", "Depth", "Width", "Cross + main", "Output", "MACs", "Params", "Activations",
            "Share")  # fmt: skip
    return _table(head, body, numeric=(2, 3, 5, 6, 7, 8, 9))


def _costs(layer: Any) -> list[str]:
    return [METRICS[name].show(getattr(layer, name)) for name in ("macs", "params", "activations")]


def paths(cross: int, main: int) -> html.Span:
    """Channels that bypass the blocks and channels that pass through them, as numbers and as a bar."""
    share = cross / (cross + main)
    return html.Span(
        [
            f"{cross} + {main}",
            html.Span(html.Span(style={"width": f"{share:.0%}"}), className="split", **{"aria-hidden": "true"}),
        ],
        className="paths",
    )


def evaluation_table(evaluations: Sequence[Mapping[str, Any]]) -> Any:
    """Every training of this architecture, failed ones with their reason."""
    if not evaluations:
        return html.P("None yet.", className="muted")
    body = [
        [
            row["state"],
            row["task"],
            row["rung"],
            f"{row['image_visits']:,}",
            row["seed"],
            f"{row['seconds']:.1f} s",
            f"{row['cpu_seconds']:.1f} s",
            date(row["created_at"]),
            row["reason"] or MISSING,
        ]
        for row in evaluations
    ]
    head = ("State", "Task", "Rung", "Visits", "Seed", "Time", "CPU", "Date (UTC)", "Reason")
    return html.Div(_table(head, body, numeric=(2, 3, 4, 5, 6)), className="scroll", tabIndex=0, role="region",
                    **{"aria-label": "Evaluations"})  # fmt: skip


def measurement_table(measurements: Sequence[Mapping[str, Any]]) -> html.Table:
    """Every number with what is needed to trust it or not."""
    body = []
    for row in measurements:
        metric = METRICS.get(row["metric"])
        value, spread = row["value"], row["spread"]
        shown = metric.show(value) if metric else MISSING if value is None else f"{value:g} {row['unit']}".rstrip()
        scale = metric.scale if metric else 1.0
        context = row["task"] or row["device"]
        how = [part for part in (row["backend"], row["precision"], _plural(row["threads"], "thread"),
                                 f"batch {row['batch']}" if row["batch"] is not None else None,
                                 f"rung {row['rung']}" if row["rung"] is not None else None,
                                 f"{row['image_visits']:,} visits" if row["image_visits"] is not None else None,
                                 f"seed {row['seed']}" if row["seed"] is not None else None) if part]  # fmt: skip
        body.append(
            [
                html.Span(FIELDS[metric.name].label, title=metric.meaning) if metric else row["metric"],
                shown,
                MISSING if spread is None or math.isnan(spread) else f"± {spread * scale:.2g}",
                row["n"],
                row["origin"],
                context or MISSING,
                ", ".join(how) or MISSING,
                row["reason"] or MISSING,
                row["environment_id"] or MISSING,
                date(row["created_at"]),
            ]
        )
    head = ("Metric", "Value", "Spread", "n", "Origin", "Task or device", "How", "Reason if missing", "Environment",
            "Date (UTC)")  # fmt: skip
    return _table(head, body, numeric=(1, 2, 3))


def _plural(count: int | None, word: str) -> str | None:
    return None if count is None else f"{count} {word}" + ("" if count == 1 else "s")


def environment_cards(measurements: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Each environment once: the machine and its versions."""
    found = {row["environment_id"]: row["environment"] for row in measurements if row["environment"]}
    if not found:
        return [html.P("None recorded.", className="muted")]
    cards = []
    for key, data in found.items():
        memory = data.get("memory_bytes")
        facts = {
            "Processor": f"{data.get('cpu', MISSING)}, {data.get('cores', MISSING)} cores",
            "Memory": f"{memory / 2**30:.1f} GiB" if memory else MISSING,
            "System": data.get("system", MISSING),
            "Python": data.get("python", MISSING),
            **{str(name): str(version) for name, version in (data.get("versions") or {}).items()},
        }
        rows = [html.Div([html.Dt(name), html.Dd(str(value))]) for name, value in facts.items()]
        cards.append(html.Div([html.H3(html.Code(str(key))), html.Dl(rows, className="facts versions")]))
    return cards


def date(seconds: float) -> str:
    """UTC date and time to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
