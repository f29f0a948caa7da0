"""python -m search.measure: run chosen candidates on the runtimes of this machine, and keep what they cost there."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from search.command import (
    INTERRUPTED,
    UsageError,
    call,
    check_limits_of_workers,
    engine_of,
    make_engine,
    shown_database,
    stopping,
)
from search.selection import check_choice, chosen, study_of

if TYPE_CHECKING:
    from evaluator.record import Job
    from evaluator.target import Target
    from search.engines import Engine
    from search.store import Store, StudyRow
    from space.architecture import Architecture

TIME_LIMIT = 300.0
"""Processor seconds of one candidate on one runtime, its compilation included; of one training for --accuracy."""
TOGETHER = 20
"""Candidates that are timed round-robin in one process: all of a front, but not a thousand networks in memory."""

app = App(
    name="python -m search.measure",
    help="Measure candidates on runtimes of this machine: latency, throughput, memory, energy, and what int8 costs "
    "in the score. What is stored is not measured again; the same command goes on.",
    version_flags=[],
)


@app.default
def run(
    *,
    db: str = "csp.db",
    name: str | None = None,
    front: Annotated[bool, Parameter(negative="")] = False,
    top: int | None = None,
    ids: Annotated[list[str] | None, Parameter(negative="")] = None,
    backend: Annotated[list[str] | None, Parameter(negative="")] = None,
    precision: Annotated[list[str] | None, Parameter(negative="")] = None,
    threads: Annotated[list[int] | None, Parameter(negative="")] = None,
    batch: Annotated[list[int] | None, Parameter(negative="")] = None,
    size: Annotated[list[str] | None, Parameter(negative="")] = None,
    rounds: int | None = None,
    extras: Annotated[bool, Parameter(negative="")] = False,
    accuracy: Annotated[bool, Parameter(negative="")] = False,
    again: Annotated[bool, Parameter(negative="")] = False,
    workers: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Measure candidates of a study here.

    Parameters
    ----------
    db
        SQLite file or SQLAlchemy URL that holds the study.
    name
        Name of the study; by default the one that changed last.
    front
        Measure the front of all objectives (what is done unless told otherwise).
    top
        Measure the first N candidates by non-domination rank, then crowding.
    ids
        Measure these candidates: ids with commas between; may be repeated.
    backend
        Runtime (`python -m evaluator.backends` lists them); may be repeated; onnxruntime by default.
    precision
        fp32, fp16, bf16 or int8; may be repeated; the study's deployment's by default.
    threads
        Threads of one inference; may be repeated; the study's deployment's by default.
    batch
        Images of one inference; may be repeated; the study's deployment's by default.
    size
        Image size, 416 or height x width such as 320x416; may be repeated; the study's deployment's by default.
    rounds
        Rounds of timing, 100 by default.
    extras
        Also measure the process's peak memory and, where the machine counts it, the energy.
    accuracy
        Also measure the loss in the score: train each candidate as the search did, and validate it through the runtime
        in fp32 and in each other precision.
    again
        Measure also what is stored for this machine and these versions.
    workers
        Trainings at a time for --accuracy; one a core by default. Timing is always alone.
    time_limit
        Processor seconds that one candidate may take on one runtime, or in training; 300 by default.
    memory_limit
        GiB that one process may take; by default 80 % of the memory, for --accuracy shared by the workers.
    as_json
        Print one JSON object a candidate and runtime instead of a table.
    """
    check_choice(top, front, ids)
    check_limits_of_workers(workers, time_limit, memory_limit)
    given = (("--threads", threads or [], 1024), ("--batch", batch or [], 4096), ("--rounds", [rounds], 100_000))
    for option, values, most in given:
        for value in values:
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"{option} is {value}; it must be 1 to {most:,}")
    if workers is not None and not accuracy:
        raise UsageError("--workers is for the trainings of --accuracy: timing is always alone")

    from evaluator.timing import ROUNDS
    from search.store import Store

    shown = shown_database(db)
    with Store.open(db, create=False) as store, store.lock():
        row = study_of(store, name)
        identities = chosen(store.frame(row.name), row, top, ids, verb="measure", done="measured")
        targets = _targets(row, backend, precision, threads=threads, batch=batch, size=size)
        if accuracy:
            _check_accuracy(row, targets)
        device = "cuda" if any(_on_card(target) for target in targets) else "cpu"
        engine = make_engine("process", 1, time_limit or TIME_LIMIT, memory_limit, device)
        work = Work(store, row, identities, again=again)
        stop = threading.Event()
        try:
            with stopping(stop):
                targets = work.usable(targets, engine, stop)
                work.time(targets, engine, stop, rounds or ROUNDS, extras)
                if accuracy:
                    engine.kill()
                    engine = engine_of(row, "process", workers, time_limit or TIME_LIMIT, memory_limit)
                    work.validate(targets, engine, stop)
        except KeyboardInterrupt:
            stop.set()
        finally:
            engine.kill()
        if stop.is_set():
            say(f"stopped; what is finished is in {shown}, the same command goes on from here")
            return INTERRUPTED
        return _report(store, row, identities, targets, as_json)


