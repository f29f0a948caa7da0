"""A pick as a person reads it, on stdout: the variant, what it costs, what surrounds it, what to type next."""

from __future__ import annotations

import sys

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from evaluator.metrics import METRICS
from search.answer import KNEE, Answer, Pick
from search.budgets import Budget
from search.devices import PREDICTED
from search.pick_words import (
    commands,
    compromise,
    fact_of,
    headline,
    intro,
    known,
    latency,
    nothing,
    origin,
    surroundings,
    warnings,
)
from search.verification import statement

COSTS = (PREDICTED, "macs", "params", "peak_bytes", "weight_bytes")
"""What is shown of every variant."""


def report(found: Answer, db: str) -> None:
    """Print the answer for each device."""
    out = RichConsole(highlight=False, width=None if sys.stdout.isatty() else 160)

    def say(*lines: str) -> None:
        for line in lines:
            out.print(Text(line), soft_wrap=True)

    say(intro(found))
    if len(found.picks) > 1:
        out.print(_winners(found))
    for pick in found.picks:
        label = found.shortlist.label(pick.place)
        if pick.answer is None:
            about = list(nothing(found, pick))
        else:
            about = [*surroundings(found, pick), *warnings(found, pick, pick.answer)]
        if len(found.picks) > 1:
            say(*(f"- {label}: {line}" for line in about))
        else:
            device, target = found.shortlist.targets[pick.place]
            say(f"{device.title}: {target.backend}, {target.deployment}")
            if pick.answer is not None:
                say(headline(found, pick), found.shortlist.architecture(pick.answer).words())
                out.print(_costs(found, pick, pick.answer))
            say(*(f"- {line}" for line in about))
        if pick.ladder:
            out.print(_ladder(found, pick))
    if len(found.picks) > 1:
        say(compromise(found))
    say(*(f"next: {command}" for command in commands(found, db)))


def _table(title: str | None, left: tuple[str, ...], right: tuple[str, ...], last: tuple[str, ...] = ()) -> Table:
    table = Table(title=title)
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in last:
        table.add_column(heading, overflow="fold")
    return table


def _costs(found: Answer, pick: Pick, row: int) -> Table:
    """A row a metric: its value, its budget, the share of it that is used, and how it is known."""
    listed, score = found.shortlist, found.shortlist.metric
    table = _table(None, ("metric",), ("value", "budget", "used"), ("how it is known",))
    verified = found.scores.by == "verified"
    how = (
        statement(listed.frame.iloc[row], score) if verified else _proxy(score, listed.frame["image_visits"].iloc[row])
    )
    bounds = {name: [b for b in pick.budgets if b.metric == name and not b.device] for name in (score, *COSTS)}
    table.add_row(score, METRICS[score].show(found.scores.value[row]), *_used(found, pick, bounds[score], row), how)
    for name in COSTS:
        fact = listed.fact(row, name, pick.place)
        table.add_row(name, METRICS[name].show(fact["value"]), *_used(found, pick, bounds[name], row), origin(fact))
    for budget in pick.budgets:
        if budget not in bounds.get(budget.metric, []):
            other = fact_of(found, pick, budget, row)
            table.add_row(f"{budget.metric}@{budget.device}" if budget.device else budget.metric,
                          budget.show(_value(found, pick, budget, row)), *_used(found, pick, [budget], row),
                          origin(other) if other else _proxy(budget.metric, None))  # fmt: skip
    return table


def _proxy(score: str, image_visits: float | None) -> str:
    if score == "score":
        return "a formula with the noise of a seed; nothing was trained"
    return "measured by the proxy" + (f", {image_visits:,.0f} image visits" if known(image_visits) else "")


def _value(found: Answer, pick: Pick, budget: Budget, row: int) -> float:
    return float(found.shortlist.bounded(budget, pick.place, found.scores.by)[row])


def _used(found: Answer, pick: Pick, budgets: list[Budget], row: int) -> tuple[str, str]:
    shares = [_value(found, pick, b, row) / b.bound if b.bound else None for b in budgets]
    return (", ".join(f"{'≤' if b.relation == '<=' else '≥'} {b.show()}" for b in budgets),
            ", ".join("" if share is None else f"{share:.0%}" for share in shares))  # fmt: skip


def _ladder(found: Answer, pick: Pick) -> Table:
    listed, score = found.shortlist, found.shortlist.metric
    shown = COSTS[:3]
    title = f"Ladder on {listed.label(pick.place)}: along the front of {score} and latency"
    table = _table(title, ("", "candidate"), (score, *shown), ("verdict", "architecture"))
    for name, row in pick.ladder:
        values = [latency(listed, pick.place, row)]
        values += [METRICS[m].show(listed.fact(row, m, pick.place)["value"]) for m in shown[1:]]
        table.add_row(name, listed.ids[row], METRICS[score].show(found.scores.value[row]), *values,
                      listed.verdict(row), listed.architecture(row).words())  # fmt: skip
    return table


def _winners(found: Answer) -> Table:
    """Who wins where, and what the compromise costs and loses there."""
    listed, score = found.shortlist, found.shortlist.metric
    table = _table("Who wins where", ("device", "variant"),
                   (score, PREDICTED, "fit", "compromise", "its regret"), ("verdict", "budgets"))  # fmt: skip
    for index, pick in enumerate(found.picks):
        there, loss = "–", "–"
        if found.compromise is not None:
            there = latency(listed, pick.place, found.compromise)
            regret = found.losses[found.compromise, index]
            loss = f"{regret:.3f}" if found.prefer == KNEE else f"{regret:.1%}"
        row, bounds = pick.answer, ", ".join(map(str, pick.budgets)) or "–"
        who = ("nothing fits", "–", "–") if row is None else (
            listed.ids[row], METRICS[score].show(found.scores.value[row]),
            latency(listed, pick.place, row),
        )  # fmt: skip
        table.add_row(listed.label(pick.place), *who, str(int(pick.among.sum())), there, loss,
                      "–" if row is None else listed.verdict(row), bounds)  # fmt: skip
    return table
