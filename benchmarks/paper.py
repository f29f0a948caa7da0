"""python -m benchmarks.paper [STUDY]: time to propose, build, lower and cost an architecture, without torch."""

from __future__ import annotations

import sys
import time

import numpy as np

from evaluator.record import environment
from search.study import DEFAULT, load
from space.cost import cost
from space.lower import lower

COUNT = 10_000


def main() -> None:
    """Print milliseconds a candidate for each step, and the spread of the space (the default study's)."""
    space = load(sys.argv[1] if len(sys.argv) > 1 else DEFAULT).space
    rng = np.random.default_rng(0)
    steps = {"sample": 0.0, "build": 0.0, "lower": 0.0, "cost": 0.0}
    macs: dict[str, int] = {}
    tries = 0
    while len(macs) < COUNT:
        tries += 1
        ticks = [time.perf_counter()]
        genome = space.sample(rng)
        ticks.append(time.perf_counter())
        architecture = space.build(genome)
        identity = architecture.id
        ticks.append(time.perf_counter())
        graph = lower(architecture)
        ticks.append(time.perf_counter())
        macs[identity] = cost(graph).macs
        ticks.append(time.perf_counter())
        for name, start, end in zip(steps, ticks, ticks[1:], strict=False):
            steps[name] += end - start
    here = environment()
    print(f"{here.cpu}, {here.cores} cores, Python {here.python}; {COUNT} different networks in {tries} proposals")
    print("  ".join(f"{name} {seconds * 1e3 / tries:.3f} ms" for name, seconds in steps.items()),
          f" total {sum(steps.values()):.1f} s")  # fmt: skip
    low, median, high = (value / 1e6 for value in np.percentile(list(macs.values()), [0, 50, 100]))
    start = time.perf_counter()
    size = space.size
    print(f"space: {size:.3g} networks, counted in {time.perf_counter() - start:.1f} s; "
          f"MACs {low:.0f} M to {high:.0f} M, median {median:.0f} M")  # fmt: skip
    print(f"torch imported: {'torch' in sys.modules}")


if __name__ == "__main__":
    main()
