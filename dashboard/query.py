"""The URL's query of the pages that are links: what was chosen, and links that change one choice.

Nothing here raises: a choice that does not exist is the default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from dashboard.data import Snapshot
    from dashboard.deployed import Where

LONGEST = 2_000
"""Characters of a query that are read."""


def read(query: str | None) -> dict[str, str]:
    """The query's pairs; of a name that comes twice the last counts."""
    return dict(parse_qsl((query or "").lstrip("?")[:LONGEST]))


def study_of(query: str | None) -> str:
    """The study that a query of any length names; empty for none."""
    return dict(parse_qsl((query or "").lstrip("?"))).get("study", "")


def selected(query: str | None) -> tuple[int, ...]:
    """Numbers of the selected candidates, `sel=` in a query of any length; at most 100."""
    text = dict(parse_qsl((query or "").lstrip("?"))).get("sel", "")
    return tuple(int(part[:9]) for part in text.split(",") if part.isascii() and part.isdigit())[:100]


_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


def number(text: str | None) -> float | None:
    """A finite number that a person typed into a link; None for anything else.

    Commas before groups of three digits part thousands (`1,000`), a single other one is a decimal point (`1,5`,
    `0,125`), as in the boxes of the page: assets/dom.js `numberOf` is its twin.
    """
    given = (text or "").strip().replace("−", "-")
    if _THOUSANDS.fullmatch(given):
        given = given.replace(",", "")
    elif given.count(",") == 1 and "." not in given:
        given = given.replace(",", ".")
    value = float(given) if _NUMBER.fullmatch(given) else math.nan
    return value if math.isfinite(value) else None


def choice(given: Mapping[str, str], name: str, allowed: Sequence[str], default: str = "") -> str:
    """What was chosen of `allowed`, else `default`."""
    value = given.get(name, default)
    return value if value in allowed else default


def carried(snapshot: Snapshot, where: Where) -> dict[str, str]:
    """What links to other pages of single architectures keep: the study, and whose latencies are shown."""
    return {"study": snapshot.study.name if snapshot.study else "", "dev": where.dev}


def link(path: str, given: Mapping[str, str], **changes: str) -> str:
    """A link that keeps what was chosen but for `changes`; an empty value leaves a choice out."""
    kept = {name: value for name, value in {**given, **changes}.items() if value}
    return f"{path}?{urlencode(kept, safe=',/')}" if kept else path
