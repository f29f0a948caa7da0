"""python -m search.audit: does the score of a study tell architectures apart, and better than counting does?"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from search.command import (
    INTERRUPTED,
    UsageError,
    call,
    check_limits_of_workers,
    engine_of,
    open_to_read,
    shown_database,
    stopping,
)
from search.engines.batches import each_alone
from search.selection import study_of

if TYPE_CHECKING:
    from evaluator.record import Job
    from search.engines import Engine
    from search.evidence import Facts
    from search.store import Store, StudyRow
    from space.architecture import Architecture

TIME_LIMIT = 300.0
"""Processor seconds of one training, as in a search."""
BATCH = 10
"""Candidates whose zero-cost scores one process computes."""

app = App(
    name="python -m search.audit",
    help="Tell whether a study's score separates architectures, and ranks them better than MACs alone.",
    version_flags=[],
)


@app.default
def run(
    *,
    db: str = "csp.db",
    name: str | None = None,
    seeds: int | None = None,
    candidates: int | None = None,
    zero_cost: Annotated[bool, Parameter(negative="")] = False,
    workers: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    engine: Literal["process", "inline"] | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Audit the score of a study: from what is stored, or after measuring what is asked for.

    Parameters
    ----------
    db
        SQLite file or SQLAlchemy URL that holds the study.
    name
        Name of the study; by default the one that changed last.
    seeds
        Measure the noise: train candidates with N more seeds each (2 where only --candidates is given).
    candidates
        How many, drawn at random from the complete ones (8 where only --seeds is given).
    zero_cost
        Compute synflow, naswot, grad_norm and zen of every complete candidate that lacks them.
    workers
        Trainings at a time; one a core by default.
    time_limit
        Processor seconds that one training may take; 300 by default.
    memory_limit
        GiB that one training may take; by default 80 % of the memory, shared by the workers.
    engine
        Where trainings run: process (a guarded process each, the default), or inline (in this one, for debugging).
    json
        Print one JSON object instead of tables.
    """
    for option, count in (("--seeds", seeds), ("--candidates", candidates)):
        if count is not None and not 1 <= count <= 10_000:
            raise UsageError(f"{option} is {count}; it must be 1 to 10,000")
    check_limits_of_workers(workers, time_limit, memory_limit)
    repeats = seeds is not None or candidates is not None
    if not repeats and not zero_cost:
        given = {"--workers": workers, "--time-limit": time_limit, "--memory-limit": memory_limit, "--engine": engine}
        for option, value in given.items():
            if value is not None:
                raise UsageError(
                    f"{option} is for measuring, and nothing is to be measured: add --seeds or --zero-cost"
                )

    from search.audit_report import report
    from search.evidence import CANDIDATES, SEEDS, gather
    from search.store import Store

    shown = shown_database(db)
    if not repeats and not zero_cost:
        with open_to_read(db) as store:
            return report(gather(store, _study(store, name)), shown, json)
    with Store.open(db, create=False) as store, store.lock():
        row = _study(store, name)
        facts = gather(store, row)
        work = Work(store, facts)
        if zero_cost:
            work.plan_scores()
        if repeats:
            work.plan_repeats(seeds or SEEDS, candidates or CANDIDATES)
        if work.jobs or work.batches:
            runner = engine_of(row, engine or "process", workers, time_limit or TIME_LIMIT, memory_limit)
            if not _finished(work, runner):
                say(f"stopped; what is finished is in {shown}, the same command goes on from here")
                return INTERRUPTED
        return report(gather(store, row), shown, json)


def _study(store: Store, name: str | None) -> StudyRow:
    found = study_of(store, name)
    if "complete" not in set(store.frame(found.name)["state"]):
        raise UsageError(f"study '{found.name}' has no complete candidate to audit; go on with `python -m search.run`")
    return found


# -- measuring


def _finished(work: Work, engine: Engine) -> bool:
    stop = threading.Event()
    try:
        with stopping(stop):
            return work.run(engine, stop)
    except KeyboardInterrupt:
        return False
    finally:
        engine.kill()


