"""What longer trainings with several seeds say of a study's front. Arrays and frames in and out, no torch.

A verification trains candidates for the same number of image visits under the same seeds, all derived from the
study's. From its scores alone follows everything here: nothing derived is stored.

The front under uncertainty is drawn, not resampled: three seeds have only ten distinct resamples, and the means
of resamples spread too little by a factor of 0.82. All candidates share one noise instead, pooled over them: a
draw takes that noise from its own uncertainty (a scaled inverse chi-square) and then each candidate's mean from
a normal distribution around the measured one. The study's other objectives are taken as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from search.pareto import front, minimised

if TYPE_CHECKING:
    import pandas as pd

    Frame = pd.DataFrame | Mapping[str, Any]
    """A study's frame, or its columns by name."""

Array = np.ndarray[Any, Any]
Scores = Mapping[str, Mapping[int, float]]
"""Architecture id -> seed -> score of the long training."""

DRAWS = 2_000
"""Standard error of a front share of one half: 0.011."""
MIN_SEEDS = 2
"""Long trainings without which a candidate is not verified: one has no spread."""
MAJORITY = 0.5
"""Share of the draws in which a candidate must be on the front to count as being on it."""

VERDICTS = {
    "unverified": f"fewer than {MIN_SEEDS} long trainings",
    "verified": f"on the front in at least {MAJORITY:.0%} of the draws, or never on the proxy's front",
    "overturned": f"on the proxy's front, but in less than {MAJORITY:.0%} of the draws on the verified one",
}
"""What `verdict` says of a candidate; only candidates of at least two long trainings are compared."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The verified candidates of a study. All arrays are over `ids`."""

    ids: list[str]
    scores: Array
    """(candidates, seeds), NaN where a seed is missing."""
    mean: Array
    spread: Array
    """Standard deviation over the seeds of a candidate."""
    n: Array
    front_share: Array
    """Share of the draws in which the candidate is on the front of the verified ones."""
    noise: float
    """Standard deviation of one training, pooled, without what a seed adds to every candidate alike."""
    freedom: int
    """Degrees of freedom of `noise`."""


def in_effect(config: Mapping[str, Any]) -> tuple[int, list[int]] | None:
    """Image visits and seeds of a study's verification; None before the first."""
    chosen = config.get("verified")
    return (int(chosen["image_visits"]), [int(seed) for seed in chosen["seeds"]]) if chosen else None


def belongs(config: Mapping[str, Any], row: Mapping[Any, Any]) -> bool:
    """Whether a measurement or evaluation is of the study's verification."""
    chosen = in_effect(config)
    if chosen is None:
        return False
    same = row["task"] == config.get("task") and row["recipe"] == config.get("recipe_id")
    return same and row["image_visits"] == chosen[0] and row["seed"] in chosen[1]


def rung_of(config: Mapping[str, Any], row: Mapping[Any, Any]) -> int | None:
    """The study's rung of which a training has task, recipe and length; None if it is none of the study's own.

    Others may lie in the database: longer ones of another study, or of a verification of another length.
    """
    if row["task"] != config.get("task") or row["recipe"] != config.get("recipe_id") or belongs(config, row):
        return None
    visits = config.get("image_visits")
    if visits is None:
        return int(row["rung"] or 0)
    return visits.index(row["image_visits"]) if row["image_visits"] in visits else None


def noise_of(scores: Array) -> tuple[Array, float, int]:
    """Scores without what each seed adds to all alike; the standard deviation that is left; its freedom.

    `scores` is (n, s), NaN where a seed is missing; score = candidate + seed + noise, by least squares. A seed
    moves all candidates that were trained under it, so it changes no rank and is no noise of theirs.
    """
    rows, columns = np.nonzero(~np.isnan(scores))
    n, s = scores.shape
    values = scores[rows, columns]
    design = np.zeros((len(values), n + s))
    design[np.arange(len(values)), rows] = 1
    design[np.arange(len(values)), n + columns] = 1
    freedom = len(values) - int(np.linalg.matrix_rank(design))
    adjusted = scores.copy()
    if freedom > 0:
        effects = np.linalg.lstsq(design, values)[0][n:]
        adjusted = scores - (effects - effects.mean())
    else:  # no seed that two candidates share
        freedom = len(values) - n
    residuals = adjusted - np.nanmean(adjusted, axis=1, keepdims=True)
    noise = math.sqrt(float(np.nansum(residuals**2)) / freedom) if freedom > 0 else 0.0
    return adjusted, noise if noise > 1e-12 * max(1.0, float(np.abs(values).max())) else 0.0, freedom


