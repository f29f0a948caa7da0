"""What a database says for and against a study's score: noise, separation, and whether counting would do as well.

Torch-free. `gather` reads, `weigh` computes an `Evidence`, whose `verdict` is sentences for a person. Scores and all
they are compared with are taken as "more is better", MACs, parameters and latency included: the question is whether
somebody who simply took the larger network would have done as well.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.metrics import METRICS, ZERO_COST
from search.agreement import Estimate, Separation, kendall_interval, paired_difference, separation
from search.pareto import front, minimised
from search.seeds import derive, job_seed
from search.store import Store, StudyRow

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FREE = ("macs", "params", "latency_ms", *ZERO_COST)
"""What the score has to beat, MACs first: known without any training."""
FEWEST = 10
"""Architectures below which no verdict is given."""
BAR = 3.0
"""Std between architectures over std within seeds that a score should have."""
SEEDS, CANDIDATES, LONGER = 2, 8, 20
"""What the report suggests to train, where something is missing."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is stored of a study's complete candidates. Arrays and lists are over `ids`; NaN is missing."""

    study: StudyRow
    score: str
    """Name of the metric."""
    sign: float
    """-1 where less of the score is better: all scores here are multiplied by it."""
    image_visits: int
    ids: list[str]
    seeds: list[list[float]]
    """Scores of all trainings of this length, the search's own first."""
    longer: dict[int, list[list[float]]]
    """Image visits -> scores of longer trainings."""
    free: dict[str, Array]
    """What of `FREE` is known."""
    stopped: int
    """Candidates of an earlier rung: not promoted, and in nothing here."""
    on_front: Mask
    """Candidates on the front of the study's objectives."""

    @property
    def proxy(self) -> Array:
        """One score of each candidate: the first that was recorded, which is the search's own."""
        return np.array([scores[0] if scores else np.nan for scores in self.seeds], float)


@dataclass(frozen=True, kw_only=True)
class Rank:
    """How one column ranks like another: over all, over the better half by score, over the study's front."""

    metric: str
    all: Estimate
    better_half: Estimate
    front: Estimate
    lead: Estimate | None = None
    """By how much the proxy's tau is larger, over all, on the same draws."""


@dataclass(frozen=True, kw_only=True)
class Longer:
    """The proxy and what is free against longer trainings."""

    image_visits: int
    seeds: tuple[int, int]
    """Fewest and most longer trainings of a candidate."""
    on_front: int
    """Candidates among them that are on the study's front."""
    ranks: list[Rank]
    """The proxy first."""

    @property
    def n(self) -> int:
        return self.ranks[0].all.n


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What speaks for and against the score of a study."""

    study: str
    score: str
    task: str
    image_visits: int
    candidates: int
    """With a score of this many image visits."""
    complete: int
    stopped: int
    """Not promoted to the last rung, and so left out: the others are a better half, which lies closer together."""
    spread: dict[str, float]
    """Mean, std, lowest and highest of the candidates' scores."""
    ranks: list[Rank]
    """Agreement of what is free with the score."""
    noise: Separation
    noise_better_half: Separation
    """The same among the better half: a score may part good from bad by far and still not order the good."""
    longer: Longer | None


# -- reading


def gather(store: Store, row: StudyRow, frame: Any = None) -> Facts:
    """What the store knows of the study's complete candidates. `frame` is `store.frame` where it was read already."""
    frame = store.frame(row.name) if frame is None else frame
    stopped = int((frame["state"] == "stopped").sum())
    frame = frame[frame["state"] == "complete"]
    objectives = row.config["objectives"]
    score = objectives[0]["metric"]
    sign = 1.0 if objectives[0]["direction"] == "maximize" else -1.0
    ids = [str(identity) for identity in frame["id"]]
    trained = [_scores(store, row, identity, score) for identity in ids]
    visits = row.config.get("image_visits")
    if visits is None:  # a study of an early version
        lengths = Counter(length for scores in trained for length, _ in scores)
        visits = [lengths.most_common(1)[0][0] if lengths else 0]
    length = visits[-1]
    lengths_above = sorted({other for scores in trained for other, _ in scores if other > length})
    of_length = {
        wanted: [[sign * value for (other, _), value in scores.items() if other == wanted] for scores in trained]
        for wanted in (length, *lengths_above)
    }
    free = {name: frame[name].to_numpy(dtype=float) for name in FREE if frame[name].notna().any()}
    values = minimised(frame[[o["metric"] for o in objectives]].to_numpy(dtype=float),
                       [o["direction"] for o in objectives])  # fmt: skip
    return Facts(
        study=row, score=score, sign=sign, image_visits=length, ids=ids, seeds=of_length.pop(length),
        longer=of_length, free=free, on_front=front(values),
        stopped=stopped,
    )  # fmt: skip


