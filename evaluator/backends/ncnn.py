"""ncnn on the CPU, from its own network file that we write directly. ncnn has no batch: one image at a time.

fp32 only. With bf16 storage ncnn 1.0.20261020 computed noise in grouped convolutions that are not depthwise, and wrote
past its memory (2026-11, x86); its fp16 is for Arm processors, where nobody has checked it yet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.backends import Array, Runner, backend, fixed_image
from evaluator.record import Deployment
from space.graph import Graph
from space.ncnn import to_ncnn
from space.onnx import Weights

FILES = ("model.ncnn.param", "model.ncnn.bin")
"""Network and weights, as ncnn's converter calls them."""


class Net:
    """A network file, and the weight file beside it, ready to run. Raises ValueError where ncnn cannot read them."""

    def __init__(self, param: Path, threads: int) -> None:
        import ncnn

        self._net: Any = ncnn.Net()
        option = self._net.opt
        option.num_threads = threads
        option.openmp_blocktime = 0  # spinning threads would burn the cores that the next candidate of the round needs
        # As ncnn's own benchmark has them: maps are not given back to the system, and faulted in, again and again.
        self._allocators = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
        option.blob_allocator, option.workspace_allocator = self._allocators
        # Else ncnn computes in half precision wherever the processor can.
        option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = False
        option.use_bf16_storage = False
        if self._net.load_param(str(param)) or self._net.load_model(str(param.with_suffix(".bin"))):
            raise ValueError(f"ncnn does not read {param.name}")
        self._names = sorted(name for name in self._net.output_names() if name.startswith("output"))

    def __call__(self, image: Any) -> list[Any]:
        """The outputs for an `own` image, as ncnn has them."""
        extractor = self._net.create_extractor()
        status = extractor.input("image", image)
        found = [extractor.extract(name) for name in self._names]
        if status or any(failed for failed, _ in found):
            raise ValueError("ncnn could not run the network")
        return [mat for _, mat in found]


def own(image: Array) -> Any:
    """An image [1, C, H, W] as ncnn has it. In memory of its own: layers that work in place would write into ours."""
    import ncnn

    array = np.ascontiguousarray(image[0])  # named: a Mat does not keep the array alive whose memory it reads
    return ncnn.Mat(array).clone()


def write(folder: Path, files: tuple[str, bytes]) -> Path:
    """Write both files of a network into a folder; returns the network file."""
    (folder / FILES[0]).write_text(files[0])
    (folder / FILES[1]).write_bytes(files[1])
    return folder / FILES[0]


def load(folder: Path, threads: int) -> Callable[[], object]:
    """One inference of a saved model."""
    net, image = Net(folder / FILES[0], threads), own(np.load(folder / "image.npy"))
    return lambda: net(image)


@backend("ncnn", module="ncnn", package="ncnn", install="csp-explorer[ncnn]", precisions=("fp32",), load=load)
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """ncnn, with its values and weights in fp32."""
    if deployment.batch > 1:
        raise ValueError(f"backend 'ncnn' runs one image at a time; batch {deployment.batch} is not possible, use 1")
    files = to_ncnn(graph, weights)
    with tempfile.TemporaryDirectory() as folder:
        net = Net(write(Path(folder), files), deployment.threads)
    fixed = fixed_image(graph, deployment)
    image = own(fixed)

    def save(folder: Path) -> None:
        write(folder, files)
        np.save(folder / "image.npy", fixed)

    return Runner(run=lambda: net(image), outputs=lambda x: [np.array(mat)[None] for mat in net(own(x))], save=save)
