"""The page `/analysis`: which axes matter, by how much, how sure that is, and how the search went."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from dash import html

from dashboard import effects, figures_analysis
from dashboard.candidates import complete, without_score
from dashboard.data import Database, Snapshot
from dashboard.effects import FEW
from dashboard.fields import FIELDS, MISSING, Field
from dashboard.figures import Theme
from dashboard.pages.parts import (
    bar,
    chart,
    chips,
    note,
    page,
    pick_one,
    plus_minus,
    scroll,
    section,
    signed,
    strip,
    table,
    two_lines,
)
from dashboard.query import choice, read
from dashboard.view import objectives_of
from search.importance import FEWEST, Importance
from space.zoo.published import published

if TYPE_CHECKING:
    from search.columns import Columns

PATH = "/analysis"
TOPS = {"10": "top tenth", "25": "top quarter", "50": "top half"}
FUSIONS = {"fusion-first": "first", "fusion-last": "last", "CSPPeleeNet": "csp"}
HEAD_COLUMNS = ("macs", "latency_ms", "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "accuracy")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the URL says of this page."""

    given: Mapping[str, str]
    metric: str
    top: str
    rows: str
    columns: str
    by: str


def choices(frame: Columns, config: Mapping[str, Any], query: str) -> Choices:
    """The query's choices, each one that this study has."""
    given = read(query)
    metrics, axes = effects.metrics_of(frame, config), effects.axes_of(frame)
    rows = choice(given, "rows", axes, "fusion")
    return Choices(
        given=given,
        metric=choice(given, "metric", metrics, metrics[0]),
        top=choice(given, "top", list(TOPS), "10"),
        rows=rows,
        columns=choice(given, "across", axes, "partial_ratio" if rows != "partial_ratio" else "fusion"),
        by=choice(given, "curves", ["", *axes]),
    )


@dataclass(frozen=True, kw_only=True)
class Target:
    """What importance is taken for: a metric of the study, or the latency on another place."""

    title: str
    detail: str
    losses: Any
    """Of each candidate, less is better; NaN where unknown."""
    elsewhere: bool = False

    @property
    def known(self) -> int:
        """Candidates that have it."""
        return int(np.isfinite(self.losses).sum())


Targets = dict[str, Target]


def layout(database: Database, snapshot: Snapshot, query: str) -> html.Div:
    """The page; its charts come by callback from `figures`."""
    assert snapshot.columns is not None
    assert snapshot.study is not None
    frame, config = snapshot.columns, snapshot.study.config
    known = int(np.isfinite(effects.measured(frame, objectives_of(config)[0])).sum())
    lead = (f"Of {known:,} candidates that were trained to the end. The sampler chose them, so groups differ in more "
            "than their name says.")  # fmt: skip
    if not known:
        said = without_score(frame, snapshot.study.state, FIELDS[objectives_of(config)[0]].label)
        return page("Analysis", "", [section("No candidate is complete", note(said), name="empty", wide=True)])
    chosen = choices(frame, config, query)
    metrics = {name: FIELDS[name].label for name in effects.metrics_of(frame, config)}
    grown, agreed = _search_facts(database, snapshot)
    return page(
        "Analysis",
        lead,
        [
            importance_section(frame, *importances(database, snapshot, chosen.top), chosen),
            section("Main effects", *main_effects(frame, config, chosen, metrics), name="effects", wide=True),
            section(f"{FIELDS[chosen.rows].label} × {FIELDS[chosen.columns].label}", *grid_body(frame, config, chosen),
                    name="grid", wide=True),
            section("Heads", *heads(frame, config), name="heads", wide=True),
            section("Hypervolume", *history_body(grown), name="history"),
            section("Proxy and verified score", *agreement_body(agreed), name="agreement"),
            section("Error distribution", *distribution_body(frame, config, chosen), name="distribution", wide=True),
        ],
    )  # fmt: skip


