"""What a candidate costs at its deployment: counted on paper, and timed on the host.

Latency protocol: the candidates of a set are timed **round-robin**, one inference of each a round, in a new
random order every round, after a warm-up, with a fixed thread count, while nothing of ours trains. The 25th
percentile ranks; median, 90th percentile, processor time, number of rounds and load stand beside it. Measured
2026-11 on a busy 2-core machine: two such passes agreed with Kendall 0.95 to 0.98 and a median difference of
1 %, where timing one model after the other gave 0.6 to 0.9 and differences up to 30 %.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np

from evaluator.backends import BACKENDS
from evaluator.metrics import METRICS
from evaluator.record import Deployment, Measurement, environment
from space.architecture import Architecture
from space.cost import cost
from space.lower import lower

ROUNDS = 100
WARM_UP = 5
NOISY = 0.3
"""A candidate whose median is this share above its 25th percentile was not timed on a quiet machine."""


def paper(architecture: Architecture, deployment: Deployment) -> list[Measurement]:
    """Exact costs from the graph at the deployment's size: no torch, well under a millisecond."""
    graph = lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)
    here = environment()
    counted = cost(graph, batch=deployment.batch, precision=deployment.precision)
    return [
        Measurement(
            metric=name,
            value=float(getattr(counted, name)),
            unit=METRICS[name].unit,
            origin="counted",
            deployment=deployment.id,
            batch=deployment.batch,
            precision=deployment.precision,
            detail={"deployment": deployment.to_dict()},
            environment=here,  # for the version of our own counting rules
        )
        for name in ("macs", "params", "activations", "cio", "peak_bytes", "weight_bytes")
    ]


def latency(architectures: Sequence[Architecture], deployment: Deployment, *, backend: str = "onnxruntime",
            rounds: int = ROUNDS, warm_up: int = WARM_UP) -> list[list[Measurement]]:  # fmt: skip
    """Time `architectures` round-robin; one list of measurements each.

    Nothing else of ours may run meanwhile. Raises what the backend raises.
    """
    prepare = BACKENDS.get(backend)
    runs = [
        prepare(lower(a, deployment.height, deployment.width, num_classes=deployment.num_classes), deployment)
        for a in architectures
    ]
    for _ in range(warm_up):
        for run in runs:
            run()
    wall, cpu = np.empty((len(runs), rounds)), np.empty((len(runs), rounds))
    order = np.random.default_rng(0)
    load_before = os.getloadavg()[0]
    for turn in range(rounds):
        for index in order.permutation(len(runs)):
            start, start_cpu = time.perf_counter(), time.process_time()
            runs[index]()
            cpu[index, turn] = time.process_time() - start_cpu
            wall[index, turn] = time.perf_counter() - start
    load = {"load_average_before": load_before, "load_average_after": os.getloadavg()[0]}
    return [_summary(wall[i] * 1e3, cpu[i] * 1e3, deployment, backend, load) for i in range(len(runs))]


def _summary(wall_ms: np.ndarray[tuple[int], np.dtype[np.float64]],
             cpu_ms: np.ndarray[tuple[int], np.dtype[np.float64]],
             deployment: Deployment, backend: str, load: dict[str, float]) -> list[Measurement]:  # fmt: skip
    p25, median, p75, p90 = (float(x) for x in np.percentile(wall_ms, [25, 50, 75, 90]))
    here = environment()
    detail = {
        **load,
        "deployment": deployment.to_dict(),
        "spread": "interquartile range",
        "noisy": bool(median > (1 + NOISY) * p25),
    }
    return [
        Measurement(
            metric=name,
            value=value,
            unit="ms",
            spread=p75 - p25 if name == "latency_ms" else None,
            n=len(wall_ms),
            device=here.host,
            backend=backend,
            deployment=deployment.id,
            batch=deployment.batch,
            precision=deployment.precision,
            threads=deployment.threads,
            detail=detail,
            environment=here,
        )
        for name, value in (
            ("latency_ms", p25),
            ("latency_median_ms", median),
            ("latency_p90_ms", p90),
            ("latency_cpu_ms", float(np.median(cpu_ms))),
        )
    ]
