"""Columns and frame say the same of every study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboard.demo import unpacked
from evaluator.metrics import METRICS, ZERO_COST
from evaluator.record import Deployment, Evaluation, Fidelity, Job, Measurement
from search.frame import AXES, TRAINED, axes, axes_reader
from search.seeds import job_seed
from search.store import Proposal, Store, StoreError
from tests.databases import DEPLOYMENT, MACHINE, RECIPE, build, config, verify
from tests.strategies import random_architectures


def same(store: Store, name: str) -> None:
    """Every column of the frame is a column, or has no value at all."""
    frame, columns = store.frame(name), store.columns(name)
    assert len(frame) == len(columns)
    assert columns.ids == frame["id"].tolist()
    for column in frame:
        if column == "id" or column.endswith("_origin"):
            continue
        if column in columns.texts or column in AXES:
            expected = [None if pd.isna(value) else value for value in frame[column]]
            given = columns[column].tolist()
            assert [None if value != value else value for value in given] == expected, column
        else:
            expected = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
            base = column.removesuffix("_n").removesuffix("_spread")
            missing = np.zeros(len(frame)) if column.endswith("_n") else np.full(len(frame), np.nan)
            given = columns.numbers.get(column, missing)
            if column.endswith("_n"):
                given = np.nan_to_num(given)
            np.testing.assert_allclose(given, expected, rtol=1e-12, equal_nan=True, err_msg=column)
            assert column in columns or base not in columns or not np.nansum(expected), column


def test_they_agree_on_the_demo() -> None:
    with unpacked() as path, Store.open(path, create=False) as store:
        for study in store.studies():
            same(store, study.name)


def test_they_agree_on_a_verified_study_and_on_one_without_candidates(tmp_path: Path) -> None:
    path = str(tmp_path / "csp.db")
    build(path, 30)
    verify(path)
    with Store.open(path) as store:
        store.create_study("empty", config(), seed=0)
        same(store, "default")
        same(store, "empty")
        assert list(store.columns("empty")["verdict"]) == []
        with pytest.raises(StoreError, match="no study 'other'; studies here: empty, default"):
            store.columns("other")


@pytest.mark.parametrize("seed", range(6))
def test_they_agree_on_whatever_lies_in_a_database(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = {"device": "pi5", "backend": "table", "deployment": DEPLOYMENT.to_dict(), "method": "table", "table": 3}
    given = {**config(), "image_visits": [400, 4000], "seed": 7, "predictors": {"latency_ms@pi5": kept},
             "verified": {"image_visits": 16_000, "seeds": [1, 2]}}  # fmt: skip
    if seed % 2:
        del given["device"]
    architectures = random_architectures(12, seed)
    with Store.open(str(tmp_path / "csp.db")) as store:
        study = store.create_study("default", given, seed=7)
        for number in range(16):  # some twice
            architecture = architectures[int(rng.integers(12))]
            state = str(rng.choice(["complete", "complete", "failed", "refused", "proposed", "duplicate", "stopped"]))
            store.propose(study.id, [Proposal(number=number, generation=0, architecture=architecture, genes={},
                                              sampler={}, state=state, reason=rng.choice([None, "why"]))])  # fmt: skip
            for fact in facts(rng):
                store.record(architecture, [fact])
            job = Job(architecture=architecture, task="scenes", fidelity=Fidelity(), seed=1)
            store.record_evaluation(job, RECIPE, Evaluation(state="complete", measurements=list(trainings(rng))))
        same(store, "default")


def trainings(rng: np.random.Generator) -> Any:
    for _ in range(int(rng.integers(0, 12))):
        visits = int(rng.choice([400, 4000, 4000, 9999, 16_000]))
        value = None if rng.random() < 0.2 else float(rng.random())
        yield Measurement(
            metric=str(rng.choice(["ap", "ap50", "val_loss"])), value=value,
            task=str(rng.choice(["scenes"] * 5 + ["x"])),
            recipe=str(rng.choice([RECIPE] * 5 + ["0" * 12])), rung=int(rng.integers(3)), image_visits=visits,
            seed=int(rng.choice([job_seed(7, 0), 1, 2, 3])), environment=MACHINE,
        )  # fmt: skip


def facts(rng: np.random.Generator) -> Any:
    for _ in range(int(rng.integers(0, 14))):
        metric = str(rng.choice(["macs", "latency_ms", "peak_bytes", *ZERO_COST]))
        value = None if rng.random() < 0.2 else float(rng.random() * 1e8)
        if metric in ZERO_COST:
            yield Measurement(metric=metric, value=value, task="scenes", recipe=RECIPE, seed=int(rng.choice([7, 8])))
            continue
        origin = str(rng.choice(["counted", "measured", "predicted", "published"]))
        other = Deployment(height=64, width=64)
        yield Measurement(
            metric=metric, value=value, origin=origin, n=int(rng.integers(1, 9)),  # type: ignore[arg-type]
            spread=None if rng.random() < 0.5 else float(rng.random()),
            device=rng.choice([None, MACHINE.host, "pi5"]), backend=rng.choice([None, "onnxruntime", "table"]),
            deployment=(DEPLOYMENT if rng.random() < 0.8 else other).id, environment=MACHINE,
            detail={"method": str(rng.choice(["table", "roofline"])), "table": int(rng.choice([3, 4]))},
        )  # fmt: skip


def test_a_text_is_read_as_its_architecture() -> None:
    read = axes_reader()
    for architecture in random_architectures(50):
        spec = architecture.to_dict()
        assert read(json.dumps(spec)) == tuple(axes(spec).values())
        assert read(json.dumps(spec, indent=1)) == tuple(axes(spec).values())
    assert set(TRAINED) <= set(METRICS)
