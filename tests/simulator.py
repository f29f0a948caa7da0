"""An engine that answers at once with an analytic score and latency, so that a 200-candidate search takes seconds.

Everything else of the search (sampler, store, loop, schedule) is the real thing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np

from evaluator.record import Deployment, Evaluation, Job, Measurement, environment
from search.engines.guard import CandidateError
from space.architecture import Architecture
from space.cost import cost
from space.lower import lower


def score(architecture: Architecture, visits: int = 4000) -> float:
    """Rises with MACs and training; several axes that cost nothing have one right choice each."""
    macs = cost(lower(architecture, 64, 64)).macs
    gamma = np.mean([(stage.partial_ratio - 0.5) ** 2 for stage in architecture.stages])
    wrong = (architecture.activation != "silu") + (architecture.head.fusion != "efm")
    wrong += (architecture.stages[0].block != "dense") + (architecture.stages[-1].depth != 2)
    return float(0.1 * np.log10(macs) - 0.4 * gamma - 0.05 * wrong - 20 / visits)


def simulated_latency(architecture: Architecture) -> float:
    counted = cost(lower(architecture, 64, 64))
    return counted.macs / 5e6 + counted.activations / 2e5


class SimulatedEngine:
    """`fail(architecture)` gives a reason for a candidate that fails; `on_result` sees every training."""

    workers = 2

    def __init__(self, *, fail: Callable[[Architecture], str | None] = lambda _: None,
                 on_result: Callable[[Job], None] = lambda _: None, metric: str = "ap") -> None:  # fmt: skip
        self.fail, self.on_result, self.metric = fail, on_result, metric
        self.jobs: list[Job] = []
        self.timed: list[str] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, patience: float = 1.0) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self._train(*args) if isinstance(args[0], Job) else self._time(*args))
        except CandidateError as error:
            future.set_exception(error)
        return future

    def _time(self, architectures: list[Architecture], deployment: Deployment) -> list[list[Measurement]]:
        for architecture in architectures:
            if self.fail(architecture) == "unmeasurable":
                raise CandidateError("its process was killed by SIGSEGV")
        self.timed += [a.id for a in architectures]
        return [
            [Measurement(metric="latency_ms", value=simulated_latency(a), unit="ms", device=environment().host,
                         backend="onnxruntime", deployment=deployment.id, n=100, environment=environment())]
            for a in architectures
        ]  # fmt: skip

    def _train(self, job: Job) -> Evaluation:
        self.jobs.append(job)
        self.on_result(job)
        reason = self.fail(job.architecture)
        if reason == "crash":
            raise CandidateError("its process was killed by SIGKILL")
        if reason:
            return Evaluation(state="failed", reason=reason)
        from evaluator.recipe import recipe_for
        from evaluator.tasks import TASKS

        row = Measurement(metric=self.metric, value=score(job.architecture, job.fidelity.image_visits), task=job.task,
                          recipe=recipe_for(TASKS.get(job.task)).id(TASKS.get(job.task)), rung=job.fidelity.rung,
                          image_visits=job.fidelity.image_visits, seed=job.seed)  # fmt: skip
        curve = [{"image_visits": float(job.fidelity.image_visits), "loss": 1.0}]
        return Evaluation(state="complete", measurements=[row], curve=curve, seconds=1.0, cpu_seconds=1.0)

    def kill(self) -> None:
        return


class Silent:
    """Progress that keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def phase(self, text: str) -> None:
        return

    def candidate(self, summary: Any, proposal: Any, values: Any, note: str) -> None:
        self.lines.append((proposal.architecture.id, proposal.state, note))
