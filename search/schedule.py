"""Rungs: how much training each candidate gets, and who is promoted.

One rung trains every admitted candidate alike. With more, the best share `keep` of a generation goes on to the
next rung: by non-domination rank, then by crowding, at least one. A candidate's training goes on where it was, so
a promotion costs what the longer training has more, and the shorter one's fall of the learning rate. Optuna cannot
prune trials of several objectives, so this is ours.

Scores of different rungs are not comparable. The front is of the last rung alone; a candidate that was stopped
before has the state `stopped`, its score says how many image visits it is of, and the sampler hears the score that
it would be expected to have at the last rung.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluator.record import Fidelity
from search.pareto import best_first


def rungs(image_visits: list[int]) -> list[Fidelity]:
    """Fidelities by rung; visits must rise. Raises ValueError otherwise."""
    if not image_visits or any(visits < 1 for visits in image_visits):
        raise ValueError(f"image_visits {image_visits} needs at least one positive number")
    if sorted(set(image_visits)) != list(image_visits):
        raise ValueError(f"image_visits {image_visits} must rise from rung to rung")
    return [Fidelity(rung=rung, image_visits=visits) for rung, visits in enumerate(image_visits)]


def promote(values: np.ndarray[Any, Any], keep: float) -> list[int]:
    """Rows of `values` (n, d; minimised, NaN for failed) that go on: ceil(keep x n), at least one, none failed."""
    alive = int((~np.isnan(values).any(axis=1)).sum())
    count = min(alive, max(1, math.ceil(keep * len(values))))
    return [int(row) for row in best_first(values)[:count]]


def expected(score: float, gains: Sequence[tuple[float, float]]) -> float:
    """The score at the last rung of a candidate that was stopped with `score`.

    `gains` are the scores there and at the last rung of those that got so far; their median difference is added.
    """
    return score + float(np.median([last - there for there, last in gains])) if gains else score