# -- what to measure


def _targets(row: StudyRow, backends: list[str] | None, precisions: list[str] | None, *, threads: list[int] | None,
             batch: list[int] | None, size: list[str] | None) -> list[Target]:  # fmt: skip
    """Every backend with every precision at every deployment asked for. Raises UsageError for names that are none."""
    from evaluator.backends import BACKENDS
    from evaluator.record import Deployment, environment
    from evaluator.target import DEFAULT_BACKEND, Target
    from space import cli
    from space.cost import BYTES
    from space.registry import unknown

    own = Deployment(**row.config["deployment"])
    sides = [side for text in size or [] if (side := cli.image_size(text, "--size"))]
    for precision in precisions or []:
        if precision not in BYTES:
            raise UsageError(unknown("precision", precision, list(BYTES)))
    for backend in backends or []:
        try:
            BACKENDS.get(backend)
        except ValueError as error:
            raise UsageError(str(error)) from error
    names = ("precision", "threads", "batch", "height", "width")
    deployments = [
        replace(own, **dict[str, Any](zip(names, (*chosen, *side))))
        for *chosen, side in itertools.product(
            precisions or [own.precision],
            threads or [own.threads],
            batch or [own.batch],
            sides or [(own.height, own.width)],
        )
    ]
    return [
        Target(device=environment().host, backend=backend, deployment=deployment)
        for backend in dict.fromkeys(backends or [DEFAULT_BACKEND])
        for deployment in dict.fromkeys(deployments)
    ]


def _on_card(target: Target) -> bool:
    from evaluator.profile import ON_CARDS

    return target.backend in ON_CARDS


def _short(target: Target) -> str:
    return f"{target.backend}/{target.deployment.precision}"


def _check_accuracy(row: StudyRow, targets: list[Target]) -> None:
    from evaluator.recipe import recipe_for
    from evaluator.tasks import TASKS, Analytic

    if all(target.deployment.precision == "fp32" for target in targets):
        raise UsageError("--accuracy measures what a precision costs in the score: add one, such as --precision int8")
    task = TASKS.get(row.config["task"])
    if isinstance(task, Analytic):
        raise UsageError(f"--accuracy trains candidates, and task '{row.config['task']}' is a formula")
    if recipe_for(task, row.config["recipe"]).id(task) != row.config["recipe_id"]:
        raise UsageError(
            f"study '{row.name}' was trained with another recipe or other data than this version's, so its candidates "
            "cannot be trained as they were; search anew with `python -m search.run --new`"
        )
    if notice := task.prepare():
        say(notice)


# -- measuring


