"""A study as one table: a row a proposal, a column an axis or a metric. `Store.frame` reads, this shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics import METRICS, ZERO_COST
from evaluator.record import Deployment
from search import verification
from search.seeds import job_seed

TRAINED = frozenset({"ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "accuracy", "score",
                     "val_loss", "train_seconds", "train_cpu_seconds"})  # fmt: skip
"""Metrics that a training gives; all others describe the deployment."""


def build(config: dict[str, Any], rows: Sequence[Any], facts: Sequence[Any],
          long: verification.Scores, predictions: Sequence[Any] = ()) -> pd.DataFrame:  # fmt: skip
    """The table of `Store.frame`, from a study's config, its proposals and the measurements of their networks.

    `long` holds the scores of the study's verification, `predictions` the predicted latencies.
    """
    table: dict[str, list[Any]] = {
        "number": [row.number for row in rows],
        "id": [row.architecture_id for row in rows],
        "generation": [row.generation for row in rows],
        "state": [row.state for row in rows],
        "reason": [row.reason for row in rows],
        "created_at": [row.created_at for row in rows],
        "finished_at": [row.finished_at for row in rows],
    }
    described = [axes(row.spec) for row in rows]
    for name in described[0] if described else axes(None):
        table[name] = [values[name] for values in described]
    deployment, device = config.get("deployment_id"), config.get("device")
    backend = config.get("backend", "onnxruntime")
    trained: dict[tuple[str, str], dict[int, dict[int, Any]]] = {}
    deployed: dict[tuple[str, str], Any] = {}
    reached: dict[str, tuple[int, int | None]] = {}
    # Repeats (`search.audit`) tell of the spread. Did they move the value too, means would compete with single scores,
    # and the front would not be the one that was searched.
    own = job_seed(config.get("seed", 0), 0)
    for fact in facts:
        key = (fact.architecture_id, fact.metric)
        if fact.metric in TRAINED:
            rung = verification.rung_of(config, fact._mapping)
            if rung is not None:
                trained.setdefault(key, {}).setdefault(rung, {})[fact.seed] = fact
                reached[key[0]] = max(reached.get(key[0], (rung, fact.image_visits)), (rung, fact.image_visits))
        elif fact.metric in ZERO_COST:
            ours = (fact.task, fact.recipe, fact.seed) == (config["task"], config["recipe_id"], config.get("seed"))
            if ours and fact.value is not None:
                deployed[key] = fact
        # A later attempt that failed hides nothing, nor does another machine's or runtime's latency, nor a prediction.
        elif (
            fact.value is not None
            and fact.deployment == deployment
            and fact.device in (None, device or fact.device)
            and fact.backend in (None, backend)
            and fact.origin in ("counted", "measured")
        ):
            deployed[key] = fact
    table["image_visits"] = [reached.get(row.architecture_id, (0, None))[1] for row in rows]
    for metric in METRICS:
        columns: dict[str, list[Any]] = {metric: [], f"{metric}_spread": [], f"{metric}_n": [],
                                         f"{metric}_origin": []}  # fmt: skip
        for row in rows:
            key = (row.architecture_id, metric)
            value, spread, n, origin = np.nan, np.nan, 0, None
            if key in trained:
                seeds = [f for f in trained[key][max(trained[key])].values() if f.value is not None]
                values = [f.value for f in seeds]
                if values:
                    mine = [f.value for f in seeds if f.seed == own]
                    value, n, origin = float(np.mean(mine or values)), len(values), seeds[-1].origin
                    spread = float(np.std(values, ddof=1)) if n > 1 else np.nan
            elif key in deployed:
                fact = deployed[key]
                value, n, origin = fact.value, fact.n, fact.origin
                spread = np.nan if fact.spread is None else fact.spread
            for name, item in zip(columns, (value, spread, n, origin), strict=True):
                columns[name].append(item)
        table |= columns
    frame = pd.DataFrame(table | _predicted(config, table["id"], predictions))
    return frame.assign(**verification.columns(frame, config, long))


def _predicted(config: Mapping[str, Any], ids: Sequence[str], predictions: Sequence[Any]) -> dict[str, list[Any]]:
    """Columns for a study's metrics on devices (`latency_ms@pi5`): what was predicted, for all candidates alike.

    Not what was measured where that is known: a front of measured and predicted values would favour those whose
    prediction errs on the good side. `search.latencies` tells both.
    """
    result: dict[str, list[Any]] = {}
    for metric, kept in config.get("predictors", {}).items():
        where = (metric.partition("@")[0], kept["device"], kept["backend"], Deployment(**kept["deployment"]).id)
        known = {
            row.architecture_id: row.value
            for row in predictions
            if (row.metric, row.device, row.backend, row.deployment) == where
            and (row.detail.get("method"), row.detail.get("table")) == (kept["method"], kept["table"])
        }
        values = [known.get(identity, np.nan) for identity in ids]
        result |= {
            metric: values,
            f"{metric}_spread": [np.nan] * len(ids),
            f"{metric}_n": [int(value == value) for value in values],
            f"{metric}_origin": ["predicted" if value == value else None for value in values],
        }
    return result


def deployed(facts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of `Store.deployed` from all rows on deployments, oldest first."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for fact in facts:
        names = ("id", "metric", "origin", "device", "backend", "deployment")
        key = (*(fact[name] for name in names), fact["detail"].get("method"))
        if fact["value"] is not None or newest.get(key, {"value": None})["value"] is None:
            newest[key] = dict(fact)
    rows = list(newest.values())
    for row in rows:
        size = row["detail"].get("deployment", {})
        row |= {name: size.get(name) for name in ("height", "width", "num_classes")}
    columns = ("id", "metric", "value", "spread", "n", "unit", "origin", "reason", "device", "backend", "deployment",
               "batch", "precision", "threads", "height", "width", "num_classes", "detail", "environment",
               "created_at")  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))


def axes(spec: dict[str, Any] | None) -> dict[str, Any]:
    """What a person filters an architecture by: one flat row. Lists of equal stage values become that value.

    `partial_ratio` is the mean over stages, plain stages counting 0; `depth` the sum; `width` the last stage's.
    """
    names = ("block", "fusion", "partial_ratio", "split", "num_stages", "depth", "width", "widths", "depths",
             "growth_rate", "bottleneck_ratio", "cardinality", "activation", "stem_width", "head", "head_width",
             "maxout")  # fmt: skip
    if spec is None:
        return dict.fromkeys(names)
    stages = spec["stages"]

    def joined(name: str) -> Any:
        values = list(dict.fromkeys(stage[name] for stage in stages if stage[name] is not None))
        return values[0] if len(values) == 1 else "/".join(str(v) for v in values) or None

    crossing = [stage for stage in stages if stage["fusion"] != "none"]
    fusions = list(dict.fromkeys(stage["fusion"] for stage in crossing)) or ["none"]
    head = spec["head"]
    return dict(
        zip(
            names,
            (
                joined("block"),
                "/".join(fusions),
                round(sum(stage["partial_ratio"] for stage in stages) / len(stages), 4),
                "/".join(dict.fromkeys(stage["split"] for stage in crossing)) or "–",
                len(stages),
                sum(stage["depth"] for stage in stages),
                stages[-1]["width"],
                "-".join(str(stage["width"]) for stage in stages),
                "-".join(str(stage["depth"]) for stage in stages),
                joined("growth_rate"),
                joined("bottleneck_ratio"),
                joined("cardinality"),
                spec["activation"],
                spec["stem"]["width"],
                head["fusion"] or head["kind"],
                head["width"],
                head["maxout"],
            ),
            strict=True,
        )
    )
