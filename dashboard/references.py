"""Published networks as marks in the plot: what each costs on paper at the study's deployment.

Their accuracies were published for other data than the proxy's, so they never share an axis with it: a network
stands as a line at its cost, and as a point where both axes are costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from evaluator.metrics import METRICS
from evaluator.record import Deployment
from space.cost import cost
from space.zoo import Entry, get


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A named network and its counted metrics, in the units of the store."""

    name: str
    costs: Mapping[str, float]


def entries_of(names: Sequence[str]) -> tuple[Entry, ...]:
    """The networks called `names`, each once. Raises ZooError with the nearest names."""
    return tuple(dict.fromkeys(get(name) for name in names))


def references(entries: Sequence[Entry], deployment: Deployment) -> list[Reference]:
    """Each network lowered at the deployment's size and classes (a graph of its own keeps its classes)."""
    return [_reference(entry, deployment) for entry in entries]


@cache
def _reference(entry: Entry, deployment: Deployment) -> Reference:
    classes = deployment.num_classes if entry.architecture else None
    counted = cost(
        entry.graph(deployment.height, deployment.width, num_classes=classes),
        batch=deployment.batch,
        precision=deployment.precision,
    )
    return Reference(
        name=entry.name,
        costs={name: float(getattr(counted, name)) for name, known in METRICS.items() if known.paper},
    )


def pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Places of a base network and of its CSP version, of any partial ratio, where both are among `names`."""
    bases = [re.sub(r"^CSP| 0\.\d+$", "", name) for name in names]
    return [(names.index(base), at) for at, (name, base) in enumerate(zip(names, bases, strict=True))
            if name.startswith("CSP") and base in names]  # fmt: skip
