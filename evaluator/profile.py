"""What a candidate costs at its deployment: counted on paper, and timed on the host.

The protocol of the timing is that of `evaluator.timing`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluator.backends import BACKENDS
from evaluator.metrics import METRICS
from evaluator.record import Deployment, Measurement, environment
from evaluator.timing import ROUNDS, WARM_UP, Array, race
from space.architecture import Architecture
from space.cost import cost
from space.lower import lower

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
    result = race(runs, rounds=rounds, warm_up=warm_up)
    load = {"load_average_before": result.load_average_before, "load_average_after": result.load_average_after}
    return [_summary(result.wall_ms[i], result.cpu_ms[i], deployment, backend, load) for i in range(len(runs))]


def _summary(wall_ms: Array, cpu_ms: Array, deployment: Deployment, backend: str,
             load: dict[str, float]) -> list[Measurement]:  # fmt: skip
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
