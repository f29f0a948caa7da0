"""Which names a request may call this server by.

A page of another site can point a name of its own at this server's address (DNS rebinding); for the browser that page
is then of the server's own origin, and may read and write. It cannot do so with an address, nor with a name of ours.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Iterable

LOCAL = "localhost"
_HOST = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::\d*)?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == LOCAL


def names(listening: str, allowed: Iterable[str] = ()) -> frozenset[str]:
    """Names of a server that listens on `listening`: the machine's own where others can reach it, and `allowed`."""
    own = [] if loopback(listening) else [listening, socket.gethostname(), socket.getfqdn()]
    return frozenset(name.lower().rstrip(".") for name in (LOCAL, *own, *allowed))


def may(header: str, known: Collection[str]) -> bool:
    """Whether a request whose Host is `header` is for a server of these names: every address is, as it is no name."""
    found = _HOST.fullmatch(header)
    if found is None:
        return False
    name = (found["six"] or found["name"] or "").lower().rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in known
    return True


def is_name(text: str) -> bool:
    """Whether a text can be the name of a host: without scheme, port, path or wildcard."""
    return _NAME.fullmatch(text.lower().rstrip(".")) is not None
