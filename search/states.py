"""Where the trainings of a study's present generation wait to be continued: one file a candidate, in the user's cache.

A folder holds no more than one generation: a file is removed when its candidate is closed, the folder when the
search ends. What a killed search left is used when it goes on, and swept after a week if it does not. Nothing here
is needed for a result: without its file a training starts afresh.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from evaluator.tasks._cache import root
from search.store import Proposal

ABANDONED_SECONDS = 7 * 86400.0
"""A folder in which nothing changed for so long belongs to a search that nobody goes on with."""


class States:
    """The state files of one study; `key` tells it from all others on this machine. No method raises OSError."""

    def __init__(self, key: str) -> None:
        self.folder = root() / "states" / key

    def path(self, proposal: Proposal) -> Path:
        """The file of a candidate."""
        return self.folder / f"{proposal.number}-{proposal.architecture.id}.state"

    def drop(self, proposal: Proposal) -> None:
        """Remove the file of a candidate that is closed."""
        with contextlib.suppress(OSError):
            self.path(proposal).unlink(missing_ok=True)

    def sweep(self, waiting: Iterable[Proposal] = ()) -> None:
        """Remove all files but those of `waiting`, half-written ones too, and folders that others abandoned."""
        keep = {self.path(proposal) for proposal in waiting}
        with contextlib.suppress(OSError):
            for file in self.folder.iterdir():
                if file not in keep:
                    file.unlink(missing_ok=True)
            if not keep:
                self.folder.rmdir()
        with contextlib.suppress(OSError):
            for folder in self.folder.parent.iterdir():
                if folder != self.folder and time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
