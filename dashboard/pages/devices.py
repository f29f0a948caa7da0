"""The page `/devices`: one front a device, how devices agree, the same network on each, and MACs beside latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from dash import html

from dashboard import effects, figures_devices, places
from dashboard.candidates import complete, front_over, numbers
from dashboard.data import Database, Snapshot
from dashboard.fields import FIELDS, MISSING
from dashboard.figures import Theme
from dashboard.pages.parts import (
    bar,
    candidate_link,
    chart,
    interval,
    note,
    page,
    pick_one,
    scroll,
    section,
    signed,
    two_lines,
)
from dashboard.places import FEWEST, Place
from dashboard.query import choice, read, selected
from dashboard.view import objectives_of
from search.agreement import Estimate

if TYPE_CHECKING:
    from search.columns import Columns

PATH = "/devices"


def _found(database: Database, snapshot: Snapshot) -> list[Place]:
    return database.places(snapshot)


def _chosen(found: Sequence[Place], given: Mapping[str, str]) -> Place:
    key = choice(given, "place", [place.key for place in found], found[0].key)
    return next(place for place in found if place.key == key)


def layout(database: Database, snapshot: Snapshot, query: str) -> html.Div:
    """The page; its charts come by callback from `figures`."""
    assert snapshot.columns is not None
    assert snapshot.study is not None
    frame, config, given = snapshot.columns, snapshot.study.config, read(query)
    found = _found(database, snapshot)
    if not found:
        said = ("Neither this machine nor another device has measured or predicted a candidate of this study. A study "
                "whose objectives or limits name latency_ms measures as it searches.")  # fmt: skip
        return page("Devices", "", [section("No latency is known yet", note(said), name="empty", wide=True)])
    done = complete(frame)
    count = len({place.device for place in found})
    lead = (f"{len(found)} place{'s' if len(found) > 1 else ''} on {count} device{'s' if count > 1 else ''}: each a "
            "device, a runtime and a precision. Measured and predicted never share a line.")  # fmt: skip
    score, shown = objectives_of(config)[0], found[: figures_devices.SHOWN]
    one = figures_devices.common_end(frame, shown, score) is not None
    scale = "" if len(shown) < 2 else ", all on one scale" if one else ", each on its own scale"
    fronts = f"{FIELDS[score].label} over latency, one panel a place{scale}; measured filled, predicted hollow."
    left = f" The first {len(shown)} of {len(found)}." if len(shown) < len(found) else ""
    ranks, networks = ranking(frame, found), same_network(frame, found, score, query, snapshot.study.name)
    return page(
        "Devices",
        lead,
        [
            section("Where latencies are known", coverage(found, done), alone(found) if count == 1 else None,
                    name="places", wide=True),
            section("A front for each place", note(fronts, left),
                    chart("fronts", fronts, figures_devices.height_for(len(shown))), name="fronts", wide=True),
            section("Do they rank networks alike?", *ranks, name="ranking", wide=len(found) > 2),
            section("MACs are not latency", *macs_body(frame, found, given), name="macs", wide=len(found) > 2),
            section("The same network everywhere", *networks, name="networks", wide=True),
        ],
    )  # fmt: skip


def figures(database: Database, snapshot: Snapshot, query: str, theme: Theme) -> dict[str, go.Figure]:
    """The page's charts by name."""
    assert snapshot.columns is not None
    assert snapshot.study is not None
    frame, found = snapshot.columns, _found(database, snapshot)
    if not found:
        return {}
    place = _chosen(found, read(query))
    return {
        "fronts": figures_devices.fronts(frame, found, objectives_of(snapshot.study.config)[0], theme),
        "macs": figures_devices.not_latency(frame, place, _pair(frame, place), theme),
    }