def figures(database: Database, snapshot: Snapshot, query: str, theme: Theme) -> dict[str, go.Figure]:
    """The page's charts by name."""
    assert snapshot.columns is not None
    assert snapshot.study is not None
    frame, config = snapshot.columns, snapshot.study.config
    chosen, score = choices(frame, config, query), objectives_of(config)[0]
    found: dict[str, go.Figure] = {}
    grown, agreed = _search_facts(database, snapshot)
    if grown is not None:
        found["history"] = figures_analysis.history(grown, theme)
        found["distribution"] = figures_analysis.distribution(frame, chosen.metric, chosen.by, theme)
    if agreed is not None:
        found["agreement"] = figures_analysis.agreement(frame, score, agreed, theme)
    return found


def _search_facts(database: Database, snapshot: Snapshot) -> tuple[effects.History | None, effects.Agreement | None]:
    """Hypervolume history, and how proxy and verification agree."""
    assert snapshot.columns is not None
    frame, objectives = snapshot.columns, objectives_of(snapshot.study.config if snapshot.study else {})
    return (
        database.kept(snapshot, "history", lambda: effects.history(frame, objectives)),
        database.kept(snapshot, "agreement", lambda: effects.agreement(frame, objectives[0])),
    )


# -- importance


def targets(database: Database, snapshot: Snapshot) -> Targets:
    """What importance is taken for: the study's metrics, then other places' latencies."""
    assert snapshot.columns is not None
    assert snapshot.study is not None
    frame, config = snapshot.columns, snapshot.study.config
    found = {}
    for name in effects.metrics_of(frame, config):
        base, _, where = name.partition("@")
        detail = f"on {where}" if where else ""
        found[name] = Target(title=FIELDS[base].label, detail=detail, losses=effects.loss(frame, name))
    done = complete(frame)
    for place in database.places(snapshot):
        there = Target(title=place.title, detail=place.runtime, losses=np.where(done, place.measured, np.nan),
                       elsewhere=True)  # fmt: skip
        if not place.host and there.known >= FEWEST:
            found[place.key] = there
    return found


def importances(database: Database, snapshot: Snapshot, top: str) -> tuple[Targets, dict[str, dict[str, Importance]]]:
    """What importance is taken for, and the importances."""
    frame, wanted = snapshot.columns, targets(database, snapshot)
    assert frame is not None

    def compute() -> dict[str, dict[str, Importance]]:
        return effects.importances(frame, {name: each.losses for name, each in wanted.items()}, int(top) / 100)

    return wanted, database.kept(snapshot, f"importance {top}", compute)


def importance_section(frame: Columns, wanted: Targets, found: dict[str, dict[str, Importance]],
                       chosen: Choices) -> html.Section:  # fmt: skip
    """One column an objective or device, one row an axis."""
    title = "Which axes matter"
    most = max((each.known for each in wanted.values()), default=0)
    if most < FEWEST:
        return section(title, note(f"Needs {FEWEST} complete candidates; there are {most}."),
                       name="importance", wide=True)  # fmt: skip
    found = {name: each for name, each in found.items() if each and wanted[name].known >= FEWEST}
    if not found:
        return section(title, note("All complete candidates have equal values: nothing tells them apart."),
                       name="importance", wide=True)  # fmt: skip
    return section(
        title,
        html.Div([
            note("How differently an axis is distributed among the best and among all, as a share of all axes "
                 "(PED-ANOVA, Watanabe et al. 2023). Grey: no more than 95 % of blind draws reach; the mark is that "
                 "level."),
            chips("The best are the", TOPS, chosen.top, PATH, chosen.given, "top", "10"),
        ], className="section-head"),
        _importance_table(effects.axes_of(frame), {name: wanted[name] for name in found}, found),
        name="importance", wide=True,
    )  # fmt: skip