def front_shares(ids: Sequence[str], scores: Array, others: Array, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Share of the draws in which each candidate is on the front; (n,).

    `scores` (n, s) and `others` (n, k) are minimised; NaN in `scores` is a missing seed, and each candidate has
    at least one. The draws do not depend on the order of the candidates.
    """
    if not len(ids):
        return np.zeros(0)
    order = np.argsort(np.asarray(ids))
    adjusted, noise, freedom = noise_of(scores[order])
    means = np.nanmean(adjusted, axis=1)
    counts = (~np.isnan(adjusted)).sum(axis=1)
    rng = np.random.default_rng(seed)
    scale = noise * np.sqrt(freedom / rng.chisquare(max(1, freedom), draws)) if noise else np.zeros(draws)
    drawn = means + scale[:, None] * rng.standard_normal((draws, len(order))) / np.sqrt(counts)
    costs = others[order]
    hits = np.zeros(len(order))
    for row in drawn if noise else drawn[:1]:
        hits += front(np.column_stack([row, costs]))
    shares = np.empty(len(order))
    shares[order] = hits / (draws if noise else 1)
    return shares


def judge(frame: Frame, config: Mapping[str, Any], scores: Scores) -> Verification:
    """What `scores` say of the complete candidates of a study's frame that have enough of them."""
    objectives = _objectives(frame, config)
    chosen = in_effect(config)
    seeds = chosen[1] if chosen else []
    values, known = proxy_values(frame, config), np.asarray(frame["id"]).tolist()
    enough = [len(scores.get(identity, {})) >= MIN_SEEDS for identity in known]
    rows = np.flatnonzero(~np.isnan(values).any(axis=1) & np.array(enough, bool))
    ids = [str(known[row]) for row in rows]
    table = np.array([[scores[i].get(seed, np.nan) for seed in seeds] for i in ids], float).reshape(
        len(ids), len(seeds)
    )
    if not ids:
        empty = np.zeros(0)
        return Verification(ids=[], scores=table, mean=empty, spread=empty, n=empty, front_share=empty, noise=0.0,
                            freedom=0)  # fmt: skip
    sign = -1.0 if objectives[0][1] == "maximize" else 1.0
    _, noise, freedom = noise_of(table)
    return Verification(
        ids=ids,
        scores=table,
        mean=np.nanmean(table, axis=1),
        spread=np.nanstd(table, axis=1, ddof=1),
        n=(~np.isnan(table)).sum(axis=1),
        front_share=front_shares(ids, sign * table, values[rows, 1:], seed=config.get("seed", 0)),
        noise=noise,
        freedom=freedom,
    )


def columns(frame: Frame, config: Mapping[str, Any], scores: Scores) -> dict[str, list[Any]]:
    """The columns of `Store.frame` on verification: `verified_<score>` and its kin, `verdict`, `front_share`.

    The spread is that of one long training, pooled over the candidates where it is known: of two seeds alone it may be
    a thousandth of the truth (in the demo 0.00004 where the pooled one is 0.005).
    """
    objectives = _objectives(frame, config)
    found = judge(frame, config, scores) if objectives and in_effect(config) else None
    share = dict(zip(found.ids, found.front_share.tolist(), strict=True)) if found else {}
    on_front = dict(zip(frame["id"], proxy_front(frame, config).tolist(), strict=True)) if objectives else {}

    def verdict(identity: str) -> str:
        if identity not in share:
            return "unverified"
        return "overturned" if on_front[identity] and share[identity] < MAJORITY else "verified"

    ids = [str(identity) for identity in frame["id"]]
    result: dict[str, list[Any]] = {
        "verdict": [verdict(identity) for identity in ids],
        "front_share": [share.get(identity, np.nan) for identity in ids],
    }
    if objectives:
        values = [list(scores.get(identity, {}).values()) for identity in ids]
        name = f"verified_{objectives[0][0]}"
        result |= {
            name: [float(np.mean(v)) if v else np.nan for v in values],
            f"{name}_spread": [_spread(v, found.noise if found else 0.0) for v in values],
            f"{name}_n": [len(v) for v in values],
        }
    return result


def _spread(values: Sequence[float], pooled: float) -> float:
    if len(values) < MIN_SEEDS:
        return math.nan
    return pooled or float(np.std(values, ddof=1))


def proxy_front(frame: Frame, config: Mapping[str, Any]) -> Array:
    """Rows of a study's frame on the front of all its objectives, as the proxy scores them."""
    return front(proxy_values(frame, config))


def proxy_values(frame: Frame, config: Mapping[str, Any]) -> Array:
    """The study's objectives, minimised, the score first; NaN in rows that are not complete."""
    done = np.asarray(frame["state"]) == "complete"
    return np.where(done[:, None], _minimised(frame, _objectives(frame, config)), np.nan)


def statement(row: Mapping[str, Any] | pd.Series[Any], score: str) -> str:
    """One sentence on how far a candidate (a row of `Store.frame`) is verified; `score` is the study's."""
    from evaluator.metrics import METRICS

    n = int(row[f"verified_{score}_n"])
    show = METRICS[score].show
    if row["verdict"] == "unverified":
        return f"unverified: {'one long training only' if n else 'its score is the proxy’s'}"
    return (
        f"{row['verdict']}: {score} {show(row[f'verified_{score}'])} ± {show(row[f'verified_{score}_spread'])} "
        f"over {n} seeds, on the front in {row['front_share']:.0%} of the draws"
    )


def _objectives(frame: Frame, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and directions of a study's objectives, the score first; those that the frame knows."""
    given = [(str(o["metric"]), str(o["direction"])) for o in config.get("objectives", [])]
    return [(name, direction) for name, direction in given if name in frame]


def _minimised(frame: Frame, objectives: Sequence[tuple[str, str]]) -> Array:
    values = np.column_stack([np.asarray(frame[name], dtype=float) for name, _ in objectives])
    return minimised(values, [direction for _, direction in objectives])
