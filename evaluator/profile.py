"""What a candidate costs at its deployment: counted on paper, and timed on the host.

The protocol of the timing is that of `evaluator.timing`. What a runtime computes is compared with torch before it is
timed (`evaluator.oracle`); one that computes something else has no latency but a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaluator.backends import BACKENDS, Runner
from evaluator.machine import Unreadable, energy_mj, reading
from evaluator.metrics import METRICS
from evaluator.record import Deployment, Measurement, environment
from evaluator.timing import ROUNDS, WARM_UP, Race, race
from space.architecture import Architecture
from space.cost import cost
from space.lower import lower

NOISY = 0.3
"""A candidate whose median is this share above its 25th percentile was not timed on a quiet machine."""
ON_CARDS = ("cuda", "tensorrt")
EXTRAS = ("process_peak_bytes", "energy_mj")


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


def runtime_row(metric: str, value: float | None, deployment: Deployment, backend: str, **other: Any) -> Measurement:
    """A measurement on a runtime of this machine, or, with `value` None and a `reason`, that there is none."""
    here = environment()
    detail = {"deployment": deployment.to_dict(), **other.pop("detail", {})}
    return Measurement(metric=metric, value=value, unit=METRICS[metric].unit, device=here.host, backend=backend,
                       deployment=deployment.id, batch=deployment.batch, precision=deployment.precision,
                       threads=deployment.threads, detail=detail, environment=here, **other)  # fmt: skip


def latency(architectures: Sequence[Architecture], deployment: Deployment, *, backend: str = "onnxruntime",
            rounds: int = ROUNDS, warm_up: int = WARM_UP, extras: bool = False) -> list[list[Measurement]]:  # fmt: skip
    """Time `architectures` round-robin; one list of measurements each. `extras` adds memory and energy.

    Nothing else of ours may run meanwhile. Raises what the backend raises.
    """
    from evaluator.oracle import Mismatch, check

    prepare = BACKENDS.get(backend)
    runners: list[Runner] = []
    rows: list[list[Measurement]] = []
    for architecture in architectures:
        graph = lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)
        runner = prepare(graph, deployment)
        try:
            runner.detail["difference_from_torch"] = check(graph, deployment, runner)
        except Mismatch as error:
            rows.append([runtime_row("latency_ms", None, deployment, backend, reason=str(error))])
        else:
            rows.append([])
            runners.append(runner)
    fit = [index for index, found in enumerate(rows) if not found]
    before = reading()
    result = race(runners, rounds=rounds, warm_up=warm_up)
    after = reading()
    machine = {f"{name}_{when}": value for when, seen in (("before", before), ("after", after))
               for name, value in seen.items()}  # fmt: skip
    for place, index in enumerate(fit):
        detail = {**machine, **runners[place].detail}
        rows[index] = _summary(result, place, deployment, backend, detail)
        if extras:
            rows[index] += _extras(architectures[index], deployment, backend, runners[place])
    return rows


def _summary(result: Race, place: int, deployment: Deployment, backend: str,
             detail: dict[str, Any]) -> list[Measurement]:  # fmt: skip
    wall_ms = result.wall_ms[place]
    p25, median, p75, p90 = (float(x) for x in np.percentile(wall_ms, [25, 50, 75, 90]))
    detail = {**detail, "spread": "interquartile range", "noisy": bool(median > (1 + NOISY) * p25)}
    values = {
        "latency_ms": p25,
        "latency_median_ms": median,
        "latency_p90_ms": p90,
        "latency_cpu_ms": None if result.cpu_problem else float(np.mean(result.cpu_ms[place])),
        "images_per_second": deployment.batch * 1e3 / p25,
    }
    rows = []
    for name, value in values.items():
        spread = p75 - p25 if name == "latency_ms" else None
        reason = result.cpu_problem if value is None else None
        rows.append(runtime_row(name, value, deployment, backend, n=len(wall_ms) if reason is None else 0,
                                spread=spread, detail=detail, reason=reason))  # fmt: skip
    return rows


def _extras(architecture: Architecture, deployment: Deployment, backend: str, runner: Runner) -> list[Measurement]:
    from evaluator.footprint import process_peak_bytes

    asked: dict[str, Callable[[], float]] = {
        "process_peak_bytes": lambda: float(process_peak_bytes(architecture, deployment, backend, runner)),
        "energy_mj": lambda: energy_mj(runner, card=backend in ON_CARDS),
    }
    rows = []
    for name, ask in asked.items():
        try:
            rows.append(runtime_row(name, ask(), deployment, backend))
        except Unreadable as error:
            rows.append(runtime_row(name, None, deployment, backend, reason=str(error)))
    return rows