def _importance_table(axes: list[str], shown: Targets, found: Mapping[str, Mapping[str, Importance]]) -> html.Div:
    totals = {name: sum(each.value for each in column.values()) or 1.0 for name, column in found.items()}
    axes = sorted(axes, key=lambda axis: -max(found[name][axis].value / totals[name] for name in found))
    caption = "Importance of each axis for each objective and on each device, shares"
    rows = [
        html.Tr([html.Th("Candidates", scope="row"),
                 *(html.Td(f"{each.known:,}", className="importance-n") for each in shown.values())], className="few"),
        *(html.Tr([html.Th(FIELDS[axis].label, scope="row"),
                   *(html.Td(_share(found[name][axis], totals[name])) for name in found)]) for axis in axes),
    ]  # fmt: skip
    head = html.Thead(_importance_head(list(shown.values())))
    label = html.Caption(caption, className="visually-hidden")
    return scroll(html.Table([label, head, html.Tbody(rows)]), caption)


def _importance_head(shown: list[Target]) -> list[html.Tr]:
    """The study's own metrics, and under one heading the places whose latency it is."""
    own = [each for each in shown if not each.elsewhere]
    places = [html.Th(two_lines(each.title, each.detail), scope="col") for each in shown if each.elsewhere]
    down = {"rowSpan": 2} if places else {}
    first = [html.Th("Axis", scope="col", **down),
             *(html.Th(two_lines(each.title, each.detail), scope="col", **down) for each in own)]  # fmt: skip
    if not places:
        return [html.Tr(first)]
    return [html.Tr([*first, html.Th("Latency on", scope="colgroup", colSpan=len(places), className="group")]),
            html.Tr(places)]  # fmt: skip


def _share(found: Importance, total: float) -> html.Span:
    share, chance = found.value / total, found.chance / total
    below = not found.value > found.chance
    text = f"divergence {found.value:.3g}, chance alone {found.chance:.3g}"
    marked = html.Span([bar(share), html.Span(className="mark", style={"left": f"{min(1.0, chance):.1%}"})],
                       className="marked", **{"aria-hidden": "true"})  # fmt: skip
    said = html.Span("within chance" if below else "above chance", className="visually-hidden")
    return html.Span([marked, html.Span(f"{share:.0%}", className="value"), said],
                     className="importance few" if below else "importance", title=text)  # fmt: skip


# -- main effects


def main_effects(frame: Columns, config: Mapping[str, Any], chosen: Choices, metrics: Mapping[str, str]) -> list[Any]:
    """A table an axis: each of its values with count, mean, spread and a strip on one scale."""
    field, values = FIELDS[chosen.metric], effects.measured(frame, chosen.metric)
    overall = effects.summary(values)
    head = [
        html.Div([
            note(f"{field.label} over the values of each axis: line 10 to 90 %, box 25 to 75 %, tick the median; ± is "
                 f"one standard deviation. Below {FEW} candidates grey. ", *_noise(frame, config, chosen.metric)),
            chips("Show", metrics, chosen.metric, PATH, chosen.given, "metric", next(iter(metrics))),
        ], className="section-head"),
    ]  # fmt: skip
    if not overall.n:
        return [*head, note(f"No complete candidate has {field.label}.")]
    found = {axis: effects.slices(frame, axis, values) for axis in effects.axes_of(frame)}
    if not found:
        return [*head, note("All complete candidates have the same axes.")]
    ends = [end for rows in found.values() for _, each in rows for end in (each.ends[0], each.ends[-1])]
    low, high = min(ends), max(ends)
    scale = f"{field.show(low)} to {field.show(high)}"
    return [*head, note(f"Scale of every strip: {scale}."),
            html.Div([_slice_card(axis, rows, field, low, high) for axis, rows in found.items()],
                     className="cards")]  # fmt: skip


