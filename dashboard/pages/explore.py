"""The page `/explore`: an architecture edited by hand, and what comes of it. assets/detail.js asks for every change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboard import annotate, peers
from dashboard.candidates import numbers
from dashboard.data import Snapshot
from dashboard.deployed import Where, counted, graph_of
from dashboard.diagram import diagram
from dashboard.editor import STAGE, Axis, Edit, as_text, into_space, query_of, space_of
from dashboard.exports import FORMATS
from dashboard.fields import FIELDS, MISSING
from dashboard.foresight import Predict, Prediction
from dashboard.layers import bars, layers
from dashboard.markup import Markup, attributes, join, raw
from dashboard.pages.candidate import crumbs
from dashboard.query import carried, link
from dashboard.texts import isolated
from dashboard.view import objectives_of
from search.annotations import Queued
from space.architecture import Architecture
from space.axes import SpaceError
from space.cost import cost
from space.zoo import entries

SHOWN = ("macs", "params", "peak_bytes", "weight_bytes", "cio")


def layout(found: Edit, base: Architecture, snapshot: Snapshot, where: Where, *, predict: Predict | None = None,
           places: peers.Places | None = None, queue: Sequence[Queued] = (),
           devices: Mapping[str, str] | None = None) -> html.Div:  # fmt: skip
    """The page, with what the query says already done. `queue` is the study's.

    Latency is predicted for `where`; `devices` are the places to choose from.
    """
    kept = carried(snapshot, where)
    return html.Div(
        [
            crumbs(link("/", kept), where, devices, "/explore", urlencode({**dict(query_of(found)), **kept})),
            html.Header([html.Div([html.H1("Architecture editor"),
                                   html.P("Costs follow every change. Nothing is trained here.", className="muted")]),
                         raw(starts(found.start))], className="title"),
            html.Div(
                [
                    html.Div(
                        [
                            html.Section(raw(form(found), id="editor", className="editor")),
                            _queued(queue, snapshot),
                        ],
                        className="controls",
                    ),
                    raw(results(found, base, snapshot, where, predict=predict, places=places), id="results",
                        className="results linked"),
                ],
                className="explore-columns",
            ),
        ],
        id="explore",
        className="candidate detail explore",
        **{"data-study": snapshot.study.name if snapshot.study else ""},
    )  # fmt: skip


def _queued(queue: Sequence[Queued], snapshot: Snapshot) -> Any:
    if snapshot.study is None:
        return None
    return html.Section([html.H2("Queue"), raw(annotate.queue(queue, snapshot.study.name), id="queue")])


def starts(start: str) -> Markup:
    """Which network to start from: any published one, or a candidate by its id."""
    names = join(Markup('<option value="{}">').format(name) for name, entry in entries().items() if entry.architecture)
    return Markup(
        '<form data-start class="row"><label>Start from <input name="from" list="networks" value="{}" size="26" '
        'autocomplete="off" spellcheck="false" title="a published network, or a candidate\'s id"></label>'
        '<datalist id="networks">{}</datalist><button>Load</button></form>'
    ).format(start, names)


# -- controls


def shape(found: Edit) -> str:
    """Changes when other controls are needed."""
    stages = range(1, found.num_stages + 1)
    read = [f"{n}.{axis.name}" for n in stages for axis in STAGE if found.reads(n, axis.name)]
    return "|".join([found.start, *(axis.name for axis in found.axes()), *read])


def form(found: Edit) -> Markup:
    """All controls: network and head, then a column for each stage and one for all of them."""
    stages = range(1, found.num_stages + 1)
    whole = join(
        Markup('<div class="field"><label for="{}" title="{}">{}</label>{}</div>').format(
            axis.name, axis.meaning, axis.label, _control(found, axis.name, axis, axis.label))
        for axis in found.axes()
    )  # fmt: skip
    head = join(Markup('<th scope="col">Stage {}</th>').format(number) for number in stages)
    rows = join(_axis_row(found, axis, stages) for axis in found.stage_axes())
    return Markup(
        '<form data-editor data-shape="{}" data-wrong="{}"><div class="fields">{}</div>'
        '<div class="rules" data-rules="network" role="status"></div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Stages"><table class="matrix"><thead><tr>'
        '<th scope="col">Stages</th><th scope="col">All</th>{}</tr></thead><tbody>{}</tbody></table></div>'
        '<div class="row"><button type="button" data-reset>Reset</button>'
        '<span class="muted">to {}</span></div></form>'
    ).format(shape(found), json.dumps(found.wrong), whole, head, rows, found.start)


def _axis_row(found: Edit, axis: Axis, stages: Sequence[int]) -> Markup:
    read = [number for number in stages if found.reads(number, axis.name)]
    values = {found.values[f"stage{number}.{axis.name}"] for number in read}
    common = values.pop() if len(values) == 1 else None
    cells = [
        _control(found, f"stage{number}.{axis.name}", axis, f"{axis.label} of stage {number}")
        if number in read else Markup('<span class="muted" title="not read by this block">{}</span>').format(MISSING)
        for number in stages
    ]  # fmt: skip
    every = _input(axis, f"all.{axis.name}", f"{axis.label} of all stages", common, None)
    return Markup('<tr><th scope="row" title="{}">{}</th><td>{}</td>{}</tr>{}').format(
        axis.meaning, axis.label, every, join(Markup("<td>{}</td>").format(cell) for cell in cells),
        Markup('<tr class="rule-row" hidden><td></td><td colspan="{}" data-rules="{}"></td></tr>').format(
            len(stages) + 1, axis.name),
    )  # fmt: skip


def _control(found: Edit, key: str, axis: Axis, label: str) -> Markup:
    said = as_text(found.changed[key]) if key in found.changed else None
    return _input(axis, key, label, found.values[key], found.base.get(key), said)


def _input(axis: Axis, key: str, label: str, value: Any, base: Any, said: str | None = None) -> Markup:
    """A native control. `data-base` is the start's value, so that only what differs goes into the URL.

    `data-said` is what the URL says: a slider moves to its nearest step by itself, which nobody asked for.
    """
    text = as_text(value)
    shared = attributes(id=key, name=key, aria_label=label, data_base=as_text(base), data_said=said)
    if axis.kind in ("choice", "flag"):
        options = [("0", "no"), ("1", "yes")] if axis.kind == "flag" else [(name, name) for name in axis.choices()]
        mixed = Markup('<option value="" selected>mixed</option>') if value is None else Markup("")
        chosen = join(Markup("<option{}>{}</option>").format(attributes(value=name, selected=name == text), word)
                      for name, word in options)  # fmt: skip
        word = next((word for name, word in options if name == text), "mixed")
        return Markup("<select{}{}>{}{}</select>").format(shared, attributes(title=word), mixed, chosen)
    bounds = attributes(min=f"{axis.low:g}", max=f"{axis.high:g}", step=f"{axis.step:g}")
    if not axis.slider:
        step = attributes(min=f"{axis.low:g}", max=f"{axis.high:g}", step="any" if axis.kind == "share" else 1,
                          inputmode="decimal")  # fmt: skip
        blank = "mixed" if key.startswith("all.") else "as stage 1"
        return Markup('<input type="number"{}{} value="{}" placeholder="{}">').format(shared, step, text, blank)
    return Markup('<span class="slider"><input type="range"{}{} value="{}"><output>{}</output></span>').format(
        shared, bounds, text or f"{axis.low:g}", f"{float(text):.2g}" if text else "mixed")  # fmt: skip


# -- results


def results(found: Edit, base: Architecture, snapshot: Snapshot, where: Where, *, predict: Predict | None = None,
            places: peers.Places | None = None) -> Markup:  # fmt: skip
    """Costs beside the start's, the layers, the drawing, the nearest candidates, and what to do with it."""
    if found.architecture is None:
        return Markup('<section class="problem-card" role="alert"><h2>This network cannot exist</h2><p>{}</p>'
                      '<p class="muted">The rule stands at the setting that breaks it, where it is one alone.</p>'
                      "</section>").format(found.problem)  # fmt: skip
    deployment, architecture = where.target.deployment, found.architecture
    graph = graph_of(architecture, deployment)
    prediction = predict(graph, snapshot, where) if predict else None
    rows = layers(graph, batch=deployment.batch, precision=deployment.precision,
                  latency=prediction.layers if prediction else None)  # fmt: skip
    ours = cost(graph, batch=deployment.batch, precision=deployment.precision)
    theirs = ours if not found.changed else counted(base, deployment)
    return Markup(
        '<section class="answer-card"><p class="words"><code>{}</code> {}</p>{}<dl class="facts cards">{}{}</dl>{}'
        "</section>"
        '<section><h2>Layers</h2><p class="muted">{}.</p>{}</section>'
        '<section><h2>Drawing</h2><div class="scroll diagram" tabindex="0" role="region" aria-label="Stage diagram">{}'
        "</div></section><section><h2>Nearest trained candidates</h2>{}</section>"
    ).format(
        architecture.id, architecture.words(), _rounded(found),
        join(_fact(name, getattr(ours, name), getattr(theirs, name)) for name in SHOWN), _predicted(prediction),
        actions(found, snapshot, where), where.at, bars(rows), diagram(graph, architecture.id),
        _nearest(snapshot, places, architecture, where),
    )  # fmt: skip


