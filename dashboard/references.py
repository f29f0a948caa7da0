"""Published networks as marks in the plot: what each costs on paper at the study's deployment.

Their accuracies were published for other data than the proxy's, so they never share an axis with it: a network
stands as a line at its cost, and as a point where both axes are costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dashboard.candidates import Numbers
from evaluator.metrics import METRICS
from evaluator.record import Deployment
from space.cost import cost
from space.zoo import Entry, get
from space.zoo.compare import rows_of

USUAL = ("PeleeNet", "CSPPeleeNet 0.5", "ResNet-10", "CSPResNet-10", "MobileNetV2", "CSPMobileNetV2", "DenseNet-201",
         "CSPDenseNet-201", "ResNet-50", "CSPResNet-50", "ResNeXt-50", "CSPResNeXt-50", "DarkNet-53",
         "CSPDarkNet-53")  # fmt: skip
"""Base networks of the paper, each before its CSP version: what is marked where nobody names others."""
REACH = 2.0
"""How far beyond a study's candidates, in MACs, a usual network may lie."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A named network and its counted metrics, in the units of the store."""

    name: str
    costs: Mapping[str, float]
    about: str
    """What was published of it, under which convention and where, and at which size it is counted here."""


def entries_of(names: Sequence[str]) -> tuple[Entry, ...]:
    """The networks called `names`, each once. Raises ZooError with the nearest names."""
    return tuple(dict.fromkeys(get(name) for name in names))


def references(entries: Sequence[Entry], deployment: Deployment) -> list[Reference]:
    """Each network lowered at the deployment's size and classes (a graph of its own keeps its classes)."""
    return [_reference(entry, deployment) for entry in entries]


def usual(deployment: Deployment, macs: Numbers) -> list[Reference]:
    """The paper's base networks and their CSP versions that lie near candidates of these MACs, both or neither.

    None where the networks cannot be counted at this deployment.
    """
    known = macs[np.isfinite(macs)]
    if not len(known):
        return []
    try:
        found = references(entries_of(USUAL), deployment)
    except (LookupError, TypeError, ValueError):  # a deployment of another version: nobody asked for these marks
        return []
    low, high = float(known.min()) / REACH, float(known.max()) * REACH
    return [each for base, csp in zip(found[::2], found[1::2], strict=True)
            if low <= csp.costs["macs"] <= high for each in (base, csp)]  # fmt: skip


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
        about=f"{_published(entry)}. Counted here at {deployment.height}×{deployment.width}"
        + (f" with {classes} classes" if classes else "")
        + (f". Approximate: {entry.approximate}" if entry.approximate else ""),
    )


def _published(entry: Entry) -> str:
    """The figures of the row that says most, with its size and source."""
    rows = [row for row in rows_of(entry) if row.bflops is not None or row.gmacs is not None]
    if not rows:
        return f"{entry.source}: no counts published"
    row = max(rows, key=lambda row: (row.top1 is not None, row.params_m is not None))
    parts = [f"{row.bflops:g} BFLOPs (2 × MACs)" if row.bflops is not None else f"{row.gmacs:g} GMACs",
             f"{row.params_m:g} M parameters" if row.params_m is not None else "",
             f"top-1 {row.top1:g} %" if row.top1 is not None else "",
             f"at {row.resolution}×{row.resolution}" if row.resolution else ""]  # fmt: skip
    return f"Published: {', '.join(filter(None, parts))} ({row.table})"


def pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Places of a base network and of its CSP version, of any partial ratio, where both are among `names`."""
    bases = [re.sub(r"^CSP| 0\.\d+$", "", name) for name in names]
    return [(names.index(base), at) for at, (name, base) in enumerate(zip(names, bases, strict=True))
            if name.startswith("CSP") and base in names]  # fmt: skip
