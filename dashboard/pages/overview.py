"""The page `/`: filters, the answer, the Pareto plot, and the table that is its textual twin."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import dcc, html

from dashboard import candidates
from dashboard.candidates import Picked
from dashboard.data import Snapshot, progress
from dashboard.fields import CHIPS, FIELDS, FILTERED, NUMERIC, VERIFIED, Field, on_device, rank
from dashboard.view import SHOWN, View, objectives_of
from search.verification import statement

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("ap", "accuracy", "latency_ms", "macs", "params", "peak_bytes", "weight_bytes", "ap50", "ap75", "ap_small",
           "ap_medium", "ap_large", "latency_p90_ms", "train_seconds")  # fmt: skip
"""Metrics of the table, in this order after the study's objectives; one without data has no column."""
SHOW_LABELS = {"dominated": "Dominated", "stopped": "Stopped early", "failed": "Failed", "refused": "Refused",
               "waiting": "Waiting"}  # fmt: skip


def layout(snapshot: Snapshot, view: View, default: View) -> html.Div:
    """The page with every control set as `view` says."""
    assert snapshot.frame is not None
    frame = snapshot.frame
    return html.Div(
        [
            html.Div(rail(frame, view), className="rail", role="group", **{"aria-label": "Filters"}),
            html.Div(
                [
                    html.Div(id="answer", className="answer", role="status", **{"aria-live": "polite"}),
                    toolbar(frame, view),
                    html.Div(
                        dcc.Graph(
                            id="plot",
                            responsive=True,
                            config={
                                "displaylogo": False,
                                "displayModeBar": True,
                                "modeBarButtons": [["zoom2d", "pan2d", "select2d", "lasso2d"],
                                                   ["autoScale2d", "toImage"]],
                                "doubleClick": "autosize",
                            },
                            style={"height": "100%"},
                        ),
                        className="plot",
                        role="img",
                        **{"aria-label": "Scatter plot of the candidates; the table below lists the same ones"},
                    ),
                    html.Div(
                        [
                            html.Span(id="count", className="count"),
                            html.Span(
                                "Click a point to open it; Shift-click or box to select. In the table: Space selects, "
                                "Enter opens.",
                                className="hint",
                            ),
                        ],
                        className="caption",
                    ),
                    table(frame, view, default),
                ],
                className="stage-area",
            ),
            dcc.Store(id="view", data=view.to_query(default)),
            dcc.Store(id="page-study", data=snapshot.study.name if snapshot.study else ""),
            dcc.Store(id="zoom", data=view.zooms()),
            dcc.Store(id="boxed"),
            dcc.Store(id="url-echo"),
        ],
        className="overview",
    )  # fmt: skip


# -- rail


def rail(frame: pd.DataFrame, view: View) -> list[Any]:
    """Sliders, chips and toggles."""
    return [
        html.Div(
            [html.H2("Filters"), html.Button("Reset", id="reset", className="link", n_clicks=0)], className="rail-head"
        ),
        *(slider(frame, view, name) for name in FILTERED),
        *(chips(frame, view, name) for name in CHIPS),
        html.Fieldset(
            [
                html.Legend("Show beside the front"),
                dcc.Checklist(
                    id="show",
                    options=[{"label": SHOW_LABELS[name], "value": name} for name in SHOWN],
                    value=list(view.show),
                    className="checks",
                ),
            ],
            className="group",
        ),
    ]


def slider(frame: pd.DataFrame, view: View, name: str) -> html.Fieldset:
    """A range slider with typed ends and a small histogram; hidden while the field has no data."""
    field = FIELDS[name]
    state = slider_state(frame, view, name)
    low, high, chosen, step = state or (0.0, 1.0, [0.0, 1.0], 0.1)
    return html.Fieldset(
        [
            html.Legend([field.label, html.Span(f" {field.unit}".rstrip(), className="unit")], title=field.meaning),
            html.Div(bars(frame, name, low, high), id={"type": "bars", "name": name}, className="bars"),
            dcc.RangeSlider(
                id={"type": "filter", "name": name}, min=low, max=high, step=step, value=chosen, marks=None,
                allowCross=False, updatemode="mouseup",
            ),
        ],
        id={"type": "filter-box", "name": name},
        className="group filter",
        hidden=state is None,
    )  # fmt: skip


