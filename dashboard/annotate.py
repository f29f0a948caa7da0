"""Notes, tags, pins and queues on a page: forms that assets/detail.js sends to the routes of dashboard/detail.py."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.markup import Markup, join
from dashboard.texts import isolated
from search.annotations import MOST_NOTE, MOST_TAG, Note, Queued


def notes(architecture_id: str, note: Note | None, tags: Sequence[str]) -> Markup:
    """The note in a text field, the tags with a button each that removes one."""
    return Markup(
        '<div class="annotations"><form data-write="tag" data-id="{}"><ul class="tags" aria-label="Tags">{}</ul>'
        '<label>Add a tag <input name="tag" maxlength="{}" autocomplete="off" size="14"/></label>'
        '<button>Add</button><output aria-live="polite"></output></form>'
        '<form data-write="note" data-id="{}"><label for="note">Note on this architecture, for all studies</label>'
        '<textarea id="note" name="text" rows="6" placeholder="Why it is interesting, what to try next …">{}</textarea>'
        '<div class="row"><button>Save note</button><span class="muted">at most {:,} characters</span>'
        '<output aria-live="polite"></output></div></form></div>'
    ).format(architecture_id, chips(tags), MOST_TAG, architecture_id, "\n" + note.text if note else "", MOST_NOTE)


def chips(tags: Sequence[str]) -> Markup:
    """Tags as list items."""
    if not tags:
        return Markup('<li class="muted">no tags</li>')
    return join(
        Markup('<li class="tag"><span>{}</span><button type="button" data-remove="{}" aria-label="Remove the tag {}">×'
               "</button></li>").format(tag, tag, tag)
        for tag in tags
    )  # fmt: skip


def pin(architecture_id: str, study: str, *, pinned: bool) -> Markup:
    """A button that pins a candidate in its study, or lets it go."""
    return Markup(
        '<button data-write="pin" data-id="{}" data-study="{}" aria-pressed="{}">{}</button>'
        '<output aria-live="polite"></output>'
    ).format(architecture_id, study, "true" if pinned else "false", "Pinned" if pinned else "Pin")


MOST_SHOWN = 8
"""Rows of a queue on the page, the newest first."""
_WORDS = {"waiting": "waits for the next run", "proposed": "proposed", "known": "the study had it already",
          "impossible": "cannot be built in this space"}  # fmt: skip


def queue(rows: Sequence[Queued], study: str) -> Markup:
    """What was asked of a study, and what became of it."""
    if not rows:
        return Markup('<p class="muted">Nothing was asked of study “{}” yet.</p>').format(isolated(study))
    newest = list(reversed(rows))[:MOST_SHOWN]
    lines = join(
        Markup('<li><a class="mono" href="/c/{}">{}</a> {}{}</li>').format(
            row.proposed_id or row.architecture_id, row.proposed_id or row.architecture_id,
            _WORDS.get(row.state, row.state), f": {row.reason}" if row.reason else "")
        for row in newest
    )  # fmt: skip
    more = f" The newest {MOST_SHOWN} of {len(rows)}:" if len(rows) > MOST_SHOWN else ""
    waiting = sum(row.state == "waiting" for row in rows)
    return Markup('<p class="muted">{} waiting in study “{}”.{}</p><ul class="queue">{}</ul>').format(
        waiting, isolated(study), more, lines)  # fmt: skip
