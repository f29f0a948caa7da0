"""ONNX Runtime on the CPU, from the directly emitted ONNX model, all graph optimisations on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evaluator.backends import BACKENDS
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights, to_onnx
from space.registry import part


def session(graph: Graph, *, threads: int = 1, batch: int = 1, weights: Weights | None = None) -> Any:
    """An InferenceSession of `graph`. Raises ImportError where onnxruntime is missing."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would burn the cores that the next candidate of the round needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = to_onnx(graph, weights, batch=batch).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@part(BACKENDS, "onnxruntime")
def run(graph: Graph, deployment: Deployment) -> Callable[[], object]:
    """One inference on random input, fp32."""
    if deployment.precision != "fp32":
        raise ValueError(f"backend 'onnxruntime' runs fp32 here, not {deployment.precision}")
    ready = session(graph, threads=deployment.threads, batch=deployment.batch)
    shape = (deployment.batch, *graph.nodes[0].shape)
    image = {"image": np.random.default_rng(0).random(shape, dtype=np.float32)}
    return lambda: ready.run(None, image)