def slider_state(frame: pd.DataFrame, view: View, name: str) -> tuple[float, float, list[float], float] | None:
    """Lowest and highest end, the chosen range, and the step, in the field's unit; None without data."""
    chosen = view.ranges.get(name, (None, None))
    ends = candidates.bounds(frame, name, chosen)
    if ends is None:
        return None
    scale = FIELDS[name].scale
    low, high = (end if value is None else float(f"{value * scale:.10g}") for end, value in zip(ends, chosen))
    return *ends, [low, high], candidates.slider_step(*ends)


def ranges_of(names: Sequence[str], values: Sequence[Sequence[float] | None], lows: Sequence[float],
              highs: Sequence[float]) -> dict[str, tuple[float | None, float | None]]:  # fmt: skip
    """Filters from the sliders' values: an end that stands at its stop is open."""
    ranges = {}
    for name, value, low, high in zip(names, values, lows, highs, strict=True):
        if not value or None in value:
            continue
        scale = FIELDS[name].scale
        first = None if value[0] <= low else float(f"{value[0] / scale:.10g}")
        last = None if value[1] >= high else float(f"{value[1] / scale:.10g}")
        if (first, last) != (None, None):
            ranges[name] = (first, last)
    return ranges


def bars(frame: pd.DataFrame, name: str, low: float, high: float) -> list[html.Span]:
    """The histogram over a slider."""
    if name not in frame:
        return []
    return [
        html.Span(style={"height": f"{max(share, 0.06 if share else 0):.0%}"})
        for share in candidates.histogram(frame, name, low, high)
    ]


def chips(frame: pd.DataFrame, view: View, name: str) -> html.Fieldset:
    """A row of check boxes for a category; all on means no filter."""
    values = chip_values(frame, view, name)
    return html.Fieldset(
        [
            html.Legend(FIELDS[name].label, title=FIELDS[name].meaning),
            dcc.Checklist(
                id={"type": "kind", "name": name},
                options=[{"label": value, "value": value} for value in values],
                value=list(view.kinds.get(name, values)),
                inline=True,
                className="checks chips",
            ),
        ],
        id={"type": "kind-box", "name": name},
        className="group",
        hidden=len(values) < 2,
    )


def chip_values(frame: pd.DataFrame, view: View, name: str) -> list[str]:
    """The values that a category has, and those that the view asks for."""
    return sorted({*candidates.categories(frame, name), *view.kinds.get(name, ())})


# -- toolbar


def toolbar(frame: pd.DataFrame, view: View) -> html.Div:
    """Axes, colour, size, and which front."""
    known = known_fields(frame)
    axes = [{"label": FIELDS[name].label, "value": name} for name in dict.fromkeys((view.x, view.y, *known))]
    axes.sort(key=lambda option: rank(option["value"]))
    fields = [*known, *(name for name in FIELDS if FIELDS[name].kind == "category")]
    colors = [{"label": "one colour", "value": ""}] + [{"label": FIELDS[n].label, "value": n} for n in fields]
    sizes = [{"label": "one size", "value": ""}] + [{"label": FIELDS[name].label, "value": name} for name in known]

    def log(identifier: str, on: bool) -> dcc.Checklist:
        return dcc.Checklist(id=identifier, options=[{"label": "log", "value": "log"}], value=["log"] if on else [],
                             className="checks log")  # fmt: skip

    def choose(label: str, identifier: str, options: list[dict[str, str]], value: str) -> html.Label:
        return html.Label(
            [
                html.Span(label),
                dcc.Dropdown(id=identifier, options=options, value=value, clearable=False, className="choice"),
            ],
            className="control",
        )

    return html.Div(
        [
            html.Div([choose("X", "x", axes, view.x), log("x-log", view.x_log)], className="pair"),
            html.Div([choose("Y", "y", axes, view.y), log("y-log", view.y_log)], className="pair"),
            choose("Colour", "color", colors, view.color),
            choose("Size", "size", sizes, view.size),
            choose("Front", "front", [{"label": "two axes", "value": "axes"},
                                         {"label": "all objectives", "value": "all"}], view.front),
        ],
        className="toolbar",
        role="group",
        **{"aria-label": "Axes and marks"},
    )  # fmt: skip


