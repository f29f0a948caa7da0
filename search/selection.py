"""Which study and which of its candidates a command is about: `--name`, and `--front`, `--top N` or `--ids A,B`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.command import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from search.store import Store, StudyRow


LEAST_PREFIX = 3
"""Characters of an id that may stand for it."""


def check_choice(top: int | None, front: bool, ids: list[str] | None) -> None:
    """Raise UsageError for options that exclude each other or say nothing."""
    if (top is not None) + front + (ids is not None) > 1:
        raise UsageError("--top, --front and --ids exclude each other; give one of them")
    if top is not None and top < 1:
        raise UsageError(f"--top is {top}; it must be at least 1")


def study_of(store: Store, name: str | None) -> StudyRow:
    """The study called `name`, or the one that changed last. Raises UsageError that says what there is."""
    from space.registry import unknown

    studies = store.studies()
    if not studies:
        raise UsageError("the database holds no study yet; run `python -m search.run` first")
    found = studies[0] if name is None else next((row for row in studies if row.name == name), None)
    if found is None:
        raise UsageError(unknown("study", name, [row.name for row in studies]))
    return found


def full_id(text: str, ids: Sequence[str]) -> str:
    """The one of `ids` that `text` is, or begins; `text` itself where it is none. Raises UsageError for several."""
    hits = [i for i in ids if i == text] or [i for i in ids if len(text) >= LEAST_PREFIX and i.startswith(text.lower())]
    if len(hits) > 1:
        raise UsageError(f"'{text}' begins {len(hits)} ids: {', '.join(sorted(hits)[:6])}; give more of it")
    return hits[0] if hits else text


def chosen(frame: pd.DataFrame, row: StudyRow, top: int | None, ids: list[str] | None, *, verb: str,
           done: str) -> list[str]:  # fmt: skip
    """Ids of complete candidates, best first: the front, the first `top`, or `ids`.

    Raises UsageError that says what cannot be done (`verb`, as in "to verify"; `done`, as in "verified") and why.
    """
    import numpy as np

    from search.pareto import best_first
    from search.verification import proxy_front, proxy_values
    from space.registry import unknown

    states = dict(zip(frame["id"], frame["state"], strict=True))
    reasons = dict(zip(frame["id"], frame["reason"], strict=True))
    if "complete" not in states.values():
        raise UsageError(f"study '{row.name}' has no complete candidate to {verb}; go on with `python -m search.run`")
    if ids is None:
        values = proxy_values(frame, row.config)
        order = [int(i) for i in best_first(values) if not np.isnan(values[i]).any()]
        on = proxy_front(frame, row.config)
        return [str(frame["id"].iloc[i]) for i in (order[:top] if top else [i for i in order if on[i]])]
    wanted = list(dict.fromkeys(part.strip() for text in ids for part in text.split(",") if part.strip()))
    if not wanted:
        raise UsageError("--ids is empty; give the ids of candidates, such as --ids 3f2a9c1be07d,0a1b2c3d4e5f")
    wanted = list(dict.fromkeys(full_id(text, list(states)) for text in wanted))
    for identity in wanted:
        if identity not in states:
            near = unknown("candidate", identity, list(states)).split(" Allowed:")[0].rstrip(".")
            raise UsageError(f"{near}; study '{row.name}' has {len(states)} candidates (see `python -m dashboard`)")
        if states[identity] != "complete":
            reason = reasons[identity] if isinstance(reasons[identity], str) else "it is not trained yet"
            raise UsageError(f"candidate '{identity}' is {states[identity]} and cannot be {done}: {reason}")
    return wanted
