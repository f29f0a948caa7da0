"""Where a search stands, and what it tells whoever watches."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from search.store import Proposal

Values = dict[str, float]
"""Metric -> value of one architecture."""


class Interrupted(Exception):
    """The search was asked to stop."""


class Progress(Protocol):
    """What the loop tells whoever watches. All methods are called in the driver's main thread."""

    def phase(self, text: str) -> None:
        """A new step began."""
        ...

    def candidate(self, summary: Summary, proposal: Proposal, values: Values, note: str) -> None:
        """A candidate is finished (complete, failed or refused); `note` says why or that it is on the front."""
        ...


@dataclass
class Summary:
    """Where the search stands."""

    budget: int
    admitted: int = 0
    """Architectures admitted to training that are finished, failed ones included."""
    failed: int = 0
    refused: int = 0
    duplicates: int = 0
    """Proposals of this run that repeated a network; not counted, not recorded."""
    invalid: int = 0
    """Proposals of this run that broke a rule of the space; likewise."""
    front: list[str] = field(default_factory=list)
    """Ids on the front of all objectives."""
    hypervolume: float | None = None
    """Of the front, relative to the box between the ideal and the worst values seen."""
    training_seconds: float = 0.0
    latency_seconds: float = 0.0
    total_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)
    stopped: str | None = None
    """Why the search ended before its budget."""

    @property
    def other_share(self) -> float:
        """Share of the time that was neither training nor latency measurement."""
        busy = self.training_seconds + self.latency_seconds
        return max(0.0, 1 - busy / self.total_seconds) if self.total_seconds else 0.0
