"""python -m benchmarks.latency: does the latency protocol repeat? Two round-robin passes over 20 candidates."""

from __future__ import annotations

import time

import numpy as np
from scipy.stats import kendalltau

from evaluator.profile import latency
from evaluator.record import Deployment, environment
from search.study import load
from space.cost import cost
from space.lower import lower

COUNT = 20


def main() -> None:
    """Print Kendall's tau and the median difference of two passes, and how well MACs alone rank."""
    space, deployment = load().space, Deployment()
    rng = np.random.default_rng(0)
    architectures = [space.build(space.sample(rng)) for _ in range(COUNT)]
    passes, seconds = [], []
    for _ in range(2):
        start = time.perf_counter()
        rows = latency(architectures, deployment)
        seconds.append(time.perf_counter() - start)
        passes.append([{m.metric: m.value for m in row}["latency_ms"] for row in rows])
    a, b = (np.array(values, float) for values in passes)
    macs = [cost(lower(architecture)).macs for architecture in architectures]
    here = environment()
    print(f"{here.cpu}, {here.cores} cores, onnxruntime {here.versions['onnxruntime']}, {deployment}")
    print(f"{COUNT} candidates, {a.min():.2f} to {a.max():.2f} ms; {seconds[0]:.1f} s and {seconds[1]:.1f} s a pass")
    print(f"two passes: Kendall {kendalltau(a, b).statistic:.3f}, median difference {np.median(abs(a / b - 1)):.2%}")
    print(f"MACs against latency: Kendall {kendalltau(macs, a).statistic:.3f}")


if __name__ == "__main__":
    main()
