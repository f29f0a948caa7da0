"""What the command lines of this package share: sizes, errors of one line, tables in the terminal."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 200
"""Columns of a table that does not go to a terminal."""
USAGE = 2
"""Exit code for bad input."""
LARGEST_SIDE = 16384
"""Pixels of an image's longer side that a command line accepts."""


class UsageError(ValueError):
    """Bad input; the message is the one line that the user sees."""


def run(app: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit code. User errors are one line on stderr and code 2."""
    from cyclopts import CycloptsError

    from space.architecture import ArchitectureError

    _usable_stdout()
    try:
        code = int(app(arguments, exit_on_error=False, print_error=False, result_action="return_value") or 0)
        sys.stdout.flush()
    except (CycloptsError, UsageError, ArchitectureError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # the reader has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter flushes it at exit
        return 1
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        what = "the output cannot be written" if error.filename is None else f"'{error.filename}'"
        print(f"error: {what}: {error.strerror or error}", file=sys.stderr)
        return USAGE
    return code


def _usable_stdout() -> None:
    """A stdout that was closed, or cannot say every character, is no reason for a traceback."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    elif isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower().replace("-", "") != "utf8":
        sys.stdout.reconfigure(errors="replace")


def image_size(text: str | None, option: str = "--resolution") -> tuple[int, int] | None:
    """(height, width) of `416` or `320x416`, None of None. Raises UsageError with what is allowed for `option`."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9})(?:[x×]([0-9]{1,9}))?", text.strip().lower())
    if not match:
        raise UsageError(f"{option} is '{text}'; give a size such as 416, or height x width such as 320x416")
    height, width = int(match[1]), int(match[2] or match[1])
    if not 1 <= min(height, width) <= max(height, width) <= LARGEST_SIDE:
        raise UsageError(f"{option} is '{text}'; sides are 1 to {LARGEST_SIDE} pixels")
    return height, width


def size_name(height: int, width: int) -> int | str:
    """An image size as the tables and JSON objects have it: an integer for a square, else "HxW"."""
    return height if height == width else f"{height}x{width}"


def console() -> Console:
    """A console on stdout: as wide as the terminal, wide and plain into a pipe."""
    from rich.console import Console

    size = shutil.get_terminal_size()
    width = size.columns if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, height=size.lines, highlight=False)


def table(title: str, columns: Sequence[str], *, left: Sequence[str] = ()) -> Table:
    """An empty table; columns are numbers, set right, but for those named `left`."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        first = column == columns[0]  # names fold where there is no room; numbers never do
        made.add_column(column, justify="left" if column in left else "right", no_wrap=column not in left,
                        min_width=24 if first and column in left else None, overflow="fold")  # fmt: skip
    return made


def percent(deviation: float | None) -> str:
    """A signed deviation in percent; bold from 0.1 %, which wants an explanation."""
    if deviation is None:
        return ""
    text = f"{100 * deviation:+.2f} %"
    return f"[bold]{text}[/]" if abs(deviation) >= 0.00105 else text
