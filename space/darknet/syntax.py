"""The text of a .cfg: sections of options with their lines, and what darknet calls its activations.

As darknet reads it: white space counts nowhere, `#` and `;` begin a comment, the first of two equal options
counts, a section runs to the next header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from space.architecture import ArchitectureError
from space.registry import unknown

ACTIVATIONS: dict[str, str | None] = {
    "linear": None,
    "leaky": "leaky_relu",
    "relie": "leaky_relu_0.01",
    "relu": "relu",
    "relu6": "relu6",
    "logistic": "logistic",
    "swish": "silu",
    "mish": "mish",
    "hard_swish": "hard_swish",
}
"""Our name of each activation by darknet's. `relie` is darknet's own name of a leaky slope of 0.01."""
EXTENSIONS = ("hard_swish",)
"""Activations that darknet does not know: ours, so that every network can be written."""


MAX_LIST = 1_000
"""Most numbers in one option."""


class DarknetError(ArchitectureError):
    """A file that cannot be read or a graph that cannot be written; one line that says what to change."""


def shown(text: str, limit: int = 60) -> str:
    """`text` from a file, fit for one line of a terminal."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= limit else clean[:limit] + "…"


class Option(NamedTuple):
    """One `key=value` and the line where it stands."""

    value: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of a file: a layer, or `net`."""

    file: str
    kind: str
    line: int
    options: dict[str, Option]

    def error(self, message: str, key: str | None = None) -> DarknetError:
        """The complaint with its place: the line of option `key` where it is given, else of the header."""
        line = self.options[key].line if key in self.options else self.line
        return DarknetError(f"{self.file}:{line}: [{self.kind}] {message}")

    def _number(self, key: str, text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.0*)?", text):
            raise self.error(f"{key}={shown(text)} is not a whole number; give one", key)
        return int(text.partition(".")[0])

    def integer(self, key: str, default: int | None, low: int, high: int) -> int:
        """The whole number of `key`. Raises DarknetError if it is missing without a default, or out of bounds."""
        if key not in self.options:
            if default is None:
                raise self.error(f"has no {key}=; give a whole number from {low} to {high}")
            return default
        value = self._number(key, self.options[key].value)
        if not low <= value <= high:
            raise self.error(f"{key}={value} is out of bounds; allowed: {low} to {high}", key)
        return value

    def integers(self, key: str) -> list[int]:
        """The list of whole numbers of `key`, which must be there."""
        if key not in self.options:
            raise self.error(f"has no {key}=; give one or more layers, such as {key}=-1")
        texts = self.options[key].value.split(",")
        if len(texts) > MAX_LIST:
            raise self.error(f"{key}= has {len(texts):,} numbers; allowed: {MAX_LIST:,}", key)
        return [self._number(key, text) for text in texts]

    def activation(self, default: str) -> str | None:
        """Our name of the section's activation, None for linear."""
        name = self.options["activation"].value if "activation" in self.options else default
        if name not in ACTIVATIONS:
            raise self.error(unknown("activation", shown(name), list(ACTIVATIONS)), "activation")
        return ACTIVATIONS[name]


def sections(text: str, file: str) -> list[Section]:
    """All sections of `text` in order. Raises DarknetError for a line that is neither header, option nor comment."""
    found: list[Section] = []
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), 1):
        line = re.sub(r"\s", "", re.split("[#;]", raw, maxsplit=1)[0])
        if not line:
            continue
        if line.startswith("["):
            if not line.endswith("]") or len(line) < 3:
                raise DarknetError(f"{file}:{number}: '{shown(raw.strip())}' is no section header; write [name]")
            found.append(Section(file=file, kind=shown(line[1:-1]), line=number, options={}))
            continue
        key, equals, value = line.partition("=")
        if not equals or not key:
            raise DarknetError(
                f"{file}:{number}: '{shown(raw.strip())}' is no line of a darknet cfg; "
                "write a section as [name], an option as key=value, a comment after #"
            )
        if not found:
            raise DarknetError(f"{file}:{number}: option '{shown(key)}' before any section; begin the file with [net]")
        found[-1].options.setdefault(key, Option(value, number))
    return found
