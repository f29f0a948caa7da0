"""Notes, tags and pins on a page: native forms, sent by assets/detail.js to the routes of dashboard/detail.py."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.markup import Markup, join
from search.annotations import MOST_NOTE, MOST_TAG, Note


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
    return Markup('<button data-write="pin" data-id="{}" data-study="{}" aria-pressed="{}">{}</button>').format(
        architecture_id, study, "true" if pinned else "false", "Pinned" if pinned else "Pin"
    )
