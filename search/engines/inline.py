"""The engine for debugging: runs in this process, one after another, nothing guarded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from search.engines.guard import CandidateError, set_threads


class InlineEngine:
    """Runs each task when it is submitted."""

    workers = 1

    def submit(self, function: Callable[..., Any], /, *args: Any, patience: float = 1.0) -> Future[Any]:
        """Run `function(*args)` now, on one thread, as the guarded processes do."""
        set_threads(1)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(CandidateError(f"{type(error).__name__}: {error}"))
        return future

    def kill(self) -> None:
        """Nothing runs."""
