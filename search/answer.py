"""Which variant for which device: the budgets applied to a study's candidates, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from search import choice
from search.budgets import Budget, BudgetError
from search.choice import Step
from search.devices import PREDICTED, advice
from search.pareto import Array
from search.shortlist import By, Scores, Shortlist

KNEE = "knee"
Evidence = Literal["auto", "verified", "proxy"]


@dataclass(frozen=True, kw_only=True)
class Pick:
    """What is chosen for one target. Rows are those of the shortlist, arrays are over all of it."""

    place: int
    budgets: list[Budget]
    """Those that hold here."""
    outside: Array
    """`choice.excess`, (n, budgets)."""
    among: Array
    """Candidates that fit."""
    utility: Array
    """What is preferred, larger for better, of those that fit."""
    answer: int | None
    top: int | None
    """Best score of those that fit: the answer itself, unless the knee is preferred."""
    steps: list[Step | None] = field(default_factory=list)
    """For each budget what it would buy next; None where it does not bind."""
    together: int | None = None
    """The nearest better candidate, where no single budget buys one."""
    equals: list[int] = field(default_factory=list)
    """Others whose score cannot be told from the answer's, the cheapest first; none where the knee is preferred."""
    ladder: list[tuple[str, int]] = field(default_factory=list)
    nearest: int | None = None
    """Where nothing fits: the candidate that is least outside."""
    loosened: list[int | None] = field(default_factory=list)
    """Where nothing fits: for each budget the candidate that it alone would let in."""
    rival: int | None = None
    """An unverified candidate that fits and that the proxy ranks above a verified answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The picks of all targets, and one variant for all of them."""

    shortlist: Shortlist
    scores: Scores
    evidence: Evidence
    prefer: str
    picks: list[Pick]
    compromise: int | None = None
    losses: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """`choice.regrets` of every candidate on every target, (n, targets)."""

    @property
    def fits(self) -> bool:
        """Whether every target has a variant, and all of them together."""
        alone = all(pick.answer is not None for pick in self.picks)
        return alone and (len(self.picks) == 1 or self.compromise is not None)


def answer(listed: Shortlist, devices: Sequence[str | None], budgets: Sequence[Budget], *, prefer: str | None = None,
           evidence: Evidence = "auto", ladder: int | None = None) -> Answer:  # fmt: skip
    """The variant for each of `devices` and for all. `prefer` is the study's score (default) or `knee`.

    With `evidence` auto the verified score chooses if a verified candidate fits on every device, else the proxy's.
    Raises BudgetError for budgets on what is unknown of every candidate, TargetError for unknown devices.
    """
    prefer = prefer or listed.metric
    places = list(dict.fromkeys(listed.place(text) for text in devices))
    held = {place: _held(listed, budgets, place, places) for place in places}
    for place in places:
        for budget in held[place]:
            listed.check(budget, place)
        if (prefer == KNEE or ladder) and np.isnan(listed.values(PREDICTED, place)).all():
            device, target = listed.targets[place]
            raise BudgetError(f"{'--prefer knee' if prefer == KNEE else '--ladder'} needs {PREDICTED} on {device.name},"
                              f" which is known of no candidate. {advice(target)}")  # fmt: skip

    def fitting(place: int, by: By) -> Array:
        outside = listed.outside(held[place], place, by)
        return choice.feasible(listed.scores(by).gain, outside)

    by: By = "proxy" if evidence == "proxy" else "verified"
    if evidence == "auto" and not all(fitting(place, "verified").any() for place in places):
        by = "proxy"
    picks = [_pick(listed, place, held[place], by, prefer, ladder) for place in places]
    scores = listed.scores(by)
    if len(places) == 1:
        return Answer(shortlist=listed, scores=scores, evidence=evidence, prefer=prefer, picks=picks)
    losses = choice.regrets(
        np.column_stack([pick.utility for pick in picks]),
        np.column_stack([pick.among for pick in picks]),
        relative=prefer != KNEE,
    )
    slowest = np.column_stack([_relative(listed.values(PREDICTED, place)) for place in places]).max(axis=1)
    ties = np.column_stack([slowest, listed.values("macs", places[0])])
    return Answer(shortlist=listed, scores=scores, evidence=evidence, prefer=prefer, picks=picks, losses=losses,
                  compromise=choice.compromise(losses, ties))  # fmt: skip


def _relative(latency: Array) -> Array:
    """Times the fastest; all alike where none is known."""
    return latency / np.nanmin(latency) if (latency > 0).any() else np.ones(len(latency))


def _held(listed: Shortlist, budgets: Sequence[Budget], place: int, places: Sequence[int]) -> list[Budget]:
    """The budgets that hold for a target: all but those of another target that is asked for."""
    found = []
    for budget in budgets:
        where = listed.place(budget.device) if budget.device else place
        if where == place or where not in places:
            found.append(budget.at(listed.targets[where][1]))
    return found


def _pick(listed: Shortlist, place: int, budgets: list[Budget], by: By, prefer: str, ladder: int | None) -> Pick:
    scores = listed.scores(by)
    gain, outside = scores.gain, listed.outside(budgets, place, by)
    cost = listed.values(PREDICTED, place)
    ties = np.column_stack([cost, listed.values("macs", place)])
    among = choice.feasible(gain, outside)
    top = choice.best(gain, among, ties)
    if top is None:
        return Pick(
            place=place, budgets=budgets, outside=outside, among=among, utility=gain, answer=None, top=None,
            nearest=choice.nearest(gain, outside),
            loosened=[choice.loosened(gain, outside, index) for index in range(len(budgets))],
        )  # fmt: skip
    utility = choice.knee_utility(gain, cost, among) if prefer == KNEE else gain
    chosen = choice.best(utility, among, ties)
    real = choice.unreal(gain, scores.error, top)
    steps = [_step(gain, outside, index, top, real) for index in range(len(budgets))]
    alone = any(step is not None for step in steps)
    equal = np.flatnonzero(choice.equals(gain, scores.error, among, top)) if chosen == top else np.zeros(0, int)
    return Pick(
        place=place,
        budgets=budgets,
        outside=outside,
        among=among,
        utility=utility,
        answer=chosen,
        top=top,
        steps=steps,
        together=None if alone else choice.nearest(np.where(gain > gain[top], gain, np.nan), outside),
        equals=[int(row) for row in equal[np.lexsort(ties[equal].T[::-1])]],
        ladder=choice.variants(gain, cost, among, ladder) if ladder else [],
        rival=_rival(listed, place, budgets, top) if by == "verified" and chosen == top else None,
    )


def _step(gain: Array, outside: Array, budget: int, top: int, real: Array) -> Step | None:
    """The next step of a budget that is a real gain; where none is, or noise is unknown, the next of any gain."""
    least = float(gain[top])
    return choice.next_step(gain, outside, budget, least, real) or choice.next_step(gain, outside, budget, least)


def _rival(listed: Shortlist, place: int, budgets: list[Budget], top: int) -> int | None:
    proxy = listed.scores("proxy").gain
    fits = choice.feasible(proxy, listed.outside(budgets, place, "proxy"))
    unverified = np.isnan(listed.scores("verified").gain)
    return choice.best(proxy, fits & unverified & (proxy > proxy[top]), np.zeros((len(proxy), 0)))
