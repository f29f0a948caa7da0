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
from dashboard.pages import analysis, devices, message, studies
from dashboard.query import link, read
from evaluator.record import digest
from search.store import StoreError

PAGES = {page.PATH: page for page in (devices, analysis, studies)}
NAVIGATION = {"/": "Candidates", "/devices": "Devices", "/analysis": "Analysis", "/studies": "Studies"}
CHARTS = {"type": "evidence", "name": ALL}


def navigation(path: str, query: str | None) -> list[html.A]:
    """Links to the pages, of the same study."""
    study = {"study": read(query).get("study", "")}
    return [
        html.A(text, href=link(target, study), **({"aria-current": "page"} if path == target else {}))
        for target, text in NAVIGATION.items()
    ]


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
        shown = PAGES[path].layout(database, snapshot, query)
    except StoreError as error:
        shown = message.card("This page cannot be shown", [html.P(str(error), className="problem")], "error")
    return [shown, dcc.Store(id="evidence-token", data=_version(database, path, snapshot))]


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
            found = PAGES[path].figures(database, snapshot, search or "", theme_called(theme))
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
