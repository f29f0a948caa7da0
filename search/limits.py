"""Whether a study's limits can be met at all, asked on paper before anything runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from evaluator.profile import paper
from search.seeds import derive
from search.study import Limit, Study, StudyError
from space.design import Genome

log = logging.getLogger(__name__)

PROBE = 300
"""Random architectures that are costed before a search starts, to see whether the limits can be met at all."""
Costs = dict[str, float]


def check_limits(study: Study, say: Callable[[str], None] = log.info) -> None:
    """Refuse limits that nothing in the space meets, before anything runs. Raises StudyError with the range."""
    if not study.limits:
        return
    rng = np.random.default_rng(derive(study.seed, "limits"))
    genomes = [study.space.sample(rng) for _ in range(PROBE)]
    seen = [_costs(study, genome) for genome in genomes]
    limits = [limit for limit in study.limits if limit.metric in seen[0]]
    met = sum(_excess(limits, row) <= 0 for row in seen)
    if not limits or met:
        if limits:
            say(f"{met / len(seen):.0%} of the space is within the limits on paper")
        return
    # None at random: walk downhill from the nearest before saying that there is none.
    best = min(zip(genomes, seen, strict=True), key=lambda pair: _excess(limits, pair[1]))
    while _excess(limits, best[1]) > 0:
        near = [(g, _costs(study, g)) for g in study.space.neighbours(best[0]) if study.space.valid(g)]
        seen += [row for _, row in near]
        better = min(near, key=lambda pair: _excess(limits, pair[1]))
        if _excess(limits, better[1]) >= _excess(limits, best[1]):
            spans = []
            for name in dict.fromkeys(limit.metric for limit in limits):
                values = [row[name] for row in seen]
                spans.append(f"{name} ran from {min(values):.3g} to {max(values):.3g}")
            raise StudyError(
                f"none of {len(seen)} architectures tried meets {' and '.join(map(str, limits))}; "
                f"{'; '.join(spans)}. Loosen the limit or change the space"
            )
        best = better
    say("few architectures of the space are within the limits on paper")


def _costs(study: Study, genome: Genome) -> Costs:
    architecture = study.space.build(genome)
    counted = {m.metric: m.value or 0.0 for m in paper(architecture, study.deployment)}
    return counted | {name: found(architecture) for name, found in study.predictors.items()}


def _excess(limits: Sequence[Limit], row: Costs) -> float:
    """How far outside the limits a row of costs is, summed; 0 or less is inside."""
    return sum(max(0.0, limit.violation(row[limit.metric])) for limit in limits)