def coverage(found: Sequence[Place], done: Any) -> html.Div:
    """One row a place: how many are measured and predicted, how fast, how good the prediction is."""
    rows = []
    for place in found:
        measured, total = place.share(done)
        predicted = int((np.isfinite(place.predicted) & done).sum())
        values = place.best[0][done]
        values = values[np.isfinite(values)]
        span = f"{values.min():.3g} to {values.max():.3g} ms" if len(values) else MISSING
        tau = places.agreement(place.predicted, place.measured)
        checked = (
            MISSING if math.isnan(tau.value) else f"τ {signed(tau.value)} ({interval(tau.low, tau.high)}), n {tau.n}"
        )
        said = f"predicted by {place.method}" if place.method else ""
        if not math.isnan(place.error):
            said += f", known error {place.error:.0%}"
        rows.append(
            html.Tr(
                [
                    html.Th([place.title, html.Span("this study’s own", className="badge") if place.host else ""],
                            scope="row"),
                    html.Td(place.runtime),
                    html.Td(covered(measured, total)),
                    html.Td([f"{predicted:,}", html.Span(f" {said}", className="unit")] if predicted else MISSING),
                    html.Td(span, className="number"),
                    html.Td(checked),
                ]
            )
        )  # fmt: skip
    names = ("Device", "Runtime", "Measured", "Predicted", "Latency", "Prediction against measurement")
    head = html.Tr([html.Th(name, scope="col", className="number" if name == "Latency" else "") for name in names])
    label = "Places with measured and predicted candidates"
    return scroll(
        html.Table([html.Caption(label, className="visually-hidden"), html.Thead(head), html.Tbody(rows)]), label
    )


def covered(measured: int, total: int) -> list[Any]:
    """`59 of 200`, and which share is not, in the words of the first screen (assets/device.js `coverage`)."""
    if not measured:
        return [html.Span("not measured", className="warned")]
    if measured == total:
        return [f"{measured:,} of {total:,}", bar(1.0)]
    share = max(1, math.floor(100 * (total - measured) / total + 0.5))
    missing = html.Span(f"not measured ({share} %)", className="warned")
    return [f"{measured:,} of {total:,} · ", missing, bar(measured / total, "short")]


def alone(found: Sequence[Place]) -> html.P:
    """What to do where one device is all that is known."""
    return note(
        f"All latencies are of {found[0].title}: to see another device here, name it in the study, ",
        html.Code('limits = ["latency_ms@pi5 <= 40"]'), ", which predicts it, or take a bundle of networks there and "
        "bring its results back, ", html.Code("python -m search.bundle --front -o bundle.zip"), ".",
    )  # fmt: skip


def ranking(frame: Columns, found: Sequence[Place]) -> list[Any]:
    """Kendall's tau of all places, MACs and parameters as a table of colours and numbers."""
    columns = places.columns(frame, found)
    values = places.matrix(columns)
    labels = [two_lines(column.title, column.detail) for column in columns]
    head = html.Tr([html.Th(html.Span("Kendall τ", className="muted"), scope="col"),
                    *(html.Th(label, scope="col") for label in labels)])  # fmt: skip
    rows = [html.Tr([html.Th(labels[i], scope="row"), *(_tau(each, i == j) for j, each in enumerate(row))])
            for i, row in enumerate(values)]  # fmt: skip
    macs = [values[len(found)][place].value for place in range(len(found))]
    known = [value for value in macs if not math.isnan(value)]
    worst = f" MACs order as latency does with τ {signed(min(known))}" + (
        f" to {signed(max(known))}." if len(known) > 1 else ".") if known else ""  # fmt: skip
    caption = "Rank correlation between devices, MACs and parameters"
    return [
        note("Kendall’s τ: 1 is the same order, 0 none; beneath, its 95 % interval over candidates that both have. "
             f"Fewer than {FEWEST} say nothing.{worst}"),
        scroll(html.Table([html.Caption(caption, className="visually-hidden"), html.Thead(head), html.Tbody(rows)],
                          className="grid tau"), caption),
    ]  # fmt: skip


def _tau(found: Estimate, own: bool) -> html.Td:
    if own:
        return html.Td(html.Div(f"n {found.n:,}", className="unit"), className="few")
    if math.isnan(found.value):
        return html.Td([MISSING, html.Div(f"n {found.n:,}", className="unit")], className="few")
    text = [html.Div(signed(found.value), className="cell-value"),
            html.Div(f"{signed(found.low)} to {signed(found.high)}", className="unit")]  # fmt: skip
    side = "shaded" if found.value >= 0 else "shaded negative"
    return html.Td(text, className=side, style={"--share": f"{abs(found.value) * 34:.0f}%"}, title=f"n {found.n:,}")


