"""Device cards: what is published of a device, one TOML file each. Standard library only."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Card:
    """One device as its card describes it."""

    name: str
    title: str
    profile: Mapping[str, Any] = field(default_factory=dict)
    """How networks run there unless said otherwise: `backend`, `precision`, `threads`, `batch`, `height`, `width`."""


@cache
def cards() -> dict[str, Card]:
    """Every card by name."""
    found = {}
    for path in sorted(files("evaluator.devices").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".toml"):
            data = tomllib.loads(path.read_text())
            name = path.name.removesuffix(".toml")
            found[name] = Card(name=name, title=data["title"], profile=data.get("profile", {}))
    return found