def _slice_card(axis: str, rows: list[tuple[str, effects.Summary]], field: Field, low: float, high: float) -> html.Div:
    body = []
    for label, each in rows:
        text = f"{label}: median {field.show(each.ends[2])}, {field.show(each.ends[1])} to {field.show(each.ends[3])}"
        body.append(
            html.Tr(
                [
                    html.Th(label, scope="row"),
                    html.Td(f"{each.n:,}", className="number"),
                    html.Td(strip(each, low, high, text), className="wide-cell"),
                    html.Td(plus_minus(field, each.mean, each.std), className="number"),
                ],
                className="few" if each.n < FEW else "",
            )
        )
    label = FIELDS[axis].label
    head = html.Tr([html.Th(text, scope="col", className=name) for text, name in
                    ((label, ""), ("n", "number"), (html.Span("spread", className="visually-hidden"), ""),
                     ("mean ± std", "number"))])  # fmt: skip
    return html.Div(html.Table([html.Caption(f"{field.label} by {label}", className="visually-hidden"),
                                html.Thead(head), html.Tbody(body)]), className="card-table")  # fmt: skip


def _noise(frame: Columns, config: Mapping[str, Any], metric: str) -> list[Any]:
    """What one training's noise is, where the metric is a trained one and the noise is known."""
    score = objectives_of(config)[0]
    if metric != score:
        return []
    found = effects.noises(frame, score)
    if not found:
        return ["The noise of one training is not measured: ", html.Code("python -m search.audit --seeds 2"), "."]
    texts = [
        f"{'of a long training (verification)' if each.long else 'of one training'} std {each.std:.2g} "
        f"({each.candidates} candidates with several seeds)"
        for each in found
    ]
    return [f"Noise of the score: {'; '.join(texts)}."]


# -- the grid in the form of Table 1


def grid_body(frame: Columns, config: Mapping[str, Any], chosen: Choices) -> list[Any]:
    """The chosen metric over two axes, with MACs as in the paper's Table 1, and that table beside it."""
    field = FIELDS[chosen.metric]
    axes = {name: FIELDS[name].label for name in effects.axes_of(frame)}
    if chosen.rows not in axes or chosen.columns not in axes:
        missing = " and ".join(FIELDS[name].label for name in (chosen.rows, chosen.columns) if name not in axes)
        pickers = _pickers(axes, chosen)
        return [pickers, note(f"All candidates agree in {missing}: there is nothing to compare.")]
    found = effects.grid(frame, chosen.rows, chosen.columns, chosen.metric)
    said = [f"{field.label}: mean ± standard deviation over the candidates of a cell, their number and mean MACs, in "
            f"the form of the paper's Table 1. Cells of fewer than {FEW} are grey. "]  # fmt: skip
    if not math.isnan(found.chance):
        at_most = (
            f"at most {1 / (effects.SHUFFLES + 1):.1%}"
            if found.chance * effects.SHUFFLES < 1.5
            else f"{found.chance:.0%}"
        )
        said.append(f"Shuffled at random, cells differ as much in {at_most} of the draws: "
                    f"{'more than chance' if found.chance < 0.05 else 'no more than chance would give'}. ")  # fmt: skip
    paper = table1() if (chosen.rows, chosen.columns) == ("fusion", "partial_ratio") else None
    return [
        html.Div([note(*said, *_noise(frame, config, chosen.metric)), _pickers(axes, chosen)],
                 className="section-head"),
        scroll(_grid_table(found, field, chosen), "Grid of two axes"),
        paper,
    ]  # fmt: skip


def _pickers(axes: Mapping[str, str], chosen: Choices) -> html.Div:
    return html.Div([pick_one("Rows", axes, chosen.rows, PATH, chosen.given, "rows", "fusion"),
                     pick_one("Columns", axes, chosen.columns, PATH, chosen.given, "across", "partial_ratio")],
                    className="pickers")  # fmt: skip


