"""Post-training quantisation of an ONNX model by ONNX Runtime's own quantiser: int8 as explicit Q/DQ nodes."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.backends import Array

if TYPE_CHECKING:
    import onnx


class _Reader:
    """Batches one after another, as the quantiser asks for them."""

    def __init__(self, batches: Sequence[Array]) -> None:
        self._rest = iter(batches)

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._rest, None)
        return None if batch is None else {"image": batch}


def quantised(model: onnx.ModelProto, batches: Sequence[Array], *, symmetric: bool = False) -> onnx.ModelProto:
    """`model` with int8 weights, one scale an output channel, and 8-bit activations by the range that `batches` have.

    Activations are unsigned, which CPU kernels want; `symmetric` makes them signed about zero, which TensorRT reads.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    CalibrationDataReader.register(_Reader)
    options: dict[str, Any] = {"ActivationSymmetric": True, "QuantizeBias": False} if symmetric else {}
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises on the root logger to optimise first, which folded models need not
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            quantize_static(model, path, _Reader(batches), quant_format=QuantFormat.QDQ, per_channel=True,
                            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                            weight_type=QuantType.QInt8, extra_options=options)  # fmt: skip
            return onnx.load(path)
    finally:
        root.setLevel(level)
