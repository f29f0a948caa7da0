"""python -m benchmarks.paper: time to propose, build, lower and cost an architecture, without torch."""

from __future__ import annotations

import sys
import time

import numpy as np

from evaluator.record import environment
from search.study import load
from space.cost import cost
from space.lower import lower

COUNT = 2000


def main() -> None:
    """Print milliseconds a candidate for each step, and the spread of the default space."""
    space = load().space
    rng = np.random.default_rng(0)
    steps = {"sample": 0.0, "build": 0.0, "lower": 0.0, "cost": 0.0}
    macs, ids = [], set()
    for _ in range(COUNT):
        ticks = [time.perf_counter()]
        genome = space.sample(rng)
        ticks.append(time.perf_counter())
        architecture = space.build(genome)
        ids.add(architecture.id)
        ticks.append(time.perf_counter())
        graph = lower(architecture)
        ticks.append(time.perf_counter())
        macs.append(cost(graph).macs)
        ticks.append(time.perf_counter())
        for name, start, end in zip(steps, ticks, ticks[1:], strict=False):
            steps[name] += (end - start) * 1e3 / COUNT
    here = environment()
    print(f"{here.cpu}, {here.cores} cores, Python {here.python}; {COUNT} proposals, {len(ids)} different")
    print("  ".join(f"{name} {ms:.3f} ms" for name, ms in steps.items()), f" total {sum(steps.values()):.3f} ms")
    low, median, high = (value / 1e6 for value in np.percentile(macs, [0, 50, 100]))
    print(f"space: {space.size:.3g} networks; MACs {low:.0f} M to {high:.0f} M, median {median:.0f} M")
    print(f"torch imported: {'torch' in sys.modules}")


if __name__ == "__main__":
    main()