class Work:
    """What is measured of some candidates. Every result is recorded as it comes, and what is known is left out."""

    def __init__(self, store: Store, row: StudyRow, identities: Sequence[str], *, again: bool) -> None:
        self.store, self.row, self.again = store, row, again
        found = [store.architecture(identity) for identity in identities]
        self.architectures: list[Architecture] = [architecture for architecture in found if architecture is not None]

    def usable(self, targets: list[Target], engine: Engine, stop: threading.Event) -> list[Target]:
        """Those of `targets` that can run here; the others are named. Raises UsageError where none is left."""
        from evaluator.backends import missing

        future = engine.submit(missing, [(target.backend, target.deployment.precision) for target in targets])
        _wait(stop, [future])
        reasons = dict(zip(targets, future.result(), strict=True))
        for target, reason in reasons.items():
            if reason:
                say(f"left out: {_short(target)}: {reason}")
        if not (left := [target for target, reason in reasons.items() if reason is None]):
            raise UsageError("nothing is left to measure; `python -m evaluator.backends` lists what runs here")
        return left

    def known(self, architecture: Architecture, target: Target, metric: str, **same: Any) -> bool:
        """Whether a value is stored of this machine with these versions.

        Of the study's own target any versions count: were a few candidates timed anew, their latencies would stand
        beside older ones of the others on the study's front.
        """
        from evaluator.record import environment
        from evaluator.target import DEFAULT_BACKEND

        same |= {"metric": metric, "device": target.device, "backend": target.backend,
                 "deployment": target.deployment.id}  # fmt: skip
        config = self.row.config
        if (target.deployment.id, target.backend) != (config["deployment_id"], config.get("backend", DEFAULT_BACKEND)):
            same["environment_id"] = environment().id
        return not self.again and any(
            all(found[key] == value for key, value in same.items())
            # Of the energy it is also known that the machine does not tell it.
            and (found["value"] is not None or metric == "energy_mj")
            for found in self.store.measurements(architecture.id)
        )

    def time(self, targets: list[Target], engine: Engine, stop: threading.Event, rounds: int, extras: bool) -> None:
        """Time all candidates on each target, alone on the machine as far as it is ours."""
        from evaluator.profile import EXTRAS, latency, runtime_row
        from search.engines.batches import each_guarded
        from search.engines.guard import CandidateError

        wanted = ("latency_ms", *(EXTRAS if extras else ()))
        for target in targets:
            todo = [a for a in self.architectures if not all(self.known(a, target, metric) for metric in wanted)]
            stored = len(self.architectures) - len(todo)
            say(f"-- {_short(target)}: {target.deployment}; {len(todo)} candidates"
                + (f", known already: {stored} (--again measures them anew)" if stored else ""))  # fmt: skip
            task = partial(latency, deployment=target.deployment, backend=target.backend, rounds=rounds, extras=extras)

            def submit(group: Sequence[Architecture], task: Any = task) -> Future[Any]:
                return engine.submit(task, group, patience=float(len(group)))

            done = 0
            for first in range(0, len(todo), TOGETHER):
                for architecture, found in each_guarded(todo[first : first + TOGETHER], submit, partial(_wait, stop)):
                    if isinstance(found, CandidateError):
                        found = [runtime_row("latency_ms", None, target.deployment, target.backend, reason=str(found))]
                    # A throughput or a median beside a kept latency of another day would contradict it.
                    new = [row for row in found if not self.known(architecture, target, row.metric if row.metric in
                                                                  EXTRAS else "latency_ms")]  # fmt: skip
                    self.store.record(architecture, new)
                    done += 1
                    say(f"[{done:3d}/{len(todo)}] {architecture.id}  {_line(new)}")

    def validate(self, targets: list[Target], engine: Engine, stop: threading.Event) -> None:
        """Measure what the precisions of `targets` cost in the score: one training a candidate for all of them."""
        from evaluator.evaluate import quantisation_loss
        from evaluator.profile import runtime_row
        from search.engines.batches import each_alone

        todo: list[tuple[Job, list[Target]]] = []
        for architecture in self.architectures:
            job = _job(self.row, architecture)
            same = {"task": job.task, "recipe": self.row.config["recipe_id"], "seed": job.seed,
                    "image_visits": job.fidelity.image_visits}  # fmt: skip
            lacking = [t for t in targets if t.deployment.precision != "fp32"
                       and not self.known(architecture, t, "quantised_score", **same)]  # fmt: skip
            if lacking:
                todo.append((job, lacking))
        say(f"-- score by precision: {len(todo)} candidates are trained and validated through the runtimes")
        pairs = each_alone(engine, quantisation_loss, todo, stop,
                           lambda item: (item[0], [(t.backend, t.deployment) for t in item[1]]))  # fmt: skip
        for done, ((job, lacking), found) in enumerate(pairs, 1):
            if isinstance(found, str):
                found = [[runtime_row("quantised_score", None, target.deployment, target.backend, reason=found)]
                         for target in lacking]  # fmt: skip
            for target, rows in zip(lacking, found, strict=True):
                self.store.record(job.architecture, rows)
                say(f"[{done:3d}/{len(todo)}] {job.architecture.id}  {_short(target)}  {_line(rows)}")