def _scores(store: Store, row: StudyRow, identity: str, score: str) -> dict[tuple[int, int], float]:
    """(image visits, seed) -> score of an architecture under the study's task and recipe.

    The search's own seed comes first, as another study in the database may have trained the same network before;
    the others follow in the order of recording.
    """
    task, recipe = row.config["task"], row.config["recipe_id"]
    scores = {
        (found["image_visits"], found["seed"]): found["value"]
        for found in reversed(store.measurements(identity))
        if found["metric"] == score and found["value"] is not None
        and (found["task"], found["recipe"]) == (task, recipe)
    }  # fmt: skip
    own = job_seed(row.seed)
    return dict(sorted(scores.items(), key=lambda item: item[0][1] != own))


def shuffled(facts: Facts) -> list[str]:
    """The candidates with a score, in an order that is random but always the same, so that more go on with fewer."""
    known = [identity for identity, scores in zip(facts.ids, facts.seeds, strict=True) if scores]
    return sorted(known, key=lambda identity: (derive(facts.study.seed, "audit", identity), identity))


# -- weighing


def weigh(facts: Facts) -> Evidence:
    """What the facts say, with intervals; the same facts give the same numbers."""
    proxy = facts.proxy
    known = proxy[np.isfinite(proxy)]
    spread = dict.fromkeys(("mean", "std", "lowest", "highest"), math.nan)
    if len(known) > 1:
        shown = facts.sign * known
        spread = {"mean": float(shown.mean()), "std": float(shown.std(ddof=1)), "lowest": float(shown.min()),
                  "highest": float(shown.max())}  # fmt: skip
    return Evidence(
        study=facts.study.name,
        score=facts.score,
        task=facts.study.config["task"],
        image_visits=facts.image_visits,
        candidates=len(known),
        complete=len(facts.ids),
        stopped=facts.stopped,
        spread=spread,
        ranks=[_rank(name, column, proxy, proxy, facts.on_front) for name, column in facts.free.items()],
        noise=separation(facts.seeds),
        noise_better_half=separation(
            [scores for scores, better in zip(facts.seeds, _better(proxy, np.isfinite(proxy)), strict=True) if better]
        ),
        longer=_longer(facts, proxy),
    )


def _longer(facts: Facts, proxy: Array) -> Longer | None:
    """Against the length that most candidates were trained for; of two, the longer."""
    if not facts.longer:
        return None
    length = max(facts.longer, key=lambda visits: (sum(map(bool, facts.longer[visits])), visits))
    scores = facts.longer[length]
    target = np.array([np.mean(each) if each else np.nan for each in scores], float)
    both = np.isfinite(target) & np.isfinite(proxy)
    counts = [len(each) for each, known in zip(scores, both, strict=True) if known]
    if not counts:
        return None
    # One set of candidates for every column that is known on all of it, so that the numbers compare.
    columns = {facts.score: proxy, **facts.free}
    ranks = [
        _rank(name, np.where(both, column, np.nan), target, proxy, facts.on_front,
              lead=paired_difference(proxy, column, target) if name != facts.score else None)
        for name, column in columns.items()
    ]  # fmt: skip
    return Longer(
        image_visits=length, seeds=(min(counts), max(counts)), on_front=int((both & facts.on_front).sum()), ranks=ranks
    )


