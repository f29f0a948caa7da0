"""The round-robin protocol: every candidate once a round, in a new random order, so that load falls on all alike.

The 25th percentile ranks; median, 90th percentile and processor time stand beside it. Measured 2026-11 on a busy
2-core machine: two such passes agreed with Kendall 0.95 to 0.98 and a median difference of 1 %, where timing one
model after the other gave 0.6 to 0.9 and differences up to 30 %.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ROUNDS = 100
WARM_UP = 5

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Race:
    """Times of all rounds, (candidates, rounds), in milliseconds."""

    wall_ms: Array
    cpu_ms: Array
    """Processor time of the whole process, all threads."""
    load_average_before: float
    load_average_after: float

    @property
    def cpu_problem(self) -> str | None:
        """Why `cpu_ms` says nothing; None where it can be read."""
        return coarse(self.cpu_ms)


def coarse(cpu_ms: Array | Sequence[float]) -> str | None:
    """Why these processor times say nothing, or None: a run that took none was timed by a clock that stood still.

    Under gVisor the clock of a process with several threads moves in steps of 4 ms, and always at the same runs.
    """
    times = np.asarray(cpu_ms)
    if (times > 0).all():
        return None
    steps = times[times > 0]
    size = f"in steps of about {float(np.min(steps)):.2g} ms" if len(steps) else "too rarely"
    return f"the clock of processor time moves {size} here"


def race(runs: Sequence[Callable[[], object]], *, rounds: int = ROUNDS, warm_up: int = WARM_UP, seed: int = 0) -> Race:
    """Time each of `runs`, which returns when its work is done, once a round. Nothing else of ours may run.

    A run that returns a float was timed by its device's own clock: so many milliseconds count instead.
    """
    for _ in range(warm_up):
        for run in runs:
            run()
    wall, cpu = np.empty((len(runs), rounds)), np.empty((len(runs), rounds))
    order = np.random.default_rng(seed)
    load_before = os.getloadavg()[0]
    for turn in range(rounds):
        for index in order.permutation(len(runs)):
            start, start_cpu = time.perf_counter(), time.process_time()
            own_ms = runs[index]()
            cpu[index, turn] = time.process_time() - start_cpu
            wall[index, turn] = own_ms / 1e3 if isinstance(own_ms, float) else time.perf_counter() - start
    return Race(wall_ms=wall * 1e3, cpu_ms=cpu * 1e3, load_average_before=load_before,
                load_average_after=os.getloadavg()[0])  # fmt: skip
