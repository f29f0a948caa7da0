"""python -m search.verify: train the front of a study longer, with several seeds, and say what is left of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from search.command import (
    INTERRUPTED,
    UsageError,
    call,
    check_limits_of_workers,
    engine_of,
    shown_database,
    stopping,
)
from search.selection import check_choice, chosen, study_of

if TYPE_CHECKING:
    from evaluator.record import Evaluation, Job
    from search.engines import Engine
    from search.store import Store, StudyRow
    from space.architecture import Architecture

LONG = 4
"""Times the image visits of a study's last rung that a long training takes."""
SEEDS = 3
TIME_LIMIT = 300.0
"""Processor seconds for one training of the study's last rung; a longer training may take longer in proportion."""

app = App(
    name="python -m search.verify",
    help="Train candidates longer with several seeds, and see who stays on the front. The same command goes on.",
    version_flags=[],
)


@app.default
def run(
    *,
    db: str = "csp.db",
    name: str | None = None,
    top: int | None = None,
    front: Annotated[bool, Parameter(negative="")] = False,
    ids: Annotated[list[str] | None, Parameter(negative="")] = None,
    seeds: int | None = None,
    fidelity: str = "long",
    workers: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    engine: Literal["process", "inline"] = "process",
) -> int:
    """Verify candidates of a study.

    Parameters
    ----------
    db
        SQLite file or SQLAlchemy URL that holds the study.
    name
        Name of the study; by default the one that changed last.
    top
        Verify the first N candidates by non-domination rank, then crowding: the front, then the ranks behind it.
    front
        Verify the front of all objectives (what is done unless told otherwise).
    ids
        Verify these candidates: ids with commas between; may be repeated.
    seeds
        Trainings of each candidate, at least 2; the study's [verify] seeds, or 3.
    fidelity
        Image visits of each training, or long: the study's [verify] image_visits, or 4 times its last rung's.
    workers
        Trainings at a time; one a core by default.
    time_limit
        Processor seconds that one training may take; by default 300 for each length of the study's last rung.
    memory_limit
        GiB that one training may take; by default 80 % of the memory, shared by the workers.
    engine
        Where trainings run: process (a guarded process each), or inline (in this one, for debugging).
    """
    check_choice(top, front, ids)
    if seeds is not None and not 2 <= seeds <= 100:
        raise UsageError(f"--seeds is {seeds}; it must be 2 to 100: a spread needs two trainings")
    check_limits_of_workers(workers, time_limit, memory_limit)

    from search.store import Store

    shown = shown_database(db)
    with Store.open(db, create=False) as store, store.lock():
        row = study_of(store, name)
        visits = _image_visits(row, fidelity)
        frame = store.frame(row.name)
        candidates = chosen(frame, row, top, ids, verb="verify", done="verified")
        limit = time_limit or TIME_LIMIT * max(1.0, visits / row.config["image_visits"][-1])
        seeds = seeds or row.config.get("verify", {}).get("seeds", SEEDS)
        return _verify(store, row, candidates, visits, seeds, shown,
                       engine=lambda: engine_of(row, engine, workers, limit, memory_limit))  # fmt: skip


# -- what to verify


def _image_visits(row: StudyRow, fidelity: str) -> int:
    last: int = row.config["image_visits"][-1]
    if fidelity == "long":
        return int(row.config.get("verify", {}).get("image_visits", LONG * last))
    try:
        visits = int(fidelity)
    except ValueError as error:
        raise UsageError(f"--fidelity is '{fidelity}'; it must be 'long' or a number of image visits") from error
    if not last <= visits <= 10**9:
        raise UsageError(
            f"--fidelity is {visits}; it must be at least the {last} image visits of the study's last rung"
        )
    return visits


# -- training


def _verify(store: Store, row: StudyRow, chosen: list[str], visits: int, seeds: int, db: str, *,
            engine: Callable[[], Engine]) -> int:  # fmt: skip
    from evaluator.recipe import recipe_for
    from evaluator.record import environment
    from evaluator.tasks import TASKS
    from search.display import Display
    from search.progress import Interrupted
    from search.verification_report import report

    task = TASKS.get(row.config["task"])
    recipe_id = row.config["recipe_id"]
    if recipe_for(task, row.config["recipe"]).id(task) != recipe_id:
        raise UsageError(
            f"study '{row.name}' was trained with another recipe or other data than this version's, so longer "
            "trainings would not compare; search anew with `python -m search.run --new`"
        )
    architectures = [store.architecture(identity) for identity in chosen]
    jobs = jobs_of(row, [a for a in architectures if a is not None], visits, seeds)
    display = Display(f"verify {row.name}", len(jobs))
    if notice := task.prepare():
        display.say(notice)
    before = row.config.get("verified")
    if before and before["image_visits"] != visits:
        display.say(
            f"verified before with {before['image_visits']:,} image visits: these trainings are kept, "
            f"but from now on those with {visits:,} count"
        )
    stored = {id(job): found for job in jobs if (found := store.evaluation(job, recipe_id)) is not None}
    display.phase(
        f"verifying {len(chosen)} candidates of '{row.name}': {seeds} seeds each, {visits:,} image visits"
        + (f"; known already: {len(stored)} of {len(jobs)} trainings" if stored else "")
    )
    missing = [job for job in jobs if id(job) not in stored]
    runner = engine() if missing else None
    row = take_effect(store, row, visits, seeds)
    watcher = _Watcher(display, row, jobs, len(stored))
    stop = threading.Event()
    try:
        with stopping(stop), display:
            for job, evaluation in train(missing, runner, stop) if runner else ():
                store.record_evaluation(job, recipe_id, evaluation, environment())
                watcher.trained(job, evaluation)
    except (Interrupted, KeyboardInterrupt):
        display.say(f"stopped with {watcher.done} of {len(jobs)} trainings recorded in {db}; "
                    "the same command goes on from here")  # fmt: skip
        return INTERRUPTED
    finally:
        if runner:
            runner.kill()
    report(store, row.name, db, failed=watcher.failed)
    return 0


