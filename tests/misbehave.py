"""Functions that worker processes run in tests: they crash, hang, eat memory or answer."""

from __future__ import annotations

import os
import time
from typing import Any


def answer(value: Any) -> Any:
    return value


def raises() -> None:
    raise ValueError("two\nlines")


def aborts() -> None:
    os.abort()


def exits() -> None:
    os._exit(7)


def spins() -> None:
    while True:
        pass


def sleeps() -> None:
    time.sleep(3600)


def eats() -> int:
    return len(bytearray(64 * 2**30))


def eats_tensors() -> int:
    import torch

    return torch.ones(16 * 2**30).numel()


def unpicklable() -> Any:
    return lambda: None


def threads() -> int:
    import torch

    return torch.get_num_threads()


def tell_pid_and_sleep(path: str) -> None:
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(3600)


def drive(path: str) -> None:
    """A driver process for the test of kill -9: one guarded worker that sleeps."""
    from search.engines.process import ProcessEngine

    ProcessEngine(1).submit(tell_pid_and_sleep, path).result()


def aborts_on_three(items: list[int]) -> list[int]:
    if 3 in items:
        os.abort()
    return [10 * item for item in items]
