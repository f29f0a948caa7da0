"""Pages of single architectures: their routes, their callbacks, and the small writes that people make.

What is asked for while a control moves, and what is written, are plain routes of the server; assets/detail.js calls
them. A write must come from a page of this server: `refuse_foreign` looks at where the browser says it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import flask
from dash import Dash, Input, Output, State, html
from dash.exceptions import PreventUpdate

from dashboard import annotate, curves, figures, figures_analysis, peers, targets
from dashboard.data import Database, Snapshot
from dashboard.deployed import Where, graph_of
from dashboard.editor import START, Edit, edit, into_space, space_of
from dashboard.exports import FORMATS, export
from dashboard.foresight import Predict, Prediction
from dashboard.pages import candidate, compare, explore, message
from dashboard.query import read, study_of
from dashboard.texts import isolated
from dashboard.view import objectives_of
from search.store import Store, StoreError
from space.architecture import Architecture, ArchitectureError
from space.axes import SpaceError
from space.zoo import ZooError
from space.zoo import get as named

MOST_BYTES = 200_000
"""Bytes of a request that writes: more than the longest note can have."""
ID = r"[0-9a-f]{12}"
EAGER = 5_000
"""Candidates up to which the places are read before somebody chose one."""
Function = TypeVar("Function", bound=Callable[..., Any])


class Pages:
    """The pages `/c/<id>`, `/compare` and `/explore` over one database."""

    def __init__(self, database: Database, predict: Predict | None = None) -> None:
        self.database, self.predict = database, predict
        self._places: tuple[Any, peers.Places | None] = (None, None)

    def page(self, path: str | None, query: str, snapshot: Snapshot) -> Any:
        """The page at `path`; None where it is none of these."""
        given = dict(parse_qsl(query, keep_blank_values=True))
        place, where = (path or "").rstrip("/"), targets.where(self.database, snapshot, given.get("dev", ""))
        try:
            if found := re.fullmatch(rf"/c/({ID})", place):
                return self._candidate(found[1], snapshot, query, where)
            if place == "/compare":
                return self._compare(given.get("ids", ""), snapshot, where)
            if place == "/explore":
                return self._explore(given, snapshot, where)
        except (StoreError, ArchitectureError) as error:
            return message.card("This cannot be shown", [_problem(error)])
        return None

    def _candidate(self, architecture_id: str, snapshot: Snapshot, query: str, where: Where) -> Any:
        detail = self.database.detail(architecture_id, snapshot.study.id if snapshot.study else None)
        if detail is None:
            return message.no_candidate(architecture_id, query)
        return candidate.layout(detail, snapshot, query, where, ahead=self.ahead(detail.architecture, snapshot, where),
                                places=self.places(snapshot), devices=self.devices(snapshot, where))  # fmt: skip

    def ahead(self, architecture: Architecture, snapshot: Snapshot, where: Where) -> Prediction | None:
        """The latency of a network at a place, as far as something predicts it."""
        return self.predict(graph_of(architecture, where.target.deployment), snapshot, where) if self.predict else None

    def devices(self, snapshot: Snapshot, where: Where) -> dict[str, str]:
        """The places to choose from, by what a URL calls them; of a big study only where one was chosen already."""
        if snapshot.columns is None or (len(snapshot.columns) > EAGER and not where.dev):
            return {}
        return {each.key: each.label for each in targets.choices(self.database, snapshot)}

    def _compare(self, ids: str, snapshot: Snapshot, where: Where) -> Any:
        wanted, left_out = compare.ids_of(ids)
        details = {each: self.database.detail(each) if re.fullmatch(ID, each) else None for each in wanted}
        return compare.layout(details, left_out, snapshot, where, self.predict, self.devices(snapshot, where))

    def _explore(self, given: Mapping[str, str], snapshot: Snapshot, where: Where) -> Any:
        try:
            base, found = self.edited(given)
        except ArchitectureError as error:
            return message.card("There is nothing to start from",
                                [_problem(error), html.A(f"Start from {START}", href="/explore")])  # fmt: skip
        study = snapshot.study
        queue = self.database.ask(lambda store: store.queue(study.id)) if study else []
        return explore.layout(found, base, snapshot, where, predict=self.predict, places=self.places(snapshot),
                              queue=queue, devices=self.devices(snapshot, where))  # fmt: skip

    def edited(self, given: Mapping[str, str]) -> tuple[Architecture, Edit]:
        """The network that a query starts from, and what it makes of it. Raises ArchitectureError without a start."""
        start = given.get("from", "").strip()[:80] or START
        base = self._start(start)
        return base, edit(base, start, given)

    def _start(self, name: str) -> Architecture:
        if re.fullmatch(ID, name):
            known = self.database.ask(lambda store: store.architecture(name))
            if known is None:
                raise ArchitectureError(f"this database has no architecture '{name}'")
            return known
        entry = named(name)
        if entry.architecture is None:
            raise ZooError(f"'{entry.name}' is a graph of its own, outside the family that can be edited")
        return entry.architecture.canonical()

    def places(self, snapshot: Snapshot) -> peers.Places | None:
        """Where the candidates of a snapshot stand, kept for the newest one."""
        if snapshot.columns is None:
            return None
        key = (snapshot.token, snapshot.study.name if snapshot.study else "")
        kept = self._places
        if kept[0] != key:
            kept = self._places = (key, peers.Places(snapshot.columns))
        return kept[1]


def _problem(error: Exception) -> Any:
    return html.P(str(error), className="problem")


def connect(app: Dash, database: Database, *, predict: Predict | None = None) -> Pages:
    """Add callbacks and routes to the app; returns what makes the pages. `predict` gives latencies on paper."""
    pages = Pages(database, predict)
    _callbacks(app, pages)
    _reads(app.server, pages)
    _writes(app.server, pages)
    return pages


def _callback(app: Dash, *arguments: Any, **options: Any) -> Callable[[Function], Function]:
    decorate: Callable[[Function], Function] = app.callback(*arguments, **options)
    return decorate


def _callbacks(app: Dash, pages: Pages) -> None:
    database = pages.database

    def curve(ids: Mapping[str, str], theme: str | None, search: str | None) -> Any:
        snapshot = database.snapshot(study_of(search))
        try:
            details = {name: database.detail(identity) for identity, name in ids.items()}
        except StoreError as error:
            return figures_analysis.unavailable(str(error), figures.theme_called(theme))
        known = {name: detail.evaluations for name, detail in details.items() if detail is not None}
        if theme is None or not any(row["curve"] for rows in known.values() for row in rows):
            raise PreventUpdate
        score = objectives_of(snapshot.study.config if snapshot.study else {})[0]
        return curves.learning(known, score, figures.theme_called(theme))

    @_callback(
        app,
        Output("learning", "figure"),
        Input("theme", "data"), Input("fingerprint", "data"), State("candidate", "data"), State("url", "search"),
    )  # fmt: skip
    def learning(theme: str | None, _: str, architecture_id: str, search: str | None) -> Any:
        return curve({architecture_id: architecture_id}, theme, search)

    @_callback(
        app,
        Output("compared-learning", "figure"),
        Input("theme", "data"), Input("compared", "data"), State("url", "search"),
    )  # fmt: skip
    def compared(theme: str | None, ids: list[str], search: str | None) -> Any:
        snapshot = database.snapshot(study_of(search))
        return curve({identity: compare.title_of(identity, snapshot) for identity in ids}, theme, search)

    @_callback(
        app,
        Output("candidate-page", "children"), Output("facts", "children"),
        Input("version", "data"), State("candidate", "data"), State("fingerprint", "data"), State("url", "search"),
        prevent_initial_call=True,
    )  # fmt: skip
    def refresh(_: Any, architecture_id: str | None, known: str | None, search: str | None) -> Any:
        try:
            detail = database.detail(architecture_id) if architecture_id else None
        except StoreError:  # the header says so; what is shown stays
            raise PreventUpdate from None
        if detail is None or candidate.fingerprint(detail) == known:
            raise PreventUpdate
        snapshot = database.snapshot(study_of(search))
        where = targets.where(database, snapshot, read(search).get("dev", ""))
        ahead = pages.ahead(detail.architecture, snapshot, where)
        return candidate.body(detail, snapshot, where), candidate.headline(detail, snapshot, where, ahead)


# -- reading


def _reads(server: flask.Flask, pages: Pages) -> None:
    database = pages.database

    @server.get("/explore/state")
    def state() -> flask.Response:
        given = flask.request.args.to_dict()
        snapshot = database.snapshot(given.get("study", ""))
        try:
            base, found = pages.edited(given)
        except (StoreError, ArchitectureError) as error:
            return _answer({"problem": str(error)}, 404)
        where = targets.where(database, snapshot, given.get("dev", ""))
        return _answer(explore.update(found, base, snapshot, where, given.get("shape", ""), predict=pages.predict,
                                      places=pages.places(snapshot)))  # fmt: skip

    @server.get("/export/<architecture_id>/<filename>")
    def file(architecture_id: str, filename: str) -> flask.Response:
        # Names are compared, never opened: nothing of a request is a path here.
        endings = {f"{architecture_id}{ending}": ending for ending in FORMATS}
        if not re.fullmatch(ID, architecture_id) or filename not in endings:
            return _text("there is no such file", 404)
        try:
            architecture = database.ask(lambda store: store.architecture(architecture_id))
        except StoreError as error:
            return _text(str(error), 503)
        if architecture is None:
            return _text(f"this database has no architecture '{architecture_id}'", 404)
        return _file(architecture, endings[filename], database)

    @server.get("/explore/export.<kind>")
    def edited(kind: str) -> flask.Response:
        if f".{kind}" not in FORMATS:
            return _text("there is no such file", 404)
        try:
            _, found = pages.edited(flask.request.args.to_dict())
        except (StoreError, ArchitectureError) as error:
            return _text(str(error), 404)
        if found.architecture is None:
            return _text(f"this network cannot exist: {found.problem}", 422)
        return _file(found.architecture, f".{kind}", database)


def _file(architecture: Architecture, ending: str, database: Database) -> flask.Response:
    given = flask.request.args
    snapshot, asked = database.snapshot(given.get("study", "")), given.get("study", "")
    if snapshot.study is not None and asked not in ("", snapshot.study.name):
        return _text(f"there is no study '{asked[:80]}'", 404)
    where = targets.where(database, snapshot, given.get("dev", ""))
    try:
        data, kind = export(architecture, where.target.deployment, ending)
    except ValueError as error:
        return _text(f"{architecture.id} cannot be written as {ending}: {error}", 422)
    response = flask.Response(data, mimetype=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{architecture.id}{ending}"'
    return response


def _text(words: str, status: int) -> flask.Response:
    return flask.Response(words + "\n", status=status, mimetype="text/plain")


def _answer(data: Mapping[str, Any], status: int = 200) -> flask.Response:
    response = flask.jsonify(data)
    response.status_code = status
    return response


# -- writing


def foreign(headers: Mapping[str, str], host: str) -> bool:
    """Whether a browser sent this from a page of another site. Programs that are no browser say no origin."""
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return True
    return site not in (None, "same-origin", "none")


def _writes(server: flask.Flask, pages: Pages) -> None:
    database = pages.database

    @server.before_request
    def refuse_foreign() -> None:
        request = flask.request
        if request.method not in ("GET", "HEAD", "OPTIONS") and foreign(dict(request.headers), request.host):
            flask.abort(403)

    def given() -> dict[str, Any]:
        # A form of another site can send any body but this type, without asking.
        if flask.request.mimetype != "application/json":
            raise StoreError("send application/json")
        if (flask.request.content_length or 0) > MOST_BYTES:
            raise StoreError(f"{flask.request.content_length:,} bytes are more than a note may have. Nothing was saved")
        try:
            data = flask.request.get_json(silent=True)
        except RecursionError:  # thousands of brackets in one another
            data = None
        if not isinstance(data, dict) or not all(isinstance(value, str | bool) for value in data.values()):
            raise StoreError("expected an object of texts")
        if re.search(r"[\ud800-\udfff]", "".join(value for value in data.values() if isinstance(value, str))):
            raise StoreError("a text holds half of a surrogate pair, which is no character. Nothing was saved")
        return data

    def write(function: Callable[[dict[str, Any]], Mapping[str, Any]]) -> flask.Response:
        try:
            return _answer(function(given()))
        except (StoreError, ArchitectureError, SpaceError) as error:
            return _answer({"problem": str(error)}, 422)

    def study_named(name: Any) -> Snapshot:
        snapshot = database.snapshot(str(name))
        if snapshot.study is None or snapshot.study.name != name:
            raise StoreError(f"this database has no study '{isolated(str(name)[:80])}'")
        return snapshot

    @server.post("/write/note")
    def note() -> flask.Response:
        def run(data: dict[str, Any]) -> Mapping[str, Any]:
            database.annotate(lambda store: store.set_note(str(data.get("id")), str(data.get("text", ""))))
            return {"said": "Saved" if str(data.get("text", "")).strip() else "Removed"}

        return write(run)

    @server.post("/write/tag")
    def tag() -> flask.Response:
        def run(data: dict[str, Any]) -> Mapping[str, Any]:
            identity, word = str(data.get("id")), str(data.get("tag", ""))

            def change(store: Store) -> list[str]:
                (store.remove_tag if data.get("remove") else store.add_tag)(identity, word)
                return store.tags(identity)

            return {"said": "Removed" if data.get("remove") else "Added",
                    "html": str(annotate.chips(database.annotate(change)))}  # fmt: skip

        return write(run)

    @server.post("/write/pin")
    def pin() -> flask.Response:
        def run(data: dict[str, Any]) -> Mapping[str, Any]:
            identity, study = str(data.get("id")), study_named(data.get("study")).study
            assert study is not None
            on = bool(data.get("on"))
            database.annotate(lambda store: (store.pin if on else store.unpin)(study.id, identity))
            return {"pinned": on}

        return write(run)

    @server.post("/write/queue")
    def queue() -> flask.Response:
        return write(lambda data: queued(pages, study_named(data.get("study")), str(data.get("query", ""))))


def queued(pages: Pages, snapshot: Snapshot, query: str) -> Mapping[str, Any]:
    """Put what a query of the editor says into the queue of a study. Raises StoreError, or the rule that it breaks."""
    study = snapshot.study
    assert study is not None
    _, found = pages.edited(dict(parse_qsl(query.lstrip("?"), keep_blank_values=True)))
    architecture, space = found.architecture, space_of(study.config)
    if architecture is None:
        raise StoreError(f"this network cannot exist: {found.problem}")
    if space is None:
        raise StoreError(f"study '{isolated(study.name)}' does not say what its space is; nothing was queued")
    near, changes = into_space(space, architecture)
    if snapshot.columns is not None and peers.rows_of(snapshot.columns, near.id):
        raise StoreError(f"study '{isolated(study.name)}' has proposed {near.id} already; nothing was queued")
    fresh, rows = pages.database.annotate(lambda store: (store.enqueue(study.id, architecture, near),
                                                         store.queue(study.id)))  # fmt: skip
    said = f"{near.id} {'waits' if fresh else 'waits already'} in the queue"
    if changes:
        said += f" (the nearest in the study's space: {', '.join(changes).replace('->', '→')})"
    said += ". The study's next `python -m search.run` proposes it first: give a larger --budget if that is spent."
    return {"said": said, "html": str(annotate.queue(rows, study.name))}
