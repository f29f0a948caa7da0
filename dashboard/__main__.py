"""python -m dashboard: serve the dashboard over a study database, here and offline."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from dashboard.hosts import is_name, loopback, names

if TYPE_CHECKING:
    from dashboard.data import Database
    from space.zoo import Entry

USAGE = 2
"""Exit code for bad input."""
MOST_BYTES = 2**20
"""Bytes of a request: more than any page sends."""

app = App(
    name="python -m dashboard",
    help="Look at the candidates of a search while it runs or afterwards. It writes notes, tags, pins and queues.",
    version_flags=[],
)


class UsageError(Exception):
    """Bad input; the message is the one line that the user sees."""


@app.default
def run(
    *,
    db: Annotated[list[str] | None, Parameter(negative="")] = None,
    demo: Annotated[bool, Parameter(negative="")] = False,
    host: str = "127.0.0.1",
    port: int = 8050,
    open: Annotated[bool, Parameter(negative="")] = False,
    reference: Annotated[list[str] | None, Parameter(negative="")] = None,
    allow_host: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> int:
    """Serve the dashboard.

    Parameters
    ----------
    db
        SQLite file or SQLAlchemy URL; it may not exist yet. csp.db by default; may be repeated.
    demo
        Look at the study that ships with the product, instead of a database of yours.
    host
        Address to listen on. Anything but this machine alone is without a login.
    port
        Port to listen on; 0 takes a free one.
    open
        Open the page in a browser.
    reference
        Mark what a published network costs, such as CSPPeleeNet; may be repeated.
    allow_host
        Answer requests by this name too, such as that of a proxy in front; may be repeated.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port}; it must be between 0 and 65535")
    if demo and db is not None:
        raise UsageError("--demo and --db exclude each other; give one of them")
    shown = _references(reference or [])
    known = names(host, _allowed(allow_host or []))
    listener = _listen(host, port)
    with listener:
        _one_arena()
        from dashboard.data import Database
        from dashboard.databases import Databases
        from dashboard.demo import SHOWN, unpacked
        from search.store import DEFAULT_PATH, StoreError

        with ExitStack() as stack:
            try:
                if demo:
                    found = [Database(stack.enter_context(unpacked()), shown=SHOWN)]
                else:
                    found = [Database(each) for each in dict.fromkeys(db or [DEFAULT_PATH])]
                database = found[0] if len(found) == 1 else Databases(found)
                database.check()
            except StoreError as error:
                raise UsageError(str(error)) from error
            _serve(database, ", ".join(each.shown for each in found), listener, host, known, shown, browser=open)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises UsageError that says what to change."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"--host '{host}' is not a name or address of this machine") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Two sockets may bind the same address until one listens; fail here, not in the server.
        listener.listen(128)
    except OSError as error:
        listener.close()
        reasons = {
            errno.EADDRINUSE: f"port {port} on {host} is in use; give another one with --port, or --port 0",
            errno.EACCES: f"port {port} needs privileges; give one from 1024 on with --port",
            errno.EADDRNOTAVAIL: f"--host '{host}' is not an address of this machine",
        }
        raise UsageError(reasons.get(error.errno or 0, f"cannot listen on {host}:{port}: {error}")) from error
    return listener


def _references(names: list[str]) -> tuple[Entry, ...]:
    from dashboard.references import entries_of
    from space.zoo import ZooError

    try:
        return entries_of(names)
    except ZooError as error:
        raise UsageError(f"--reference: {error}") from error


def _allowed(given: list[str]) -> list[str]:
    for name in given:
        if not is_name(name):
            raise UsageError(f"--allow-host '{name}' is no host name; give one without scheme, port and wildcard")
    return given


def _one_arena() -> None:
    """Let all threads share one heap where the C library is glibc: at 100,000 candidates 200 MB instead of 290."""
    import ctypes
    from contextlib import suppress

    with suppress(OSError, AttributeError, TypeError):  # another C library, which has no such thing
        ctypes.CDLL(None).mallopt(-8, 1)  # M_ARENA_MAX


def _serve(database: Database, names: str, listener: socket.socket, host: str, known: frozenset[str],
           shown: tuple[Entry, ...], *, browser: bool) -> None:  # fmt: skip
    import logging
    import signal

    from waitress.server import create_server

    from dashboard.app import create_app

    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{listener.getsockname()[1]}"
    if not loopback(host):
        print(
            f"warning: anyone who can reach {url} can read the database and write notes: there is no login",
            file=sys.stderr,
        )
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    application = create_app(database, hosts=known, shown=shown)
    server: Any = create_server(application.server, sockets=[listener], threads=6, ident=None,
                                max_request_body_size=MOST_BYTES)  # fmt: skip

    def stop(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    print(f"CSP Explorer at {url} shows {names}; Ctrl-C stops it", flush=True)
    if browser:
        import webbrowser

        threading.Timer(0.5, webbrowser.open, [url]).start()
    server.run()  # returns after Ctrl-C
    server.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
    except (CycloptsError, UsageError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return 0
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main())
