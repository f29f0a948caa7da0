"""OpenCV's DNN module on the CPU: what the CSPNet paper timed its networks with on a CPU (darknet models, OpenCV 4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.backends import Array, Runner, backend, fixed_image
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights, to_onnx


def load(folder: Path, threads: int) -> Callable[[], object]:
    """One inference of a saved model."""
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(str(folder / "model.onnx"))
    image = np.load(folder / "image.npy")

    def run() -> object:
        net.setInput(image, "image")
        return net.forward(net.getUnconnectedOutLayersNames())

    return run


@backend("opencv", module="cv2", package="opencv-python-headless", install="csp-explorer[opencv]",
         precisions=("fp32",), load=load)  # fmt: skip
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """OpenCV DNN. Its thread count holds for the whole process."""
    import cv2

    cv2.setNumThreads(deployment.threads)
    data = to_onnx(graph, weights, batch=deployment.batch).SerializeToString()
    net: Any = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    names = [f"output{k}" for k in range(len(graph.outputs))]
    image = fixed_image(graph, deployment)

    def outputs(x: Array) -> list[Array]:
        net.setInput(x, "image")
        return [np.array(found) for found in net.forward(names)]

    def save(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(data)
        np.save(folder / "image.npy", image)

    return Runner(run=lambda: outputs(image), outputs=outputs, save=save)