def known_fields(frame: pd.DataFrame) -> list[str]:
    """Numeric fields with at least one value."""
    names = [*NUMERIC, *filter(on_device, map(str, frame))]
    return [
        name
        for name in sorted(names, key=rank)
        if name in frame and math.isfinite(_first(candidates.numbers(frame, name)))
    ]


def _first(values: candidates.Numbers) -> float:
    known = values[values == values]
    return float(known[0]) if len(known) else math.nan


# -- answer


def answer(frame: pd.DataFrame, view: View, picked: Picked, objectives: Sequence[str]) -> list[Any]:
    """The line above the plot: the best candidate under the filters, or why there is none."""
    score, verified = FIELDS[objectives[0]], f"{VERIFIED}{objectives[0]}"
    filters = candidates.filter_texts(view)
    under = f" under {', '.join(filters)}" if filters else ""
    if picked.best is None:
        return [html.P(_no_answer(frame, view, score, filters), className="answer-text")]
    row = frame.iloc[picked.best]
    names = [objectives[0], *([verified] if row["verdict"] != "unverified" else []), *objectives[1:]]
    facts = [_fact(row, FIELDS[name]) for name in dict.fromkeys((*names, "params", "peak_bytes"))]
    described = " · ".join(candidates.categories(frame.iloc[[picked.best]], name)[0]
                           for name in ("block", "fusion", "head"))  # fmt: skip
    return [
        html.Div(
            [
                html.P(f"Best {score.label}{under or ' of all candidates'}"
                       f"{_best_verified(frame, picked, objectives)}", className="question"),
                html.P([html.B(f"#{row['number']}"), f" {described} ", html.Code(str(row["id"])), " ",
                        badge(row, objectives[0])], className="named"),
            ],
            className="answer-text",
        ),
        html.Dl(facts, className="facts verified" if verified in names else "facts"),
        html.Button("Open", className="primary", id="open-best", n_clicks=0,
                    **{"data-id": str(row["id"]), "data-number": int(row["number"]),
                       "aria-label": f"Open candidate {row['number']}"}),
    ]  # fmt: skip


def _best_verified(frame: pd.DataFrame, picked: Picked, objectives: Sequence[str]) -> str:
    """The best verified candidate under the filters, where the answer is another one."""
    verified = f"{VERIFIED}{objectives[0]}"
    among = picked.matching & candidates.complete(frame) & (candidates.verdicts(frame) == "verified")
    row = candidates.best(frame, [verified, *objectives[1:]], among) if among.any() else None
    if row is None or row == picked.best:
        return ""
    value = FIELDS[verified].show(float(candidates.numbers(frame, verified)[row]))
    return f" · best verified: #{frame['number'].iloc[row]} with {value}"


def badge(row: pd.Series[Any], score: str) -> html.Span:
    """Whether a candidate is verified, as a word with a sign; the whole sentence is its tooltip."""
    signs = {"verified": "✓", "overturned": "✗", "unverified": "?"}
    todo = ". Its page says how to verify it" if row["verdict"] == "unverified" else ""
    return html.Span(f"{signs[row['verdict']]} {row['verdict']}", className=f"badge {row['verdict']}",
                     title=statement(row, score) + todo)  # fmt: skip


def _fact(row: pd.Series[Any], field: Field) -> html.Div:
    spread = row.get(f"{field.name}_spread", math.nan)
    shown = [field.show(row[field.name])]
    if spread == spread and spread is not None:
        shown.append(html.Span(f" ± {spread * field.scale:.2g}", className="unit"))
    return html.Div([html.Dt(field.label), html.Dd(shown)])


