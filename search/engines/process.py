"""The default engine: `workers` guarded processes at a time on this machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from search.engines.guard import Watch, guarded, start_server


class ProcessEngine:
    """Threads that each wait for one guarded process. Make it in the main thread."""

    def __init__(self, workers: int, *, threads: int = 1, cpu_seconds: float = 300.0,
                 memory_bytes: int | None = 4 * 2**30) -> None:  # fmt: skip
        self.workers = workers
        self.watch = Watch()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._threads, self._cpu_seconds, self._memory_bytes = threads, cpu_seconds, memory_bytes
        start_server()

    def submit(self, function: Callable[..., Any], /, *args: Any, patience: float = 1.0) -> Future[Any]:
        """Run `function(*args)` in a process of its own."""
        return self._pool.submit(guarded, function, args, cpu_seconds=self._cpu_seconds * patience,
                                 memory_bytes=self._memory_bytes, threads=self._threads, watch=self.watch)  # fmt: skip

    def kill(self) -> None:
        """Cancel what waits and kill what runs or is just being started."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.watch.kill()
