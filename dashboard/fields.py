"""What a person may put on an axis, colour by, or filter: the metrics, and the axes of the design space.

One `Field` describes one column of a study's frame: how it is called, in which unit it is shown, and which
end of it is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from evaluator.metrics import METRICS, TARGETED
from search.verification import VERDICTS

Kind = Literal["metric", "number", "category"]
MISSING = "–"
VERIFIED = "verified_"
"""Before a score's name: its mean over the trainings of the study's verification."""

_LABELS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP small",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "accuracy": "Accuracy",
    "val_loss": "Validation loss",
    "train_seconds": "Training time",
    "train_cpu_seconds": "Training CPU time",
    "macs": "MACs",
    "params": "Parameters",
    "activations": "Activations",
    "cio": "CIO",
    "peak_bytes": "Peak memory",
    "weight_bytes": "Weights",
    "latency_ms": "Latency",
    "latency_median_ms": "Latency median",
    "latency_p90_ms": "Latency p90",
    "latency_cpu_ms": "Latency CPU time",
}
_NUMBERS = {
    "partial_ratio": ("Partial ratio γ", "share of base channels that bypasses the blocks, mean over stages"),
    "depth": ("Depth", "blocks of all stages together"),
    "num_stages": ("Stages", "number of stages"),
    "width": ("Last width", "base channels of the last stage"),
    "stem_width": ("Stem width", "channels of the first convolution"),
    "head_width": ("Head width", "channels of the head's maps"),
    "maxout": ("Maxout", "channel groups of the Maxout before concatenation; 1 is none"),
    "front_share": ("Front share", "share of the draws in which a verified candidate is on the verified front"),
    "number": ("Proposal number", "order in which the sampler proposed the candidates"),
}
_CATEGORIES = {
    "block": ("Block", "repeated unit of a stage"),
    "fusion": ("Fusion", "how the cross path joins the main path"),
    "head": ("Head", "pyramid fusion of the head"),
    "split": ("Split", "how channels are divided: a slice, or two 1×1 convolutions"),
    "activation": ("Activation", "non-linearity of the network"),
    "growth_rate": ("Growth rate", "channels that each dense layer adds"),
    "bottleneck_ratio": ("Bottleneck ratio", "inner over outer width of a block"),
    "cardinality": ("Cardinality", "groups of a resx block's 3×3 convolution"),
    "tags": (
        "Tags",
        "what people tagged the architecture with; of the 2,000 candidates that were tagged or noted last",
    ),
    "verdict": ("Verification", "; ".join(f"{name}: {meaning}" for name, meaning in VERDICTS.items())),
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column. Values are kept in base units; multiply by `scale` for `unit`."""

    name: str
    label: str
    meaning: str
    kind: Kind
    unit: str = ""
    scale: float = 1.0
    direction: Literal["maximize", "minimize"] | None = None
    """None: neither end is better, so there is no front over this field."""

    @property
    def title(self) -> str:
        """Label with its unit, as on an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def show(self, value: float | None) -> str:
        """A number as a person reads it; an en dash if missing."""
        if value is None or math.isnan(value):
            return MISSING
        if self.name == "flops":
            return METRICS["macs"].show(value)
        if self.name == "front_share":
            return f"{value:.1%}"
        return METRICS[self.name.removeprefix(VERIFIED)].show(value) if self.kind == "metric" else f"{value:g}"

    def plus_minus(self, spread: float | None) -> str:
        """` ± 0.012`; nothing for a spread that is missing or infinite."""
        return "" if spread is None or not math.isfinite(spread) else f" ± {spread * self.scale:.2g}"

    def against(self, value: float, base: float) -> tuple[str, str]:
        """A value beside another one: `▲ +12.0% better`, and the word alone, which is its colour.

        What is shown alike is `equal`, and `same`. Both are empty where there is nothing to say.
        """
        if math.isnan(value) or math.isnan(base) or self.direction is None:
            return "", ""
        if self.show(value) == self.show(base):
            return "equal", "same"
        if not base:
            return "", ""
        share = (value - base) / abs(base)
        sign, word = ("▲", "better") if (share > 0) == (self.direction == "maximize") else ("▼", "worse")
        amount = f"{share:+.1%}".replace("-", "−") if abs(share) >= 0.0005 else "less than 0.1%"
        return f"{sign} {amount} {word}", word

    def show_scaled(self, value: float) -> str:
        """A number already in `unit`, for example the bound of a filter."""
        return f"{value:.4g} {self.unit}".rstrip()


class _Fields(dict[str, Field]):
    """Fields by name; those of metrics on devices (`latency_ms@pi5`) are made as they are asked for."""

    def __missing__(self, name: str) -> Field:
        metric = METRICS[name]
        base, _, target = name.partition("@")
        return replace(self[base], name=name, label=f"{self[base].label} on {target}", meaning=metric.meaning)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and on_device(name))


def on_device(name: str) -> bool:
    """Whether a column is a metric on a device, such as `latency_ms@pi5`."""
    base, _, target = name.partition("@")
    return base in TARGETED and bool(target) and not target.endswith(("_spread", "_n", "_origin"))


def _fields() -> dict[str, Field]:
    fields = {
        name: Field(
            name=name,
            label=_LABELS.get(name, name.replace("_", " ").capitalize()),
            meaning=metric.meaning,
            kind="metric",
            unit=metric.shown_unit,
            scale=metric.scale,
            direction=metric.direction,
        )
        for name, metric in METRICS.items()
    }
    for name, metric in METRICS.items():
        if not metric.paper and not name.startswith("latency"):
            label = fields[name].label
            label = label if label.startswith("AP") else label.lower()
            fields[f"{VERIFIED}{name}"] = replace(
                fields[name], name=f"{VERIFIED}{name}", label=f"Verified {label}",
                meaning=f"{metric.meaning}; mean over the long trainings of the verification",
            )  # fmt: skip
    macs = fields["macs"]
    fields["flops"] = Field(
        name="flops", label="FLOPs", meaning="2 × MACs, derived", kind="metric", unit=macs.unit,
        scale=macs.scale, direction="minimize",
    )  # fmt: skip
    for name, (label, meaning) in _NUMBERS.items():
        fields[name] = Field(name=name, label=label, meaning=meaning, kind="number")
    for name, (label, meaning) in _CATEGORIES.items():
        fields[name] = Field(name=name, label=label, meaning=meaning, kind="category")
    return fields


FIELDS: dict[str, Field] = _Fields(_fields())
"""Every field by name: metrics first, then numbers, then categories; also metrics on devices, which are not listed."""

NUMERIC = tuple(name for name, field in FIELDS.items() if field.kind != "category")


def rank(name: str) -> float:
    """Where a numeric field stands in lists: a metric on a device after the metric."""
    return NUMERIC.index(name.partition("@")[0]) + (0.5 if "@" in name else 0.0)


FILTERED = ("ap", "accuracy", "latency_ms", "macs", "params", "peak_bytes", "weight_bytes", "partial_ratio", "depth")
"""Fields with a slider, in the order of the rail; one without data is hidden."""
CHIPS = ("verdict", "block", "fusion", "head")
"""Categories with a row of check boxes."""
