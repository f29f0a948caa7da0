"""Pages that say what to do: no file, an empty database, no candidates, an error, no such page."""

from __future__ import annotations

import shlex
from typing import Any

from dash import html

from dashboard.data import Database, Snapshot
from search.store import DEFAULT_PATH


def command(database: Database) -> str:
    """What to type to fill this database."""
    return f"python -m search.run --budget 200{option(database.shown)}"


def option(shown: str) -> str:
    """The option of a command that names a database."""
    return "" if shown == DEFAULT_PATH else f" --db {shlex.quote(shown)}"


def state(database: Database, snapshot: Snapshot) -> html.Section:
    """The page for a database that has nothing to show yet."""
    todo = [html.P("Type this in a terminal:"), html.Pre(command(database), tabIndex=0)]
    name = snapshot.study.name if snapshot.study else ""
    follow = html.P("This page turns into the plot as soon as there are candidates.", className="muted")
    texts: dict[str, tuple[str, list[Any]]] = {
        "missing": ("There is no database yet",
                    [html.P(["The file ", html.Code(database.shown), " does not exist."]), *todo, follow]),
        "empty": ("The database is empty",
                  [html.P([html.Code(database.shown), " holds no study yet: it was just created, or no search "
                           "has run on it."]), *todo, follow]),
        "waiting": (f"Study “{name}” has no candidates yet",
                    [html.P("The search has been set up and is about to propose its first architectures. "
                            "If nothing is running:"), html.Pre(command(database), tabIndex=0), follow]),
        "error": ("The database cannot be read",
                  [html.P(snapshot.problem or "unknown reason", className="problem"),
                   html.P("This page tries again every few seconds.", className="muted")]),
    }  # fmt: skip
    title, body = texts[snapshot.phase]
    return card(title, body, kind=snapshot.phase)


def not_found(path: str) -> html.Section:
    """The page for a path that does not exist."""
    return card("There is no such page", [html.P(html.Code(path[:200])), html.A("All candidates", href="/")])


def no_candidate(architecture_id: str, query: str) -> html.Section:
    """The page of a candidate that this database does not have."""
    text = html.P(["This database has no architecture ", html.Code(architecture_id), "."])
    return card("No such candidate", [text, html.A("All candidates", href=f"/?{query}" if query else "/")])


def card(title: str, body: list[Any], kind: str = "") -> html.Section:
    """A message in the middle of the page."""
    return html.Section([html.H1(title), *body], className=f"message {kind}".strip())
