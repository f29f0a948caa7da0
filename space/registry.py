"""Named parts: blocks, cross-stage variants and heads register themselves by being a file in their folder."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of named parts, filled on first use by importing every module of `package`.

    One new file in the folder that calls `register` is a new part, and the contract tests find it here.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self._package = kind, package
        self._parts: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str, part: T) -> T:
        """Add `part` under `name`. Raises ValueError if the name is taken."""
        if name in self._parts:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._parts[name] = part
        return part

    def _discover(self) -> None:
        if not self._discovered:
            self._discovered = True
            package = importlib.import_module(self._package)
            for found in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{found.name}")

    def get(self, name: str) -> T:
        """The part called `name`; `package.module:name` imports one from outside.

        Raises ValueError that names the nearest part and all that there are.
        """
        self._discover()
        if name in self._parts:
            return self._parts[name]
        if ":" in name:
            module, _, attribute = name.partition(":")
            try:
                part: T = getattr(importlib.import_module(module), attribute)
            except (ImportError, AttributeError) as error:
                raise ValueError(f"{self.kind} '{name}' cannot be imported: {error}") from error
            return part
        raise ValueError(unknown(self.kind, name, self.names()))

    def names(self) -> list[str]:
        """Names of all registered parts, sorted."""
        self._discover()
        return sorted(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._parts


def unknown(kind: str, name: Any, allowed: list[str]) -> str:
    """One line for an unknown name: what was given, the nearest allowed one, all allowed ones."""
    near = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return f"no {kind} '{name}'{hint} Allowed: {', '.join(allowed)}"


def part(registry: Registry[Any], name: str, **facts: Any) -> Callable[[T], T]:
    """Decorator that registers a function as `name` and hangs `facts` (such as the axes it reads) on it."""

    def wrap(function: T) -> T:
        for key, value in facts.items():
            setattr(function, key, value)
        registry.register(name, function)
        return function

    return wrap
