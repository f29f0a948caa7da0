"""Runtimes that a candidate is timed on: one file each, imported only when used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from evaluator.record import Deployment
from space.graph import Graph
from space.registry import Registry


class Backend(Protocol):
    """Prepares a graph for timing."""

    def __call__(self, graph: Graph, deployment: Deployment) -> Callable[[], object]:
        """A function that runs one inference of `graph` on fixed input.

        Raises ImportError with how to install the runtime, ValueError for a deployment that it cannot run.
        """
        ...


BACKENDS: Registry[Backend] = Registry("backend", "evaluator.backends")
