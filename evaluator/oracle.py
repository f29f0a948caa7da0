"""Is what a runtime computes what torch computes? Asked of every export before it is timed.

The oracle is `space.module.Network` in fp32 on the same weights and a random image; float64 where that is in doubt.
"""

from __future__ import annotations

import numpy as np
import torch

from evaluator.backends import Array, Runner
from evaluator.record import Deployment
from space.graph import Graph
from space.module import ConvUnit, Network
from space.onnx import Weights, random_weights

TOLERANCE = {"fp32": 1e-4, "fp16": 0.1, "bf16": 0.5}
"""Largest difference from torch that passes, relative to the largest magnitude of the output.

Measured on 66 random networks of the whole space with random weights: in fp32 all runtimes within 4e-5 of a float64
oracle, median 2e-6; in bf16 OpenVINO and torch itself 0.02 in the median, 0.09 for nine of ten, 0.46 at the worst,
where gates of an untrained attention saturate; fp16 has three bits more. A wrong network is off by about 1. int8 has
no tolerance: what it costs in the score is measured instead (`evaluator.quantised`).
"""


class Mismatch(ValueError):
    """A runtime that computes something else than torch."""


def network_of(graph: Graph, weights: Weights) -> Network:
    """The torch network with these weights, each convolution's normalisation folded, ready for inference."""
    network = Network(graph).eval()
    for name, module in network.named_modules():
        if isinstance(module, ConvUnit) and f"{name}.bn.weight" not in weights:
            module.fold()  # the weights are folded already: only the structure has to follow
    state = {key: torch.from_numpy(np.array(value)) for key, value in weights.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    wrong = [key for key in missing if not key.endswith("num_batches_tracked")] + unexpected
    if wrong:
        raise KeyError(f"weights do not fit the network: {wrong[0]} is missing or too many")
    for module in network.modules():
        if isinstance(module, ConvUnit):
            module.fold()
    return network


@torch.inference_mode()
def difference(graph: Graph, deployment: Deployment, runner: Runner, weights: Weights | None = None, *,
               dtype: torch.dtype = torch.float32) -> float:  # fmt: skip
    """Largest difference between the runner's outputs and torch's, relative to the output's largest magnitude."""
    weights = random_weights(graph) if weights is None else weights
    shape = (deployment.batch, *graph.nodes[0].shape)
    image = np.random.default_rng(2).standard_normal(shape, dtype=np.float32)
    network = network_of(graph, weights).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    expected = network(torch.from_numpy(image).to(dtype=dtype, memory_format=torch.channels_last))
    return compare(runner.outputs(image), [y.numpy() for y in expected])


def compare(outputs: list[Array], expected: list[Array]) -> float:
    """Largest relative difference; infinite where shapes differ or a value is not finite."""
    if [np.shape(y) for y in outputs] != [y.shape for y in expected]:
        return float("inf")
    worst = [float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-9)) for a, b in zip(outputs, expected)]
    return max(x if np.isfinite(x) else float("inf") for x in worst)


def check(graph: Graph, deployment: Deployment, runner: Runner, weights: Weights | None = None) -> float:
    """The `difference`. Raises Mismatch where it is above the precision's tolerance."""
    found = difference(graph, deployment, runner, weights)
    allowed = TOLERANCE.get(deployment.precision, float("inf"))
    if allowed < found < 100 * allowed:  # perhaps the oracle's own rounding
        found = difference(graph, deployment, runner, weights, dtype=torch.float64)
    if not found <= allowed:
        raise Mismatch(
            f"its outputs differ from torch's by {found:.2g} of the largest magnitude; {allowed:g} is allowed"
        )
    return float(f"{found:.2g}")