def _rounded(found: Edit) -> Markup:
    if not found.rounded:
        return Markup("")
    return Markup('<p class="muted">Rounded: {}.</p>').format(", ".join(found.rounded))


def _fact(name: str, ours: float, theirs: float) -> Markup:
    words, kind = FIELDS[name].against(ours, theirs)
    said = Markup('<dd class="delta {}">{}</dd>').format(kind, "as the start" if kind == "same" else words)
    return Markup('<div><dt title="{}">{}</dt><dd>{}</dd>{}</div>').format(
        FIELDS[name].meaning, FIELDS[name].label, FIELDS[name].show(ours), said)  # fmt: skip


def _predicted(prediction: Prediction | None) -> Markup:
    shown = FIELDS["latency_ms"].show(prediction.latency_ms) if prediction else "not known"
    source = prediction.source if prediction else "no latency table for the device"
    return Markup('<div><dt>Predicted latency</dt><dd>{}</dd><dd class="delta">{}</dd></div>').format(shown, source)


def actions(found: Edit, snapshot: Snapshot, where: Where) -> Markup:
    """Into the study's queue, as what its space can propose; and the files that can be had at once."""
    assert found.architecture is not None
    pairs, kept = query_of(found), [(name, text) for name, text in carried(snapshot, where).items() if text]
    files = join(
        Markup('<a href="/explore/export{}?{}" download>{}</a> ').format(
            ending, urlencode([*pairs, *kept]), label)
        for ending, (label, _) in FORMATS.items()
    )  # fmt: skip
    return Markup('<div class="row actions-row">{}</div><p class="files-row">Files: {}</p>').format(
        _queue(found.architecture, snapshot), files)  # fmt: skip


