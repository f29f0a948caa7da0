"""NVIDIA TensorRT, from the directly emitted ONNX model; timed by CUDA events, buffers are torch tensors on the card.

Strongly typed, the only way since TensorRT 11: the model itself says its precision. fp16 is ONNX Runtime's conversion
of the model, int8 its explicit quantisation, symmetric as TensorRT wants it. No card was at hand for this version.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evaluator.backends import Array, Runner, backend, calibration_batches, cuda, fixed_image
from evaluator.record import Deployment
from space.graph import Graph
from space.onnx import Weights, to_onnx


@backend("tensorrt", module="tensorrt", package="tensorrt", install="csp-explorer[tensorrt]",
         precisions=("fp32", "fp16", "int8"), lacks=cuda.lacks)  # fmt: skip
def prepare(graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None) -> Runner:
    """An engine built for card 0. Raises ValueError with the reason where none can be built."""
    import tensorrt
    import torch

    model, detail = typed(graph, deployment, weights, calibration)
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    # TensorRT 10 wants to be told; since 11 there is nothing else.
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(model.SerializeToString()):
        raise ValueError(f"TensorRT does not read the model: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError("TensorRT built no engine for the model")
    engine = tensorrt.Runtime(logger).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    place = torch.device("cuda", 0)
    image = torch.from_numpy(fixed_image(graph, deployment)).to(place)
    names = [f"output{k}" for k in range(len(graph.outputs))]
    results = [torch.empty(tuple(engine.get_tensor_shape(name)), device=place) for name in names]
    for name, buffer in zip(["image", *names], [image, *results], strict=True):
        context.set_tensor_address(name, buffer.data_ptr())
    stream = torch.cuda.Stream(place)  # type: ignore[no-untyped-call]
    ready = cuda.timed(lambda: context.execute_async_v3(stream.cuda_stream), image, results, stream)
    return replace(ready, detail={**ready.detail, **detail})


def typed(
    graph: Graph, deployment: Deployment, weights: Weights, calibration: Array | None
) -> tuple[Any, dict[str, Any]]:
    """The ONNX model in the deployment's precision, its input and outputs fp32; and what to say of it."""
    model = to_onnx(graph, weights, batch=deployment.batch)
    if deployment.precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return convert_float_to_float16(model, keep_io_types=True), {}
    if deployment.precision == "int8":
        from evaluator.quantiser import quantised

        batches, text = calibration_batches(graph, deployment, calibration)
        return quantised(model, batches, symmetric=True), {"calibration": text}
    return model, {}
