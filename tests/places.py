"""Latencies on made-up devices, recorded through the real Store, for a study of `tests.databases`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from dashboard.data import Snapshot
from evaluator.record import Measurement
from search.store import Store
from tests.databases import DEPLOYMENT, MACHINE


def table(frame: pd.DataFrame) -> Any:
    """A frame of a test as pages hold a study."""
    return frame


def framed(snapshot: Snapshot) -> pd.DataFrame:
    """A snapshot's study as a frame that a test may change."""
    assert snapshot.frame is not None
    return snapshot.frame.copy()


INT8 = replace(DEPLOYMENT, precision="int8")


def spread(path: str, name: str = "default", *, few: int = 5, seed: int = 0) -> None:
    """`pi5` predicted everywhere and measured on two thirds, in two precisions; `nano` measured on `few` only."""
    rng = np.random.default_rng(seed)
    with Store.open(path) as store:
        frame = store.frame(name)
        frame = frame[frame["latency_ms"].notna()]
        for place, (identity, host, block) in enumerate(zip(frame["id"], frame["latency_ms"], frame["block"])):
            slow = host * (7.0 if block == "resx" else 4.0) * float(rng.normal(1, 0.04))
            rows = [_row("pi5", "onnxruntime", slow * 1.1 * float(rng.normal(1, 0.1)), "predicted")]
            if place % 3:
                rows += [_row("pi5", "onnxruntime", slow), _row("pi5", "ncnn", slow * 0.5, deployment=INT8)]
            if place < few:
                rows.append(_row("nano", "tensorrt", host * 0.4))
            architecture = store.architecture(identity)
            assert architecture is not None
            store.record(architecture, rows)


def _row(
    device: str, backend: str, value: float, origin: Any = "measured", deployment: Any = DEPLOYMENT
) -> Measurement:
    detail: dict[str, Any] = {"deployment": deployment.to_dict()}
    if origin == "predicted":
        detail |= {"method": "table", "error": {"median": 0.08}}
    return Measurement(metric="latency_ms", value=value, unit="ms", origin=origin, device=device, backend=backend,
                       deployment=deployment.id, batch=1, precision=deployment.precision, threads=1, detail=detail,
                       environment=MACHINE)  # fmt: skip
