"""create_app(database) -> dash.Dash: the shell, the routes, and callbacks that only connect pure functions.

The URL's query is the only state of a view (dashboard/view.py). The browser asks once in `POLL_MS` whether
the database changed; everything else happens only then, or when a person touches a control.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import flask
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard import candidates, detail, figures
from dashboard.data import Database, Snapshot
from dashboard.fields import CHIPS, FILTERED
from dashboard.pages import candidate, message, overview
from dashboard.references import references
from dashboard.view import View, default_view, objectives_of
from space.zoo import Entry

POLL_MS = 2500
Function = TypeVar("Function", bound=Callable[..., Any])


def create_app(database: Database, *, hosts: tuple[str, ...] = (), poll_ms: int = POLL_MS,
               shown: Sequence[Entry] = ()) -> Dash:  # fmt: skip
    """The dashboard over `database`. With `hosts`, requests that name another host are refused.

    `shown` are published networks to mark in the plot.
    """
    app = Dash(
        __name__,
        title="CSP Explorer",
        update_title="",
        serve_locally=True,
        compress=False,
        suppress_callback_exceptions=True,
        health_endpoint=None,
        use_pages=False,
        pages_folder="",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"},
                   {"name": "color-scheme", "content": "light dark"}],
    )  # fmt: skip
    app.layout = lambda: shell(database, poll_ms)
    _routes(app, database, detail.connect(app, database))
    _overview(app, database, shown)
    _browser(app)
    _serve(app, database, hosts)
    return app


def _callback(app: Dash, *arguments: Any, **options: Any) -> Callable[[Function], Function]:
    """`app.callback` with a type: Dash has none."""
    decorate: Callable[[Function], Function] = app.callback(*arguments, **options)
    return decorate


def shell(database: Database, poll_ms: int) -> html.Div:
    """What every page shares: the header and the stores."""
    return html.Div(
        [
            html.A("Skip to the content", href="#main", className="skip"),
            html.Header(
                [
                    html.A("CSP Explorer", href="/", className="brand"),
                    html.Div(id="studies", className="studies"),
                    html.Div(id="status", className="status"),
                    html.Span(id="age", className="age"),
                    html.Button("Copy link", id="copy", n_clicks=0, title="Copy a link to exactly this view"),
                    html.Button("Theme", id="theme-toggle", n_clicks=0, **{"aria-label": "Switch light and dark"}),
                ],
                className="top",
            ),
            html.Main(html.Div("Loading…", className="skeleton"), id="main", tabIndex=-1),
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Interval(id="tick", interval=poll_ms),
            dcc.Interval(id="second", interval=1000),
            dcc.Store(id="version"),
            dcc.Store(id="theme"),
            dcc.Store(id="title-echo"),
        ],
        className="shell",
    )


def _query_view(query: str | None, database: Database) -> tuple[Snapshot, View, View]:
    """The snapshot that a query asks for, its view, and the default view of that study."""
    wanted = View.from_query(query, View()).study
    snapshot = database.snapshot(wanted)
    default = default_view(snapshot.study.config if snapshot.study else {})
    return snapshot, View.from_query(query, default), default


def _routes(app: Dash, database: Database, pages: detail.Pages) -> None:
    @_callback(
        app,
        Output("main", "children"), Output("studies", "children"),
        Input("url", "pathname"), Input("url", "search"),
    )  # fmt: skip
    def route(path: str | None, search: str | None) -> tuple[Any, Any]:
        snapshot, view, default = _query_view(search, database)
        query = (search or "").lstrip("?")
        page = None
        if snapshot.phase == "ready" or (path or "").rstrip("/") == "/explore":  # which needs no study
            page = pages.page(path, query, snapshot)
        if page is not None:
            return page, study_picker(snapshot)
        if path not in ("/", "", None) and not re.match("/(c|compare)/?", path or ""):
            return message.not_found(path or ""), study_picker(snapshot)
        if snapshot.phase != "ready":
            return message.state(database, snapshot), study_picker(snapshot)
        if path not in ("/", "", None):
            return message.not_found(path or ""), study_picker(snapshot)
        return overview.layout(snapshot, view, default), study_picker(snapshot)

    @_callback(
        app,
        Output("version", "data"), Output("status", "children"),
        Input("tick", "n_intervals"), Input("url", "search"), State("version", "data"),
    )  # fmt: skip
    def poll(ticks: int | None, search: str | None, version: dict[str, Any] | None) -> tuple[Any, Any]:
        snapshot = _query_view(search, database)[0]
        study = snapshot.study.name if snapshot.study else ""
        fresh = {"phase": snapshot.phase, "token": snapshot.token, "study": study, "problem": snapshot.problem}
        if version and all(version.get(key) == value for key, value in fresh.items()):
            raise PreventUpdate
        status = overview.status_line(snapshot) if snapshot.phase == "ready" else []
        return {**fresh, **overview.freshness(snapshot)}, status


def study_picker(snapshot: Snapshot) -> Any:
    """A selector where there are several studies, else the one's name."""
    if snapshot.study is None:
        return []
    names = [row.name for row in snapshot.studies]
    if len(names) < 2:
        return html.Span(snapshot.study.name, className="study-name", title="study")
    return dcc.Dropdown(id="study", options=[{"label": name, "value": name} for name in names],
                        value=snapshot.study.name, clearable=False, className="choice")  # fmt: skip


