"""Budgets as a person writes them: `latency_ms=12`, `peak_mb=64`, `latency_ms@pi5=40`. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from evaluator.metrics import METRICS
from evaluator.target import Target
from space.registry import unknown


class BudgetError(ValueError):
    """A budget that cannot be; the message says what is allowed."""


class Alias(NamedTuple):
    """Another unit of a metric."""

    metric: str
    factor: float
    """Of the metric's own unit."""
    meaning: str
    inverse: bool = False
    """metric = factor / value, for each image of a batch."""


ALIASES = {
    "peak_mb": Alias("peak_bytes", 1e6, "10⁶ bytes"),
    "peak_mib": Alias("peak_bytes", 2**20, "2²⁰ bytes"),
    "weight_mb": Alias("weight_bytes", 1e6, "10⁶ bytes"),
    "weight_mib": Alias("weight_bytes", 2**20, "2²⁰ bytes"),
    "mmacs": Alias("macs", 1e6, "10⁶ MACs"),
    "gmacs": Alias("macs", 1e9, "10⁹ MACs"),
    "gflops": Alias("macs", 0.5e9, "10⁹ FLOPs, 2 a MAC"),
    "mparams": Alias("params", 1e6, "10⁶ parameters"),
    "fps": Alias("latency_ms", 1e3, "images a second: batch × 1000 / `latency_ms`", inverse=True),
}
"""Further names that budgets may have. `--min fps=30` is a largest latency."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """`metric <= bound` or `metric >= bound`, in the metric's own unit."""

    metric: str
    relation: Literal["<=", ">="]
    bound: float
    given: str
    """As it was written, with its option."""
    device: str | None = None
    """Where it holds, as on a command line; None: on every device that is asked for."""
    per_image: bool = False
    """The bound is one image's share of a batch."""

    def at(self, target: Target) -> Budget:
        """The budget as it holds on `target`: for its whole batch."""
        return replace(self, bound=self.bound * target.deployment.batch, per_image=False) if self.per_image else self

    def show(self, value: float | None = None) -> str:
        """The bound, or a value of this metric, as a person reads it."""
        return METRICS[self.metric].show(self.bound if value is None else value)

    def __str__(self) -> str:
        place = f"@{self.device}" if self.device else ""
        return f"{self.metric}{place} {'≤' if self.relation == '<=' else '≥'} {self.show()}"


def budgets(at_most: Sequence[str], at_least: Sequence[str]) -> list[Budget]:
    """What `--max` and `--min` say. Raises BudgetError for what is no budget, or for two of one metric and place."""
    found = [parse("--max", text) for text in at_most] + [parse("--min", text) for text in at_least]
    for index, budget in enumerate(found):
        for other in found[:index]:
            if (other.metric, other.relation, other.device) == (budget.metric, budget.relation, budget.device):
                raise BudgetError(f"{other.given} and {budget.given} bound {budget.metric} twice; leave one of them")
    return found


def parse(option: Literal["--max", "--min"], text: str) -> Budget:
    """The budget of one option, for example `latency_ms@pi5=40`. Raises BudgetError that says what is allowed."""
    given = f"{option} {text}"
    left, equals, number = text.rpartition("=")  # names of devices may hold anything else
    name, at, device = (part.strip() for part in left.partition("@"))
    if not equals or not name or (at and not device):
        raise BudgetError(f"{given}: write METRIC=NUMBER or METRIC@DEVICE=NUMBER, such as latency_ms=12")
    try:
        value = float(number.replace("_", ""))
    except ValueError as error:
        raise BudgetError(f"{given}: '{number.strip()}' is not a number; {_unit(name)}") from error
    if not math.isfinite(value):
        raise BudgetError(f"{given}: the bound must be a finite number")
    if name in METRICS:
        return Budget(metric=name, relation="<=" if option == "--max" else ">=", bound=value, given=given,
                      device=device or None)  # fmt: skip
    if name not in ALIASES:
        names = [*METRICS, *ALIASES]
        raise BudgetError(f"{given}: {unknown('metric', name, names)}")
    alias = ALIASES[name]
    if alias.inverse and value <= 0:
        raise BudgetError(f"{given}: {name} must be above 0")
    most = (option == "--max") != alias.inverse
    return Budget(metric=alias.metric, relation="<=" if most else ">=", given=given, device=device or None,
                  bound=alias.factor / value if alias.inverse else alias.factor * value,
                  per_image=alias.inverse)  # fmt: skip


def _unit(name: str) -> str:
    if name in ALIASES:
        return f"{name} is a number of {ALIASES[name].meaning}"
    return f"{name} is a number" + (f" of {METRICS[name].unit}" if name in METRICS and METRICS[name].unit else "")