class Work:
    """What is to be measured. Every result is recorded as it comes; what is recorded is not planned again."""

    def __init__(self, store: Store, facts: Facts) -> None:
        from evaluator.recipe import recipe_for
        from evaluator.tasks import TASKS

        self.store, self.facts, self.row = store, facts, facts.study
        config = self.row.config
        self.task, self.recipe, self.recipe_id = config["task"], config.get("recipe", {}), config["recipe_id"]
        task = TASKS.get(self.task)
        if recipe_for(task, self.recipe).id(task) != self.recipe_id:
            raise UsageError(
                f"study '{self.row.name}' was trained with another recipe or other data than this version's, so more "
                "measurements would not compare; search anew with `python -m search.run --new`"
            )
        notice = task.prepare()
        if notice:
            say(notice)
        self.jobs: list[Job] = []
        self.batches: list[list[Architecture]] = []

    def plan_repeats(self, seeds: int, candidates: int) -> None:
        """`seeds` more trainings of random candidates, the first of all candidates first."""
        from evaluator.record import Fidelity, Job
        from search.evidence import shuffled
        from search.seeds import job_seed

        known = shuffled(self.facts)
        if candidates > len(known):
            say(f"the study has {len(known)} candidates with a score, not {candidates}: all of them are repeated")
        visits = self.row.config.get("image_visits", [self.facts.image_visits])
        fidelity = Fidelity(rung=len(visits) - 1, image_visits=visits[-1])
        chosen = [a for identity in known[:candidates] if (a := self.store.architecture(identity)) is not None]
        wanted = [
            Job(architecture=architecture, task=self.task, fidelity=fidelity, recipe=self.recipe,
                seed=job_seed(self.row.seed, repeat), device=self.row.device)
            for repeat in range(1, seeds + 1) for architecture in chosen
        ]  # fmt: skip
        self.jobs = [job for job in wanted if self.store.evaluation(job, self.recipe_id) is None]
        done = f"; {len(wanted) - len(self.jobs)} of them are stored already" if len(self.jobs) < len(wanted) else ""
        say(f"-- {len(chosen)} candidates, {seeds} more seeds each, {visits[-1]:,} image visits: "
            f"{len(wanted)} trainings{done}")  # fmt: skip

    def plan_scores(self) -> None:
        """Zero-cost scores of the complete candidates that lack one. Raises TaskError where the task has no images."""
        from evaluator.tasks import TASKS

        TASKS.get(self.task).load("train")
        lacking = [a for i in self.facts.ids if self._lacks(i) and (a := self.store.architecture(i)) is not None]
        self.batches = [lacking[first : first + BATCH] for first in range(0, len(lacking), BATCH)]
        say(f"-- zero-cost scores: {len(lacking)} of {len(self.facts.ids)} candidates lack them")

    def _lacks(self, identity: str) -> bool:
        from evaluator.metrics import ZERO_COST

        key = self.task, self.recipe_id, self.row.seed
        stored = {
            found["metric"] for found in self.store.measurements(identity)
            if (found["task"], found["recipe"], found["seed"]) == key and not found["detail"].get("failed")
        }  # fmt: skip
        return not stored.issuperset(ZERO_COST)

    def run(self, engine: Engine, stop: threading.Event) -> bool:
        """Measure all that is planned; False if it was stopped before the end."""
        from evaluator.evaluate import evaluate, score_untrained

        scored, number = 0, sum(map(len, self.batches))
        for batch, rows in each_alone(engine, score_untrained, self.batches, stop,
                                 lambda batch: (batch, self.task, self.recipe, self.row.seed)):  # fmt: skip
            if isinstance(rows, str) and len(batch) > 1:  # halves, until the culprit is alone
                middle = len(batch) // 2
                self.batches += [batch[:middle], batch[middle:]]
                continue
            for architecture, found in zip(batch, [self._failed(rows)] if isinstance(rows, str) else rows, strict=True):
                self.store.record(architecture, found)
            scored += len(batch)
            say(f"[{scored:3d}/{number}] zero-cost scores" + (f"  failed: {rows}" if isinstance(rows, str) else ""))
        for count, (job, found) in enumerate(each_alone(engine, evaluate, self.jobs, stop, lambda job: (job,)), 1):
            self._record(job, found, f"[{count:3d}/{len(self.jobs)}]")
        return not stop.is_set()

    def _failed(self, reason: str) -> list[Any]:
        """Rows for a candidate whose process did not survive: tried again by the next command."""
        from evaluator.metrics import METRICS, ZERO_COST
        from evaluator.record import Measurement, environment

        return [
            Measurement(metric=name, value=None, unit=METRICS[name].unit, reason=reason, task=self.task,
                        recipe=self.recipe_id, image_visits=0, seed=self.row.seed, detail={"failed": True},
                        environment=environment())
            for name in ZERO_COST
        ]  # fmt: skip

    def _record(self, job: Job, found: Any, label: str) -> None:
        from evaluator.metrics import METRICS
        from evaluator.record import Evaluation, environment
        from search.loop import finite

        evaluation = Evaluation(state="failed", reason=found) if isinstance(found, str) else finite(found)
        self.store.record_evaluation(job, self.recipe_id, evaluation, environment())
        score = self.facts.score
        value = next((m.value for m in evaluation.measurements if m.metric == score), None)
        result = f"failed: {evaluation.reason}" if evaluation.state == "failed" else METRICS[score].show(value)
        say(f"{label} {job.architecture.id}  {score} {result}")


def say(text: str) -> None:
    """One line for the person watching."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
