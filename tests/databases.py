"""Realistic databases through the real Store: candidates of the default space with plausible numbers, no torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evaluator.record import Deployment, Environment, Evaluation, Fidelity, Job, Measurement
from search.store import Proposal, Store
from search.verification import proxy_front
from search.verify import jobs_of, take_effect
from space.architecture import Architecture
from space.cost import cost
from space.lower import lower
from tests.strategies import STUDY, random_architectures

RECIPE = "4b4e26b761ff"
VERIFY_VISITS = 16_000
DEPLOYMENT = Deployment()
MACHINE = Environment(
    host="Example CPU x4", cpu="Example CPU", cores=4, memory_bytes=8 * 2**30, system="Linux 6.1 x86_64",
    python="3.11.7", versions={"torch": "2.13.0+cpu", "onnxruntime": "1.31.1"},
)  # fmt: skip


def config(budget: int = 60) -> dict[str, Any]:
    """What search.run keeps of a study, as far as readers rely on it."""
    return {
        "task": "scenes",
        "space": STUDY.space_data,
        "image_visits": [4000],
        "recipe": {},
        "objectives": [{"metric": "ap", "direction": "maximize"}, {"metric": "macs", "direction": "minimize"},
                       {"metric": "latency_ms", "direction": "minimize"}],
        "limits": ["macs <= 700e6"],
        "sampler": "nsga2",
        "deployment": DEPLOYMENT.to_dict(),
        "deployment_id": DEPLOYMENT.id,
        "recipe_id": RECIPE,
        "device": MACHINE.host,
        "budget": budget,
    }  # fmt: skip


def profile_rows(architecture: Architecture, rng: np.random.Generator) -> list[Measurement]:
    """What a profile gives: costs of the graph, and a latency that follows them loosely."""
    paper = cost(lower(architecture, DEPLOYMENT.height, DEPLOYMENT.width))
    place: dict[str, Any] = {"deployment": DEPLOYMENT.id, "batch": 1, "precision": "fp32", "environment": MACHINE}
    rows = [
        Measurement(metric=name, value=float(value), unit=unit, origin="counted", **place)
        for name, value, unit in (("macs", paper.macs, "MACs"), ("params", paper.params, ""),
                                  ("activations", paper.activations, "elements"), ("cio", paper.cio, "elements"),
                                  ("peak_bytes", paper.peak_bytes, "B"), ("weight_bytes", paper.weight_bytes, "B"))
    ]  # fmt: skip
    grouped = 1.6 if any(stage.block == "resx" for stage in architecture.stages) else 1.0
    latency = (0.9 + paper.macs / 42e6 + paper.cio / 3.1e6) * grouped * float(rng.normal(1, 0.06))
    for name, factor in (("latency_ms", 1.0), ("latency_median_ms", 1.02), ("latency_p90_ms", 1.11)):
        rows.append(Measurement(metric=name, value=latency * factor, unit="ms", n=100, threads=1,
                                spread=latency * 0.02 if name == "latency_ms" else None, device=MACHINE.host,
                                backend="onnxruntime", **place))  # fmt: skip
    return rows


def trained(architecture: Architecture, seed: int, rng: np.random.Generator) -> tuple[Job, Evaluation]:
    """A training that follows the architecture's size, with its curve."""
    macs = cost(lower(architecture, 256, 256)).macs
    ap = 0.07 * math.log(macs / 1e7) + 0.05 + float(rng.normal(0, 0.018))
    visits = [round(4000 * share) for share in np.linspace(0.02, 1, 50)]
    curve: list[dict[str, float]] = [
        {"image_visits": v, "loss": 8 * math.exp(-v / 1500) + 1.2 + float(rng.normal(0, 0.08)),
         "learning_rate": 0.015 * math.sin(math.pi * v / 4100)}
        for v in visits
    ]  # fmt: skip
    curve[-1] |= {"ap": ap, "ap50": ap * 1.62}
    job = Job(architecture=architecture, task="scenes", fidelity=Fidelity(), seed=seed)
    shared: dict[str, Any] = {"task": "scenes", "recipe": RECIPE, "rung": 0, "image_visits": 4000, "seed": seed,
                              "environment": MACHINE}  # fmt: skip
    rows = [Measurement(metric=name, value=value, **shared)
            for name, value in (("ap", ap), ("ap50", ap * 1.62), ("ap75", ap * 0.9))]  # fmt: skip
    rows.append(Measurement(metric="ap_small", value=None, reason="no small object in the validation set", **shared))
    return job, Evaluation(state="complete", measurements=rows, curve=curve, seconds=7.5, cpu_seconds=7.2)


