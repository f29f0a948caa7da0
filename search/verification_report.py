"""What a verification found, on stdout: the front with its uncertainty, and where the proxy misled."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from evaluator.metrics import METRICS
from search.pareto import front
from search.verification import DRAWS, MAJORITY, MIN_SEEDS, Verification, judge, proxy_front, proxy_values

if TYPE_CHECKING:
    from search.store import Store

Array = np.ndarray[Any, Any]
UNEVEN = 4.0
"""Times the median spread from which a reader is told that one noise for all is rough. With three seeds and equal
noise, 1 % of simulated sets of 6 or of 12 candidates pass it."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The proxy against the verification, over the verified candidates."""

    proxy: Array
    """The proxy's score of each."""
    proxy_rank: Array
    rank: Array
    """1 is the best score; equal scores share the better rank."""
    kendall: float
    spearman: float
    """NaN for fewer than three candidates."""
    underrated: list[str]
    """Dominated among the verified by the proxy's scores, on the verified front in most draws."""
    dominators: dict[str, list[str]]
    """Verified candidates that dominate a candidate, by the means."""


def compare(found: Verification, values: Array, sign: float) -> Comparison:
    """`values` (n, d) are the proxy's objectives of `found.ids`, minimised, the score first, times `sign`."""
    from scipy.stats import kendalltau, rankdata, spearmanr

    verified = np.column_stack([sign * found.mean, values[:, 1:]])
    varied = len(found.ids) > 2 and np.ptp(values[:, 0]) > 0 and np.ptp(verified[:, 0]) > 0
    on, share = front(values), found.front_share
    return Comparison(
        proxy=sign * values[:, 0],
        proxy_rank=rankdata(values[:, 0], method="min"),
        rank=rankdata(verified[:, 0], method="min"),
        kendall=float(kendalltau(values[:, 0], verified[:, 0]).statistic) if varied else np.nan,
        spearman=float(spearmanr(values[:, 0], verified[:, 0]).statistic) if varied else np.nan,
        underrated=[i for i, o, s in zip(found.ids, on, share, strict=True) if not o and s >= MAJORITY],
        dominators={
            identity: [
                other
                for other, theirs in zip(found.ids, verified, strict=True)
                if (theirs <= mine).all() and (theirs < mine).any()
            ]
            for identity, mine in zip(found.ids, verified, strict=True)
        },
    )


def report(store: Store, name: str, db: str, *, failed: Mapping[str, Sequence[str]]) -> None:
    """Print the table and what follows from it. `failed` are the reasons of this run's failed trainings."""
    row = store.study(name)
    assert row is not None
    frame = store.frame(name)
    found = judge(frame, row.config, store.long_scores(row))
    out = RichConsole(highlight=False, width=None if sys.stdout.isatty() else 160)
    objectives = [(o["metric"], o["direction"]) for o in row.config["objectives"]]
    sign = -1.0 if objectives[0][1] == "maximize" else 1.0
    by_id = frame.drop_duplicates("id").set_index("id")
    position = {identity: index for index, identity in enumerate(frame["id"])}
    values = proxy_values(frame, row.config)[[position[identity] for identity in found.ids]]
    for identity, reasons in failed.items():
        out.print(Text(f"{identity}: {len(reasons)} of its trainings failed: {reasons[0]}"), soft_wrap=True)
    if not found.ids:
        out.print(f"no candidate of '{name}' has {MIN_SEEDS} long trainings: nothing is verified")
        return
    compared = compare(found, values, sign)
    score, costs = objectives[0][0], [metric for metric, _ in objectives[1:]]
    table = Table(title=f"Verification of '{name}': {len(found.ids)} candidates, "
                        f"{row.config['verified']['image_visits']:,} image visits")  # fmt: skip
    table.add_column("candidate", no_wrap=True)
    for heading in (f"proxy {score}", f"verified {score}", "seeds", "rank: proxy → verified", *costs, "on front in"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for i in np.lexsort((sign * found.mean,)):
        identity = found.ids[i]
        table.add_row(
            identity,
            METRICS[score].show(compared.proxy[i]),
            f"{METRICS[score].show(found.mean[i])} ± {METRICS[score].show(found.spread[i])}",
            str(found.n[i]),
            f"{compared.proxy_rank[i]:.0f} → {compared.rank[i]:.0f}",
            *(METRICS[cost].show(by_id.at[identity, cost]) for cost in costs),
            f"{found.front_share[i]:.1%}",
            by_id.at[identity, "verdict"],
        )
    out.print(table)
    everywhere = set(frame["id"][proxy_front(frame, row.config)])
    for text in _lines(found, compared, score, everywhere, by_id["verdict"].to_dict()):
        out.print(Text(text), soft_wrap=True)
    out.print(Text(f"next: python -m dashboard{'' if db == 'csp.db' else f' --db {shlex.quote(db)}'}"), soft_wrap=True)


def _lines(found: Verification, compared: Comparison, score: str, everywhere: set[str],
           verdicts: Mapping[str, str]) -> list[str]:  # fmt: skip
    """The findings in sentences."""
    show, ids = METRICS[score].show, found.ids
    lines = [
        f"noise of one training: {score} ± {show(found.noise)} ({found.freedom} degrees of freedom, pooled over the "
        f"candidates, without what a seed adds to all alike); {DRAWS:,} draws of the means from it, since a few seeds "
        "are too few to resample; costs are taken as measured"
    ]
    uneven = float(found.spread.max() / max(1e-12, float(np.median(found.spread))))
    if uneven > UNEVEN:
        lines.append(f"the largest spread is {uneven:.1f} times the median one: for candidates of little spread these "
                     "shares are too cautious, for those of much too bold")  # fmt: skip
    left = len(everywhere - set(ids))
    if left:
        lines.append(f"compared are the verified candidates only; {left} of the {len(everywhere)} on the proxy's front "
                     "are not verified, and could dominate or be dominated")  # fmt: skip
    if compared.kendall == compared.kendall:
        lines.append(f"proxy against verification over these {len(ids)}: Kendall {compared.kendall:.2f}, "
                     f"Spearman {compared.spearman:.2f} (lower where chosen by proxy score)")  # fmt: skip
    moves = compared.rank - compared.proxy_rank
    far = [i for i in np.argsort(-np.abs(moves), kind="stable")[:3] if abs(moves[i]) > 1]
    if far:
        lines.append("largest changes of rank: " + ", ".join(
            f"{ids[i]} from {compared.proxy_rank[i]:.0f} to {compared.rank[i]:.0f}" for i in far))  # fmt: skip
    overturned = [identity for identity in ids if verdicts[identity] == "overturned"]
    for identity in overturned:
        over = compared.dominators[identity]
        lines.append(f"overturned: {identity}, on the front in {found.front_share[ids.index(identity)]:.0%} of the "
                     "draws" + (f"; {over[0]} dominates it" if over else ""))  # fmt: skip
    for identity in compared.underrated:
        share = found.front_share[ids.index(identity)]
        lines.append(f"underrated by the proxy: {identity}, on the front in {share:.0%} of the draws")
    if len(ids) == 1:
        lines.append("one candidate has nothing to be compared with: verify more, such as with --top 10")
    elif not overturned and not compared.underrated:
        lines.append("the proxy misled nowhere: the verified front is the proxy's")
    return lines
