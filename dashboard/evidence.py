"""The pages /devices, /analysis and /studies in the app: rendered whole from the URL, their charts in the theme.

A page is a module with `PATH`, `layout(database, snapshot, query)` and `figures(database, snapshot, query, theme)`.
All choices are links, so nothing here keeps state: a change of the data renders the page anew.
"""

from __future__ import annotations

from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.data import Database, Snapshot
from dashboard.figures import theme_called
from dashboard.figures_analysis import unavailable
from dashboard.narrow import KEYS, filters, narrowed
from dashboard.pages import analysis, devices, message, studies
from dashboard.query import link, read
from dashboard.targets import where
from evaluator.record import digest
from search.store import StoreError

PAGES = {page.PATH: page for page in (devices, analysis, studies)}
CHARTS = {"type": "evidence", "name": ALL}


def stands(path: str | None, snapshot: Snapshot) -> bool:
    """Whether `path` is one of these pages and has something to show: studies without candidates are listed too."""
    return path in PAGES and (snapshot.phase == "ready" or (path == studies.PATH and snapshot.phase == "waiting"))


def page(database: Database, path: str, snapshot: Snapshot, query: str, poll_ms: int = 2_500) -> html.Div:
    """A page that `stands`. The list of all studies asks by itself: the page's version is of one study."""
    clock = [dcc.Interval(id="evidence-clock", interval=poll_ms)] if path == studies.PATH else []
    return html.Div([html.Div(_content(database, path, snapshot, query), id="evidence-page"), *clock])


def _version(database: Database, path: str, snapshot: Snapshot) -> str:
    """What changes with all that a page shows."""
    if path != studies.PATH:
        return snapshot.token
    return digest([[row.name, row.updated_at, database.snapshot(row.name).token] for row in snapshot.studies])


def _content(database: Database, path: str, snapshot: Snapshot, query: str) -> list[Any]:
    try:
        among, said = _inside(database, path, snapshot, query)
        shown = [PAGES[path].layout(database, among, query)]
    except StoreError as error:
        said = ""
        shown = [message.card("This page cannot be shown", [html.P(str(error), className="problem")], "error")]
    if said:
        everything = link(path, {name: value for name, value in read(query).items() if name not in KEYS})
        shown.insert(0, html.P([f"{said} ", html.A("All candidates of the study", href=everything)], id="narrowed"))
    return [*shown, dcc.Store(id="evidence-token", data=_version(database, path, snapshot))]


def _inside(database: Database, path: str, snapshot: Snapshot, query: str) -> tuple[Snapshot, str]:
    """What the filters of the first screen leave of a snapshot, and what to say of it; studies are shown whole."""
    if path == studies.PATH or not filters(query):
        return snapshot, ""
    return narrowed(snapshot, query, where(database, snapshot, read(query).get("dev", "")))


def connect(app: Dash, database: Database) -> None:
    """The callbacks of these pages."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output(CHARTS, "figure"),
        Input("theme", "data"), State(CHARTS, "id"), State("url", "pathname"), State("url", "search"),
    )  # fmt: skip
    def draw(theme: str | None, ids: list[dict[str, str]], path: str, search: str | None) -> Any:
        snapshot = database.snapshot(read(search).get("study", ""))
        if theme is None or not stands(path, snapshot):
            raise PreventUpdate
        try:
            among, _ = _inside(database, path, snapshot, search or "")
            found = PAGES[path].figures(database, among, search or "", theme_called(theme))
        except StoreError as error:
            return [unavailable(str(error), theme_called(theme))] * len(ids)
        return [found.get(each["name"], no_update) for each in ids]

    shown = State("url", "pathname"), State("url", "search"), State("evidence-token", "data")

    @app.callback(  # type: ignore[untyped-decorator]
        Output("evidence-page", "children", allow_duplicate=True), Input("evidence-clock", "n_intervals"), *shown,
        prevent_initial_call=True,
    )  # fmt: skip
    @app.callback(  # type: ignore[untyped-decorator]
        Output("evidence-page", "children"), Input("version", "data"), *shown, prevent_initial_call=True
    )
    def refresh(_: Any, path: str, search: str | None, token: str) -> Any:
        snapshot = database.snapshot(read(search).get("study", ""))
        if not stands(path, snapshot) or _version(database, path, snapshot) == token:
            raise PreventUpdate
        return _content(database, path, snapshot, (search or "").lstrip("?"))

    app.clientside_callback(
        ClientsideFunction(namespace="csp_pages", function_name="open"),
        Output("evidence-token", "modified_timestamp"), Input(CHARTS, "clickData"), prevent_initial_call=True,
    )  # fmt: skip