def _rank(name: str, column: Array, target: Array, proxy: Array, on_front: Mask, *,
          lead: Estimate | None = None) -> Rank:  # fmt: skip
    """Agreement of a column with `target`; the better half is that of the candidates that have both."""
    known = np.isfinite(column) & np.isfinite(target) & np.isfinite(proxy)
    better = _better(proxy, known)
    parts = {
        part: kendall_interval(column[rows], target[rows])
        for part, rows in (("all", known), ("better_half", better), ("front", known & on_front))
    }
    return Rank(metric=name, lead=lead, **parts)


def _better(proxy: Array, among: Mask) -> Mask:
    """The half of `among` with the better scores."""
    return among & (proxy >= np.median(proxy[among])) if among.any() else among


# -- saying


def interval(estimate: Estimate | Sequence[float], digits: int = 2) -> str:
    """`0.03 to 0.20` of (value, low, high, …); an en dash where it is not known."""
    low, high = estimate[1], estimate[2]
    return "–" if math.isnan(low) else f"{low:.{digits}f} to {high:.{digits}f}"


def verdict(evidence: Evidence) -> list[str]:
    """Plain sentences: does the score separate, does it rank better than MACs alone."""
    return [_on_separation(evidence), *_on_ranking(evidence), *_on_macs(evidence)]


def _on_separation(evidence: Evidence) -> str:
    noise = evidence.noise
    if not noise.repeated:
        return "Not known: whether the score separates architectures. None was trained with more than one seed."
    if not noise.within:
        return "Not known: whether the score separates architectures. All seeds of one gave the same score."
    luck = f"Differences below {1.96 * math.sqrt(2) * noise.within:.2g} between two single trainings are luck."
    enough, good = noise.ratio >= BAR, evidence.noise_better_half
    unsure = noise.low < BAR <= noise.high or noise.repeated < CANDIDATES
    return (
        f"The score separates architectures by {noise.ratio:.1f} times the noise of one training (95 % interval "
        f"{interval((noise.ratio, noise.low, noise.high), 1)}): {'enough' if enough else 'too little'}"
        + (f", as far as {noise.repeated} repeated candidates can tell" if unsure else "")
        + f"; {BAR:g} is the bar."
        + (
            f" Within the better half: {good.ratio:.1f} times ({interval((good.ratio, good.low, good.high), 1)})."
            if good.repeated and good.within
            else ""
        )
        + f" {luck}"
        + ("" if enough else " Train longer, or validate on more images.")
    )


def _on_ranking(evidence: Evidence) -> list[str]:
    longer = evidence.longer
    if longer is None:
        return ["Not known: whether the score ranks better than MACs alone. No candidate was trained longer."]
    if longer.n < FEWEST:
        return [f"Not known: whether the score ranks better than MACs alone. {longer.n} candidates were trained "
                f"longer; it takes {FEWEST} at least."]  # fmt: skip
    found: list[str] = []
    unsure = []
    for rank in longer.ranks[1:]:
        lead, name = rank.lead, _name(rank.metric)
        if lead is None or math.isnan(lead.low):
            continue
        numbers = f"difference {lead.value:.2f}, 95 % interval {interval(lead)}"
        if rank.metric == "macs":
            if lead.low > 0:
                found.append(f"The proxy ranks better than MACs alone ({numbers}).")
            else:
                worse = "worse than" if lead.high < 0 else "no better than"
                found.append(
                    f"The proxy ranks {worse} MACs alone ({numbers}): pick by MACs and verify, or train longer."
                )
        elif lead.high < 0:
            found.append(f"{name} alone ranks better than the proxy ({numbers}).")
        elif lead.low <= 0:
            unsure.append(name)
    if unsure:
        found.append(f"Nor is it surely better than each of these alone: {', '.join(unsure)}.")
    if 2 * longer.on_front > longer.n:
        found.append(
            f"{longer.on_front} of the {longer.n} candidates trained longer are on the front, where score and costs "
            "order candidates alike by construction: train random ones longer for a fair comparison."
        )
    return found