def _no_answer(frame: pd.DataFrame, view: View, score: Field, filters: list[str]) -> str:
    if not filters or not candidates.complete(frame).any():
        return f"No candidate has {score.label} yet: the first ones are being trained. This page follows."
    found = candidates.binding(frame, view)
    text = f"No candidate fits {', '.join(filters)}."
    if found is None:
        return f"{text} Loosen a filter on the left, or Reset."
    name, row = found
    value = FIELDS[name].show(float(candidates.numbers(frame, name)[row]))
    return f"{text} The nearest has {FIELDS[name].label} {value} (#{frame['number'].iloc[row]})."


def count(frame: pd.DataFrame, view: View, picked: Picked) -> str:
    """How many candidates are shown, on the front, and not drawable."""
    shown = int(picked.shown.sum())
    over = "all objectives" if view.front == "all" else "these two axes"
    parts = [f"{shown} of {len(frame)} shown", f"{int(picked.highlighted.sum())} on the front of {over}"]
    absent = picked.shown & ~(candidates.numbers(frame, view.x) == candidates.numbers(frame, view.x))
    if absent.any():
        parts.append(f"{int(absent.sum())} without {FIELDS[view.x].label} only in the table")
    for name, log in ((view.x, view.x_log), (view.y, view.y_log)):
        hidden = picked.shown & (candidates.numbers(frame, name) <= 0)
        if log and hidden.any():
            parts.append(f"{int(hidden.sum())} without a place on the log axis of {FIELDS[name].label}")
    return " · ".join(parts)


# -- table


def table(frame: pd.DataFrame, view: View, default: View) -> html.Div:
    """The grid; rows come by callback."""
    return html.Div(
        dag.AgGrid(
            id="table",
            columnDefs=columns(frame, default),
            rowData=[],
            getRowId="params.data.key",
            defaultColDef={"resizable": True, "sortable": True, "minWidth": 56, "suppressHeaderMenuButton": True},
            selectedRows=[{"key": str(number)} for number in view.selected],
            dashGridOptions={
                "rowSelection": {"mode": "multiRow", "checkboxes": False, "headerCheckbox": False,
                                 "enableClickSelection": True},
                "rowHeight": 30,
                "headerHeight": 32,
                "animateRows": False,
                "suppressColumnVirtualisation": True,  # else columns out of sight are not sized
                "suppressCellFocus": False,
                "tooltipShowDelay": 300,
                "localeText": {"noRowsToShow": "No candidate is inside the filters."},
            },
            columnSize="autoSize",
            style={"height": "100%", "width": "100%"},
        ),
        className="table",
        role="region",
        **{"aria-label": "Candidates"},
    )  # fmt: skip


def columns(frame: pd.DataFrame, default: View) -> list[dict[str, Any]]:
    """Column definitions: number, candidate, status, metrics with data, axes."""
    known = known_fields(frame)
    text = {"filter": False}
    result: list[dict[str, Any]] = [
        {"field": "number", "headerName": "#", "width": 64, "pinned": "left", "type": "rightAligned"},
        {"field": "id", "headerName": "Candidate", "cellRenderer": "CandidateLink", "minWidth": 136, "pinned": "left"},
        {"field": "status", "headerName": "Status", "minWidth": 104, "tooltipField": "reason"},
    ]
    if candidates.any_verified(frame):
        field = FIELDS["verdict"]
        result.append({"field": "verification", "headerName": field.label, "minWidth": 148,
                       "headerTooltip": field.meaning, "tooltipField": "verification_note"})  # fmt: skip
    for name in dict.fromkeys((default.y, f"{VERIFIED}{default.y}", default.x, *COLUMNS)):
        if name in known:
            field = FIELDS[name]
            result.append(
                {
                    "field": name,
                    "headerName": field.label,
                    "headerTooltip": f"{field.meaning} ({field.direction or 'no direction'})",
                    "type": "rightAligned",
                    "valueFormatter": {"function": "shown(params)"},
                    "comparator": {"function": "missingLast"},
                    **({"sort": "desc" if field.direction == "maximize" else "asc"} if name == default.y else {}),
                }
            )
    for name, label in (("block", "Block"), ("fusion", "Fusion"), ("partial_ratio", "γ"), ("depths", "Depths"),
                        ("widths", "Widths"), ("head", "Head"), ("activation", "Activation")):  # fmt: skip
        result.append({"field": name, "headerName": label, **text})
    return result


