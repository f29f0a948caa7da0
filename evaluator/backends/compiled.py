"""torch.compile on the CPU. A network takes some 20 processor seconds to compile; a second time is in its cache."""

from __future__ import annotations

import os
import shutil
from typing import Any

from evaluator.backends import Array, Runner, backend, eager
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights

MOST_NETWORKS = 10_000


def lacks(precision: str) -> str | None:
    """torch.compile writes C++ and has it compiled."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        return "torch.compile needs a C++ compiler: install g++ (`apt-get install g++`), or name one in CXX"
    return eager.lacks(precision)


@backend("compiled", module="torch", package="torch", install="torch", precisions=("fp32", "bf16"), lacks=lacks)
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """torch, compiled by inductor for this one shape."""
    import torch
    from torch._inductor import config

    # Its pool of compiling processes would stay, and wake up while others are timed.
    config.compile_threads = 1
    # All networks share the code of one `forward`: past 8 of them dynamo would give up.
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = MOST_NETWORKS

    def make(network: Any) -> Any:
        made: Any = torch.compile(network, dynamic=False, fullgraph=True)
        shape = (deployment.batch, *graph.nodes[0].shape)
        dtype = next(network.parameters()).dtype
        with torch.inference_mode():
            made(torch.zeros(shape, dtype=dtype).to(memory_format=torch.channels_last))
        return made

    return eager.runner(graph, deployment, weights, make)
