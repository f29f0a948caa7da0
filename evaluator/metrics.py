"""The metrics that the product knows: unit, direction and meaning. Standard library only."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric. `direction` is what a user wants of it; `paper` says that the graph alone gives it."""

    name: str
    unit: str
    direction: Literal["maximize", "minimize"]
    meaning: str
    paper: bool = False
    scale: float = 1.0
    """Multiply by this to show it in `shown_unit`."""
    shown_unit: str = ""

    def show(self, value: float | None) -> str:
        """The value as a person reads it, for example `412 M`, `8.91 ms`, `0.352`; an en dash if missing."""
        if value is None or value != value:
            return "–"
        scaled = value * self.scale
        digits = f"{scaled:.3f}" if self.unit == "" else f"{scaled:.3g}" if scaled < 1000 else f"{scaled:,.0f}"
        return f"{digits} {self.shown_unit}".rstrip()


def _metric(name: str, unit: str, direction: Literal["maximize", "minimize"], meaning: str,
            paper: bool = False, scale: float = 1.0, shown_unit: str | None = None) -> Metric:  # fmt: skip
    shown = unit if shown_unit is None else shown_unit
    return Metric(name=name, unit=unit, direction=direction, meaning=meaning, paper=paper, scale=scale,
                  shown_unit=shown)  # fmt: skip


_ALL = [
    _metric("ap", "", "maximize", "COCO average precision, mean over IoU 0.50:0.05:0.95, proxy validation set"),
    _metric("ap50", "", "maximize", "COCO average precision at IoU 0.50"),
    _metric("ap75", "", "maximize", "COCO average precision at IoU 0.75"),
    _metric("ap_small", "", "maximize", "average precision of small objects (the task states the area limits)"),
    _metric("ap_medium", "", "maximize", "average precision of medium objects"),
    _metric("ap_large", "", "maximize", "average precision of large objects"),
    _metric("accuracy", "", "maximize", "share of validation images whose class is right (top 1)"),
    _metric("score", "", "maximize", "a formula's stand-in for accuracy (task synthetic); nothing was trained"),
    _metric("val_loss", "nats", "minimize", "training loss on the validation set, after training"),
    _metric("train_seconds", "s", "minimize", "wall time of the proxy training with its evaluation"),
    _metric("train_cpu_seconds", "s", "minimize", "processor time of the proxy training with its evaluation"),
    _metric("macs", "MACs", "minimize", "multiply-accumulates of convolutions and linear layers, one image",
            True, 1e-6, "M"),
    _metric("params", "", "minimize", "trainable parameters, normalisation and biases included", True, 1e-6, "M"),
    _metric("activations", "elements", "minimize", "output elements of convolutions and linear layers", True,
            1e-6, "M"),
    _metric("cio", "elements", "minimize",
            "input plus output elements of convolutions and pools (HarDNet's CIO; CSPNet Fig. 8)", True, 1e-6, "M"),
    _metric("peak_bytes", "B", "minimize", "peak of live activation memory during inference, fp32, views free",
            True, 2**-20, "MiB"),
    _metric("weight_bytes", "B", "minimize", "bytes of the weights at deployment, normalisation folded", True,
            2**-20, "MiB"),
    _metric("latency_ms", "ms", "minimize", "latency of one inference, 25th percentile of the rounds"),
    _metric("latency_median_ms", "ms", "minimize", "latency of one inference, median of the rounds"),
    _metric("latency_p90_ms", "ms", "minimize", "latency of one inference, 90th percentile of the rounds"),
    # Not the median: some systems count processor time in ticks of 4 ms.
    _metric("latency_cpu_ms", "ms", "minimize", "processor time of one inference, mean of the rounds"),
    _metric("images_per_second", "1/s", "maximize", "batch over latency_ms: one stream, one inference after another"),
    _metric("process_peak_bytes", "B", "minimize",
            "resident memory of a process at its peak with runtime and network, less the process before", False,
            2**-20, "MiB"),
    _metric("energy_mj", "mJ", "minimize",
            "energy of the processor package or card for one inference, idling included"),
    _metric("quantised_score", "", "maximize", "the task's score through this runtime in this precision"),
    _metric("quantisation_loss", "", "minimize", "score through this runtime in fp32 minus quantised_score"),
    _metric("synflow", "", "maximize", "untrained: log10 of the weights' synaptic flow (Tanaka et al. 2020)"),
    _metric("naswot", "", "maximize", "untrained: log determinant of units' agreement on images (Mellor et al. 2021)"),
    _metric("grad_norm", "", "maximize", "untrained: loss gradient's norm, sum over layers (Abdelfattah et al. 2021)"),
    _metric("zen", "", "maximize", "untrained: log of the response to a small change of the input (Lin et al. 2021)"),
]  # fmt: skip

TARGETED = ("latency_ms",)
"""Metrics that a search may know on a device that it does not run on, as `latency_ms@pi5`."""


class _Metrics(dict[str, Metric]):
    """Every metric by name, and those on devices, which are not listed."""

    def __missing__(self, name: str) -> Metric:
        base, _, target = name.partition("@")
        if base not in TARGETED or not target:
            raise KeyError(name)
        return replace(self[base], name=name, meaning=f"{self[base].meaning}, predicted for {target}", paper=True)


METRICS: dict[str, Metric] = _Metrics({metric.name: metric for metric in _ALL})
"""Every metric by name. `METRICS["latency_ms@pi5"]` is known too: like a cost on paper, before anything runs."""

ZERO_COST = ("synflow", "naswot", "grad_norm", "zen")
"""Scores of the untrained network at the proxy's size: measured with a seed, shown and correlated, never an objective
or a limit. `python -m search.audit --zero-cost` computes them."""

ON_RUNTIMES = ("images_per_second", "process_peak_bytes", "energy_mj", "quantised_score", "quantisation_loss")
"""What `python -m search.measure` finds out of chosen candidates: never an objective or a limit of a search."""


def metric(name: str) -> Metric:
    """The metric called `name`.

    Raises ValueError that names the nearest metric and all that there are.
    """
    base, at, target = name.partition("@")
    if at and base in METRICS and (base not in TARGETED or not target.strip()):
        raise ValueError(f"'{name}': on a device known by name only {' and '.join(TARGETED)} can be asked for, such as "
                         f"'{TARGETED[0]}@pi5'")  # fmt: skip
    if name in METRICS or (at and base in METRICS):
        return METRICS[name]
    near = difflib.get_close_matches(name, METRICS, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    raise ValueError(f"no metric '{name}'{hint} Metrics: {', '.join(METRICS)}")
