"""Latency from a device card: the larger of arithmetic and memory time, layer by layer. Predicted, and roughly so.

Williams et al., "Roofline: an insightful visual performance model", 2009. Every layer reads its inputs and weights
from main memory and writes its output there; arithmetic runs at the peak rate. What this leaves out goes both ways:
runtimes are slower than peaks (small layers, launches, grouped convolutions), and what stays in a cache is never read
from memory. `known_error` says how far off it was where that is known; a latency table is the better predictor.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

from evaluator.devices import Card
from evaluator.devices.host import measured
from evaluator.record import Deployment
from evaluator.target import HOST
from space.cost import BYTES, layer_cost
from space.graph import Graph, Node
from space.ops import Act, Input, Slice, Stride

METHOD = "roofline"
"""`detail["method"]` of predictions that are made here."""


class Layer(NamedTuple):
    """One layer's share; `arithmetic_ms` and `memory_ms` overlap, so the layer takes the larger."""

    name: str
    kind: str
    arithmetic_ms: float
    memory_ms: float

    @property
    def ms(self) -> float:
        """What the layer takes."""
        return max(self.arithmetic_ms, self.memory_ms)

    @property
    def bound(self) -> str:
        """`arithmetic` or `memory`: what a faster layer would need more of."""
        return "arithmetic" if self.arithmetic_ms >= self.memory_ms else "memory"


def roofline_ms(graph: Graph, card: Card, deployment: Deployment) -> float:
    """Predicted latency in milliseconds. Raises ValueError where the card does not tell the precision's rate."""
    return sum(layer.ms for layer in layers(graph, card, deployment))


def layers(graph: Graph, card: Card, deployment: Deployment) -> list[Layer]:
    """The prediction layer by layer, views and the image left out. Raises as `roofline_ms`."""
    operations_ms, bytes_ms = _rates(card, deployment)
    size = BYTES[deployment.precision]
    in_place = graph.in_place()
    found = []
    for node, free in zip(graph.nodes, in_place, strict=True):
        if isinstance(node.op, Input | Slice | Stride) or (free and isinstance(node.op, Act)):
            continue  # a view, or an activation that the runtime fuses into what came before
        cost = layer_cost(graph, node)
        moved = cost.weights + deployment.batch * _elements(graph, node)
        found.append(Layer(node.name, type(node.op).__name__, 2 * cost.macs * deployment.batch / operations_ms,
                           moved * size / bytes_ms))  # fmt: skip
    return found


def _elements(graph: Graph, node: Node) -> int:
    """Elements that a layer reads and writes for one image, without weights."""
    shapes = [node.shape, *(graph.nodes[ref].shape for ref in node.inputs)]
    return sum(c * h * w for c, h, w in shapes)


def _rates(card: Card, deployment: Deployment) -> tuple[float, float]:
    """Operations and bytes a millisecond. The threads of a CPU share its peak; one may have all of the memory's."""
    if deployment.precision not in card.peak_gflops:
        known = ", ".join(card.peak_gflops) or "none"
        raise ValueError(
            f"the card of '{card.name}' does not tell the rate of {deployment.precision}; its rates: {known}"
        )
    if card.bandwidth_gb_s is None:
        raise ValueError(f"the card of '{card.name}' does not tell the bandwidth of its memory")
    share = min(1.0, deployment.threads / card.cores) if card.kind == "cpu" and card.cores else 1.0
    return card.peak_gflops[deployment.precision] * share * 1e6, card.bandwidth_gb_s * 1e6


def known_error(card: Card) -> dict[str, float | str]:
    """What is known of the error of `roofline_ms` on this card: `median` (share), `n`, `source`; empty if nothing.

    Of the host: against networks that were measured here with its card. Of the paper's devices: against the published
    frame rates of networks that the zoo rebuilds, whose batch, precision and threads nobody states.
    """
    if card.name == HOST:
        found = measured()
        return dict(found["error"]) if found else {}
    from evaluator.devices.published import compared

    errors = [abs(row.error) for row in compared(card) if row.error is not None]
    if not errors:
        return {}
    return {"median": statistics.median(errors), "n": len(errors),
            "source": "frame rates that the CSPNet paper and its repository publish"}  # fmt: skip
