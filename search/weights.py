"""Weights of a candidate. A search keeps none, but a training is deterministic on one machine: it is run again.

`random` are what a training starts from, `verified` those of the verification's first seed, `best` those of a full
training (`search.train`) if there is one, else the verified ones, else the proxy's. What was trained again is kept in
the user's cache folder, and its score is compared with the recorded one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.command import UsageError, engine_of

if TYPE_CHECKING:
    from evaluator.interface import Interface
    from evaluator.record import Job
    from search.engines import Engine
    from search.store import Store, StudyRow
    from space.architecture import Architecture

KINDS = ("best", "verified", "random")
TIME_LIMIT = 300.0
"""Processor seconds of a training of the study's last rung, longer ones in proportion."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights and what is known of them."""

    kind: str
    """`random`, `proxy`, `verified`, `full`, or `file`."""
    interface: Interface
    path: Path | None = None
    """A file of weights; None for random ones."""
    seed: int = 0
    about: dict[str, Any] | None = None
    """What the file says of itself (`evaluator.weights`)."""
    score: tuple[str, float] | None = None
    """Metric and value of exactly these weights."""
    note: str | None = None
    """What a user should know: that they are not those that were asked for, or do not score as recorded."""


def weights_of(store: Store, row: StudyRow, architecture: Architecture, which: str, *, seed: int = 0,
               say: Say = lambda _: None, stop: threading.Event | None = None) -> Weights:  # fmt: skip
    """Weights of a study's candidate: `which` is one of `KINDS`. `say` hears what takes long.

    Raises UsageError where there are none, KeyboardInterrupt when `stop` is set.
    """
    from evaluator.interface import interface_of
    from evaluator.recipe import recipe_for
    from evaluator.tasks import TASKS, Analytic

    task = TASKS.get(row.config["task"])
    if isinstance(task, Analytic):
        raise UsageError(f"study '{row.name}' trained nothing (task '{task.name}' is a formula), so no candidate of it "
                         "has weights or classes; export the architecture's file instead: --to toml")  # fmt: skip
    interface = interface_of(task, recipe_for(task, row.config["recipe"]))
    if which == "random":
        return Weights(kind="random", interface=interface, seed=seed)
    lost = None
    if which == "best":
        full = full_training(store, architecture.id)
        if isinstance(full, Weights):
            return replace(full, note=_better_known(store, architecture.id, full))
        lost = full
    job, kind = _job(store, row, architecture, which)
    found = _again(store, row, job, kind, interface, say, stop or threading.Event())
    notes = [note for note in (lost, found.note) if note]
    return replace(found, note="; ".join(notes) or None)


def cached(name: str) -> Path:
    """Where weights of this name lie in the user's cache folder."""
    from evaluator.tasks._cache import root

    return root() / "weights" / f"{name}.safetensors"


def of_file(path: Path, architecture: Architecture) -> tuple[Interface | None, dict[str, Any] | None]:
    """What a file of weights says of itself: interface and all facts; nothing for a foreign file.

    Raises UsageError where it says that it is of another network.
    """
    from evaluator.interface import Interface, about

    if not path.is_file():
        kinds = ", ".join(KINDS)
        raise UsageError(f"--weights is '{path}', which is neither a file of weights nor one of {kinds}")
    facts = about(path)
    if facts is None:
        return None, None
    if facts.get("id") != architecture.id:
        raise UsageError(f"'{path}' holds the weights of {facts.get('id')}, not of {architecture.id}")
    try:
        return Interface.from_dict(facts["interface"]), facts
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"'{path}' says of itself what this version does not understand: {error}") from error


def full_training(store: Store, identity: str) -> Weights | str | None:
    """The best full training whose weights are at hand; or why those of it are not; or None if there was none.

    Of those on the data that was trained on last: scores on other data do not compare.
    """
    from evaluator.metrics import METRICS

    rows = [m for m in store.measurements(identity) if m["detail"].get("training") == "full" and m["value"] is not None]
    rows = [m for m in rows if m["metric"] in ("ap", "accuracy")]
    rows = [m for m in rows if m["task"] == rows[0]["task"]]  # the newest is first
    rows.sort(key=lambda m: m["value"], reverse=True)
    for row in rows:
        from evaluator.interface import Interface, about

        path = cached(row["detail"]["weights"])
        facts = about(path) if path.is_file() else None
        if facts:
            return Weights(kind="full", path=path, interface=Interface.from_dict(facts["interface"]), about=facts,
                           score=(row["metric"], row["value"]))  # fmt: skip
    if not rows:
        return None
    best = rows[0]
    return (f"a full training on {best['task']} with {best['metric']} {METRICS[best['metric']].show(best['value'])} is "
            "recorded, but its weights are no longer in the cache: name its file with --weights")  # fmt: skip


def _better_known(store: Store, identity: str, full: Weights) -> str | None:
    """A note where another training on the same data scored higher than a full one that is taken."""
    assert full.score is not None
    assert full.about is not None
    metric, value = full.score
    rows = [m for m in store.measurements(identity) if m["metric"] == metric and m["value"] is not None]
    higher = [m for m in rows if m["task"] == full.about.get("task") and m["value"] > value]
    if not higher:
        return None
    best = max(higher, key=lambda m: float(m["value"]))
    return (f"another training of it on the same data has {metric} {best['value']:.3f} at {best['image_visits']:,} "
            f"image visits, more than the {value:.3f} of this full training: --weights verified takes the search's "
            "train longer")  # fmt: skip


