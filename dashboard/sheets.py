"""/table and /parallel: documents of their own like the first screen; the order of axes, and the report as a file."""

from __future__ import annotations

import re

import flask

from dashboard import effects
from dashboard.candidates import complete
from dashboard.data import Database, Snapshot
from dashboard.pages import message, shell
from dashboard.view import objectives_of
from search.importance import FEWEST, QUANTILE
from search.store import StoreError

NAMES = ("table", "parallel")


def connect(server: flask.Flask, database: Database, poll_ms: int) -> None:
    """The routes of these pages."""
    for name in NAMES:
        document = shell.sheet(name, poll_ms, database.several)
        server.add_url_rule(f"/{name}", name, lambda document=document: flask.Response(document, mimetype="text/html"))

    @server.get("/importance")
    def importance() -> flask.Response:
        return flask.jsonify(axes=by_importance(database, database.snapshot(flask.request.args.get("study", ""))))

    @server.get("/report.html")
    def report() -> flask.Response:
        from dashboard.report_page import report as written

        snapshot = database.snapshot(flask.request.args.get("study", ""))
        said, asked = message.state(database, snapshot), flask.request.args.get("study", "")
        if snapshot.study is not None and asked not in ("", snapshot.study.name):
            return flask.Response(f"No report: there is no study '{asked[:80]}'\n", 404, mimetype="text/plain")
        try:
            if said is not None or snapshot.study is None:
                raise StoreError(said.title if said else "there is no study")
            text = written(database, snapshot)
        except StoreError as error:
            return flask.Response(f"No report: {error}\n", 503, mimetype="text/plain")
        name = re.sub(r"[^\w.-]+", "_", snapshot.study.name, flags=re.ASCII)[:80]
        disposition = {"Content-Disposition": f'attachment; filename="{name}-report.html"'}
        return flask.Response(text, mimetype="text/html", headers=disposition)


def by_importance(database: Database, snapshot: Snapshot) -> list[str]:
    """Axes of the design space, the one that decides most about the score first; empty while too little is known."""
    if snapshot.study is None or snapshot.columns is None:
        return []
    frame, score = snapshot.columns, objectives_of(snapshot.study.config)[0]
    if complete(frame).sum() < FEWEST:
        return []

    def found() -> list[str]:
        known = effects.importances(frame, {score: effects.loss(frame, score)}, QUANTILE).get(score, {})
        return sorted(known, key=lambda name: -known[name].value)

    return database.kept(snapshot, f"importance of axes for {score}", found)