def _queue(architecture: Architecture, snapshot: Snapshot) -> Markup:
    def note(text: str) -> Markup:
        return Markup('<span class="muted">{}</span>').format(text)

    if snapshot.study is None:
        return note("There is no study yet that could train it.")
    name, space = isolated(snapshot.study.name), space_of(snapshot.study.config)
    if space is None:
        return note(f"Study “{name}” does not say what its space is, so nothing can be queued.")
    try:
        near, changes = into_space(space, architecture)
    except SpaceError as error:
        return note(str(error))
    same = peers.rows_of(snapshot.columns, near.id) if snapshot.columns is not None else []
    if same and snapshot.columns is not None:
        number = int(numbers(snapshot.columns, "number")[same[0]])
        return Markup('{}<a href="/c/{}?{}">#{} of study “{}”</a>.').format(
            note("Changed to what the study can propose, it is " if changes else "It is "), near.id,
            urlencode({"study": snapshot.study.name}), number, name)  # fmt: skip
    mapped = note(f"becomes {near.id} there: {', '.join(changes).replace('->', '→')}") if changes else note(
        f"inside the space of study “{name}”")  # fmt: skip
    return Markup('<button class="primary" data-queue>Add to the queue of “{}”</button>{}<output aria-live="polite">'
                  "</output>").format(name, mapped)  # fmt: skip


def _nearest(snapshot: Snapshot, places: peers.Places | None, architecture: Architecture, where: Where) -> Markup:
    frame = snapshot.columns
    found = peers.neighbours(frame, places, architecture) if frame is not None and places is not None else []
    if frame is None or not found or snapshot.study is None:
        return Markup('<p class="muted">There is no finished candidate yet.</p>')
    columns = {name: peers.column(frame, name, where) for name in objectives_of(snapshot.study.config)}
    order = numbers(frame, "number")
    rows = join(
        Markup('<tr><td><a class="mono" href="{}">#{}</a></td>{}<td class="changes">{}</td></tr>').format(
            link(f"/c/{each.id}", carried(snapshot, where)), int(order[each.row]),
            join(Markup('<td class="number">{}</td>').format(FIELDS[name].show(float(values[each.row])))
                 for name, values in columns.items()),
            "; ".join(each.changes) or "the same axes")
        for each in found
    )  # fmt: skip
    head = join(Markup('<th scope="col" class="number">{}</th>').format(where.label(name, FIELDS[name].label))
                for name in columns)  # fmt: skip
    return Markup('<div class="scroll" tabindex="0" role="region" aria-label="Nearest candidates"><table><thead><tr>'
                  '<th scope="col">Candidate</th>{}<th scope="col">What it has otherwise</th></tr></thead><tbody>{}'
                  "</tbody></table></div>").format(head, rows)  # fmt: skip


def update(found: Edit, base: Architecture, snapshot: Snapshot, where: Where, known: str, *,
           predict: Predict | None = None, places: peers.Places | None = None) -> dict[str, Any]:  # fmt: skip
    """What the browser needs after a change; the controls only where others are needed than those it has."""
    values = {key: as_text(value) for key, value in found.values.items()}
    answer: dict[str, Any] = {
        "values": values,
        "wrong": found.wrong,
        "problem": found.problem,
        "results": str(results(found, base, snapshot, where, predict=predict, places=places)),
        "shape": shape(found),
    }
    if answer["shape"] != known:
        answer["form"] = str(form(found))
    return answer
