"""What the commands on a study share: one line for bad input, the limits of a worker, Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cyclopts import App, CycloptsError

from space import cli

if TYPE_CHECKING:
    from evaluator.device import Device
    from search.engines import Engine
    from search.store import Store, StudyRow

USAGE = 2
"""Exit code for bad input."""
INTERRUPTED = 130


class UsageError(Exception):
    """Bad input; the message is the one line that the user sees."""


def call(app: App, arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit code. User errors are one line on stderr and code 2, also a full disk."""
    return cli.run(lambda given, **_: _call(app, given), arguments)


def _call(app: App, arguments: list[str] | None) -> int:
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, UsageError, ValueError) as error:
        # ValueError is what the parts raise for bad input (StudyError, StoreError, SpaceError, TaskError).
        if isinstance(error, ValueError) and not _ours(error):
            raise
        text = " ".join(str(error).split())
        print(f"error: {text}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:  # before the work began: while the data were prepared
        print("stopped before anything began; nothing was left behind", file=sys.stderr)
        return INTERRUPTED
    return int(code or 0)


def _ours(error: ValueError) -> bool:
    return type(error).__module__.split(".")[0] in ("search", "space", "evaluator")


def check_limits_of_workers(workers: int | None, time_limit: float | None, memory_limit: float | None) -> None:
    """Raise UsageError for what no training could keep to."""
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}; it must be at least 1")
    if time_limit is not None and time_limit < 1:
        raise UsageError(f"--time-limit is {time_limit}; it must be at least 1 second")
    if memory_limit is not None and memory_limit < 0.25:
        raise UsageError(f"--memory-limit is {memory_limit}; it must be at least 0.25 GiB")


def shown_database(db: str) -> str:
    """The database as a person may see it. Raises UsageError for one that would not be kept."""
    from search.store import url_of

    url = url_of(db)
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError(f"--db is '{db}': a search is kept in a file or on a server; give a path or a URL")
    return db if "://" not in db else url.render_as_string(hide_password=True)


def open_to_read(db: str) -> Store:
    """The database for a command that only reads, also while a search writes; an older schema is brought up to date."""
    from search.store import Store, StoreOld

    try:
        return Store.open(db, create=False, read_only=True)
    except StoreOld:
        Store.open(db, create=False).close()
        return Store.open(db, create=False, read_only=True)


def find_device(name: str) -> Device:
    """What `--device` means here; asked in a process of its own, as only workers import torch."""
    from evaluator.device import DeviceError, find, needs_torch
    from search.engines.guard import CandidateError, guarded

    if not needs_torch(name):
        return find(name)
    try:
        found: Device = guarded(find, (name,), cpu_seconds=120, memory_bytes=None)
    except CandidateError as error:
        raise DeviceError(str(error).removeprefix("DeviceError: ").rpartition(" at ")[0] or str(error)) from error
    return found


def make_engine(name: str, workers: int | None, time_limit: float, memory_limit: float | None,
                device: str = "cpu") -> Engine:  # fmt: skip
    """The engine called `name`: a worker a core and 80 % of the memory, shared, unless said otherwise.

    With a card there is no limit of memory unless one is given: its driver maps more than the machine has.
    """
    import psutil

    from search.engines.inline import InlineEngine
    from search.engines.process import ProcessEngine

    if name == "inline":
        return InlineEngine()
    workers = workers or os.cpu_count() or 1
    if memory_limit is None and device == "cpu":
        memory_limit = psutil.virtual_memory().total / 2**30 * 0.8 / workers
    memory_bytes = None if memory_limit is None else int(memory_limit * 2**30)
    return ProcessEngine(workers, cpu_seconds=time_limit, memory_bytes=memory_bytes)


def engine_of(row: StudyRow, name: str, workers: int | None, time_limit: float, memory_limit: float | None) -> Engine:
    """The engine for more trainings of a study, where its candidates were trained.

    Raises UsageError where its card is missing: failures that say nothing of a candidate must not be recorded.
    """
    from evaluator.device import DeviceError
    from evaluator.tasks import TASKS, Analytic

    if isinstance(TASKS.get(row.config["task"]), Analytic):
        name = "inline"  # a formula needs no process of its own
    try:
        find_device(row.device)
    except DeviceError as error:
        reason = str(error).removeprefix("--device cuda: ").partition(";")[0]
        raise UsageError(f"study '{row.name}' was trained on a CUDA card, and here {reason}: go on where one is, or "
                         "search anew with `python -m search.run --new --device cpu`") from error  # fmt: skip
    return make_engine(name, workers, time_limit, memory_limit, row.device)


@contextmanager
def stopping(event: threading.Event) -> Iterator[None]:
    """Within, the first Ctrl-C (or SIGTERM) sets `event`, and the second raises KeyboardInterrupt."""

    def stop(number: int, _: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