def _pair(frame: Columns, place: Place) -> tuple[int, int, float] | None:
    return places.widest(effects.measured(frame, "macs"), place.best[0])


def macs_body(frame: Columns, found: Sequence[Place], given: Mapping[str, str]) -> list[Any]:
    """Latency over MACs on one place, and the pair that proves the point."""
    place = _chosen(found, given)
    values, origin = place.best
    tau, pair = places.agreement(numbers(frame, "macs"), values), _pair(frame, place)
    said = f"On {place.label} ({origin}): " + (
        f"Kendall τ {signed(tau.value)} ({interval(tau.low, tau.high)})." if not math.isnan(tau.value)
        else f"fewer than {FEWEST} candidates.")  # fmt: skip
    if pair is not None:
        fast, slow, ratio = pair
        told = [f"#{number} ({values[row]:.3g} ms)" for row, (number, _) in
                zip((slow, fast), effects.keys(frame, (slow, fast)), strict=True)]  # fmt: skip
        said += f" {told[0]} takes {ratio:.1f} times as long as {told[1]} with MACs within 5 %."
    picker = pick_one("On", {each.key: each.label for each in found}, place.key, PATH, given, "place", found[0].key)
    return [html.Div([note(said), picker if len(found) > 1 else None], className="section-head"),
            chart("macs", f"Latency over MACs. {said}", 320)]  # fmt: skip


def same_network(frame: Columns, found: Sequence[Place], score: str, query: str, study: str) -> list[Any]:
    """Some networks with their latency on every place."""
    on = front_over(frame, (score, "macs"), complete(frame))
    host = next((place for place in found if place.host), None)
    if host is not None:
        on = front_over(frame, (score, "latency_ms"), complete(frame)) if "latency_ms" in frame else on
    chosen = selected(query)
    rows = places.sample(frame, found, on, chosen)
    if not rows:
        return [note("No candidate is complete yet.")]
    top = max((float(np.nanmax(place.best[0][rows])) for place in found if np.isfinite(place.best[0][rows]).any()),
              default=1.0)  # fmt: skip
    shown = found[: figures_devices.SHOWN]
    plain = enumerate(("Candidate", FIELDS[score].label, "MACs", "Parameters"))
    head = html.Tr(
        [
            *(html.Th(text, scope="col", className="number" if place else "") for place, text in plain),
            *(html.Th(two_lines(place.title, place.runtime), scope="col") for place in shown),
        ]
    )
    body = []
    for row, (number, identity) in zip(rows, effects.keys(frame, rows), strict=True):
        facts = [FIELDS[name].show(float(numbers(frame, name)[row])) for name in (score, "macs", "params")]
        name = candidate_link(identity, number, study)
        body.append(html.Tr([html.Th(name, scope="row"), *(html.Td(fact, className="number") for fact in facts),
                             *(_latency(place, row, top) for place in shown)]))  # fmt: skip
    which = "The selected candidates" if chosen else "Along the front, the fastest first"
    caption = "Latency of the same networks on every place"
    return [
        note(f"{which}; bars share one scale, hollow ones are predicted. Select others with Shift-click on the first "
             "page: its link keeps them."),
        scroll(html.Table([html.Caption(caption, className="visually-hidden"), html.Thead(head), html.Tbody(body)]),
               caption),
    ]  # fmt: skip


def _latency(place: Place, row: int, top: float) -> html.Td:
    measured, predicted = float(place.measured[row]), float(place.predicted[row])
    if not math.isnan(measured):
        return html.Td([html.Span(f"{measured:.3g} ms", className="value"), bar(measured / top)], className="bar-cell")
    if not math.isnan(predicted):
        value = html.Span([f"{predicted:.3g} ms", html.Span(" predicted", className="unit")], className="value")
        return html.Td([value, bar(predicted / top, "hollow")], className="bar-cell")
    return html.Td("not measured", className="few")
