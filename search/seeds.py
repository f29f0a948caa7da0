"""The seeds of trainings: one rule for all who train a study's candidates."""

from __future__ import annotations

from search.samplers import derive


def job_seed(study_seed: int, repeat: int = 0) -> int:
    """The seed of a training: repeat 0 is the search's own, 1, 2, … measure the noise (`search.audit`).

    It depends on nothing else, so that neither order nor worker count nor rung changes a result, and all candidates
    see the same images in the same order, changed alike (common random numbers).
    """
    return derive(study_seed, repeat)
