"""create_app(database) -> dash.Dash: the first screen, the data it draws, and the pages of Dash.

The first screen is a document of its own (pages/shell.py): the browser gets columns once and filters, draws and
answers by itself (assets/). All other pages are Dash's. The URL's query is the only state of a view.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, TypeVar

import flask
import numpy as np
from dash import Dash, Input, Output, dcc, html

from dashboard import annotated, detail, evidence, sheets, wire
from dashboard.candidates import numbers
from dashboard.data import Database, Snapshot
from dashboard.deployed import deployment_of
from dashboard.foresight import predictor
from dashboard.hosts import LOCAL, may
from dashboard.pages import message, shell
from dashboard.query import study_of
from dashboard.references import references, usual
from dashboard.status import status
from dashboard.targets import Choice, Predictions, choices
from dashboard.view import objectives_of
from evaluator.record import digest
from search.store import StoreError
from space.zoo import Entry

POLL_MS = 2500
NEVER_CHANGES = "public, max-age=31536000, immutable"
Function = TypeVar("Function", bound=Callable[..., Any])


def create_app(database: Database, *, hosts: Collection[str] = (LOCAL,), poll_ms: int = POLL_MS,
               shown: Sequence[Entry] = ()) -> Dash:  # fmt: skip
    """The dashboard over `database`. Requests whose Host is neither an address nor one of `hosts` are refused.

    `shown` are published networks to mark in the plot; without any those near a study's candidates can be shown.
    """
    server = flask.Flask("dashboard", static_folder=None)
    _first_screen(server, poll_ms, database.several)  # before Dash takes `/`
    _data(server, database, shown)
    _devices(server, database)
    sheets.connect(server, database, poll_ms)
    app = Dash(
        __name__,
        server=server,
        title="CSP Explorer",
        update_title="",
        serve_locally=True,
        compress=False,
        include_assets_files=False,
        suppress_callback_exceptions=True,
        health_endpoint=None,
        use_pages=False,
        pages_folder="",
        index_string=shell.around_dash(poll_ms, database.several),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.layout = html.Div(
        [
            html.Main(html.Div("Loading…", className="skeleton"), id="main", tabIndex=-1),
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="version"),
            dcc.Store(id="theme"),
        ]
    )
    _routes(app, database, detail.connect(app, database, predict=predictor(database)), poll_ms)
    evidence.connect(app, database)
    _serve(app, database, hosts)
    return app


def _callback(app: Dash, *arguments: Any, **options: Any) -> Callable[[Function], Function]:
    """`app.callback` with a type: Dash has none."""
    decorate: Callable[[Function], Function] = app.callback(*arguments, **options)
    return decorate


# -- the first screen and its data


def _first_screen(server: flask.Flask, poll_ms: int, several: bool) -> None:
    document = shell.explorer(poll_ms, several)

    @server.get("/")
    def explorer() -> flask.Response:
        return flask.Response(document, mimetype="text/html")

    @server.get("/plotly.js")
    def plotly() -> flask.Response:
        return _gzipped(_plotly(), "text/javascript", {"Cache-Control": NEVER_CHANGES})


@cache
def _plotly() -> bytes:
    from plotly.offline import get_plotlyjs

    return gzip.compress(get_plotlyjs().encode(), 1, mtime=0)


def _gzipped(body: bytes, mimetype: str, headers: dict[str, str]) -> flask.Response:
    response = flask.Response(mimetype=mimetype, headers={**headers, "Vary": "Accept-Encoding"})
    if flask.request.accept_encodings.quality("gzip") > 0:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(body)
    else:
        response.set_data(gzip.decompress(body))
    return response


def _data(server: flask.Flask, database: Database, shown: Sequence[Entry]) -> None:
    """`/status`: what changed; `/data.bin`: the columns of a study, or those named in `only`; `/annotations`: tags."""
    cached: dict[tuple[str, str, str], tuple[str, bytes]] = {}
    lock = threading.Lock()

    @server.get("/status")
    def tell() -> flask.Response:
        snapshot = database.snapshot(flask.request.args.get("study", ""))
        return flask.jsonify({**status(snapshot), "pins": database.pins(snapshot),
                              "annotations": annotated.version(database), "databases": database.listed()})  # fmt: skip

    @server.get("/annotations")
    def tags() -> flask.Response:
        try:
            found = annotated.listed(database, database.snapshot(flask.request.args.get("study", "")))
        except StoreError as error:
            return flask.Response(f"{error}\n", status=503, mimetype="text/plain")
        body = gzip.compress(json.dumps(found).encode(), 1, mtime=0)
        return _gzipped(body, "application/json", {"Cache-Control": "no-store"})

    @server.get("/find")
    def find() -> flask.Response:
        given = flask.request.args
        return flask.jsonify(found(database.snapshot(given.get("study", "")), given.get("text", "")[:80]))

    def body(snapshot: Snapshot, only: str) -> tuple[str, bytes]:
        name = snapshot.study.name if snapshot.study else ""
        key = (database.shown, name, only)
        tag = digest([*key, snapshot.phase, snapshot.token, snapshot.problem])
        with lock:
            if key not in cached or cached[key][0] != tag:
                if len(cached) > 8:
                    cached.clear()
                cached[key] = tag, _encoded(database, snapshot, only, shown)
            return cached[key]

    @server.get("/data.bin")
    def columns() -> flask.Response:
        arguments = flask.request.args
        tag, block = body(database.snapshot(arguments.get("study", "")), arguments.get("only", ""))
        headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
        if flask.request.if_none_match.contains(tag):
            return flask.Response(status=304, headers=headers)
        return _gzipped(block, "application/octet-stream", headers)

    body(database.snapshot(), "")  # the first page finds its data ready


def found(snapshot: Snapshot, text: str) -> dict[str, str]:
    """The candidate that a person means by its number or the beginning of its id, or a `problem`; a number first."""
    wanted, columns = text.strip().lower().lstrip("#"), snapshot.columns
    if columns is None or not wanted:
        return {"problem": "There is no candidate yet"}
    if re.fullmatch(r"[0-9]{1,9}", wanted):
        for row in np.flatnonzero(columns.numbers["number"] == int(wanted)):
            return {"id": columns.ids[int(row)]}
    identity = next((each for each in columns.ids if each.startswith(wanted)), None)
    return {"id": identity} if identity else {"problem": "No candidate of this study has this number or id"}


def _encoded(database: Database, snapshot: Snapshot, only: str, shown: Sequence[Entry]) -> bytes:
    if snapshot.columns is None or snapshot.study is None:
        return wire.encode(wire.header(snapshot, (), message.state(database, snapshot)), None, ())
    config, columns = snapshot.study.config, snapshot.columns
    if only:
        names = [name for name in dict.fromkeys(only.split(",")) if name in columns]
        return wire.encode({"token": snapshot.token, "rows": len(columns)}, columns, names)
    deployment = deployment_of(config)
    published = references(shown, deployment) if shown else usual(deployment, numbers(columns, "macs"))
    header = wire.header(snapshot, published, message.state(database, snapshot), marked=bool(shown))
    return wire.encode(header, columns, wire.core(columns, objectives_of(config), wire.first_view(columns, config)))


def _devices(server: flask.Flask, database: Database) -> None:
    """`/places`: the devices to choose from; `/place.bin`: what is known of a study's latencies on one of them."""
    predictions = Predictions(database)

    def among(snapshot: Snapshot) -> list[Choice]:
        return choices(database, snapshot) if snapshot.columns is not None else []

    @server.get("/places")
    def listed() -> flask.Response:
        try:
            found = among(database.snapshot(flask.request.args.get("study", "")))
        except StoreError as error:
            return flask.Response(f"{error}\n", status=503, mimetype="text/plain")
        return flask.jsonify(places=[wire.choice(each) for each in found])

    @server.get("/place.bin")
    def place() -> flask.Response:
        snapshot, dev = database.snapshot(flask.request.args.get("study", "")), flask.request.args.get("dev", "")
        try:
            block = wire.place(snapshot, dev, among(snapshot), predictions)
        except StoreError as error:
            return flask.Response(f"{error}\n", status=503, mimetype="text/plain")
        return _gzipped(block, "application/octet-stream", {"Cache-Control": "no-store"})