def _job(store: Store, row: StudyRow, architecture: Architecture, which: str) -> tuple[Job, str]:
    """The recorded training whose weights are wanted, and what to call it."""
    from evaluator.record import Fidelity, Job
    from search.seeds import job_seed
    from search.verification import in_effect

    shared: dict[str, Any] = {"architecture": architecture, "task": row.config["task"],
                              "recipe": row.config["recipe"], "device": row.device}  # fmt: skip
    rungs = row.config["image_visits"]
    wanted = []
    chosen = in_effect(row.config)
    if chosen is not None:
        visits, seeds = chosen
        wanted.append((Job(**shared, fidelity=Fidelity(rung=len(rungs), image_visits=visits), seed=seeds[0]),
                       "verified"))  # fmt: skip
    if which == "best":
        wanted += [(Job(**shared, fidelity=Fidelity(rung=rung, image_visits=visits), seed=job_seed(row.seed)), "proxy")
                   for rung, visits in reversed(list(enumerate(rungs)))]  # fmt: skip
    for job, kind in wanted:
        if store.evaluation(job, row.config["recipe_id"]) is not None:
            return job, kind
    if which == "verified":
        raise UsageError(f"candidate {architecture.id} is not verified; run `python -m search.verify --ids "
                         f"{architecture.id}` first, or take --weights best")  # fmt: skip
    raise UsageError(f"candidate {architecture.id} of '{row.name}' was never trained to the end, so it has no weights; "
                     "take --weights random, or train it: python -m search.train")  # fmt: skip


def _again(store: Store, row: StudyRow, job: Job, kind: str, interface: Interface, say: Say,
           stop: threading.Event) -> Weights:  # fmt: skip
    """The weights of a recorded training: from the cache, or trained once more."""
    from evaluator.evaluate import retrain
    from evaluator.interface import about
    from evaluator.metrics import METRICS
    from evaluator.recipe import recipe_for
    from evaluator.record import digest, environment
    from evaluator.tasks import TASKS

    task, recipe_id = TASKS.get(job.task), row.config["recipe_id"]
    if recipe_for(task, job.recipe).id(task) != recipe_id:
        raise UsageError(f"study '{row.name}' was trained with another recipe or other data than this version's: its "
                         "weights cannot be had again; take --weights random, or `python -m search.train`")  # fmt: skip
    metric = row.config["objectives"][0]["metric"]
    recorded = store.evaluation(job, recipe_id)
    assert recorded is not None
    before = next((m.value for m in recorded.measurements if m.metric == metric), None)
    visits = job.fidelity.image_visits
    path = cached(f"{job.architecture.id}-{digest([recipe_id, visits, job.seed, job.device])}")
    facts = about(path) if path.is_file() else None
    if facts is None:
        say(f"training {job.architecture.id} once more for its weights ({kind}: {visits:,} image visits, seed "
            f"{job.seed}; it took {recorded.cpu_seconds:.0f} processor seconds)")  # fmt: skip
        if notice := task.prepare():
            say(notice)
        said = {
            "id": job.architecture.id, "architecture": job.architecture.canonical().to_dict(), "weights": kind,
            "interface": interface.to_dict(), "task": task.name, "data": task.version, "recipe_id": recipe_id,
            "recipe": vars(recipe_for(task, job.recipe)), "image_visits": visits, "seed": job.seed,
            "device": job.device, "recorded": {metric: before}, "environment": environment().to_dict(),
        }  # fmt: skip
        limit = TIME_LIMIT * max(1.0, visits / row.config["image_visits"][-1])
        evaluation = in_worker(engine_of(row, "process", 1, limit, None), stop, retrain, job, str(path), said)
        if evaluation.state == "failed":
            raise UsageError(f"training {job.architecture.id} once more failed: {evaluation.reason}")
        facts = about(path)
        assert facts is not None
    now = facts["scores"].get(metric)
    note = None
    if now != before and now is not None and before is not None:
        show = METRICS[metric].show
        note = (f"trained again, {metric} is {show(now)} where {show(before)} is recorded ({now - before:+.4f}): a "
                "training repeats to the last bit only on the machine and versions of its first run")  # fmt: skip
    return Weights(kind=kind, path=path, interface=interface, seed=job.seed, about=facts, note=note,
                   score=None if now is None else (metric, now))  # fmt: skip


def in_worker(engine: Engine, stop: threading.Event, function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` on the engine. Raises KeyboardInterrupt when `stop` is set, UsageError with the reason."""
    from search.engines.guard import CandidateError

    future = engine.submit(function, *args)
    try:
        while not wait([future], timeout=0.1).done:
            if stop.is_set():
                raise KeyboardInterrupt
        return future.result()
    except CandidateError as error:
        raise UsageError(str(error)) from error
    finally:
        engine.kill()
