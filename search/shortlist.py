"""The candidates of a study among which a variant is picked: score, its noise, and what is known on each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from evaluator.metrics import METRICS, ZERO_COST
from evaluator.target import Target
from search.budgets import Budget, BudgetError
from search.choice import excess, pooled
from search.devices import Device, advice, devices, find
from search.frame import TRAINED
from search.latencies import known
from search.pareto import Array
from search.verification import noise_of

if TYPE_CHECKING:
    from search.store import Store, StudyRow
    from space.architecture import Architecture

By = Literal["verified", "proxy"]
"""Which score: the mean of the long trainings of the verification, or that of the study's own short one."""
Fact = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One score of every candidate. Arrays over `Shortlist.ids`."""

    by: By
    value: Array
    """As it is shown; NaN where unknown."""
    gain: Array
    """The same, larger for better."""
    error: Array
    """Standard error from the noise of a training; NaN where that is unknown."""
    noise: float
    """Standard deviation of one training; NaN if unknown."""


@dataclass(kw_only=True)
class Shortlist:
    """The complete candidates of a study. Arrays are over `ids`, places are positions in `targets`."""

    store: Store
    study: StudyRow
    frame: pd.DataFrame
    """Their rows of `Store.frame`, in the order of `ids`."""
    devices: dict[str, Device]
    measured_only: bool = False
    changes: Mapping[str, int] = field(default_factory=dict)
    """Fields of the deployment that are asked for on every device: threads, batch, height, width."""
    ids: list[str] = field(init=False)
    targets: list[tuple[Device, Target]] = field(default_factory=list)
    facts: list[dict[tuple[str, str], Fact]] = field(default_factory=list)
    """For each target: id and metric -> row of `latencies.known`."""

    def __post_init__(self) -> None:
        self.ids = [str(identity) for identity in self.frame["id"]]
        self._scores: dict[By, Scores] = {}

    @property
    def metric(self) -> str:
        """Name of the study's score."""
        return str(self.study.config["objectives"][0]["metric"])

    @property
    def sign(self) -> float:
        return 1.0 if self.study.config["objectives"][0]["direction"] == "maximize" else -1.0

    def architecture(self, row: int) -> Architecture:
        found = self.store.architecture(self.ids[row])
        assert found is not None
        return found

    def fact(self, row: int, metric: str, place: int) -> Fact:
        """What is known of a deployment metric of one candidate on a target: a row of `latencies.known`."""
        return self.facts[place][self.ids[row], metric]

    def verdict(self, row: int) -> str:
        return str(self.frame["verdict"].iloc[row])

    def label(self, place: int) -> str:
        """The target as short as tells it from the others."""
        device, target = self.targets[place]
        alone = sum(other.name == device.name for other, _ in self.targets) == 1
        return device.name if alone else f"{device.name}/{target.backend}/{target.deployment.precision}"

    def place(self, text: str | None) -> int:
        """Position of the target that `text` names, read on first use. Raises TargetError."""
        device, where = find(text, self.study, self.devices, self.changes)
        for index, (_, other) in enumerate(self.targets):
            if other == where:
                return index
        rows = known(self.store, self.study.name, where, ids=self.ids).to_dict("records")
        self.targets.append((device, where))
        self.facts.append({(row["id"], row["metric"]): self._kept({str(k): v for k, v in row.items()})
                           for row in rows})  # fmt: skip
        return len(self.targets) - 1

    def _kept(self, fact: Fact) -> Fact:
        if self.measured_only and fact["origin"] == "predicted":
            return {**fact, "value": np.nan, "reason": "only predicted, and --measured-only was given"}
        return fact

    def values(self, metric: str, place: int) -> Array:
        """A metric of every candidate on a target, or of its training; NaN where unknown."""
        if metric in TRAINED or metric in ZERO_COST:
            return np.array(pd.to_numeric(self.frame[metric], errors="coerce"), float)
        return np.array([self.facts[place][identity, metric]["value"] for identity in self.ids], float)

    def scores(self, by: By) -> Scores:
        """The study's score; `verified` only for candidates with at least two long trainings."""
        if by not in self._scores:
            self._scores[by] = self._verified() if by == "verified" else self._proxy()
        return self._scores[by]

    def _proxy(self) -> Scores:
        value = self.values(self.metric, 0)
        noise, _ = pooled(*(self.frame[f"{self.metric}_{name}"].to_numpy(float) for name in ("spread", "n")))
        # The value is that of the study's own seed, also where repeats tell of the spread.
        return self._of("proxy", value, noise, np.ones(len(value)))

    def _verified(self) -> Scores:
        name = f"verified_{self.metric}"
        enough = (self.frame["verdict"] != "unverified").to_numpy()
        value = np.where(enough, self.frame[name].to_numpy(float), np.nan)
        long = self.store.long_scores(self.study)
        seeds = sorted({seed for identity in self.ids for seed in long.get(identity, {})})
        table = [[long[i].get(s, np.nan) for s in seeds] for i, e in zip(self.ids, enough, strict=True) if e]
        noise = noise_of(np.array(table, float))[1] if table else np.nan
        return self._of("verified", value, noise, np.maximum(1.0, self.frame[f"{name}_n"].to_numpy(float)))

    def _of(self, by: By, value: Array, noise: float, n: Array) -> Scores:
        return Scores(by=by, value=value, gain=self.sign * value, noise=noise, error=noise / np.sqrt(n))

    def bounded(self, budget: Budget, place: int, by: By) -> Array:
        """What a budget bounds, for every candidate: on the budget's own device, else at `place`."""
        if budget.metric == self.metric:
            return self.scores(by).value
        return self.values(budget.metric, self.place(budget.device) if budget.device else place)

    def outside(self, budgets: Sequence[Budget], place: int, by: By) -> Array:
        """`choice.excess` of every candidate, (n, budgets)."""
        columns = [self.bounded(budget, place, by) for budget in budgets]
        values = np.column_stack(columns) if columns else np.zeros((len(self.ids), 0))
        return excess(values, [(budget.relation, budget.bound) for budget in budgets])

    def check(self, budget: Budget, place: int) -> None:
        """Raise BudgetError for a budget on what is known of no candidate, with the reason and what to do."""
        if budget.device and (budget.metric in TRAINED or budget.metric in ZERO_COST):
            raise BudgetError(f"{budget.given}: {budget.metric} is of the training and of no device; leave out "
                              f"'@{budget.device}'")  # fmt: skip
        where = self.place(budget.device) if budget.device else place
        if not np.isnan(self.values(budget.metric, where)).all():
            return
        if budget.metric in TRAINED or budget.metric in ZERO_COST:
            have = [m for m in METRICS if (m in TRAINED or m in ZERO_COST) and self.frame[m].notna().any()]
            raise BudgetError(f"{budget.given}: no candidate of '{self.study.name}' has {budget.metric}; known of its "
                              f"trainings: {', '.join(have)}")  # fmt: skip
        reasons = [str(self.fact(row, budget.metric, where)["reason"]) for row in range(len(self.ids))]
        reason = next((text for text in reasons if not text.startswith("not measured")), reasons[0])
        hint = advice(self.targets[where][1], budget.metric)
        raise BudgetError(f"{budget.given}: {budget.metric} is known of no candidate: {reason}. {hint}. Known: "
                          f"{'; '.join(map(str, self.devices.values()))}")  # fmt: skip


def shortlist(store: Store, study: StudyRow, *, measured_only: bool = False,
              changes: Mapping[str, int] | None = None) -> Shortlist:  # fmt: skip
    """The complete candidates of a study, each once."""
    frame = store.frame(study.name)
    done = frame[frame["state"] == "complete"].drop_duplicates("id").reset_index(drop=True)
    return Shortlist(store=store, study=study, frame=done, devices=devices(store, study.name),
                     measured_only=measured_only, changes=changes or {})  # fmt: skip
