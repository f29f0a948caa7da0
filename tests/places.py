"""Latencies on made-up devices, recorded through the real Store, for a study of `tests.databases`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from dashboard.data import Snapshot
from dashboard.deployed import Where
from evaluator.record import Measurement
from search.columns import Columns, Texts
from search.store import Store
from tests.databases import DEPLOYMENT, MACHINE


def table(frame: pd.DataFrame) -> Any:
    """A frame of a test as pages hold a study."""
    numbers, texts = {}, {}
    for name in frame:
        if name == "id":
            continue
        if pd.api.types.is_numeric_dtype(frame[name]):
            numbers[name] = frame[name].to_numpy(float)
        else:
            codes, labels = pd.factorize(frame[name].astype(object))
            texts[name] = Texts(codes=codes + 1, labels=[None, *labels])
    ids = frame["id"] if "id" in frame else pd.Series(range(len(frame)))
    return Columns(numbers=numbers, texts=texts, ids=[str(each) for each in ids])


def framed(snapshot: Snapshot) -> pd.DataFrame:
    """A snapshot's study as a frame that a test may change."""
    columns = snapshot.columns
    assert columns is not None
    return pd.DataFrame({name: columns[name] for name in ("id", *columns.numbers, *columns.texts)})


def own(snapshot: Snapshot) -> Where:
    """Where the study of a snapshot times its candidates."""
    return Where.own(snapshot.study.config if snapshot.study else None)


INT8 = replace(DEPLOYMENT, precision="int8")


def spread(path: str, name: str = "default", *, few: int = 5, seed: int = 0) -> None:
    """`board5` predicted everywhere and measured on two thirds, in two precisions; `nano` measured on `few` only."""
    rng = np.random.default_rng(seed)
    with Store.open(path) as store:
        frame = store.frame(name)
        frame = frame[frame["latency_ms"].notna()]
        for place, (identity, host, block) in enumerate(zip(frame["id"], frame["latency_ms"], frame["block"])):
            slow = host * (7.0 if block == "resx" else 4.0) * float(rng.normal(1, 0.04))
            rows = [_row("board5", "onnxruntime", slow * 1.1 * float(rng.normal(1, 0.1)), "predicted")]
            if place % 3:
                rows += [_row("board5", "onnxruntime", slow), _row("board5", "ncnn", slow * 0.5, deployment=INT8)]
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
