"""Latency from a device card: the larger of arithmetic and memory time, layer by layer. Predicted, and roughly so."""

from __future__ import annotations

from evaluator.devices import Card
from evaluator.record import Deployment
from space.graph import Graph


def roofline_ms(graph: Graph, card: Card, deployment: Deployment) -> float:
    """Predicted latency in milliseconds. Raises ValueError where the card does not tell the precision's rate."""
    raise NotImplementedError


def known_error(card: Card) -> dict[str, float | str]:
    """What is known of the error of `roofline_ms` on this card: `median` (share), `n`, `source`; empty if nothing."""
    raise NotImplementedError