def jobs_of(row: StudyRow, architectures: Sequence[Architecture], visits: int, seeds: int) -> list[Job]:
    """The trainings, the first seed of all candidates first, so that an interrupted verification is balanced."""
    from evaluator.record import Fidelity, Job

    # One rung above the study's own; what tells these trainings apart are their seeds and their length.
    fidelity = Fidelity(rung=len(row.config["image_visits"]), image_visits=visits)
    return [
        Job(architecture=architecture, task=row.config["task"], fidelity=fidelity, seed=seed,
            recipe=row.config["recipe"], device=row.device)
        for seed in seeds_of(row, seeds) for architecture in architectures
    ]  # fmt: skip


def seeds_of(row: StudyRow, count: int) -> list[int]:
    """Seeds that all candidates share: differences between candidates are then less noisy than their scores."""
    from search.seeds import derive

    return [derive(row.seed, "verify", repeat) for repeat in range(count)]


def take_effect(store: Store, row: StudyRow, visits: int, seeds: int) -> StudyRow:
    """Record which trainings are the study's verification; fewer seeds than before leave the others counting."""
    before = row.config.get("verified") or {}
    count = max(seeds, len(before["seeds"])) if before.get("image_visits") == visits else seeds
    verified = {"image_visits": visits, "seeds": seeds_of(row, count)}
    if verified != before:
        store.update_study(row.id, config={**row.config, "verified": verified})
    fresh = store.study(row.name)
    assert fresh is not None
    return fresh


def train(jobs: Iterable[Job], engine: Engine, stop: threading.Event) -> Iterable[tuple[Job, Evaluation]]:
    """Each job with what it gave, as they finish; a failure is a failed evaluation. Raises Interrupted on `stop`."""
    from evaluator.evaluate import evaluate
    from evaluator.record import Evaluation
    from search.engines.guard import CandidateError
    from search.loop import finite
    from search.progress import Interrupted

    queue = iter(jobs)
    waiting: dict[Future[Any], Job] = {}
    while True:
        while len(waiting) < engine.workers and not stop.is_set() and (job := next(queue, None)) is not None:
            waiting[engine.submit(evaluate, job)] = job
        if not waiting and not stop.is_set():
            return
        done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            job = waiting.pop(future)
            try:
                yield job, finite(future.result())
            except CandidateError as error:
                yield job, Evaluation(state="failed", reason=str(error))
        if stop.is_set():
            raise Interrupted


class _Watcher:
    """Counts trainings and tells the display of each."""

    def __init__(self, display: Any, row: StudyRow, jobs: Sequence[Job], done: int) -> None:
        self.display, self.row, self.total, self.done = display, row, len(jobs), done
        self.failed: dict[str, list[str]] = {}
        """Architecture id -> reasons of its failed trainings."""
        self._first = done
        self._start = time.monotonic()
        self._seeds = list(dict.fromkeys(job.seed for job in jobs))

    def trained(self, job: Job, evaluation: Evaluation) -> None:
        from evaluator.metrics import METRICS
        from search.display import clock

        self.done += 1
        score = self.row.config["objectives"][0]["metric"]
        value = next((m.value for m in evaluation.measurements if m.metric == score), None)
        if evaluation.state == "failed":
            self.failed.setdefault(job.architecture.id, []).append(str(evaluation.reason))
        note = f"failed: {evaluation.reason}" if evaluation.state == "failed" else METRICS[score].show(value)
        line = (f"[{self.done:3d}/{self.total}] {job.architecture.id}  seed {self._seeds.index(job.seed) + 1} of "
                f"{len(self._seeds)}  {score.upper()} {note}")  # fmt: skip
        rate = (time.monotonic() - self._start) / (self.done - self._first)
        left = f"about {clock(rate * (self.total - self.done))} left" if self.done < self.total else ""
        failed = sum(map(len, self.failed.values()))
        self.display.advance(self.done, line, f"{failed} failed" if failed else "", left)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