def _on_macs(evidence: Evidence) -> list[str]:
    for rank in evidence.ranks:
        if rank.metric == "macs" and rank.all.n >= FEWEST:
            return [
                f"{evidence.score} and MACs order {_alike(rank.all)} of all pairs alike, {_alike(rank.better_half)} in "
                "the better half: what remains is what the score knows beyond size, or noise."
            ]
    return []


def _alike(tau: Estimate) -> str:
    """The share of pairs that two columns order alike."""
    return f"{(1 + tau.value) / 2:.0%}"


def _name(metric: str) -> str:
    return {"macs": "MACs", "params": "Parameters", "latency_ms": "Latency"}.get(metric, metric)


def missing(facts: Facts, evidence: Evidence, db: str) -> list[tuple[str, str]]:
    """What would make the report say more, and the command that gets it."""
    where = place(db, facts.study.name)
    found: list[tuple[str, str]] = []
    if evidence.candidates < FEWEST:
        found.append((f"{FEWEST} candidates with a score; there are {evidence.candidates} (add the search's options)",
                      f"python -m search.run --budget {2 * FEWEST}{where}"))  # fmt: skip
    if evidence.noise.repeated < CANDIDATES:
        count = f"{evidence.noise.repeated} candidates have" if evidence.noise.repeated else "no candidate has"
        found.append((f"noise: {count} more than one seed",
                      f"python -m search.audit --seeds {SEEDS} --candidates {CANDIDATES}{where}"))  # fmt: skip
    longer = evidence.longer
    if longer is None or longer.n < FEWEST or 2 * longer.on_front > longer.n:
        known = {identity for scores in facts.longer.values()
                 for identity, each in zip(facts.ids, scores, strict=True) if each}  # fmt: skip
        some = [identity for identity in shuffled(facts) if identity not in known][:LONGER]
        if some:
            found.append(("longer trainings of random candidates",
                          f"python -m search.verify --ids {','.join(some)}{where}"))  # fmt: skip
    # A formula's `score` is of no images, and without images there are no such scores.
    if facts.score != "score" and any(name not in facts.free for name in ZERO_COST):
        found.append(("zero-cost scores", f"python -m search.audit --zero-cost{where}"))
    return found


def place(db: str, study: str) -> str:
    """Options that name this study of this database."""
    return ("" if db == "csp.db" else f" --db {shlex.quote(db)}") + f" --name {shlex.quote(study)}"


def closing(store: Store, row: StudyRow, frame: Any, db: str) -> list[str]:
    """One or two lines for the end of a search: what the score adds to MACs, and whether its noise is known."""
    facts = gather(store, row, frame)
    noise = separation(facts.seeds)
    lines = []
    tau = kendall_interval(facts.proxy, facts.free["macs"]) if "macs" in facts.free else None
    if tau is not None and tau.n >= FEWEST:
        lines.append(
            f"{facts.score} and MACs order {_alike(tau)} of pairs alike "
            f"(Kendall {tau.value:.2f}, 95 % interval {interval(tau)}, {tau.n} candidates)"
        )
    if noise.repeated and noise.within:
        lines.append(
            f"noise of one training: std {noise.within:.3f}; candidates differ by {noise.ratio:.1f} times that "
            f"(95 % interval {interval((noise.ratio, noise.low, noise.high), 1)}); more: "
            f"python -m search.audit{place(db, row.name)}"
        )
    elif facts.ids:
        lines.append(
            f"noise not measured: python -m search.audit --seeds {SEEDS} --candidates {CANDIDATES}{place(db, row.name)}"
        )
    return lines


def plain(value: Any) -> Any:
    """As JSON can say it: mappings and lists, None for what is not known."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Separation | Estimate):
        return plain(value._asdict())
    if hasattr(value, "__dataclass_fields__"):
        return plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def show(metric: str, value: float) -> str:
    """A score with its metric's digits."""
    return METRICS[metric].show(value)
