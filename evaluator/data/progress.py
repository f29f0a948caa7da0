"""A bar on stderr while pictures are read: live on a terminal, two lines elsewhere, nothing for a moment's work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_SECONDS = 10.0
"""Away from a terminal a line is said this often."""


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[], None]]:
    """A function to call after each of `total` steps."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        done, said = 0, time.monotonic()

        def plain() -> None:
            nonlocal done, said
            done += 1
            if time.monotonic() - said > PLAIN_SECONDS:
                said = time.monotonic()
                console.print(f"{text}: {done} of {total} pictures", markup=False, soft_wrap=True)

        yield plain
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda: progress.advance(task)
