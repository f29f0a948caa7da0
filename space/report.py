"""Tables in the terminal, as the command lines of this package print them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 200
"""Columns of a table that does not go to a terminal."""


@contextmanager
def console() -> Iterator[Console]:
    """A console on stdout: as wide as the terminal, wide and plain into a pipe. A closed pipe is no error."""
    from rich.console import Console

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH
    try:
        yield Console(width=width, highlight=False)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter flushes it at exit


def table(title: str, columns: Sequence[str], *, left: Sequence[str] = ()) -> Table:
    """An empty table; columns are numbers, set right, but for those named `left`."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        made.add_column(column, justify="left" if column in left else "right", no_wrap=column not in left)
    return made


def percent(deviation: float | None) -> str:
    """A signed deviation in percent; bold from 0.1 %, which wants an explanation."""
    if deviation is None:
        return ""
    text = f"{100 * deviation:+.2f} %"
    return f"[bold]{text}[/]" if abs(deviation) >= 0.00105 else text
