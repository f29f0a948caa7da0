"""What a worker process calls: one job in, one evaluation out. Picklable and at top level by intent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.device import find
from evaluator.metrics import metric
from evaluator.recipe import recipe_for
from evaluator.record import Deployment, Evaluation, Job, Measurement, environment
from evaluator.tasks import TASKS, Analytic
from space.architecture import Architecture
from space.lower import lower

if TYPE_CHECKING:
    from space.module import Network


def evaluate(job: Job, keep: Callable[[Network], None] | None = None) -> Evaluation:
    """Train the job's architecture on its task and measure it; a task that answers itself is asked.

    `keep` is given the network as it was measured, before its normalisation is folded.
    A loss that is not finite gives a failed evaluation with the reason; every other exception is left to
    the guard around the worker.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    task = TASKS.get(job.task)
    recipe = recipe_for(task, job.recipe)
    visits = job.fidelity.image_visits
    if job.architecture.head.kind != task.head_kind:
        raise ValueError(
            f"task '{job.task}' needs a {task.head_kind} head, "
            f"architecture {job.architecture.id} has a {job.architecture.head.kind}"
        )
    if isinstance(task, Analytic):
        value = task.score(job.architecture, seed=job.seed, image_visits=visits)
        row = Measurement(metric=task.objective, value=value, unit=metric(task.objective).unit, task=job.task,
                          recipe=recipe.id(task), rung=job.fidelity.rung, image_visits=visits, seed=job.seed,
                          detail={"analytic": "a formula; nothing was trained"}, environment=environment())  # fmt: skip
        return Evaluation(state="complete", measurements=[row], seconds=time.perf_counter() - wall,
                          cpu_seconds=time.process_time() - cpu)  # fmt: skip
    # Here, because the search driver imports this module to name the function, and it does without torch.
    from evaluator.train import LossNotFinite, train
    from space.module import Network

    network = Network(lower(job.architecture, task.size, task.size, num_classes=task.num_classes))
    try:
        result = train(network, task, recipe, image_visits=visits, seed=job.seed, resume=job.resume,
                       keep=job.keep, device=job.device)  # fmt: skip
    except LossNotFinite as error:
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        return Evaluation(state="failed", reason=str(error), seconds=seconds, cpu_seconds=cpu_seconds)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    if keep is not None:
        keep(network)
    # What the seconds paid for: those of a continued training leave out what came before.
    went: dict[str, object] = {"from_image_visits": result.continued_from} if result.continued_from else {}
    went |= {"note": result.note} if result.note else {}
    where = find(job.device)
    values = {**result.metrics, "train_seconds": seconds, "train_cpu_seconds": cpu_seconds}
    return Evaluation(
        state="complete",
        measurements=[
            Measurement(
                metric=name, value=value, unit=metric(name).unit,
                reason="no object of this kind in the validation set" if value is None else None,
                task=job.task, recipe=recipe.id(task), rung=job.fidelity.rung, image_visits=visits,
                seed=job.seed, device=where.name, precision=where.precision if where.name else None,
                environment=environment(), detail=went if name.endswith("_seconds") else {},
            )
            for name, value in values.items()
        ],
        curve=result.curve, seconds=seconds, cpu_seconds=cpu_seconds,
    )  # fmt: skip


def score_untrained(architectures: Sequence[Architecture], task: str, recipe: Mapping[str, Any],
                    seed: int) -> list[list[Measurement]]:  # fmt: skip
    """The zero-cost scores of `architectures`; see `evaluator.zero_cost`."""
    from evaluator.zero_cost import zero_cost

    return zero_cost(architectures, task, recipe, seed)


def retrain(job: Job, path: str, said: Mapping[str, Any]) -> Evaluation:
    """Train the job once more, and leave the weights that are measured in `path`, with `said` and their scores."""
    from evaluator.weights import write

    held: list[Network] = []
    evaluation = evaluate(job, held.append)
    for network in held:
        scores = {row.metric: row.value for row in evaluation.measurements if not row.metric.endswith("_seconds")}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write(path, network.state_dict(), {**said, "scores": scores})
    return evaluation


def quantisation_loss(job: Job, targets: Sequence[tuple[str, Deployment]]) -> list[list[Measurement]]:
    """What precisions cost in the score; see `evaluator.quantised`."""
    from evaluator.quantised import quantisation_loss

    return quantisation_loss(job, targets)