def rows(frame: pd.DataFrame, picked: Picked, default: View) -> list[dict[str, Any]]:
    """What the grid shows: raw values to sort by, and `<metric>_shown` as a person reads them."""
    shown = dict.fromkeys((default.y, f"{VERIFIED}{default.y}", default.x, *COLUMNS))
    names = [name for name in shown if name in frame]
    values = {name: candidates.numbers(frame, name) for name in names}
    texts = {name: candidates.categories(frame, name)
             for name in ("block", "fusion", "partial_ratio", "depths", "widths", "head", "activation")}  # fmt: skip
    labels = candidates.status(frame, picked.highlighted)
    reasons = frame["reason"].tolist()  # None or NaN where there is none
    said, share = candidates.verdicts(frame), candidates.numbers(frame, "front_share")
    result = []
    for row, on in enumerate(picked.shown.tolist()):
        if not on:
            continue
        record: dict[str, Any] = {
            "key": str(frame["number"].iloc[row]),
            "number": int(frame["number"].iloc[row]),
            "id": str(frame["id"].iloc[row]),
            "status": labels[row],
            "reason": reasons[row] if isinstance(reasons[row], str) else None,
        }
        for name in names:
            value = float(values[name][row])
            record[name] = None if math.isnan(value) else value
            record[f"{name}_shown"] = FIELDS[name].show(value)
        record["verification"] = said[row] if math.isnan(share[row]) else f"{said[row]} ({share[row]:.0%})"
        if said[row] != "unverified":
            record["verification_note"] = statement(frame.iloc[row], default.y)
        record |= {name: column[row] for name, column in texts.items()}
        result.append(record)
    return result


# -- header


def status_line(snapshot: Snapshot) -> list[Any]:
    """The live part of the header, for example `152 of 200 · 6 on the front`."""
    if snapshot.study is None or snapshot.frame is None:
        return []
    done, budget = progress(snapshot.study, snapshot.frame)
    objectives = objectives_of(snapshot.study.config)
    on_front = int(candidates.front_over(snapshot.frame, objectives, candidates.complete(snapshot.frame)).sum())
    failed = int((snapshot.frame["state"] == "failed").sum())
    state = snapshot.study.state
    parts = [f"{done} of {budget}" if budget else f"{done} candidates", f"{on_front} on the front"]
    if failed:
        parts.append(f"{failed} failed")
    if candidates.any_verified(snapshot.frame):
        said = candidates.verdicts(snapshot.frame)
        counts = {name: int((said == name).sum()) for name in ("verified", "overturned")}
        parts += [f"{number} {name}" for name, number in counts.items() if number]
    words = {"running": "searching", "interrupted": "interrupted", "complete": "complete", "stopped": "stopped"}
    return [
        html.Span(words.get(state, state), className=f"badge {state}", title=snapshot.study.message or ""),
        html.Span(" · ".join(parts), id="progress"),
    ]


def freshness(snapshot: Snapshot) -> dict[str, Any]:
    """When the study last changed and when it was last read, as ages that the browser counts on from."""
    changed = snapshot.study.updated_at if snapshot.study else snapshot.read_at
    if snapshot.frame is not None and len(snapshot.frame):
        times = [float(value) for name in ("created_at", "finished_at")
                 for value in snapshot.frame[name].tolist() if value is not None and value == value]  # fmt: skip
        changed = max([changed, *times])
    now = time.time()
    return {"changed": max(0.0, now - changed), "read": max(0.0, now - snapshot.read_at), "problem": snapshot.problem}