# -- the pages of Dash


def _routes(app: Dash, database: Database, pages: detail.Pages, poll_ms: int) -> None:
    @_callback(app, Output("main", "children"), Input("url", "pathname"), Input("url", "search"))
    def route(path: str | None, search: str | None) -> Any:
        snapshot, query = database.snapshot(study_of(search)), (search or "").lstrip("?")
        if path and evidence.stands(path, snapshot):
            return evidence.page(database, path, snapshot, query, poll_ms)
        page = None
        if snapshot.phase == "ready" or (path or "").rstrip("/") == "/explore":  # which needs no study
            page = pages.page(path, query, snapshot)
        if page is not None:
            return page
        said = message.state(database, snapshot)
        known = path in evidence.PAGES or re.match("/(c|compare)/?", path or "")
        return message.section(said, snapshot.phase) if known and said is not None else message.not_found(path or "")


def _serve(app: Dash, database: Database, hosts: Collection[str]) -> None:
    """Health check, host check and headers."""
    server: flask.Flask = app.server

    @server.get("/health")
    def health() -> flask.Response:
        snapshot = database.snapshot()
        return flask.jsonify(status="ok", database=snapshot.phase, problem=snapshot.problem)

    @server.before_request
    def local_only() -> None:
        # A page of another site that points its name at 127.0.0.1 must not read this server.
        if not may(flask.request.headers.get("Host", ""), hosts):
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
        if flask.request.path.endswith(".woff2"):  # its name holds its version
            response.headers["Cache-Control"] = NEVER_CHANGES
        response.headers["Content-Security-Policy"] = policy[0]
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response