def _overview(app: Dash, database: Database, shown: Sequence[Entry]) -> None:
    def read(study: str, query: str) -> tuple[Snapshot, View, View]:
        snapshot = database.snapshot(study)
        if snapshot.frame is None or snapshot.study is None:
            raise PreventUpdate
        default = default_view(snapshot.study.config)
        return snapshot, View.from_query(query, default), default

    slider, kind = {"type": "filter", "name": ALL}, {"type": "kind", "name": ALL}

    @_callback(
        app,
        Output("view", "data"),
        Input("x", "value"), Input("y", "value"), Input("x-log", "value"), Input("y-log", "value"),
        Input("color", "value"), Input("size", "value"), Input("front", "value"), Input("show", "value"),
        Input(slider, "value"), Input(kind, "value"), Input("table", "selectedRows"),
        Input("zoom", "data"),
        State(slider, "min"), State(slider, "max"), State(kind, "options"), State("page-study", "data"),
        State("view", "data"),
        prevent_initial_call=True,
    )  # fmt: skip
    def chosen(x: str, y: str, x_log: list[str], y_log: list[str], color: str, size: str, front: str,
               show: list[str], values: list[Any], kinds: list[list[str]], rows: list[dict[str, Any]] | None,
               zoom: dict[str, Any],
               lows: list[float], highs: list[float], options: list[list[dict[str, str]]], study: str,
               query: str) -> Any:  # fmt: skip
        _, old, default = read(study, query)
        kept = {
            name: tuple(option["value"] for option in offered if option["value"] in value)
            for name, value, offered in zip(CHIPS, kinds, options, strict=True)
            if len(value) < len(offered)
        }
        # Everything is read anew, whatever triggered this: Dash drops the answer to an event that another overtakes.
        view = View(
            x=x, y=y, x_log=bool(x_log), y_log=bool(y_log), color=color, size=size, front=front,
            show=tuple(show), ranges=overview.ranges_of(FILTERED, values, lows, highs), kinds=kept,
            selected=tuple(sorted(int(row["key"]) for row in rows or [] if "key" in row)), study=old.study,
        ).zoomed(zoom)  # fmt: skip
        fresh = view.to_query(default)
        return no_update if fresh == query else fresh

    @_callback(
        app,
        Output("table", "rowData"), Output("answer", "children"), Output("count", "children"),
        Input("view", "data"), Input("version", "data"), State("page-study", "data"),
    )  # fmt: skip
    def tell(query: str, _: Any, study: str) -> tuple[Any, Any, Any]:
        snapshot, view, default = read(study, query)
        assert snapshot.frame is not None
        assert snapshot.study is not None
        objectives = objectives_of(snapshot.study.config)
        picked = candidates.pick(snapshot.frame, view, objectives)
        return (
            overview.rows(snapshot.frame, picked, default),
            overview.answer(snapshot.frame, view, picked, objectives),
            overview.count(snapshot.frame, view, picked),
        )

    @_callback(
        app,
        Output("plot", "figure"),
        Input("view", "data"), Input("version", "data"), Input("theme", "data"), State("page-study", "data"),
    )  # fmt: skip
    def draw(query: str, _: Any, theme: str | None, study: str) -> Any:
        if theme is None:
            raise PreventUpdate
        snapshot, view, _ = read(study, query)
        assert snapshot.frame is not None
        assert snapshot.study is not None
        objectives = objectives_of(snapshot.study.config)
        picked = candidates.pick(snapshot.frame, view, objectives)
        return figures.scatter(
            snapshot.frame, view, picked, figures.theme_called(theme), score=objectives[0],
            references=references(shown, candidate.deployment_of(snapshot.study.config)),
        )  # fmt: skip

    @_callback(
        app,
        Output(slider, "min"), Output(slider, "max"), Output(slider, "step"), Output(slider, "value"),
        Output({"type": "bars", "name": ALL}, "children"), Output({"type": "filter-box", "name": ALL}, "hidden"),
        Output(kind, "options"), Output(kind, "value"), Output({"type": "kind-box", "name": ALL}, "hidden"),
        Output("table", "columnDefs"), Output("show", "value"),
        Input("version", "data"), Input("reset", "n_clicks"), State("view", "data"), State("page-study", "data"),
        State(slider, "min"), State(slider, "max"), State("table", "columnDefs"), State(kind, "options"),
        prevent_initial_call=True,
    )  # fmt: skip
    def stretch(_: Any, __: int, query: str, study: str, lows: list[float], highs: list[float],
                defined: list[dict[str, Any]], old_options: list[list[dict[str, str]]]) -> Any:  # fmt: skip
        snapshot, view, default = read(study, query)
        assert snapshot.frame is not None
        reset = _triggered("reset")
        if reset:
            view = default
        states = [overview.slider_state(snapshot.frame, view, name) for name in FILTERED]
        filled = [state or (0.0, 1.0, [0.0, 1.0], 0.1) for state in states]
        unchanged = [state[0] for state in filled] == lows and [state[1] for state in filled] == highs
        same = [no_update] * len(FILTERED)
        offered = [overview.chip_values(snapshot.frame, view, name) for name in CHIPS]
        options = [[{"label": value, "value": value} for value in values] for values in offered]
        keep = [no_update] * len(CHIPS) if options == old_options else None
        columns = overview.columns(snapshot.frame, default)
        known = [column["field"] for column in columns] == [column["field"] for column in defined]
        return (
            same if unchanged else [state[0] for state in filled],
            same if unchanged else [state[1] for state in filled],
            same if unchanged else [state[3] for state in filled],
            same if unchanged and not reset else [state[2] for state in filled],
            [overview.bars(snapshot.frame, name, state[0], state[1])
             for name, state in zip(FILTERED, filled, strict=True)],
            [state is None for state in states],
            keep or options,
            [list(view.kinds.get(name, values)) for name, values in zip(CHIPS, offered, strict=True)]
            if keep is None or reset else keep,
            [len(values) < 2 for values in offered],
            no_update if known else columns,
            list(view.show) if reset else no_update,
        )  # fmt: skip

    @_callback(
        app,
        Output("table", "selectedRows"), Output("table", "scrollTo"),
        Input("boxed", "data"), State("table", "rowData"), prevent_initial_call=True,
    )  # fmt: skip
    def follow(numbers: list[int] | None, rows: list[dict[str, Any]]) -> tuple[Any, Any]:
        if numbers is None:
            raise PreventUpdate
        shown = {row["number"] for row in rows}
        found = [number for number in numbers if number in shown]
        scroll = {"rowId": str(found[0]), "rowPosition": "middle"} if found else no_update
        return [{"key": str(number)} for number in found], scroll


