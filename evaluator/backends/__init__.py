"""Runtimes that a candidate runs on: one file each, its package imported only when it is used.

`python -m evaluator.backends` lists them with their precisions, and why one cannot be used here.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights, random_weights
from space.registry import Registry, part

Array = np.ndarray[Any, np.dtype[np.float32]]
CALIBRATION_IMAGES = 8
"""Random images that int8 is calibrated with where nobody gives real ones: enough for a latency, not for a score."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A network that is ready to run. Calling it runs one inference on fixed input; it is done when it returns."""

    run: Callable[[], object]
    """Returns a float where the device has a clock of its own: the milliseconds of this inference by it."""
    outputs: Callable[[Array], list[Array]]
    """The outputs for a float32 image [B, C, H, W], B and size those of the deployment, as `Graph.outputs` orders."""
    detail: dict[str, Any] = field(default_factory=dict)
    """What a measurement should say of it, such as the calibration or the card."""
    save: Callable[[Path], None] | None = None
    """Writes the model into a folder, from where the backend's `load` takes it."""

    def __call__(self) -> object:
        return self.run()


Load = Callable[[Path, int], Callable[[], object]]


class Backend(Protocol):
    """A runtime. `evaluator.backends.backend` makes one of a function."""

    precisions: tuple[str, ...]
    package: str
    """Name of its distribution, for the version."""
    load: Load | None
    """One inference of what `Runner.save` left in a folder, on so many threads; None where there is no such file."""

    def missing(self, precision: str | None = None) -> str | None:
        """One line why it cannot run here (in this precision), or None."""
        ...

    def __call__(self, graph: Graph, deployment: Deployment, weights: Weights | None = None,
                 calibration: Array | None = None) -> Runner:  # fmt: skip
        """`graph` ready to run. `weights` are by torch's names, folded or not; random without.

        `calibration` is images [N, C, H, W] for int8, as the network sees them; random without.
        Raises ImportError with how to install the runtime, ValueError for what cannot run here.
        """
        ...


BACKENDS: Registry[Backend] = Registry("backend", "evaluator.backends")

Prepare = Callable[[Graph, Deployment, Weights, "Array | None"], Runner]


def backend(name: str, *, module: str, package: str, install: str, precisions: tuple[str, ...],
            lacks: Callable[[str], str | None] = lambda _: None,
            load: Load | None = None) -> Callable[[Prepare], Backend]:  # fmt: skip
    """Decorator that registers a function as the backend `name`, with the checks that all of them need.

    `module` is what it imports, `install` what pip is to install. `lacks` says what else is missing for a precision.
    """

    def absent() -> str | None:
        if importlib.util.find_spec(module) is not None:
            return None
        return f"backend '{name}' needs {package}, which is not installed: pip install '{install}'"

    def missing(precision: str | None = None) -> str | None:
        if precision is not None and precision not in precisions:
            return f"backend '{name}' has no {precision}; it has {', '.join(precisions)}"
        return absent() or lacks(precision or precisions[0])

    def wrap(prepare: Prepare) -> Backend:
        @functools.wraps(prepare)
        def checked(graph: Graph, deployment: Deployment, weights: Weights | None = None,
                    calibration: Array | None = None) -> Runner:  # fmt: skip
            if reason := absent():
                raise ImportError(reason)
            if reason := missing(deployment.precision):
                raise ValueError(reason)
            return prepare(graph, deployment, random_weights(graph) if weights is None else weights, calibration)

        facts = {"precisions": precisions, "package": package, "missing": missing, "load": load}
        made: Any = part(BACKENDS, name, **facts)(checked)
        return made  # type: ignore[no-any-return]

    return wrap


def fixed_image(graph: Graph, deployment: Deployment) -> Array:
    """The input that is timed: random pixels of zero mean and unit spread, as networks see them."""
    shape = (deployment.batch, *graph.nodes[0].shape)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def calibration_batches(graph: Graph, deployment: Deployment, images: Array | None) -> tuple[list[Array], str]:
    """Batches for a quantiser, and what they are made of. The last images repeat to fill the last batch."""
    text = "given images"
    if images is None:
        shape = (CALIBRATION_IMAGES, *graph.nodes[0].shape)
        images, text = np.random.default_rng(1).standard_normal(shape, dtype=np.float32), "random images"
    count = len(images)
    rows = np.minimum(np.arange(-(-count // deployment.batch) * deployment.batch), count - 1)
    batches = [images[group] for group in rows.reshape(-1, deployment.batch)]
    return batches, f"{count} {text}"


def missing(pairs: Sequence[tuple[str, str]]) -> list[str | None]:
    """For each backend and precision one line why it cannot run here, or None. May import torch or OpenVINO to know."""
    return [BACKENDS.get(name).missing(precision) for name, precision in pairs]
