"""The page `/studies`: every study of the database in one line, and the fronts of those that compare."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from dash import html

from dashboard import comparison, effects, figures_studies
from dashboard.candidates import numbers
from dashboard.comparison import Group, Summary
from dashboard.data import Database, Snapshot
from dashboard.fields import FIELDS, MISSING
from dashboard.figures import Theme
from dashboard.pages.parts import candidate_link, chart, chips, note, page, scroll, section
from dashboard.query import choice, link, read
from dashboard.texts import isolated

PATH = "/studies"


def summaries(database: Database, snapshot: Snapshot) -> list[Summary]:
    """Every study of the database, the one that changed last first."""
    found = []
    for row in snapshot.studies:
        mine = database.snapshot(row.name)
        if mine.study is not None and mine.study.name == row.name and mine.columns is not None:
            found.append(comparison.summarise(mine.study, mine.columns))
    return found


def _cost(found: Sequence[Summary], given: Mapping[str, str]) -> str:
    costs = comparison.known(found) or ["macs"]
    return choice(given, "cost", costs, costs[0])


def layout(database: Database, snapshot: Snapshot, query: str) -> html.Div:
    """The page; its charts come by callback from `figures`."""
    given, found = read(query), summaries(database, snapshot)
    cost = _cost(found, given)
    groups = comparison.grouped(found, cost)
    count = f"{len(found)} stud{'ies' if len(found) != 1 else 'y'}, the one that changed last first."
    costs = {name: FIELDS[name].label for name in comparison.known(found)}
    said = ("Studies share axes only where task, recipe, length of training and deployment are the same: other scores "
            "do not compare.")  # fmt: skip
    over = chips("Over", costs, cost, PATH, given, "cost", next(iter(costs), ""))
    return page(
        "Studies",
        count,
        [
            section("All studies", overview(found), name="list", wide=True),
            section("Fronts", html.Div([note(said), over], className="section-head"),
                    *([_group(place, group) for place, group in enumerate(groups)]
                      or [note("No study has a complete candidate yet.")]), name="fronts", wide=True),
        ],
    )  # fmt: skip


def figures(database: Database, snapshot: Snapshot, query: str, theme: Theme) -> dict[str, go.Figure]:
    """The page's charts by name."""
    found = summaries(database, snapshot)
    cost = _cost(found, read(query))
    return {f"front{place}": figures_studies.fronts(group, cost, theme)
            for place, group in enumerate(comparison.grouped(found, cost))}  # fmt: skip


def _group(place: int, group: Group) -> html.Div:
    names = ", ".join(isolated(study.row.name) for study in group.studies)
    return html.Div([html.H3(group.title), chart(f"front{place}", f"Fronts of {names}: {group.title}", 300)],
                    className="front-group")  # fmt: skip


def overview(found: Sequence[Summary]) -> html.Div:
    """One row a study."""
    rows = [
        html.Tr(
            [
                html.Th(html.A(study.row.name, href=link("/", {"study": study.row.name})), scope="row"),
                html.Td(html.Span(study.row.state, className=f"badge {study.row.state}",
                                  title=study.row.message or "")),
                html.Td(str(study.row.config.get("task", MISSING))),
                html.Td(f"{study.done:,}" + (f" of {study.budget:,}" if study.budget is not None else ""),
                        className="number"),
                html.Td(f"{study.failed:,}", className="number"),
                html.Td(f"{study.on_front:,}", className="number"),
                html.Td(_best(study), className="number"),
                html.Td(sparkline(study)),
                html.Td(when(study.row.created_at)),
                html.Td(when(study.row.updated_at)),
                html.Td(html.A("Report", href=link("/report.html", {"study": study.row.name}), download=True,
                               **{"aria-label": f"Report of {study.row.name}"}) if study.done else MISSING),
            ]
        )
        for study in found
    ]  # fmt: skip
    head = [("Study", ""), ("State", ""), ("Task", ""), ("Candidates", "number"), ("Failed", "number"),
            ("On the front", "number"), ("Best score", "number"), ("Hypervolume", ""), ("Created (UTC)", ""),
            ("Updated (UTC)", ""), ("Report", "")]  # fmt: skip
    columns = html.Tr([html.Th(text, scope="col", className=name) for text, name in head])
    return scroll(html.Table([html.Caption("Studies of this database", className="visually-hidden"),
                              html.Thead(columns), html.Tbody(rows)]), "Studies of this database")  # fmt: skip


def _best(study: Summary) -> Any:
    if study.best is None:
        return MISSING
    field, value = FIELDS[study.score], float(numbers(study.frame, study.score)[study.best])
    (number, identity), *_ = effects.keys(study.frame, [study.best])
    link_to = candidate_link(identity, number, study.row.name)
    return [f"{field.label} ", html.B(field.show(value)), " ", link_to]


def sparkline(study: Summary) -> Any:
    """How the hypervolume grew, as a small picture with its end in words."""
    if study.history is None:
        return MISSING
    mask = f'url("{figures_studies.spark(study.history.shares, study.history.numbers)}")'
    end = f"{study.history.shares[-1]:.0%} of its box after {study.history.complete:,} candidates"
    return html.Span(className="spark", role="img", title=end, style={"maskImage": mask, "WebkitMaskImage": mask},
                     **{"aria-label": f"Hypervolume of {isolated(study.row.name)} grew to {end}"})  # fmt: skip


def when(seconds: float) -> str:
    """A time as a date with minutes, UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
