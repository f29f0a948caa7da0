"""A live bar with the last lines on a terminal, plain lines elsewhere; on stderr, since results go to stdout."""

from __future__ import annotations

import time
from collections import deque

from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

LAST = 6
"""Lines that the live display keeps."""


class Display:
    """What a person sees of something that takes long. A context manager while it runs."""

    def __init__(self, name: str, total: int) -> None:
        self._rich = RichConsole(stderr=True, highlight=False)
        self._live: Live | None = None
        self._lines: deque[str] = deque(maxlen=LAST)
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(bar_width=None),
                             TextColumn("{task.completed:.0f} of {task.total:.0f}"), TimeElapsedColumn(),
                             TextColumn("{task.fields[eta]}"), console=self._rich)  # fmt: skip
        self._task = self._bar.add_task(name, total=total, eta="")
        self._phase = ""
        self._status = ""
        self._start = time.monotonic()

    def __enter__(self) -> Display:
        self._start = time.monotonic()
        if self._rich.is_terminal:
            self._live = Live(self._draw(), console=self._rich, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """One line for the person watching."""
        self._rich.print(Text(text), soft_wrap=True)

    def phase(self, text: str) -> None:
        """A new step began."""
        self._phase = text
        if self._live is None:
            self.say(f"-- {text}")
        else:
            self._live.update(self._draw())

    def advance(self, done: int, line: str, status: str, left: str) -> None:
        """One more is done: its line, where all stands, and how long the rest may take."""
        self._status = status
        self._bar.update(self._task, completed=done, eta=left)
        if self._live is None:
            tail = ", ".join(filter(None, (status, left)))
            self.say(f"{line}   ({tail})" if tail else line)
        else:
            self._lines.append(line)
            self._live.update(self._draw())

    def _draw(self) -> Group:
        return Group(*(Text(line) for line in self._lines),
                     Text("; ".join(filter(None, (self._phase, self._status))), style="dim"), self._bar)  # fmt: skip


def clock(seconds: float) -> str:
    """A duration as a person reads it, for example `4 min 07 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"
