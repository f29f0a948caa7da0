"""ONNX Runtime on the CPU, from the directly emitted ONNX model, all graph optimisations on.

int8 is its own static quantisation (QDQ, weights per channel). What it does not run faster in 16 bits on a CPU, it
does not offer here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.backends import Array, Runner, backend, calibration_batches, fixed_image
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights, to_onnx


def session(graph: Graph, *, threads: int = 1, batch: int = 1, weights: Weights | None = None) -> Any:
    """An InferenceSession of `graph`. Raises ImportError where onnxruntime is missing."""
    return session_of(to_onnx(graph, weights, batch=batch).SerializeToString(), threads)


def session_of(model: bytes, threads: int) -> Any:
    """An InferenceSession of a serialised model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would burn the cores that the next candidate of the round needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def load(folder: Path, threads: int) -> Callable[[], object]:
    """One inference of a saved model."""
    ready = session_of((folder / "model.onnx").read_bytes(), threads)
    image = {"image": np.zeros(ready.get_inputs()[0].shape, np.float32)}
    return lambda: ready.run(None, image)


def keep(path: Path, data: bytes) -> None:
    """Write a model."""
    path.write_bytes(data)


@backend("onnxruntime", module="onnxruntime", package="onnxruntime", install="onnxruntime",
         precisions=("fp32", "int8"), load=load)  # fmt: skip
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """ONNX Runtime's CPU provider."""
    model = to_onnx(graph, weights, batch=deployment.batch)
    detail: dict[str, Any] = {}
    if deployment.precision == "int8":
        from evaluator.quantiser import quantised

        batches, detail["calibration"] = calibration_batches(graph, deployment, calibration)
        model = quantised(model, batches)
    data = model.SerializeToString()
    ready = session_of(data, deployment.threads)
    image = {"image": fixed_image(graph, deployment)}
    return Runner(run=lambda: ready.run(None, image), outputs=lambda x: ready.run(None, {"image": x}), detail=detail,
                  save=lambda folder: keep(folder / "model.onnx", data))  # fmt: skip
