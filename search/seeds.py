"""Seeds: how they derive from one another, and one rule for all who train a study's candidates. Standard library."""

from __future__ import annotations

import hashlib
from typing import Any


def derive(*parts: Any) -> int:
    """A seed below 2**31 from anything printable; the same parts give the same seed everywhere."""
    text = ":".join(map(str, parts))
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def job_seed(study_seed: int, repeat: int = 0) -> int:
    """The seed of a training: repeat 0 is the search's own, 1, 2, … measure the noise (`search.audit`).

    It depends on nothing else, so that neither order nor worker count nor rung changes a result, and all candidates
    see the same images in the same order, changed alike (common random numbers).
    """
    return derive(study_seed, repeat)
