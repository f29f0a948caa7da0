"""A task without data or training: an analytic score of an architecture, plus the noise of a seed.

It makes a search of 200 candidates a matter of seconds and its right answer known, for tests, for the comparison
of samplers (`python -m benchmarks.samplers`) and for a first look at the tool. It says nothing about any real
network: its rows carry task `synthetic` and the metric `score`, which no training gives.

What it has of a real score: it saturates in log MACs; the best choice of one axis depends on others (partial ratio
and fusion, cardinality and width, neck and number of stages); the best value of an ordered axis is often in its
middle; small networks train faster than large ones. Costs are exact, as for every task.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evaluator.record import digest
from evaluator.tasks import TASKS, Split, TaskError
from space.architecture import Architecture, Stage
from space.cost import cost
from space.lower import lower

NOISE = 0.012
"""Standard deviation of the score between seeds: a little more than AP's, 0.011, in studies/proxy.md (2026-11)."""

_BLOCKS = {"dense": 0.012, "res": 0.004, "resx": 0.006, "dense_two_way": 0.012, "dense_sparse": 0.005, "dense_pre": 0.0,
           "basic": -0.004, "dark": 0.006, "res2": 0.01, "inverted": -0.006, "conv": -0.02}  # fmt: skip
_FUSIONS = {"csp": (0.012, 0.5), "last": (0.008, 0.3), "first": (-0.004, 0.25), "none": (0.0, 0.0)}
"""Worth of a fusion, and the partial ratio that suits it."""
_NECKS = {"efm": 0.015, "gfm": 0.01, "panet": 0.012, "fpn": 0.0, "yolo": 0.002, "prn": -0.004, "cem": -0.006,
          "fpn_tiny": -0.012, "tiny": -0.015}  # fmt: skip
_ACTIVATIONS = {"silu": 0.014, "mish": 0.013, "hard_swish": 0.008, "leaky_relu": 0.003, "relu": 0.0}


class Synthetic:
    """The built-in analytic task. `noise` is the standard deviation between seeds."""

    name = "synthetic"
    version = "1"
    size = 64
    num_classes = 10
    head_kind: Literal["detector", "classifier"] = "detector"
    objective = "score"
    area_limits = (0.0, 0.0)
    pixel_mean, pixel_std = 0.0, 1.0
    recipe: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, noise: float = NOISE) -> None:
        self.noise = noise

    def prepare(self) -> str | None:
        return "task 'synthetic' trains nothing: its scores are a formula's, and say nothing about real networks"

    def load(self, split: Literal["train", "val"]) -> Split:
        raise TaskError("task 'synthetic' has no images: its scores are a formula's; train on 'scenes' or 'digits'")

    def anchors(self) -> npt.NDArray[np.int16]:
        raise TaskError("task 'synthetic' has no images and so no anchors")

    def score(self, architecture: Architecture, *, seed: int, image_visits: int) -> float:
        """The score that a training with this seed would find; the same arguments give the same score."""
        rng = np.random.default_rng(int(digest(["synthetic", architecture.id, seed, image_visits]), 16))
        return true_score(architecture, image_visits) + self.noise * float(rng.standard_normal())


def true_score(architecture: Architecture, image_visits: float = math.inf) -> float:
    """The score without noise, about 0.3 to 0.6; after endless training by default."""
    size = math.log10(cost(lower(architecture, 64, 64)).macs / 1e6)
    stages = architecture.stages
    value = 0.33 + 0.28 * (1 - math.exp(-max(size, 0.0) / 0.9))
    value += sum(_stage(stage, index, len(stages)) for index, stage in enumerate(stages)) / len(stages)
    # Widths that grow by about half from stage to stage.
    growth = [math.log2(b.width / a.width) for a, b in itertools.pairwise(stages)]
    value -= 0.02 * sum((step - 0.6) ** 2 for step in growth) / max(1, len(growth))
    if len(stages) > 3:
        value -= 0.015
    value += _ACTIVATIONS.get(architecture.activation, 0.0) * (1.3 if sum(s.depth for s in stages) > 6 else 0.7)
    value += _neck(architecture)
    # A larger network needs more images to come as far.
    return value - 0.25 * (1 + 0.3 * size) / math.sqrt(image_visits / 100 + 1)


def _stage(stage: Stage, index: int, count: int) -> float:
    """What one stage adds; the mean over stages enters the score."""
    worth, suited = _FUSIONS.get(stage.fusion, (0.0, 0.0))
    value = 1.5 * worth - 0.12 * (stage.partial_ratio - suited) ** 2
    value += _BLOCKS.get(stage.block, 0.0) + (0.008 if stage.split == "conv" and stage.fusion != "none" else 0.0)
    # Deep late stages pay, deep early ones do not; dense stages need depth, where others tire.
    late = index / max(1, count - 1)
    value -= (0.006 if stage.block.startswith("dense") else 0.010) * (math.log2(stage.depth) - 0.5 - late) ** 2
    if stage.growth_rate is not None:
        value += 0.008 * min(1.0, stage.growth_rate / 32) * (1.5 if stage.depth > 1 else 0.5)
    if stage.cardinality is not None:
        # As many groups as there are sixteens in the width.
        value -= 0.004 * abs(math.log2(stage.cardinality * 16 / stage.width))
    if stage.bottleneck_ratio is not None:
        value -= 0.006 * abs(math.log2(stage.bottleneck_ratio))
    return value + (0.004 if stage.squeeze else 0.0) + (0.003 if stage.elastic and late > 0.5 else 0.0)


def _neck(architecture: Architecture) -> float:
    head = architecture.head
    value = _NECKS.get(head.fusion or "", 0.0) * (0.6 if head.fusion == "efm" and len(architecture.stages) > 3 else 1)
    width = head.width or 32
    value -= 0.01 * (math.log2(width / architecture.stages[-1].width) + 1.2) ** 2
    if (head.maxout or 1) > 1:
        value += 0.004 if head.fusion == "gfm" else -0.008
    return value + (0.003 if head.attention else 0.0) + (0.004 if head.spp else 0.0)


TASKS.register("synthetic", Synthetic())
