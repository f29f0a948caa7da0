"""Optuna's samplers, and our own `screen`, behind ask and tell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from search.samplers import Attributes, Exhausted
from search.seeds import derive
from search.study import Study
from space.design import Genome

UNKNOWN = 1e12
"""Told to Optuna, never stored, as a minimised objective that a refused candidate never got."""


class OptunaSampler:
    """NSGA-II, NSGA-III, TPE, random sampling or `search.samplers.screen` over the genes.

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
        self._screen: Any = None

    def _sampler(self, generation: int) -> Any:
        seed = derive(self._spec.seed, "sampler", generation)
        samplers, population = self._optuna.samplers, self._spec.population
        if self._spec.sampler == "screen":
            from search.samplers.screen import Screen, ScreenSampler

            self._screen = self._screen or Screen(self._spec)
            return ScreenSampler(
                self._screen, self._spec, self._distributions, seed, self._genome, self._params, UNKNOWN
            )
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

    def _genome(self, params: dict[str, Any]) -> Genome:
        """The inverse of `_params`."""
        return {
            name: params[name] if isinstance(choices[0], str) else choices[params[name]]
            for name, choices in self._genes.items()
        }

    def ask(self, generation: int) -> tuple[Genome, Attributes] | None:
        if generation != self._generation:
            self._fail_repeats()
            self._study.sampler, self._generation = self._sampler(generation), generation
        try:
            trial = self._study.ask(fixed_distributions=self._distributions)
        except Exhausted:
            return None
        self._open[trial.number] = trial
        return self._genome(trial.params), {"trial": trial.number, "optuna": self._attributes(trial.number)}

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