def add(store: Store, study_id: int, first: int, count: int, seed: int = 0) -> list[Architecture]:
    """Add `count` finished proposals from number `first` on; every 11th failed, every 7th was refused."""
    rng = np.random.default_rng(seed)
    architectures = random_architectures(first + count, seed=1)[first:]
    for number, architecture in enumerate(architectures, first):
        refused = number % 7 == 6
        proposal = Proposal(number=number, generation=number // 20, architecture=architecture, genes={}, sampler={},
                            state="refused" if refused else "proposed",
                            reason="macs over the limit by 12 %" if refused else None)  # fmt: skip
        store.propose(study_id, [proposal])
        if refused:
            store.record(architecture, profile_rows(architecture, rng)[:6])
            continue
        store.record(architecture, profile_rows(architecture, rng))
        job, evaluation = trained(architecture, 1000 + number, rng)
        if number % 11 == 10:
            evaluation = Evaluation(state="failed", reason="the loss became NaN after 320 visits <b>&</b>", seconds=1.0)
        store.record_evaluation(job, RECIPE, evaluation, MACHINE)
        store.finish(study_id, number, evaluation.state, evaluation.reason)
    return architectures


def build(path: str, count: int = 60, *, name: str = "default", state: str = "complete", budget: int = 0) -> None:
    """A database with one study of `count` proposals."""
    with Store.open(path) as store:
        study = store.create_study(name, config(budget or count), seed=0)
        add(store, study.id, 0, count)
        store.update_study(study.id, state=state)


def verify(path: str, name: str = "default") -> dict[str, str]:
    """Long trainings of the front and of one behind it, so that there is every verdict; id -> verdict."""
    with Store.open(path) as store:
        row = store.study(name)
        assert row is not None
        frame = store.frame(name)
        on = proxy_front(frame, row.config)
        best_first = frame[on].sort_values("ap", ascending=False)
        behind = frame[(frame["state"] == "complete") & ~on].head(1)
        chosen = [*best_first["id"], *behind["id"]]
        proxy = dict(zip(frame["id"], frame["ap"], strict=True))
        row = take_effect(store, row, VERIFY_VISITS, 3)
        rng = np.random.default_rng(5)
        architectures = [a for i in chosen[:-2] + chosen[-1:] if (a := store.architecture(i)) is not None]
        for job in jobs_of(row, architectures, VERIFY_VISITS, 3):
            # The dearest one loses everything that the proxy promised.
            level = 0.02 if job.architecture.id == chosen[0] else proxy[job.architecture.id] + 0.2
            value = level + float(rng.normal(0, 0.004))
            curve = [{"image_visits": v, "loss": 8 * math.exp(-v / 1500) + 1} for v in (200, 4000, VERIFY_VISITS)]
            measured = Measurement(metric="ap", value=value, task=job.task, recipe=RECIPE, rung=job.fidelity.rung,
                                   image_visits=VERIFY_VISITS, seed=job.seed, environment=MACHINE)  # fmt: skip
            result = Evaluation(state="complete", measurements=[measured], curve=curve, seconds=30.0, cpu_seconds=29.0)
            store.record_evaluation(job, RECIPE, result, MACHINE)
        return dict(zip(*(store.frame(name)[c] for c in ("id", "verdict")), strict=True))
