"""All genomes in order: the exhaustive search of a small space."""

from __future__ import annotations

from collections.abc import Sequence

from search.samplers import Attributes
from space.design import DesignSpace, Genome


class GridSampler:
    """Every genome once, in the order of `DesignSpace.enumerate`."""

    def __init__(self, space: DesignSpace) -> None:
        self._genomes = enumerate(space.enumerate())
        self._done = -1

    def start(self, genomes: Sequence[Genome]) -> None:
        return  # `search.study` refuses a start with this sampler

    def ask(self, generation: int) -> tuple[Genome, Attributes] | None:
        for index, genome in self._genomes:
            if index > self._done:
                return genome, {"index": index}
        return None

    def tell(self, attributes: Attributes, values: Sequence[float | None] | None,
             violations: Sequence[float]) -> None:  # fmt: skip
        return

    def replay(self, genome: Genome, attributes: Attributes, values: Sequence[float | None] | None,
               violations: Sequence[float]) -> None:  # fmt: skip
        self._done = max(self._done, attributes["index"])
