"""python -m dashboard.report: a study as one HTML file that opens without a server and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from space import cli

USAGE = 2
"""Exit code for bad input."""

app = App(name="python -m dashboard.report", help="Write a study as one HTML file that opens without a server.",
          version_flags=[])  # fmt: skip


class UsageError(Exception):
    """Bad input; the message is the one line that the user sees."""


@app.default
def run(*, db: str | None = None, name: str | None = None,
        output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("report.html")) -> int:  # fmt: skip
    """Write the report of a study.

    Parameters
    ----------
    db
        SQLite file or SQLAlchemy URL; csp.db by default.
    name
        The study; by default the one that changed last.
    output
        The file to write; one that is there is replaced.
    """
    from dashboard.data import Database
    from dashboard.pages import message
    from dashboard.report_page import report
    from search.store import DEFAULT_PATH

    database = Database(db or DEFAULT_PATH)
    database.check()
    snapshot = database.snapshot(name or "")
    if name is not None and snapshot.studies and name not in (known := [row.name for row in snapshot.studies]):
        raise UsageError(f"--name: no study {name}; studies here: {', '.join(known)}")
    said = message.state(database, snapshot)
    if said is not None or snapshot.study is None:
        raise UsageError(f"{said.title if said else 'there is no study'}; fill it with `{message.command(database)}`")
    text = report(database, snapshot).encode()
    _replace(output, text)
    print(f"{output}: study {snapshot.study.name}, {snapshot.progress}; {len(text) / 1e3:,.0f} kB", flush=True)
    return 0


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # such as /dev/stdout
            path.write_bytes(data)
            return
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"--output '{path}' cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    call: Callable[..., Any] = lambda given, **_: _call(given)  # noqa: E731
    return cli.run(call, arguments)


def _call(arguments: list[str] | None) -> int:
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, UsageError) as error:
        return _refuse(error)
    except ValueError as error:
        if type(error).__module__.split(".")[0] != "search":  # StoreError is bad input, all else a fault of ours
            raise
        return _refuse(error)
    return int(code or 0)


def _refuse(error: Exception) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
