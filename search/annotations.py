"""What people add to a study, not searches: notes and tags of architectures, pins and a queue of a study.

The dashboard writes these while a search may be writing too. Each call is one short transaction; SQLite lets the
other writer wait for it (`busy_timeout`), so none of them takes `Store.lock`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.engine import Connection, Engine

from search.database import StoreError
from search.schema import architectures, notes, pins, queue, tags
from space.architecture import Architecture

MOST_NOTE, MOST_TAG, MOST_TAGS, MOST_WAITING = 20_000, 40, 20, 200
"""Characters of a note and of a tag, tags of an architecture, architectures that wait in a study's queue."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """The note on an architecture."""

    text: str
    updated_at: float


@dataclass(frozen=True, kw_only=True)
class Queued:
    """An architecture that somebody wants a study to propose.

    `state` is waiting, proposed, known (the study had it already) or impossible (`reason` says why). The study
    proposes `proposed_id`, the nearest network of its space.
    """

    id: int
    study_id: int
    architecture_id: str
    proposed_id: str | None
    state: str
    reason: str | None
    created_at: float
    finished_at: float | None


class Annotations:
    """The part of `Store` for notes, tags, pins and queues."""

    _engine: Engine

    def _write(self) -> AbstractContextManager[Connection]:
        raise NotImplementedError

    def _add_architecture(self, connection: Connection, architecture: Architecture) -> None:
        raise NotImplementedError

    @contextmanager
    def _annotate(self, architecture_id: str) -> Iterator[Connection]:
        """A transaction about an architecture that must exist."""
        try:
            with self._write() as connection:
                yield connection
        except sa.exc.IntegrityError as error:
            raise StoreError(f"this database has no architecture '{architecture_id[:40]}'") from error

    def annotations_version(self) -> tuple[float, ...]:
        """A value that changes whenever a note or a tag of any architecture does: cheap to ask."""
        found: list[float] = []
        with self._engine.connect() as connection:
            for moment in (notes.c.updated_at, tags.c.created_at):
                found += connection.execute(select(sa.func.count(), sa.func.coalesce(sa.func.max(moment), 0.0),
                                                   sa.func.coalesce(sa.func.sum(moment), 0.0))).one()  # fmt: skip
        return tuple(found)

    def annotated(self) -> dict[str, tuple[float, bool]]:
        """Of each architecture with a note or tag, when it got the newest (UTC seconds), and whether it has a note."""
        query = sa.union_all(select(notes.c.architecture_id, notes.c.updated_at, sa.literal(1)),
                             select(tags.c.architecture_id, tags.c.created_at, sa.literal(0)))  # fmt: skip
        found: dict[str, tuple[float, bool]] = {}
        with self._engine.connect() as connection:
            for identity, moment, note in connection.execute(query):
                newest, noted = found.get(identity, (0.0, False))
                found[identity] = max(moment, newest), noted or bool(note)
        return found

    # -- notes

    def note(self, architecture_id: str) -> Note | None:
        """The note on an architecture, or None."""
        query = select(notes.c.text, notes.c.updated_at).where(notes.c.architecture_id == architecture_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
            return Note(**row) if row else None

    def noted(self) -> dict[str, Note]:
        """Notes of every architecture that has one."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(notes.c.architecture_id, notes.c.text, notes.c.updated_at))
            return {identity: Note(text=text, updated_at=at) for identity, text, at in rows}

    def set_note(self, architecture_id: str, text: str) -> None:
        """Replace the note on an architecture; an empty one is removed.

        Raises StoreError if it is too long or has a NUL, or if there is no such architecture.
        """
        text = text.strip()
        if len(text) > MOST_NOTE:
            raise StoreError(
                f"the note has {len(text):,} characters; at most {MOST_NOTE:,} are kept. Nothing was saved"
            )
        if "\0" in text:
            raise StoreError("the note has a NUL character, which databases refuse. Nothing is saved")
        with self._annotate(architecture_id) as connection:
            connection.execute(notes.delete().where(notes.c.architecture_id == architecture_id))
            if text:
                connection.execute(notes.insert().values(architecture_id=architecture_id, text=text,
                                                         updated_at=time.time()))  # fmt: skip

    # -- tags

    def tags(self, architecture_id: str) -> list[str]:
        """Tags of an architecture, in the alphabet's order."""
        query = select(tags.c.tag).where(tags.c.architecture_id == architecture_id).order_by(tags.c.tag)
        with self._engine.connect() as connection:
            return list(connection.scalars(query))

    def tagged(self) -> dict[str, list[str]]:
        """Tags of every architecture that has any."""
        found: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            for identity, tag in connection.execute(select(tags.c.architecture_id, tags.c.tag).order_by(tags.c.tag)):
                found.setdefault(identity, []).append(tag)
        return found

    def add_tag(self, architecture_id: str, tag: str) -> None:
        """Tag an architecture; white space counts as one blank.

        Raises StoreError for an empty or too long tag, too many of them, or if there is no such architecture.
        """
        tag = " ".join(tag.replace("\0", " ").split())
        if not 1 <= len(tag) <= MOST_TAG:
            raise StoreError(f"a tag has 1 to {MOST_TAG} characters, not {len(tag)}")
        known = self.tags(architecture_id)
        if tag in known:
            return
        if len(known) >= MOST_TAGS:
            raise StoreError(f"{architecture_id} has {len(known)} tags already, the most that are kept; remove one")
        with self._annotate(architecture_id) as connection:
            connection.execute(tags.insert().values(architecture_id=architecture_id, tag=tag, created_at=time.time()))

    def remove_tag(self, architecture_id: str, tag: str) -> None:
        """Take a tag away; nothing happens if it is not there."""
        with self._write() as connection:
            connection.execute(tags.delete().where(tags.c.architecture_id == architecture_id, tags.c.tag == tag))

    # -- pins

    def pins(self, study_id: int) -> list[str]:
        """Pinned architectures of a study, the first pinned first."""
        query = select(pins.c.architecture_id).where(pins.c.study_id == study_id).order_by(pins.c.created_at)
        with self._engine.connect() as connection:
            return list(connection.scalars(query))

    def pin(self, study_id: int, architecture_id: str) -> None:
        """Pin an architecture in a study. Raises StoreError if there is no such architecture."""
        if architecture_id in self.pins(study_id):
            return
        with self._annotate(architecture_id) as connection:
            connection.execute(pins.insert().values(study_id=study_id, architecture_id=architecture_id,
                                                    created_at=time.time()))  # fmt: skip

    def unpin(self, study_id: int, architecture_id: str) -> None:
        """Take a pin away; nothing happens if it is not there."""
        with self._write() as connection:
            connection.execute(pins.delete().where(pins.c.study_id == study_id,
                                                   pins.c.architecture_id == architecture_id))  # fmt: skip

    # -- queue

    def enqueue(self, study_id: int, architecture: Architecture, nearest: Architecture) -> bool:
        """Ask a study to propose `nearest`, the network of its space that is nearest to `architecture`.

        False if that waits already. Raises StoreError if too many wait.
        """
        waiting = self.queue(study_id, state="waiting")
        if nearest.id in {row.proposed_id for row in waiting}:
            return False
        if len(waiting) >= MOST_WAITING:
            raise StoreError(f"{len(waiting)} architectures wait in this queue already; run the study first")
        with self._write() as connection:
            for each in (architecture, nearest):
                self._add_architecture(connection, each)
            connection.execute(queue.insert().values(study_id=study_id, architecture_id=architecture.id,
                                                     proposed_id=nearest.id, state="waiting",
                                                     created_at=time.time()))  # fmt: skip
        return True

    def queue(self, study_id: int, *, state: str | None = None) -> list[Queued]:
        """A study's queue in its order, or what has one `state`."""
        query = select(queue).where(queue.c.study_id == study_id).order_by(queue.c.id)
        if state is not None:
            query = query.where(queue.c.state == state)
        with self._engine.connect() as connection:
            return [Queued(**row) for row in connection.execute(query).mappings()]

    def queued_architectures(self, study_id: int) -> dict[str, Architecture]:
        """The architectures that wait in a study's queue, as they were asked for, by id."""
        query = (
            select(architectures.c.id, architectures.c.spec)
            .join(queue, queue.c.architecture_id == architectures.c.id)
            .where(queue.c.study_id == study_id, queue.c.state == "waiting")
        )
        with self._engine.connect() as connection:
            return {row.id: Architecture.from_dict(row.spec) for row in connection.execute(query)}

    def settle(self, ids: Sequence[int], state: str, *, proposed: Architecture | None = None,
               reason: str | None = None) -> None:  # fmt: skip
        """Close rows of a queue as proposed, known or impossible."""
        values: dict[str, Any] = {"state": state, "reason": reason, "finished_at": time.time()}
        with self._write() as connection:
            if proposed is not None:
                self._add_architecture(connection, proposed)
                values["proposed_id"] = proposed.id
            connection.execute(queue.update().where(queue.c.id.in_(ids)).values(**values))
