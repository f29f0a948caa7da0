"""What a page says instead of data: no file, an empty database, no candidates, an error, no such page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dash import html

from dashboard.data import Database, Snapshot
from dashboard.texts import isolated, quoted
from search.store import DEFAULT_PATH


@dataclass(frozen=True, kw_only=True)
class Message:
    """A title and lines: what a line is (`text`, `command`, `muted` or `problem`) and its text."""

    title: str
    lines: tuple[tuple[str, str], ...]


def command(database: Database) -> str:
    """What to type to fill this database."""
    return f"python -m search.run --budget 200{option(database.shown)}"


def option(shown: str) -> str:
    """The option of a command that names a database."""
    return "" if shown == DEFAULT_PATH else f" --db {quoted(shown)}"


def state(database: Database, snapshot: Snapshot) -> Message | None:
    """What to say of a database that has nothing to show yet; None for one that has."""
    todo = (("text", "Type this in a terminal:"), ("command", command(database)))
    name = isolated(snapshot.study.name) if snapshot.study else ""
    shown = isolated(database.shown)
    follow = ("muted", "This page turns into the plot as soon as there are candidates.")
    said: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
        "missing": ("There is no database yet",
                    (("text", f"The file {shown} does not exist."), *todo, follow)),
        "empty": ("The database is empty",
                  (("text", f"{shown} holds no study yet: it was just created, or no search has run on it."),
                   *todo, follow)),
        "waiting": (f"Study “{name}” has no candidates yet",
                    (("text", "The search has been set up and is about to propose its first architectures. "
                              "If nothing is running:"), ("command", command(database)), follow)),
        "error": ("The database cannot be read",
                  (("problem", snapshot.problem or "unknown reason"),
                   ("muted", "This page tries again every few seconds."))),
    }  # fmt: skip
    if snapshot.phase not in said:
        return None
    title, lines = said[snapshot.phase]
    return Message(title=title, lines=lines)


def section(message: Message, kind: str) -> html.Section:
    """A message on a page of Dash."""
    made = {"command": lambda text: html.Pre(text, tabIndex=0), "text": html.P}
    body = [made.get(what, lambda text, what=what: html.P(text, className=what))(text) for what, text in message.lines]
    return card(message.title, body, kind)


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
