"""How wrong a latency table is: its predictions beside the measured latencies of networks it has never seen.

Beside it stand MACs alone (a line through the calibration's own networks) and the roofline of the device's card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluator.latency_table import LatencyTable, errors
from evaluator.record import Deployment, Environment, environment
from evaluator.target import HOST
from space.architecture import Architecture
from space.cost import cost
from space.graph import Graph

UNSEEN = 60
"""Networks of a report."""
BARS = {"median": 0.05, "within10": 0.9, "kendall": 0.9}
SIZES = ("fastest third", "middle third", "slowest third")

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Errors of predictors on networks that were measured for it."""

    target: str
    deployment: str
    rows: dict[str, dict[str, float] | str]
    """Predictor -> its errors, or the reason why it has none."""
    by_size: dict[str, dict[str, float]]
    """Of the latency table alone, as all that follow."""
    by_block: dict[str, dict[str, float]]
    """Block -> errors of the networks with a stage of it."""
    coverage: float
    """Least share of a prediction that comes from kernels within the calibrated shapes."""
    repeatability: float
    """Median relative difference between two halves of the rounds that were measured: no predictor is better."""
    latency_ms: list[float]
    """Least, median and most of what was measured."""
    rounds: int
    load_average: list[float]
    calibrated: dict[str, Any]
    cross_validated: dict[str, float]
    environment: Environment

    @property
    def met(self) -> bool:
        """Whether the table keeps what is asked of it (`BARS`)."""
        own = self.rows["latency table"]
        assert isinstance(own, dict)
        return (own["median"] <= BARS["median"] and own["within10"] >= BARS["within10"]
                and own.get("kendall", 0.0) >= BARS["kendall"])  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {**asdict(self), "met": self.met}


def line(graphs: Sequence[Graph], times: Array) -> list[float]:
    """Milliseconds of no MACs and of a million MACs: the line with the least squared relative error."""
    macs = np.array([cost(graph).macs * 1e-6 for graph in graphs])
    rows = np.stack([1 / times, macs / times], axis=1)
    return [float(value) for value in np.linalg.lstsq(rows, np.ones(len(times)), rcond=None)[0]]


def roofline(graphs: Sequence[Graph], deployment: Deployment) -> list[float] | str:
    """Predictions from the host's card, or why there are none."""
    from evaluator.devices import cards
    from evaluator.roofline import roofline_ms

    card = cards().get(HOST)
    if card is None:
        return "this machine has no card yet: python -m evaluator.devices --measure-host"
    try:
        return [roofline_ms(graph, card, deployment) for graph in graphs]
    except ValueError as error:
        return str(error)


def report(table: LatencyTable, networks: Sequence[Architecture], graphs: Sequence[Graph], measured: Array, *,
           target: str, deployment: Deployment, repeatability: float, rounds: int,
           load_average: list[float]) -> Report:  # fmt: skip
    """Compare predictions of `graphs`, those of `networks`, with their `measured` milliseconds."""
    predicted = np.array([table.predict(graph) for graph in graphs])
    base, slope = table.calibrated.get("macs_line") or (math.nan, math.nan)
    macs = np.array([base + slope * cost(graph).macs * 1e-6 for graph in graphs])
    roof = roofline(graphs, deployment)
    own: Callable[[Sequence[int]], dict[str, float]] = lambda at: errors(predicted[at], measured[at])  # noqa: E731
    thirds = np.array_split(np.argsort(measured), len(SIZES))
    blocks: dict[str, list[int]] = {}
    for position, network in enumerate(networks):
        for block in {stage.block for stage in network.stages}:
            blocks.setdefault(block, []).append(position)
    return Report(
        target=target,
        deployment=str(deployment),
        rows={
            "latency table": errors(predicted, measured),
            "MACs alone": errors(macs, measured) if math.isfinite(base) else "the table keeps no line of MACs",
            "roofline": roof if isinstance(roof, str) else errors(np.array(roof), measured),
        },
        by_size={name: own(part) for name, part in zip(SIZES, thirds, strict=True) if len(part)},  # type: ignore[arg-type]
        by_block={name: own(blocks[name]) for name in sorted(blocks)},
        coverage=min(table.coverage(graph) for graph in graphs),
        repeatability=repeatability,
        latency_ms=[float(value) for value in np.percentile(measured, [0, 50, 100])],
        rounds=rounds,
        load_average=load_average,
        calibrated={key: value for key, value in table.calibrated.items() if key != "times_ms"},
        cross_validated=table.error,
        environment=environment(),
    )


# -- as text


def markdown(found: Report) -> str:
    """The report as a person reads it."""
    known = found.calibrated
    here = found.environment.versions
    versions = ", ".join(f"{name} {here[name]}" for name in (known.get("backend", ""), "numpy") if name in here)
    parts = [
        f"Latency of {len_of(found)} random networks that the calibration never saw, on {found.target}: "
        f"{found.latency_ms[0]:.2f} to {found.latency_ms[2]:.2f} ms, median {found.latency_ms[1]:.2f} ms "
        f"({found.deployment}; 25th percentile of {found.rounds} rounds or more, load average "
        f"{found.load_average[0]:.1f} to {found.load_average[1]:.1f}).",
        f"Calibrated in {known.get('seconds', math.nan):.0f} s with {known['networks']} networks and "
        f"{known['kernels']} kernels of study `{known.get('study', '?')}`, seed {known.get('seed', '?')}.",
        f"{found.environment.cpu}, {found.environment.cores} cores; Python {found.environment.python}, {versions}.",
        _table("predictor", found.rows),
        _table("latency table, by size", found.by_size),
        _table("latency table, by block", found.by_block),
        f"Cross-validated on the calibration's own networks: {_in_words(found.cross_validated)}. "
        f"Two halves of the rounds differ by {found.repeatability:.1%} (median). At least {found.coverage:.0%} of "
        "every prediction comes from kernels within the calibrated shapes.",
        f"Asked for: median error at most {BARS['median']:.0%}, {BARS['within10']:.0%} of the networks within ±10 %, "
        f"Kendall's τ at least {BARS['kendall']}: {'met' if found.met else 'not met'}.",
    ]
    return "\n\n".join(parts)


def len_of(found: Report) -> int:
    """Networks of the report."""
    own = found.rows["latency table"]
    assert isinstance(own, dict)
    return int(own["n"])


def _in_words(row: dict[str, float]) -> str:
    tau = f", Kendall's τ {row['kendall']:.3f}" if "kendall" in row else ""
    return (f"median error {row['median']:.1%}, 90th percentile {row['p90']:.1%}, {row['within10']:.0%} within "
            f"±10 %{tau}")  # fmt: skip


def _table(title: str, rows: dict[str, Any]) -> str:
    lines = [f"| {title} | networks | median error | 90th percentile | within ±10 % | worst | Kendall's τ |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name, row in rows.items():
        if isinstance(row, str):
            lines.append(f"| {name}: {row} | – | – | – | – | – | – |")
            continue
        tau = f"{row['kendall']:.3f}" if "kendall" in row else "–"
        lines.append(f"| {name} | {row['n']} | {row['median']:.1%} | {row['p90']:.1%} | {row['within10']:.0%} | "
                     f"{row['worst']:.1%} | {tau} |")  # fmt: skip
    return "\n".join(lines)