def _triggered(name: str) -> bool:
    return any(key.split(".")[0] == name for key in ctx.triggered_prop_ids)


def _browser(app: Dash) -> None:
    """Callbacks that run in the browser; see assets/app.js."""

    def run(function: str, *arguments: Any, **options: Any) -> None:
        app.clientside_callback(ClientsideFunction(namespace="csp", function_name=function), *arguments, **options)

    run("theme", Output("theme", "data"), Input("theme-toggle", "n_clicks"))
    run("age", Output("age", "children"), Input("second", "n_intervals"), Input("version", "data"))
    run("turn", Output("title-echo", "data"), Input("version", "data"), prevent_initial_call=True)
    run("remember", Output("url-echo", "data"), Input("view", "data"))
    run("relaid", Output("zoom", "data"), Input("plot", "relayoutData"), State("zoom", "data"), State("x", "value"),
        State("x-log", "value"), State("y", "value"), State("y-log", "value"), prevent_initial_call=True)  # fmt: skip
    run("clicked", Output("boxed", "data"), Input("plot", "clickData"), Input("plot", "selectedData"),
        State("table", "selectedRows"), prevent_initial_call=True)  # fmt: skip
    run("openBest", Output("open-best", "title"), Input("open-best", "n_clicks"), prevent_initial_call=True)
    run("copy", Output("copy", "children"), Input("copy", "n_clicks"), prevent_initial_call=True)
    run("study", Output("url", "href"), Input("study", "value"), State("version", "data"), prevent_initial_call=True)


def _serve(app: Dash, database: Database, hosts: tuple[str, ...]) -> None:
    """Health check, host check and headers."""
    server: flask.Flask = app.server

    @server.get("/health")
    def health() -> flask.Response:
        snapshot = database.snapshot()
        return flask.jsonify(status="ok", database=snapshot.phase, problem=snapshot.problem)

    @server.before_request
    def local_only() -> None:
        # A page of another site that points its name at 127.0.0.1 must not read this server.
        if hosts and re.sub(r":\d+$", "", flask.request.host).strip("[]").lower() not in hosts:
            flask.abort(403)

    policy: list[str] = []

    @server.after_request
    def headers(response: flask.Response) -> flask.Response:
        if not policy:
            # Computed late: every inline script of Dash must be known.
            scripts = " ".join(f"'{value.strip(chr(39))}'" for value in app.csp_hashes())
            policy.append(
                f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
                "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
                "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
            )
        response.headers["Content-Security-Policy"] = policy[0]
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response
