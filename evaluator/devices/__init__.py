"""Device cards: what is published of a device, one TOML file each. No torch.

`cards()` are those that come with the product, `card` also reads a user's own file. A card's rates are peaks that no
network reaches; `evaluator.roofline` says what it makes of them and how wrong that is known to be. The card of `host`
is measured on demand (`evaluator.devices.host`).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from evaluator.devices.host import measured
from evaluator.target import HOST
from space.cost import BYTES
from space.registry import unknown

Kind = Literal["cpu", "gpu"]
PROFILE = {"backend": str, "precision": str, "threads": int, "batch": int, "height": int, "width": int}


class CardError(ValueError):
    """A card that is not there or cannot be read; one line that says which file, which key and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One device as its card describes it. What nobody published is None or not there."""

    name: str
    title: str
    kind: Kind = "cpu"
    peak_gflops: Mapping[str, float] = field(default_factory=dict)
    """Precision -> peak arithmetic of all cores in 1e9 operations a second, dense; 1 MAC is 2 operations."""
    bandwidth_gb_s: float | None = None
    """Peak of the main memory in 1e9 bytes a second."""
    memory_bytes: int | None = None
    cores: int | None = None
    """Processor cores, or streaming multiprocessors of a GPU."""
    caches: Mapping[str, int] = field(default_factory=dict)
    """Bytes by level: `l1d` and `l2` of one core unless the source says that it is shared, `l3` of all."""
    published_as: tuple[str, ...] = ()
    """What `space.zoo.published` calls the device."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    """How networks run there unless said otherwise: `backend`, `precision`, `threads`, `batch`, `height`, `width`."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Key of a figure, such as `peak_gflops.fp32`, -> document or address that it is from, and how it follows."""
    notes: str | None = None

    @property
    def figures(self) -> dict[str, float]:
        """Every figure by its key, as `sources` names them."""
        single = {name: getattr(self, name) for name in ("cores", "bandwidth_gb_s", "memory_bytes")}
        tables = {f"{table}.{key}": value for table in ("peak_gflops", "caches")
                  for key, value in getattr(self, table).items()}  # fmt: skip
        return {key: value for key, value in {**single, **tables}.items() if value is not None}


@cache
def cards() -> dict[str, Card]:
    """Every card by name; that of `host` first, where it was measured."""
    shipped = (path for path in files("evaluator.devices").iterdir() if path.name.endswith(".toml"))
    found = [read(path.read_text(encoding="utf-8"), path.name.removesuffix(".toml"), path.name)
             for path in sorted(shipped, key=lambda path: path.name)]  # fmt: skip
    here = measured()
    return {card.name: card for card in ([_checked(here["card"], HOST)] if here else []) + found}


def card(name: str) -> Card:
    """The card called `name`, or that of the file at the path `name`. Raises CardError."""
    if name in cards():
        return cards()[name]
    if name == HOST:
        raise CardError("the card of host is not measured yet; run `python -m evaluator.devices --measure-host`")
    if not name.endswith(".toml"):
        near = unknown("device card", name, list(cards())).rstrip(".")
        raise CardError(f"{near}; or give the path of a .toml file of your own")
    try:
        return read(Path(name).read_text(encoding="utf-8"), Path(name).stem, name)
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(f"device card '{name}' cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read(text: str, name: str, shown: str) -> Card:
    """The card in TOML `text`. Raises CardError that names `shown` and the key."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CardError(f"{shown} is not TOML: {error}") from error
    try:
        return _checked(data, name)
    except ValueError as error:
        raise CardError(f"{shown}: {error}") from error


def _checked(data: dict[str, Any], name: str) -> Card:
    allowed = [key for key in Card.__dataclass_fields__ if key != "name"]
    for key in data:
        if key not in allowed:
            raise ValueError(unknown("key", key, allowed))
    if not isinstance(data.get("title"), str):
        raise ValueError("the key 'title' is missing: the device's name in words")
    if data.get("kind", "cpu") not in get_args(Kind):
        raise ValueError(unknown("kind", str(data["kind"]), list(get_args(Kind))))
    for key in ("peak_gflops", "caches", "profile", "sources"):
        if not isinstance(data.get(key, {}), dict):
            raise ValueError(f"'{key}' is a table: [{key}]")
    for precision in data.get("peak_gflops", {}):
        if precision not in BYTES:
            raise ValueError(f"[peak_gflops] {unknown('precision', precision, list(BYTES))}")
    for key, value in data.get("profile", {}).items():
        if key not in PROFILE:
            raise ValueError(f"[profile] {unknown('key', key, list(PROFILE))}")
        if not isinstance(value, PROFILE[key]) or isinstance(value, bool) or value in (0, ""):
            kind = PROFILE[key].__name__
            raise ValueError(f"[profile] {key} is {value!r}; it must be of type {kind}, not 0 or empty")
    made = Card(name=name, **{**data, "published_as": tuple(data.get("published_as", ()))})
    for key, figure in made.figures.items():
        if isinstance(figure, bool) or not isinstance(figure, int | float) or not 0 < figure < math.inf:
            raise ValueError(f"{key} is {figure!r}; it must be a positive number")
    for key, source in made.sources.items():
        if key not in made.figures:
            raise ValueError(f"[sources] {unknown('figure', key, list(made.figures))}")
        if not isinstance(source, str) or not source.strip():
            raise ValueError(f"[sources] {key} is {source!r}; it must say where the figure is from")
    return made
