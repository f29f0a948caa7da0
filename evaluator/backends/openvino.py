"""OpenVINO on the CPU, from the directly emitted ONNX model. bf16 by its precision hint, int8 through NNCF."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.backends import Array, Runner, backend, calibration_batches, fixed_image
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights, to_onnx

HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
"""Without a hint OpenVINO computes fp32 models in bfloat16 wherever the processor can."""


@cache
def _capabilities() -> tuple[str, ...]:
    import openvino

    return tuple(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def lacks(precision: str) -> str | None:
    """What is missing for a precision besides the package."""
    if precision == "int8" and importlib.util.find_spec("nncf") is None:
        return "int8 of backend 'openvino' needs nncf, which is not installed: pip install 'csp-explorer[openvino]'"
    if precision in ("bf16", "fp16") and precision.upper() not in _capabilities():
        return f"this processor does not compute in {precision}"
    return None


def _settings(precision: str, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # all candidates of a round would be pinned to the same cores
    }


def load(folder: Path, threads: int) -> Callable[[], object]:
    """One inference of a saved model."""
    import openvino

    settings = _settings((folder / "precision").read_text(), threads)
    compiled = openvino.Core().compile_model(folder / "model.xml", "CPU", settings)
    request, image = compiled.create_infer_request(), np.zeros(compiled.input(0).shape, np.float32)
    return lambda: request.infer([image], share_inputs=True)


@backend("openvino", module="openvino", package="openvino", install="csp-explorer[openvino]",
         precisions=("fp32", "fp16", "bf16", "int8"), lacks=lacks, load=load)  # fmt: skip
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """OpenVINO's CPU plugin, one stream."""
    import openvino

    core = openvino.Core()
    model = core.read_model(to_onnx(graph, weights, batch=deployment.batch).SerializeToString())
    detail: dict[str, Any] = {}
    if deployment.precision == "int8":
        batches, detail["calibration"] = calibration_batches(graph, deployment, calibration)
        model = quantised(model, batches)
    compiled = core.compile_model(model, "CPU", _settings(deployment.precision, deployment.threads))
    request, number = compiled.create_infer_request(), len(graph.outputs)
    image = fixed_image(graph, deployment)

    def outputs(x: Array) -> list[Array]:
        found = request.infer([x])
        return [np.array(found[k], np.float32) for k in range(number)]

    def save(folder: Path) -> None:
        openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
        (folder / "precision").write_text(deployment.precision)

    return Runner(run=lambda: request.infer([image], share_inputs=True), outputs=outputs, detail=detail, save=save)


def quantised(model: Any, batches: list[Array]) -> Any:
    """An OpenVINO model quantised by NNCF on `batches`."""
    os.environ.setdefault("NNCF_CI", "1")  # or it would report its use over the network
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)  # its own set_log_level changes handlers of others too
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bar
        return nncf.quantize(model, nncf.Dataset(batches), preset=nncf.QuantizationPreset.MIXED,
                             subset_size=len(batches))  # fmt: skip
