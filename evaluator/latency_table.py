"""Predicted latency of a network on a calibrated device. Standard library and numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from space.graph import Graph


class LatencyTable:
    """A fitted predictor for one device, backend, precision, batch and thread count."""

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> LatencyTable:
        """The table that `to_dict` gave, as the store keeps it in `latency_tables.data`."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The table as plain data."""
        raise NotImplementedError

    @property
    def error(self) -> dict[str, float]:
        """Known error on whole networks it was not fitted on: `median` and `p90`, shares; `n` networks."""
        raise NotImplementedError

    def predict(self, graph: Graph) -> float:
        """Latency of `graph` in milliseconds, 25th percentile, as `evaluator.profile.latency` would measure it."""
        raise NotImplementedError
