"""What an audit found, on stdout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from search.evidence import Evidence, Facts, Rank, interval, missing, plain, show, verdict, weigh
from space.cli import console, table


def report(facts: Facts, db: str, as_json: bool) -> int:
    """Print what the facts say, as tables and sentences or as one JSON object; the exit code."""
    evidence = weigh(facts)
    sentences, lacking = verdict(evidence), missing(facts, evidence, db)
    if as_json:
        said = {"verdict": sentences, "missing": [{"what": what, "command": command} for what, command in lacking]}
        print(json.dumps(plain(evidence) | said, indent=2, allow_nan=False))
        return 0
    out = console()
    for part in _parts(evidence):
        out.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))
    for sentence in sentences:
        out.print(Text(f"▸ {sentence}"), soft_wrap=True)
    if lacking:
        out.print(Text("\nto know more:"))
    for what, command in lacking:
        out.print(Text(f"  {what}: {command}"), soft_wrap=True)
    return 0


def _parts(e: Evidence) -> Iterator[str | Table]:
    reached = f" of {e.complete} complete ones" if e.candidates != e.complete else ""
    yield (f"Audit of '{e.study}': {e.score} of {e.candidates} candidates{reached}, {e.image_visits:,} image visits "
           f"of task '{e.task}'")  # fmt: skip
    if e.stopped:
        yield (f"{e.stopped} others were stopped at an earlier rung and are left out: those that went on were chosen "
               "by their score, and lie closer together than all would")  # fmt: skip
    if e.candidates > 1:
        s = {name: show(e.score, value) for name, value in e.spread.items()}
        yield f"{e.score}: mean {s['mean']}, std between candidates {s['std']}, {s['lowest']} to {s['highest']}"
    noise = e.noise
    if noise.repeated:
        yield (
            f"noise of one training: std {noise.within:.4f} (95 % interval {noise.within_low:.4f} to "
            f"{noise.within_high:.4f}; {noise.repeated} candidates with several seeds, {noise.degrees} degrees of "
            f"freedom)\nbetween architectures: std {noise.between:.4f} with the noise taken off, {noise.observed:.4f} "
            f"as it is\nbetween / within: {noise.ratio:.2f} (95 % interval "
            f"{interval((noise.ratio, noise.low, noise.high))}), the bar is on this; with the noise left in "
            f"{noise.uncorrected:.2f}"
        )
        good = e.noise_better_half
        if good.repeated:
            yield (
                f"in the better half: std between {good.between:.4f}, within {good.within:.4f}, ratio "
                f"{good.ratio:.2f} (95 % interval {interval((good.ratio, good.low, good.high))}; {good.n} candidates, "
                f"{good.repeated} with several seeds)"
            )
    yield ""
    if e.ranks:
        yield _table(f"Kendall's tau of {e.score} with what needs no training", e.ranks)
    if e.longer is not None:
        low, high = e.longer.seeds
        each = f"{low}" if low == high else f"{low} to {high}"
        yield _table(f"Kendall's tau with longer trainings: {e.longer.n} candidates, mean of {each} of "
                     f"{e.longer.image_visits:,} image visits each", e.longer.ranks)  # fmt: skip


def _table(title: str, ranks: Sequence[Rank]) -> Table:
    leads = any(rank.lead is not None for rank in ranks)
    made = table(title, ["ranked by", "n", "tau", "95 % interval", "better half", "n", "front", "n",
                         *(["score's lead", "95 % interval"] if leads else [])], left=["ranked by"])  # fmt: skip
    for rank in ranks:
        lead = [] if rank.lead is None else [number(rank.lead.value), interval(rank.lead)]
        made.add_row(rank.metric, str(rank.all.n), number(rank.all.value), interval(rank.all),
                     number(rank.better_half.value), str(rank.better_half.n), number(rank.front.value),
                     str(rank.front.n), *lead)  # fmt: skip
    return made


def number(value: float) -> str:
    """Two digits; an en dash for what is not known."""
    return "–" if value != value else f"{value:.2f}"