def _job(row: StudyRow, architecture: Architecture) -> Job:
    """The training that gave the candidate its score in the study."""
    from evaluator.record import Fidelity, Job
    from search.seeds import job_seed

    visits = row.config["image_visits"]
    return Job(architecture=architecture, task=row.config["task"], recipe=row.config["recipe"], device=row.device,
               fidelity=Fidelity(rung=len(visits) - 1, image_visits=visits[-1]), seed=job_seed(row.seed))  # fmt: skip


def _wait(stop: threading.Event, futures: list[Future[Any]]) -> None:
    """Until they are done. Short waits, so that Ctrl-C is heard; raises KeyboardInterrupt then."""
    while wait(futures, timeout=0.2, return_when=FIRST_COMPLETED).not_done:
        if stop.is_set():
            raise KeyboardInterrupt


def _line(rows: Sequence[Any]) -> str:
    from evaluator.metrics import METRICS

    shown = ("latency_ms", "latency_p90_ms", "process_peak_bytes", "energy_mj", "quantised_score", "quantisation_loss")
    failed = next((row.reason for row in rows if row.metric in ("latency_ms", "quantised_score") and row.reason), None)
    return (
        f"failed: {failed}"
        if failed
        else ", ".join(f"{row.metric} {METRICS[row.metric].show(row.value)}" for row in rows if row.metric in shown)
    )


# -- the report


def _results(store: Store, row: StudyRow, identities: Sequence[str],
             targets: Sequence[Target]) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Of each candidate and target all that is stored of it on this machine."""
    frame = store.deployed(row.name)
    for identity in identities:
        for target in targets:
            facts = frame[(frame["id"] == identity) & (frame["device"] == target.device)
                          & (frame["backend"] == target.backend)
                          & (frame["deployment"] == target.deployment.id)]  # fmt: skip
            values = {f["metric"]: f["value"] for f in facts.to_dict("records") if f["value"] == f["value"]}
            reasons = {f["metric"]: f["reason"] for f in facts.to_dict("records") if f["metric"] not in values}
            noisy = any(
                f["metric"] == "latency_ms" and f["detail"].get("noisy", False) for f in facts.to_dict("records")
            )
            yield {"id": identity, "device": target.device, "backend": target.backend, "noisy": noisy,
                   "deployment": target.deployment.to_dict(), "values": values, "missing": reasons}  # fmt: skip


def _report(store: Store, row: StudyRow, identities: Sequence[str], targets: Sequence[Target], as_json: bool) -> int:
    from evaluator.metrics import METRICS
    from evaluator.record import environment
    from space import cli

    results = list(_results(store, row, identities, targets))
    several = len({(d.height, d.width, d.batch, d.threads) for d in (target.deployment for target in targets)}) > 1
    if as_json:
        print(json.dumps(results, indent=1, ensure_ascii=False))
        return 0
    names = ("latency_ms", "latency_median_ms", "latency_p90_ms", "images_per_second", "process_peak_bytes",
             "energy_mj", "quantised_score", "quantisation_loss")  # fmt: skip
    seen = [name for name in names if any(name in {**r["values"], **r["missing"]} for r in results)]
    table = cli.table(f"{row.name} on {environment().host}", ["candidate", "runtime", *seen], left=["runtime"])
    for result in results:
        size = result["deployment"]
        where = f"{result['backend']}/{size['precision']}"
        if several:
            where += f", {size['height']}x{size['width']}, batch {size['batch']}, threads {size['threads']}"
        table.add_row(result["id"], where, *(METRICS[name].show(result["values"].get(name)) for name in seen))
    cli.console().print(table, markup=False)
    if noisy := sum(result["noisy"] for result in results):
        print(f"{noisy} of {len(results)} latencies are noisy: their median lies 30 % above the 25th percentile; "
              "measure them anew on a quiet machine with --again")  # fmt: skip
    reasons = dict.fromkeys(f"{metric}: {why}" for r in results for metric, why in r["missing"].items())
    for reason in reasons:
        print(f"missing {reason}")
    return 0


def say(text: str) -> None:
    """One line for the person watching."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
