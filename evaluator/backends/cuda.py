"""torch on a CUDA card: channels_last, the whole inference recorded once as a CUDA graph and replayed.

It is timed by CUDA events around the replay, so what the host does beside it does not count; input and outputs stay
on the card. fp32 is fp32: without TF32, which has 10 bits of mantissa.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evaluator.backends import Array, Runner, backend, fixed_image
from evaluator.device import DeviceError, find, needs_torch
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights

if TYPE_CHECKING:
    import torch

WARM_UP = 3
"""Runs before the recording: cuDNN chooses its algorithms, and libraries allocate their work space."""


def lacks(precision: str) -> str | None:
    """A card, a torch that was built for it, and bfloat16 on it."""
    if not needs_torch("auto"):
        return "no CUDA card here (no driver is loaded)"
    try:
        found = find("cuda")
    except DeviceError as error:
        return str(error).removeprefix("--device cuda: ").partition(";")[0]
    return f"{found.name} does not compute in bf16" if precision == "bf16" and found.precision != "bf16" else None


@backend("cuda", module="torch", package="torch", install="torch", precisions=("fp32", "fp16", "bf16"), lacks=lacks)
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """torch on card 0, by graph replay."""
    import torch

    from evaluator.oracle import network_of

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[deployment.precision]
    place, layout = torch.device("cuda", 0), torch.channels_last
    network = network_of(graph, weights).to(device=place, dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
    image = torch.from_numpy(fixed_image(graph, deployment)).to(device=place, dtype=dtype, memory_format=layout)
    recorded, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(place)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(place))
    with torch.inference_mode():
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                network(image)
        stream.synchronize()
        with torch.cuda.graph(recorded, stream=stream):
            results = network(image)
    return timed(recorded.replay, image, results, stream)


def timed(launch: Callable[[], object], image: torch.Tensor, results: Sequence[torch.Tensor],
          stream: torch.cuda.Stream) -> Runner:  # fmt: skip
    """A Runner of `launch`, which puts one inference from `image` to `results` into the current stream."""
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    fixed = image.clone()
    torch.cuda.synchronize()

    @torch.inference_mode()
    def run() -> float:
        with torch.cuda.stream(stream):
            begin.record(stream)
            launch()
            end.record(stream)
        end.synchronize()
        return float(begin.elapsed_time(end))

    @torch.inference_mode()
    def outputs(x: Array) -> list[Array]:
        with torch.cuda.stream(stream):
            image.copy_(torch.from_numpy(x))
            launch()
            found = [y.float().cpu().numpy() for y in results]
            image.copy_(fixed)
        stream.synchronize()
        return found

    detail = {"card": torch.cuda.get_device_name(0), "timed_by": "CUDA events", "cuda": torch.version.cuda}
    return Runner(run=run, outputs=outputs, detail=detail)