def _grid_table(found: effects.Grid, field: Field, chosen: Choices) -> html.Table:
    enough = np.where(found.n >= FEW, found.mean, np.nan)
    known = enough[np.isfinite(enough)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    rows = []
    for i, label in enumerate(found.rows):
        cells = [_cell(found, i, j, field, low, high) for j in range(len(found.columns))]
        rows.append(html.Tr([html.Th(label, scope="row"), *cells]))
    name = f"{FIELDS[chosen.rows].label} ↓  {FIELDS[chosen.columns].label} →"
    head = html.Tr([html.Th(name, scope="col"), *(html.Th(label, scope="col") for label in found.columns)])
    return html.Table([html.Caption(f"{field.label} by {name}", className="visually-hidden"), html.Thead(head),
                       html.Tbody(rows)], className="grid")  # fmt: skip


def _cell(found: effects.Grid, i: int, j: int, field: Field, low: float, high: float) -> html.Td:
    n = int(found.n[i, j])
    if not n:
        return html.Td(MISSING, className="few")
    mean = float(found.mean[i, j])
    lines = [
        html.Div(plus_minus(field, mean, float(found.std[i, j])), className="cell-value"),
        html.Div(f"n {n:,} · {FIELDS['macs'].show(float(found.macs[i, j]))} MACs", className="unit"),
    ]
    if n < FEW:
        return html.Td(lines, className="few")
    share = (mean - low) / (high - low) if high > low else 0.0
    return html.Td(lines, style={"--share": f"{share * 34:.0f}%"}, className="shaded")


def table1() -> html.Details:
    """The paper's Table 1: other data, other networks, so only the order compares."""
    body = []
    for row in published(table="CSPNet Table 1"):
        name, _, ratio = row.network.rpartition(" ")
        fusion = next((value for text, value in FUSIONS.items() if text in name), "none")
        body.append([fusion, ratio if name else "0", _plain(row.bflops), f"{row.top1:.1f}" if row.top1 else MISSING])
    return html.Details(
        [
            html.Summary("The paper's Table 1, to compare the order"),
            table("Published: PeleeNet on ImageNet, 224×224 (Wang et al. 2020). Other data than this study's.",
                  ["Fusion", "γ", "BFLOPs", "Top-1 (%)"], body, numeric=(1, 2, 3)),
        ],
        className="menu reference",
    )  # fmt: skip


def _plain(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


# -- heads in the form of Table 2


def heads(frame: Columns, config: Mapping[str, Any]) -> list[Any]:
    """Every head with its cost and accuracies, and the paper's Table 2."""
    found = effects.groups(frame, "head")
    names = [name for name in dict.fromkeys((*objectives_of(config)[1:], *HEAD_COLUMNS, objectives_of(config)[0]))
             if np.isfinite(effects.measured(frame, name)).any()]  # fmt: skip
    names.sort(key=lambda name: list(FIELDS).index(name.partition("@")[0]) + 100 * FIELDS[name].kind.startswith("x"))
    costs_first = sorted(names, key=lambda name: FIELDS[name].direction == "maximize")
    body: list[list[Any]] = []
    faint: list[int] = []
    for place, label in enumerate(found.labels):
        mine = found.index == place
        rows = {name: effects.summary(np.where(mine, effects.measured(frame, name), np.nan)) for name in costs_first}
        n = max(each.n for each in rows.values())
        if n:
            if n < FEW:
                faint.append(len(body))
            body.append([label, f"{n:,}", *(plus_minus(FIELDS[name], each.mean, each.std)
                                            for name, each in rows.items())])  # fmt: skip
    if len(body) < 2:
        only = body[0][0] if body else "none"
        return [note(f"All candidates have one head ({only}): there is nothing to compare."), table2()]
    ours = table("Heads of this study", ["Head", "n", *(FIELDS[name].label for name in costs_first)], body,
                 numeric=range(1, len(costs_first) + 2), faint=faint)  # fmt: skip
    return [note("Mean ± standard deviation over all candidates with a head, in the form of the paper's Table 2; their "
                 f"backbones differ. Fewer than {FEW} candidates are grey."), ours, table2()]  # fmt: skip


def table2() -> html.Details:
    """The paper's Table 2."""
    body = [
        [row.network.removeprefix("CSPPeleeNet-"), _plain(row.bflops), f"{row.fps:g}" if row.fps else MISSING,
         *(f"{value:.1f}" if value is not None else MISSING for value in (row.ap, row.ap50, row.ap75))]
        for row in published(table="CSPNet Table 2")
    ]  # fmt: skip
    return html.Details(
        [
            html.Summary("The paper's Table 2, to compare the order"),
            table("Published: CSPPeleeNet with each head, COCO test-dev, 416×416, frames a second on a GTX 1080 Ti.",
                  ["Head", "BFLOPs", "FPS", "AP", "AP50", "AP75"], body, numeric=range(1, 6)),
        ],
        className="menu reference",
    )  # fmt: skip


# -- the search itself


def history_body(found: effects.History | None) -> list[Any]:
    """How the front grew, in words and as a chart."""
    if found is None:
        return [note("No complete candidate has all objectives.")]
    *most, last = [FIELDS[name].label if FIELDS[name].label[1:2].isupper() else FIELDS[name].label.lower()
                   for name in found.objectives]  # fmt: skip
    over = f"{', '.join(most)} and {last}" if most else last
    ninety = next(number for number, share in zip(found.numbers, found.shares) if share >= 0.95 * found.shares[-1])
    said = (f"Volume that the front of {over} dominates, as a share of the box between best and worst. 95 % of today's "
            f"was reached after {ninety:,} of {found.complete:,} candidates.")  # fmt: skip
    return [note(said), chart("history", f"Hypervolume over candidates. {said}", 270)]


def agreement_body(found: effects.Agreement | None) -> list[Any]:
    """How far the proxy ranks as long trainings do."""
    if found is None:
        return [note("Fewer than three candidates are verified. Train the front longer: ",
                     html.Code("python -m search.verify"), ".")]  # fmt: skip
    tau = found.tau
    said = (f"Kendall τ {signed(tau.value)} (95 % interval {signed(tau.low)} to {signed(tau.high)}) over "
            f"{len(found.rows):,} verified candidates.")  # fmt: skip
    if found.lead is not None and not math.isnan(found.lead.low):
        lead = found.lead
        sure = "better" if lead.low > 0 else "worse" if lead.high < 0 else "not surely better or worse"
        said += (f" MACs alone would rank with {signed(tau.value - lead.value)}: the proxy is {sure} "
                 f"({signed(lead.value)}, {signed(lead.low)} to {signed(lead.high)}).")  # fmt: skip
    return [note(said, " What is verified is mostly the front; over all candidates τ may differ."),
            chart("agreement", f"Proxy score against verified score. {said}", 270)]  # fmt: skip


def distribution_body(frame: Columns, config: Mapping[str, Any], chosen: Choices) -> list[Any]:
    """The error distribution of the space as sampled."""
    values = effects.measured(frame, chosen.metric)
    n = int(np.isfinite(values).sum())
    axes = {"": "none", **{name: FIELDS[name].label for name in effects.axes_of(frame)}}
    band = math.sqrt(math.log(2 / 0.05) / (2 * n)) if n else math.nan
    sampler = str(config.get("sampler", "unknown"))
    biased = (
        ""
        if sampler == "random"
        else f" The sampler “{sampler}” looks for good ones: this is of what was tried, not of the whole space."
    )
    said = (f"Share of candidates at or below each value, as in Radosavovic et al. (2020): a better space lies "
            f"further left. With {n:,} candidates a curve is known to ± {band:.0%} (95 %).{biased}")  # fmt: skip
    return [html.Div([note(said), pick_one("Curves by", axes, chosen.by, PATH, chosen.given, "curves", "")],
                     className="section-head"),
            chart("distribution", f"Error distribution. {said}", 300)]  # fmt: skip
