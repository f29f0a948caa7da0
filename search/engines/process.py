"""The default engine: `workers` guarded processes at a time on this machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from search.engines.guard import guarded


class ProcessEngine:
    """Threads that each wait for one guarded process."""

    def __init__(self, workers: int, *, threads: int = 1, cpu_seconds: float = 300.0,
                 memory_bytes: int = 4 * 2**30) -> None:  # fmt: skip
        self.workers = workers
        self._alive: set[Any] = set()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._guard = partial(guarded, cpu_seconds=cpu_seconds, memory_bytes=memory_bytes, threads=threads,
                              watch=self._alive)  # fmt: skip

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Run `function(*args)` in a process of its own."""
        return self._pool.submit(self._guard, function, args)

    def kill(self) -> None:
        """Cancel what waits and kill what runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in list(self._alive):
            process.kill()
