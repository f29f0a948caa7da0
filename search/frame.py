"""A study as one table: a row a proposal, a column an axis or a metric. `Store.frame` reads, this shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluator.metrics import METRICS, ZERO_COST
from evaluator.record import Deployment
from search import verification
from search.seeds import job_seed

if TYPE_CHECKING:
    import pandas as pd  # late: `search.columns` does without

TRAINED = frozenset({"ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "accuracy", "score",
                     "val_loss", "train_seconds", "train_cpu_seconds"})  # fmt: skip
"""Metrics that a training gives; all others describe the deployment."""


def build(config: dict[str, Any], rows: Sequence[Any], facts: Sequence[Any],
          long: verification.Scores, predictions: Sequence[Any] = ()) -> pd.DataFrame:  # fmt: skip
    """The table of `Store.frame`, from a study's config, its proposals and the measurements of their networks.

    `long` holds the scores of the study's verification, `predictions` the predicted latencies.
    """
    import pandas as pd

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
    import pandas as pd

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


_STAGE = (
    "block",
    "fusion",
    "partial_ratio",
    "split",
    "depth",
    "width",
    "growth_rate",
    "bottleneck_ratio",
    "cardinality",
)
AXES = ("block", "fusion", "partial_ratio", "split", "num_stages", "depth", "width", "widths", "depths", "growth_rate",
        "bottleneck_ratio", "cardinality", "activation", "stem_width", "head", "head_width", "maxout")  # fmt: skip


def axes(spec: dict[str, Any] | None) -> dict[str, Any]:
    """What a person filters an architecture by: one flat row. Lists of equal stage values become that value.

    `partial_ratio` is the mean over stages, plain stages counting 0; `depth` the sum; `width` the last stage's.
    """
    if spec is None:
        return dict.fromkeys(AXES)
    stages = tuple(_stage(stage) for stage in spec["stages"])
    return dict(zip(AXES, _axes(stages, spec["stem"], spec["head"], spec["activation"]), strict=True))


_PARTS = re.compile(r"\{[^{}]*\}")


def axes_reader() -> Callable[[str], tuple[Any, ...]]:
    """A function from an architecture's JSON text to its values of AXES, three times as fast as parsing the whole.

    It remembers the stages that it saw: they are few, as what a study may choose for one stage is.
    """
    stage_of = cache(lambda text: _stage(json.loads(text)))
    part_of = cache(json.loads)

    def read(text: str) -> tuple[Any, ...]:
        parts = _PARTS.findall(text)
        tail = text.rpartition("}, ")[2]
        if len(parts) < 3 or not (text.startswith('{"stem": {') and tail.startswith('"activation": "')):
            return tuple(axes(json.loads(text)).values())
        return _axes(tuple(map(stage_of, parts[1:-1])), part_of(parts[0]), part_of(parts[-1]),
                     part_of(f"{{{tail}")["activation"])  # fmt: skip

    return read


def _stage(stage: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(stage[name] for name in _STAGE)


def _axes(stages: tuple[tuple[Any, ...], ...], stem: Mapping[str, Any], head: Mapping[str, Any],
          activation: str) -> tuple[Any, ...]:  # fmt: skip
    blocks, fusions, ratios, splits, depths, widths, growth, bottleneck, cardinality = zip(*stages)
    fusion, split = _crossing(fusions, splits)
    return (
        _joined(blocks),
        fusion,
        round(sum(ratios) / len(ratios), 4),
        split,
        len(stages),
        sum(depths),
        widths[-1],
        _listed(widths),
        _listed(depths),
        _joined(growth),
        _joined(bottleneck),
        _joined(cardinality),
        activation,
        stem["width"],
        head["fusion"] or head["kind"],
        head["width"],
        head["maxout"],
    )


@lru_cache(4096)
def _crossing(fusions: tuple[str, ...], splits: tuple[str, ...]) -> tuple[str, str]:
    crossing = [at for at, fusion in enumerate(fusions) if fusion != "none"]
    return ("/".join(dict.fromkeys(fusions[at] for at in crossing)) or "none",
            "/".join(dict.fromkeys(splits[at] for at in crossing)) or "–")  # fmt: skip


@lru_cache(4096)
def _listed(values: tuple[Any, ...]) -> str:
    return "-".join(map(str, values))


@lru_cache(4096, typed=True)
def _joined(values: tuple[Any, ...]) -> Any:
    known = list(dict.fromkeys(value for value in values if value is not None))
    return known[0] if len(known) == 1 else "/".join(map(str, known)) or None
