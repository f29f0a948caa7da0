"""One evaluation, one process: a crash, a hang or a memory blow-up costs that evaluation and nothing else.

A fork server preloads torch, so a process costs some 60 ms. The child ignores Ctrl-C (the driver decides),
limits its memory (RLIMIT_DATA, a clean MemoryError) and its processor time (RLIMIT_CPU), and exits when the
driver is gone: it waits on a pipe whose other end only the driver holds. PR_SET_PDEATHSIG cannot do that,
because the child's parent is the fork server. Processor time is the limit that matters; the limit on wall time
is generous, since it also runs while others use the cores.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

PRELOAD = ["torch", "torch._dynamo", "evaluator.evaluate", "evaluator.train", "evaluator.profile"]
_REAPING = threading.Lock()
"""Held where an exit code may be read: starting a process also polls all others, and of two readers one gets
255 (multiprocessing.process._cleanup; seen once in 60 crashes under load)."""
WALL_FACTOR = 4.0
"""A process may take this many times its processor-time limit in wall time."""


class CandidateError(Exception):
    """An evaluation that failed; the message is the reason to record."""


def context() -> Any:
    """The fork-server context with torch preloaded; the server starts with the first process."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(PRELOAD)
    return forkserver


def start_server() -> None:
    """Start the fork server deaf to Ctrl-C, which it would otherwise hear while it is still importing torch."""
    from multiprocessing import forkserver

    context()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


class Watch:
    """The processes of an engine that are alive, so that another thread can kill them all, for good."""

    def __init__(self) -> None:
        self.alive: set[Any] = set()
        self._closed = False
        self._lock = threading.Lock()

    def add(self, process: Any) -> None:
        """Watch a process that was just started. Raises CandidateError if all was killed meanwhile."""
        with self._lock:
            self.alive.add(process)
            if self._closed:
                raise CandidateError("the search was stopped")

    def kill(self) -> None:
        """Kill all, and all that are added later."""
        with self._lock:
            self._closed = True
            for process in self.alive:
                process.kill()

    def discard(self, process: Any) -> None:
        """Forget a process that has ended."""
        with self._lock:
            self.alive.discard(process)


def guarded(function: Callable[..., Any], args: tuple[Any, ...], *, cpu_seconds: float, memory_bytes: int | None,
            threads: int = 1, watch: Watch | None = None) -> Any:  # fmt: skip
    """`function(*args)` in a process of its own; its return value.

    `watch` holds the process while it lives, so that another thread can kill it. Raises CandidateError with
    the reason when the function raises, crashes, or exceeds a limit.
    """
    forkserver = context()
    receive, send = forkserver.Pipe(duplex=False)
    life_child, life_parent = forkserver.Pipe(duplex=False)
    arguments = (send, life_child, function, args, cpu_seconds, memory_bytes, threads)
    process = forkserver.Process(target=_child, args=arguments, daemon=True)
    try:
        with _REAPING:
            process.start()
    except (OSError, EOFError) as error:
        raise CandidateError(f"its process could not be started: {error}") from error
    try:
        send.close()
        life_child.close()
        if watch is not None:
            watch.add(process)
        ready = wait([receive, process.sentinel], timeout=cpu_seconds * WALL_FACTOR)
        if not ready:
            raise CandidateError(f"took more than {cpu_seconds * WALL_FACTOR:.0f} s (it hangs, or the machine is busy)")
        try:
            kind, value = receive.recv()
        except (EOFError, OSError):  # nothing, or half an answer: it died
            with _REAPING:
                process.join()
            raise CandidateError(_death(process.exitcode, cpu_seconds)) from None
        if kind == "error":
            raise CandidateError(value)
        return value
    finally:
        with _REAPING:
            process.kill()
            process.join()
        receive.close()
        life_parent.close()
        if watch is not None:
            watch.discard(process)


def _death(exitcode: int | None, cpu_seconds: float) -> str:
    if exitcode == -signal.SIGXCPU:
        return f"took more than {cpu_seconds:.0f} s of processor time"
    if exitcode is not None and exitcode < 0:
        return f"its process was killed by {signal.Signals(-exitcode).name}"
    return f"its process exited with code {exitcode}"


def _child(send: Connection, life: Connection, function: Callable[..., Any], args: tuple[Any, ...],
           cpu_seconds: float, memory_bytes: int | None, threads: int) -> None:  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_driver, args=(life,), daemon=True).start()
    soft = max(1, int(cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (soft, soft + 5))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        set_threads(threads)
        message = ("ok", function(*args))
    except MemoryError:
        message = ("error", _out_of_memory(memory_bytes))
    except BaseException as error:
        message = ("error", _reason(error, memory_bytes))
    send.send(message)
    send.close()


def set_threads(threads: int) -> None:
    """Let torch use this many threads in this process."""
    import torch

    torch.set_num_threads(threads)


def _out_of_memory(memory_bytes: int | None) -> str:
    return "out of memory" + (f" (limit {memory_bytes / 2**30:.1f} GiB)" if memory_bytes is not None else "")


def _reason(error: BaseException, memory_bytes: int | None) -> str:
    text = str(error).strip().splitlines()
    if "can't allocate memory" in str(error):
        return _out_of_memory(memory_bytes)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {text[0] if text else 'no message'}{place}"


def _exit_with_driver(life: Connection) -> None:
    try:
        life.recv()
    except EOFError:
        os._exit(1)
