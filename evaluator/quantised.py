"""What a precision costs in the score: train, then validate through a runtime in fp32 and in that precision.

The validation set, the task's metric and the proxy's size are those of the training; only the runtime and the
precision change. int8 is calibrated with training images as the network sees them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluator.backends import BACKENDS, Array, Runner
from evaluator.profile import runtime_row
from evaluator.recipe import Recipe, recipe_for
from evaluator.record import Deployment, Job, Measurement
from evaluator.tasks import TASKS, Task
from evaluator.train import judge_of, tensor, to_input, train
from space.graph import Graph
from space.lower import lower
from space.module import Network, fold

CALIBRATION_IMAGES = 200
"""Training images that set the ranges of activations."""


def quantisation_loss(job: Job, targets: Sequence[tuple[str, Deployment]]) -> list[list[Measurement]]:
    """`quantised_score` and `quantisation_loss` of the job's architecture for each backend and deployment of `targets`.

    Trains as `evaluator.evaluate` would. The rows name the target's deployment, so that they stand beside its latency;
    their detail says what was validated. A runtime that fails gives rows with the reason.
    """
    task = TASKS.get(job.task)
    recipe = recipe_for(task, job.recipe)
    graph = lower(job.architecture, task.size, task.size, num_classes=task.num_classes)
    network = Network(graph)
    trained = train(network, task, recipe, image_visits=job.fidelity.image_visits, seed=job.seed, device=job.device)
    weights = {name: value.numpy() for name, value in fold(network.cpu()).state_dict().items()}
    images = calibration_images(task, recipe.batch * (CALIBRATION_IMAGES // recipe.batch))
    known: dict[tuple[str, str], float] = {}

    def score(backend: str, precision: str) -> float:
        if (backend, precision) not in known:
            # A batch that the training had: large enough to be quick, and the last one is filled.
            place = Deployment(height=task.size, width=task.size, num_classes=task.num_classes, batch=recipe.batch,
                               precision=precision)  # fmt: skip
            runner = BACKENDS.get(backend)(graph, place, weights, images)
            known[backend, precision] = validate(graph, task, recipe, runner, place.batch)
        return known[backend, precision]

    about = {
        "score": task.objective, "score_of_training": trained.metrics[task.objective], "validated_at": task.size,
        "calibration": f"{len(images)} training images",
    }  # fmt: skip
    origin = {"task": job.task, "recipe": recipe.id(task), "image_visits": job.fidelity.image_visits, "seed": job.seed}
    return [_rows(backend, deployment, score, about, origin) for backend, deployment in targets]


def _rows(backend: str, deployment: Deployment, score: Any, about: Mapping[str, Any],
          origin: Mapping[str, Any]) -> list[Measurement]:  # fmt: skip
    names = ("quantised_score", "quantisation_loss")
    try:
        plain, quantised = score(backend, "fp32"), score(backend, deployment.precision)
    except Exception as error:  # whatever a runtime raises costs this runtime only
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return [
            runtime_row(name, None, deployment, backend, reason=reason, detail=dict(about), **origin) for name in names
        ]
    detail = {**about, "fp32_score": plain}
    return [runtime_row(name, value, deployment, backend, detail=detail, **origin)
            for name, value in zip(names, (quantised, plain - quantised), strict=True)]  # fmt: skip


def calibration_images(task: Task, count: int, size: int | None = None) -> Array:
    """`count` training images [N, C, H, W] as a network sees them, spread over the split; resized to `size`."""
    images = task.load("train").images
    chosen = images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]
    x = to_input(tensor(chosen), torch.device("cpu"), task)
    if size is not None and size != task.size:
        x = torch.nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    found: Array = x.contiguous().numpy()
    return found


def validate(graph: Graph, task: Task, recipe: Recipe, runner: Runner, batch: int) -> float:
    """The task's score of what `runner` answers to the validation images, `batch` of them at a time."""

    def answer(x_BCHW: Tensor) -> list[Tensor]:
        x = x_BCHW.contiguous().numpy()
        pieces = []
        for first in range(0, len(x), batch):
            piece = x[first : first + batch]
            full = np.concatenate([piece, np.repeat(piece[-1:], batch - len(piece), 0)])
            pieces.append([np.array(y[: len(piece)]) for y in runner.outputs(full)])
        return [torch.from_numpy(np.concatenate(maps)) for maps in zip(*pieces, strict=True)]

    # The judge makes its network answer its anchors to begin with, so it gets one of its own.
    judge = judge_of(Network(graph), task, recipe, torch.device("cpu"))
    value = judge.evaluate(answer, task.load("val"))[task.objective]
    if value is None:
        raise ValueError(f"{task.objective} is not defined on this validation set")
    return value
