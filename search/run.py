"""python -m search.run: search the design space within a budget and leave a Pareto front in the database."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

if TYPE_CHECKING:
    from search.engines import Engine
    from search.store import Store, StudyRow
    from search.study import Study

USAGE = 2
"""Exit code for bad input."""
INTERRUPTED = 130

app = App(
    name="python -m search.run",
    help="Search the CSP design space: propose, profile, train, record. The same command goes on where it stopped.",
    version_flags=[],
)


class UsageError(Exception):
    """Bad input; the message is the one line that the user sees."""


@app.default
def run(
    *,
    budget: int | None = None,
    study: Path | None = None,
    task: str | None = None,
    workers: int | None = None,
    seed: int | None = None,
    db: str = "csp.db",
    name: str | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    new: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[list[str] | None, Parameter(negative="")] = None,
    sampler: str | None = None,
    start: Annotated[list[str] | None, Parameter(negative="")] = None,
    time_limit: float = 300.0,
    memory_limit: float | None = None,
    engine: Literal["process", "inline"] = "process",
) -> int:
    """Search the CSP design space.

    Parameters
    ----------
    budget
        Architectures to train; the study file's number by default (200).
    study
        Study file (TOML); by default the built-in one of the task's name, such as studies/synthetic.toml, if there is
        one, else studies/default.toml.
    task
        What candidates are trained on: scenes (detection), digits (classification), synthetic (a formula; nothing is
        trained), or package.module:name.
    workers
        Trainings at a time; one a core by default.
    seed
        Seed of the study; every job's seed derives from it.
    db
        SQLite file or SQLAlchemy URL.
    name
        Name of the study in the database; the study file's by default.
    resume
        Insist on going on: fail if there is no such study yet.
    new
        Start a new study even if one of this name exists (it gets a number).
    limit
        Keep to a limit, such as "macs <= 300e6"; may be repeated.
    sampler
        screen (counts costs, models what is measured), nsga2, nsga3, tpe, random or grid.
    start
        Begin with what is nearest to a published network (or an architecture's .json file); may be repeated.
    time_limit
        Processor seconds that one training may take.
    memory_limit
        GiB that one training may take; by default 80 % of the memory, shared by the workers.
    engine
        Where evaluations run: process (a guarded process each), or inline (in this one, for debugging).
    """
    if resume and new:
        raise UsageError("--resume and --new exclude each other; give one of them")
    for option, value in (("--budget", budget), ("--workers", workers)):
        if value is not None and value < 1:
            raise UsageError(f"{option} is {value}; it must be at least 1")
    if time_limit < 1:
        raise UsageError(f"--time-limit is {time_limit}; it must be at least 1 second")
    if memory_limit is not None and memory_limit < 0.25:
        raise UsageError(f"--memory-limit is {memory_limit}; it must be at least 0.25 GiB")

    from search.store import Store, url_of
    from search.study import built_in, load

    url = url_of(db)
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError(f"--db is '{db}': a search is kept in a file or on a server; give a path or a URL")

    shown = db if "://" not in db else url.render_as_string(hide_password=True)
    chosen = load(study or built_in(task), budget=budget, task=task, seed=seed, limits=limit, sampler=sampler,
                  name=name, start=start)  # fmt: skip
    with Store.open(db) as store, store.lock():
        return _search(chosen, store, shown, resume=resume, new=new, workers=workers or os.cpu_count() or 1,
                       time_limit=time_limit, memory_limit=memory_limit, inline=engine == "inline")  # fmt: skip


def _search(study: Study, store: Store, db: str, *, resume: bool, new: bool, workers: int, time_limit: float,
            memory_limit: float | None, inline: bool) -> int:  # fmt: skip
    import psutil

    from evaluator.tasks import TASKS, Analytic
    from search.engines.inline import InlineEngine
    from search.engines.process import ProcessEngine
    from search.limits import check_limits
    from search.loop import Search
    from search.progress import Interrupted
    from search.report import Console, farewell

    console = Console(study)
    if study.sampler == "grid" and study.space.num_genomes > 10_000:
        raise UsageError(
            f"sampler 'grid' goes through every one of {study.space.num_genomes:.3g} combinations; "
            "narrow the space to at most 10,000 or use screen, nsga2, nsga3, tpe or random"
        )
    check_limits(study, console.say)
    notice = TASKS.get(study.task).prepare()
    if notice:
        console.say(notice)
    row = _study_row(study, store, resume=resume, new=new)
    for network, genome, changes in study.starting_points() if not store.proposals(row.id) else []:
        changed = f"; changed for this space: {', '.join(changes)}" if changes else ""
        console.say(f"starting from {network} as {study.space.build(genome).id}{changed}")
    store.update_study(row.id, state="running", message=None, config={**row.config, "budget": study.budget})
    memory = memory_limit or psutil.virtual_memory().total / 2**30 * 0.8 / workers
    engine: Engine = ProcessEngine(workers, cpu_seconds=time_limit, memory_bytes=int(memory * 2**30))
    if inline or (isinstance(TASKS.get(study.task), Analytic) and not study.timed):
        # A formula needs no process of its own, which would take a hundred times longer than its answer.
        engine = InlineEngine()
    search = Search(study, row, store, engine, console)

    def stop(number: int, _: Any) -> None:
        if search.stop.is_set():  # a second time: now
            raise KeyboardInterrupt
        search.stop.set()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    state = "interrupted"
    message: str | None = "stopped by an error"
    try:
        with console:
            summary = search.run()
        state, message = ("stopped" if summary.stopped else "complete"), summary.stopped
    except (Interrupted, KeyboardInterrupt):
        message = "stopped by the user"
        console.say(
            f"stopped with {search.summary.admitted} of {study.budget} candidates recorded in {db}; "
            + (f"go on with --name {row.name} instead of --new" if new else "the same command goes on from here")
        )
        return INTERRUPTED
    finally:
        engine.kill()
        store.update_study(row.id, state=state, message=message)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    farewell(study, row, store, summary, db)
    return 0


def _study_row(study: Study, store: Store, *, resume: bool, new: bool) -> StudyRow:
    """The study's row: the one to go on with, or a new one. Raises UsageError when that is not clear."""
    from evaluator.recipe import recipe_for
    from evaluator.record import environment
    from evaluator.tasks import TASKS

    task = TASKS.get(study.task)
    identity = {
        **study.identity(),
        "recipe_id": recipe_for(task, study.recipe).id(task),
        "deployment_id": study.deployment.id,
        # Latencies of two machines have no place on one front.
        "device": environment().host,
    }
    name, row = study.name, store.study(study.name)
    if row is not None and not new:
        changed = [key for key, value in identity.items() if row.config.get(key) != _plain(value)]
        if changed:
            raise UsageError(
                f"study '{name}' was run with another {', '.join(changed)}; add --new to start a new study beside it, "
                "or --name to name one"
            )
        return row
    if resume:
        names = ", ".join(repr(other.name) for other in store.studies()) or "none"
        raise UsageError(f"there is no study '{name}' to resume; studies here: {names}")
    if row is not None:
        taken = {other.name for other in store.studies()}
        name = next(f"{study.name}-{n}" for n in itertools.count(2) if f"{study.name}-{n}" not in taken)
    return store.create_study(name, {**identity, "budget": study.budget}, study.seed)


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
    except (CycloptsError, UsageError, ValueError) as error:
        # ValueError is what the parts raise for bad input (StudyError, StoreError, SpaceError, TaskError).
        if isinstance(error, ValueError) and not _ours(error):
            raise
        text = " ".join(str(error).split())
        print(f"error: {text}", file=sys.stderr)
        return USAGE
    return int(code or 0)


def _ours(error: ValueError) -> bool:
    return type(error).__module__.split(".")[0] in ("search", "space", "evaluator")


if __name__ == "__main__":
    sys.exit(main())
