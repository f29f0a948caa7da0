"""Where evaluations run. An engine only places work; the guard in `guard.py` gives failures one meaning."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol


class Engine(Protocol):
    """Like a concurrent.futures executor. A task's failure is `guard.CandidateError` in its future."""

    workers: int

    def submit(self, function: Callable[..., Any], /, *args: Any, patience: float = 1.0) -> Future[Any]:
        """Run `function(*args)` somewhere; both must be picklable by reference from an importable module.

        `patience` multiplies the time limit of one training, for a task that does the work of several.
        """
        ...

    def kill(self) -> None:
        """Stop everything at once; unfinished futures fail or are cancelled. Used on Ctrl-C and at the end."""
        ...
