"""Samplers behind ask and tell. The only file that imports optuna.

Optuna runs in memory and is rebuilt from the store by `replay`: the store is the only truth. The sampler is
seeded anew for every generation from (study seed, generation), so a search that was interrupted proposes what
an uninterrupted one would have. A genome that breaks a rule or a limit is told as a constraint violation.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from search.study import Study
from space.design import DesignSpace, Genome

UNKNOWN = 1e12
"""Told to Optuna, never stored, as a minimised objective that a refused candidate never got."""


Attributes = dict[str, Any]
"""What a sampler keeps with a proposal, so that it can be told of it and replay it."""


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


def derive(*parts: Any) -> int:
    """A seed below 2**31 from anything printable; the same parts give the same seed everywhere."""
    text = ":".join(map(str, parts))
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def sampler(study: Study) -> Sampler:
    """The sampler that the study names."""
    if study.sampler == "grid":
        return GridSampler(study.space)
    return OptunaSampler(study)


class GridSampler:
    """All genomes in order: the exhaustive search of a small space."""

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


class OptunaSampler:
    """NSGA-II, NSGA-III, TPE or random sampling over the genes.

    Ordered genes are integers (the index of the choice), named ones categories; every gene is always present,
    since Optuna's NSGA-II does not cross genes that only some parents have.
    """

    def __init__(self, study: Study) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._spec = optuna, study
        self._genes = study.space.genes
        self._distributions: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution(choices)
            if isinstance(choices[0], str)
            else optuna.distributions.IntDistribution(0, len(choices) - 1)
            for name, choices in self._genes.items()
        }
        self._study = optuna.create_study(directions=["minimize"] * len(study.objectives))
        self._generation = -1
        self._open: dict[int, Any] = {}
        self._repeats: list[Any] = []

    def _sampler(self, generation: int) -> Any:
        seed = derive(self._spec.seed, "sampler", generation)
        samplers, population = self._optuna.samplers, self._spec.population
        if self._spec.sampler == "nsga2":
            return samplers.NSGAIISampler(population_size=population, seed=seed)
        if self._spec.sampler == "nsga3":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                return samplers.NSGAIIISampler(population_size=population, seed=seed)
        if self._spec.sampler == "tpe":
            # constant_liar spreads the proposals of one generation, whose results come together.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                return samplers.TPESampler(n_startup_trials=population, constant_liar=True, seed=seed)
        return samplers.RandomSampler(seed=seed)

    def start(self, genomes: Sequence[Genome]) -> None:
        for genome in genomes:
            self._study.enqueue_trial(self._params(genome))

    def _params(self, genome: Genome) -> dict[str, Any]:
        """A genome as Optuna has it."""
        return {
            name: genome[name] if isinstance(choices[0], str) else choices.index(genome[name])
            for name, choices in self._genes.items()
        }

    def ask(self, generation: int) -> tuple[Genome, Attributes]:
        if generation != self._generation:
            self._fail_repeats()
            self._study.sampler, self._generation = self._sampler(generation), generation
        trial = self._study.ask(fixed_distributions=self._distributions)
        self._open[trial.number] = trial
        genome = {
            name: trial.params[name] if isinstance(choices[0], str) else choices[trial.params[name]]
            for name, choices in self._genes.items()
        }
        return genome, {"trial": trial.number, "optuna": self._attributes(trial.number)}

    def _attributes(self, number: int) -> dict[str, Any]:
        """What Optuna's sampler noted on a trial, such as NSGA-II's generation."""
        return dict(self._study.get_trials(deepcopy=False)[number].system_attrs)

    def _values(self, values: Sequence[float | None]) -> list[float]:
        return [UNKNOWN if value is None else value for value in values]

    def tell(self, attributes: Attributes, values: Sequence[float | None] | None,
             violations: Sequence[float]) -> None:  # fmt: skip
        trial = self._open.pop(attributes["trial"])
        if values is None:
            self._repeats.append(trial)
            if self._spec.sampler != "tpe":
                self._fail_repeats()
            return
        for index, violation in enumerate(violations):
            trial.set_constraint(f"limit{index}", violation)
        self._study.tell(trial, self._values(values))

    def _fail_repeats(self) -> None:
        """Close the proposals without a result.

        TPE keeps them open to the end of the generation: its liar stays away from what is running, and without
        that it proposes a network that is known already again and again (5,000 times, measured).
        """
        for trial in self._repeats:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        self._repeats = []

    def replay(self, genome: Genome, attributes: Attributes, values: Sequence[float | None] | None,
               violations: Sequence[float]) -> None:  # fmt: skip
        states = self._optuna.trial.TrialState
        self._study.add_trial(
            self._optuna.create_trial(
                state=states.FAIL if values is None else states.COMPLETE,
                values=None if values is None else self._values(values),
                params=self._params(genome),
                distributions=self._distributions,
                system_attrs=attributes["optuna"],
                constraints={f"limit{i}": v for i, v in enumerate(violations)} if values is not None else None,
            )
        )
