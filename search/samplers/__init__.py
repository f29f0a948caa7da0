"""Samplers behind ask and tell. Only `bridge` and `screen` of this package import optuna.

Optuna runs in memory and is rebuilt from the store by `replay`: the store is the only truth. The sampler is
seeded anew for every generation from (study seed, generation), so a search that was interrupted proposes what
an uninterrupted one would have. A genome that breaks a rule or a limit is told as a constraint violation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from search.study import Study
from space.design import Genome

Attributes = dict[str, Any]
"""What a sampler keeps with a proposal, so that it can be told of it and replay it."""


class Exhausted(Exception):
    """There is nothing left to propose."""


class Sampler(Protocol):
    """Proposes genomes and learns from results."""

    def start(self, genomes: Sequence[Genome]) -> None:
        """Propose these first, in their order."""
        ...

    def ask(self, generation: int) -> tuple[Genome, Attributes] | None:
        """The next genome, and what `tell` and `replay` need to know of it; None when there is nothing left."""
        ...

    def tell(self, attributes: Attributes, values: Sequence[float | None] | None,
             violations: Sequence[float]) -> None:  # fmt: skip
        """The minimised objectives of a proposal asked for in this run; None as values: without a result."""
        ...

    def replay(self, genome: Genome, attributes: Attributes, values: Sequence[float | None] | None,
               violations: Sequence[float]) -> None:  # fmt: skip
        """Learn a finished proposal of an earlier run."""
        ...


def sampler(study: Study) -> Sampler:
    """The sampler that the study names."""
    # Here, because both import this module.
    from search.samplers.bridge import OptunaSampler
    from search.samplers.grid import GridSampler

    if study.sampler == "grid":
        return GridSampler(study.space)
    return OptunaSampler(study)
