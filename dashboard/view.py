"""What a study shows before anybody chose. What a person chose is the URL's query, which assets/view.js reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.fields import FIELDS


@dataclass(frozen=True, kw_only=True)
class Default:
    """The first picture of a study."""

    x: str
    y: str
    color: str = "block"
    show: tuple[str, ...] = ("dominated", "failed")
    """What is shown beside the front."""


def objectives_of(config: Mapping[str, Any]) -> list[str]:
    """Names of a study's objectives that this version knows, the score first."""
    found = [str(objective.get("metric")) for objective in config.get("objectives", [])]
    return [name for name in found if name in FIELDS] or ["ap"]


def default_view(config: Mapping[str, Any], known: Callable[[str], bool] | None = None) -> Default:
    """The first picture of a study: its score over latency, or over its second objective.

    `known` says of which fields the study has values: where it has none of that cost, MACs stand for it.
    """
    score, *costs = objectives_of(config)
    cost = "latency_ms" if "latency_ms" in costs or not costs else costs[0]
    if known is not None and not known(cost) and known("macs"):
        cost = "macs"
    return Default(x=cost, y=score)
