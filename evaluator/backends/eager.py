"""torch without a compiler on the CPU: normalisation folded, channels_last, inference mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluator.backends import Array, Runner, backend, fixed_image
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights

if TYPE_CHECKING:
    import torch


def lacks(precision: str) -> str | None:
    """bfloat16 without the processor's instructions is emulated, and slower than fp32 by far."""
    if precision != "bf16":
        return None
    import torch

    mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    has = mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return None if has else "this processor does not compute in bf16"


@backend("eager", module="torch", package="torch", install="torch", precisions=("fp32", "bf16"), lacks=lacks)
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """torch, eager. Its thread count holds for the whole process."""
    return runner(graph, deployment, weights, lambda network: network)


def runner(graph: Graph, deployment: Deployment, weights: Weights, make: Any) -> Runner:
    """A Runner of what `make` makes of the torch network."""
    import torch

    from evaluator.oracle import network_of

    torch.set_num_threads(deployment.threads)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[deployment.precision]
    network = network_of(graph, weights).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    made = make(network)

    def tensor(x: Array) -> torch.Tensor:
        return torch.from_numpy(x).to(dtype=dtype, memory_format=torch.channels_last)

    image = tensor(fixed_image(graph, deployment))

    @torch.inference_mode()
    def outputs(x: Array) -> list[Array]:
        return [y.float().numpy() for y in made(tensor(x))]

    @torch.inference_mode()
    def run() -> object:
        return made(image)

    return Runner(run=run, outputs=outputs)
