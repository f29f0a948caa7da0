"""The network that a person names: a candidate of the database by its id, an architecture's file, or one of the zoo."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.command import UsageError
from search.selection import full_id, study_of

if TYPE_CHECKING:
    from search.store import Store, StudyRow
    from space.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Found:
    """A network, and the study that it is a candidate of."""

    architecture: Architecture
    title: str
    """What to call it: its id, or its name."""
    row: StudyRow | None = None
    num_anchors: int = 2
    num_classes: int | None = None
    """Of a file or of the zoo; a candidate has its task's."""


def is_file(network: str) -> bool:
    """Whether `network` names a file rather than an id or a network of the zoo."""
    return Path(network).suffix.lower() in (".json", ".toml", ".cfg")


def find(network: str, store: Store | None, name: str | None) -> Found:
    """What `network` is: an id (or the beginning of one) in `store`, a file, or a name of the zoo.

    `name` is the study to look in; the studies are asked in the order in which they changed. Raises UsageError,
    ArchitectureError.
    """
    ids: dict[str, StudyRow] = {}
    if store is not None and not is_file(network):
        rows = store.studies() if name is None else [study_of(store, name)]
        for row in reversed(rows):
            ids |= {proposal.architecture.id: row for proposal in store.proposals(row.id)}
        identity = full_id(network, list(ids))
        if identity in ids:
            architecture = store.architecture(identity)
            assert architecture is not None
            return Found(architecture=architecture, title=identity, row=ids[identity])
    return _published(network, list(ids), store is not None)


def _published(network: str, ids: list[str], has_store: bool) -> Found:
    from space.architecture import ArchitectureError
    from space.source import anchors_of, architecture_of, classes_of, title_of
    from space.zoo import ZooError

    try:
        architecture = architecture_of(network)
        return Found(architecture=architecture, title=title_of(network), num_anchors=anchors_of(network),
                     num_classes=classes_of(network))  # fmt: skip
    except ZooError as error:
        if not all(character in "0123456789abcdef" for character in network.lower()):
            raise UsageError(f"'{network}' is no candidate's id here, and {error}") from error
        near = difflib.get_close_matches(network, ids, n=3, cutoff=0.3) or ids[:3]
        if has_store and near:
            raise UsageError(f"no candidate '{network}'; nearest ids: {', '.join(near)} "
                             f"(of {len(ids)}; see `python -m dashboard`)") from error  # fmt: skip
        raise UsageError(f"no candidate '{network}'; name the database that holds it with --db") from error
    except ArchitectureError as error:
        raise UsageError(str(error)) from error
