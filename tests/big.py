"""Databases as large as a person may have, written past the Store because that takes minutes: no torch, no lowering.

Architectures are those of the default space in other widths; numbers follow their size as `tests.databases` has them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from search.schema import architectures, environments, evaluations, measurements, proposals
from search.seeds import job_seed
from search.store import Store
from space.cost import cost
from space.lower import lower
from tests.databases import DEPLOYMENT, MACHINE, RECIPE, config
from tests.strategies import random_architectures

BASES = 400
BATCH = 5_000
UNITS = {"macs": "MACs", "params": "", "activations": "elements", "cio": "elements", "peak_bytes": "B",
         "weight_bytes": "B"}  # fmt: skip


def specs(count: int, seed: int) -> Iterator[tuple[str, dict[str, Any], dict[str, float]]]:
    """`count` different architectures: id, spec, and costs near what they would be counted as."""
    bases = random_architectures(min(BASES, count), seed)
    known = [(a.canonical().to_dict(), asdict(cost(lower(a, DEPLOYMENT.height, DEPLOYMENT.width)))) for a in bases]
    for number in range(count):
        spec, costs = known[number % len(known)]
        turn = number // len(known)
        spec = json.loads(json.dumps(spec))
        spec["stem"]["width"] += 8 * (turn % 16)
        spec["head"]["width"] += 16 * (turn // 16)
        text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
        grown = 1 + 0.021 * (turn % 16) + 0.047 * (turn // 16)
        yield hashlib.sha256(text.encode()).hexdigest()[:12], spec, {n: round(costs[n] * grown) for n in UNITS}


def big(path: str, count: int, *, name: str = "big", state: str = "complete", seed: int = 1) -> None:
    """A database with one study of `count` proposals; every 11th failed, every 7th was refused."""
    rng, now, own = np.random.default_rng(seed), time.time(), job_seed(0, 0)
    with Store.open(path) as store:
        study = store.create_study(name, config(count), seed=0)
        store.update_study(study.id, state=state)
        place = {"deployment": DEPLOYMENT.id, "batch": 1, "precision": "fp32", "environment_id": MACHINE.id}
        with store._engine.begin() as connection:
            connection.execute(environments.insert().values(id=MACHINE.id, data=MACHINE.to_dict()))
            rows: dict[Any, list[dict[str, Any]]] = {
                architectures: [],
                proposals: [],
                evaluations: [],
                measurements: [],
            }
            for number, (identity, spec, costs) in enumerate(specs(count, seed)):
                _candidate(rows, rng, number, identity, spec, costs, study.id, place, now, own)
                if number % BATCH == BATCH - 1 or number == count - 1:
                    for table, values in rows.items():
                        if values:
                            connection.execute(table.insert(), values)
                        values.clear()


def _candidate(rows: dict[Any, list[dict[str, Any]]], rng: np.random.Generator, number: int, identity: str,
               spec: dict[str, Any], costs: dict[str, float], study_id: int, place: dict[str, Any], now: float,
               own: int) -> None:  # fmt: skip
    refused, failed = number % 7 == 6, number % 11 == 10 and number % 7 != 6
    state = "refused" if refused else "failed" if failed else "complete"
    reason = "macs over the limit by 12 %" if refused else "the loss became NaN" if failed else None
    rows[architectures].append({"id": identity, "spec": spec, "created_at": now})
    rows[proposals].append({"study_id": study_id, "number": number, "generation": number // 50, "genes": {},
                            "architecture_id": identity, "state": state, "reason": reason, "sampler": {},
                            "created_at": now, "finished_at": now})  # fmt: skip
    blank = dict.fromkeys(("evaluation_id", "task", "recipe", "rung", "image_visits", "seed", "device", "backend",
                           "threads", "reason", "spread", "deployment", "batch", "precision"))  # fmt: skip
    common = {**blank, "architecture_id": identity, "n": 1, "detail": {}, "created_at": now}
    for metric, unit in UNITS.items():
        rows[measurements].append({**common, **place, "metric": metric, "value": float(costs[metric]), "unit": unit,
                                   "origin": "counted"})  # fmt: skip
    if refused:
        return
    grouped = 1.6 if any(stage["block"] == "resx" for stage in spec["stages"]) else 1.0
    latency = (0.9 + costs["macs"] / 42e6 + costs["cio"] / 3.1e6) * grouped * float(rng.normal(1, 0.06))
    for metric, factor in (("latency_ms", 1.0), ("latency_median_ms", 1.02), ("latency_p90_ms", 1.11)):
        rows[measurements].append({**common, **place, "metric": metric, "value": latency * factor, "unit": "ms",
                                   "origin": "measured", "n": 100, "threads": 1, "device": MACHINE.host,
                                   "spread": latency * 0.02 if metric == "latency_ms" else None,
                                   "backend": "onnxruntime"})  # fmt: skip
    rows[evaluations].append({"architecture_id": identity, "task": "scenes", "recipe": RECIPE, "rung": 0, "seed": own,
                              "image_visits": 4000, "state": state, "reason": reason, "seconds": 7.5,
                              "cpu_seconds": 7.2, "environment_id": MACHINE.id, "created_at": now,
                              "curve": [{"image_visits": 4000, "loss": 1.2}]})  # fmt: skip
    if failed:
        return
    ap = 0.07 * np.log(costs["macs"] / 1e7) + 0.05 + float(rng.normal(0, 0.018))
    trained = {"task": "scenes", "recipe": RECIPE, "rung": 0, "image_visits": 4000, "seed": own, "origin": "measured",
               "environment_id": MACHINE.id, "unit": ""}  # fmt: skip
    for metric, factor in (("ap", 1.0), ("ap50", 1.62), ("ap75", 0.9)):
        rows[measurements].append({**common, **trained, "metric": metric, "value": float(ap) * factor})
