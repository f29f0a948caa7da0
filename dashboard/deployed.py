"""Networks as a study deploys them, and the place that a page's latencies are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboard.texts import isolated
from evaluator.metrics import METRICS
from evaluator.record import Deployment, environment
from evaluator.target import DEFAULT_BACKEND, Target
from search.latencies import DEPLOYED
from search.verification import rung_of
from space.architecture import Architecture
from space.cost import BYTES, Cost, cost
from space.graph import Graph
from space.lower import lower

if TYPE_CHECKING:
    from dashboard.places import Place

Row = Mapping[str, Any]
COSTS = tuple(name for name, metric in METRICS.items() if metric.paper)
"""Metrics that are counted on the graph as it is deployed."""
TIMED = tuple(name for name in DEPLOYED if not METRICS[name].paper)
"""Metrics that belong to a device and a runtime."""


def deployment_of(config: Mapping[str, Any] | None) -> Deployment:
    """The deployment of a study; the default one for what its config does not say."""
    given = (config or {}).get("deployment") or {}
    return Deployment(**{key: value for key, value in given.items() if key in Deployment.__dataclass_fields__})


def graph_of(architecture: Architecture, deployment: Deployment) -> Graph:
    """The network as it is deployed."""
    return lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)


def counted(architecture: Architecture, deployment: Deployment) -> Cost:
    """What the network costs as it is deployed."""
    return cost(graph_of(architecture, deployment), batch=deployment.batch, precision=deployment.precision)


def rescaled(name: str, own: Deployment, there: Deployment) -> float | None:
    """The ratio of a cost at two deployments, where it is alike for all networks; None where it is not."""
    if name not in COSTS:
        return 1.0
    if (own.height, own.width, own.num_classes) != (there.height, there.width, there.num_classes):
        return None
    size = BYTES[there.precision] / BYTES[own.precision]
    return {"peak_bytes": size * there.batch / own.batch, "weight_bytes": size}.get(name, 1.0)


def own_target(config: Mapping[str, Any]) -> Target:
    """Where a study times its candidates; on this machine, if it does not say."""
    device = str(config.get("device") or environment().host)
    return Target(device=device, backend=str(config.get("backend", DEFAULT_BACKEND)), deployment=deployment_of(config))


@dataclass(frozen=True, kw_only=True)
class Where:
    """The place that a page's latencies are of: the study's own, or the one that the URL names with `dev=`."""

    config: Mapping[str, Any]
    target: Target
    title: str
    """As a person calls it."""
    dev: str = ""
    """What the URL calls it; empty for the study's own."""
    deployment: str
    """Id of the deployment that its measurements have."""
    place: Place | None = None
    """What is recorded of the study's candidates there, as far as it was read."""
    problem: str = ""
    """Why it is not the place that was asked for."""

    @staticmethod
    def own(config: Mapping[str, Any] | None, problem: str = "") -> Where:
        """Where the study of `config` times its candidates."""
        known = config or {}
        target = own_target(known)
        title = isolated(str(known.get("device") or "this machine"))
        return Where(config=known, target=target, title=title, problem=problem,
                     deployment=known.get("deployment_id") or target.deployment.id)  # fmt: skip

    @property
    def at(self) -> str:
        """In words, as a sentence begins."""
        return f"At deployment{f' on {self.title}' if self.dev else ''}: {self.target.deployment}"

    def scale(self, name: str) -> float | None:
        """What a counted cost of the study is multiplied by here; None where only a count of each graph could say.

        Bytes follow precision, and those of activations the batch too (`space.cost`); another size or other classes are
        other graphs.
        """
        return rescaled(name, deployment_of(self.config), self.target.deployment) if self.dev else 1.0

    def label(self, name: str, label: str) -> str:
        """A metric's label, which says the place where that is not the study's own."""
        return f"{label} on {self.title}" if self.dev and name in TIMED else label

    def newest(self, measurements: list[dict[str, Any]], name: str) -> Row | None:
        """The row of a metric that speaks for the study: the first screen shows the same number.

        Of trainings the study's own highest rung, and of several seeds the first that was trained, the search's: those
        of an audit come later. Else the newest one of the deployment, and of what was timed, of this place.
        """
        mine = [row for row in measurements if row["metric"] == name and row["value"] is not None and self._speaks(row)]
        return max(mine, key=lambda row: (row["rung"] or 0, -row["id"] if row["recipe"] else row["id"]), default=None)

    def _speaks(self, row: Row) -> bool:
        if row["device"] is None and row["backend"] is None:
            if row["recipe"] is not None:
                return rung_of(self.config, row) is not None
            return row["deployment"] in (None, Where.own(self.config).deployment)
        if row["origin"] == "predicted":
            return False
        anywhere = not self.dev and not self.config.get("device")  # a study of before devices were recorded
        return (row["deployment"] == self.deployment and row["backend"] in (None, self.target.backend)
                and (anywhere or row["device"] in (None, self.target.device)))  # fmt: skip
