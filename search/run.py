"""python -m search.run: search the design space within a budget and leave a Pareto front in the database."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from evaluator.device import CPU, Device, needs_torch
from search.command import (
    INTERRUPTED,
    UsageError,
    call,
    check_limits_of_workers,
    find_device,
    make_engine,
    shown_database,
    stopping,
)

if TYPE_CHECKING:
    from search.engines import Engine
    from search.store import Store, StudyRow
    from search.study import Study

app = App(
    name="python -m search.run",
    help="Search the CSP design space: propose, profile, train, record. The same command goes on where it stopped.",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.default
def run(
    *,
    budget: int | None = None,
    study: Path | None = None,
    task: str | None = None,
    data: Path | None = None,
    data_size: int | None = None,
    device: str = "auto",
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
    data
        Train on your own data instead of a task: a folder (COCO, YOLO, a folder a class, CIFAR's binary files, Hugging
        Face), or a parquet file.
    data_size
        Side of the pictures that candidates train on, in pixels: a multiple of 32 from 32 to 512; 64 by default, 32
        for a classifier of pictures that are no larger.
    device
        Where candidates are trained: auto (a CUDA card where there is one), cpu or cuda.
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
    if budget is not None and budget < 1:
        raise UsageError(f"--budget is {budget}; it must be at least 1")
    if task is not None and data is not None:
        raise UsageError("--task and --data exclude each other; give one of them")
    check_limits_of_workers(workers, time_limit, memory_limit)

    from evaluator.tasks import TASKS, Analytic
    from search.store import Store
    from search.study import built_in, load

    shown = shown_database(db)
    chosen = load(study or built_in(task), budget=budget, task=task, seed=seed, limits=limit, sampler=sampler,
                  name=name, start=start, data=data, data_size=data_size)  # fmt: skip
    # A formula needs no process of its own, which would take a hundred times longer than its answer.
    analytic = isinstance(TASKS.get(chosen.task), Analytic)
    kind = "inline" if analytic and not chosen.timed and not chosen.targeted else engine
    if analytic and needs_torch(device) and device == "cuda":
        raise UsageError(f"--device is 'cuda', but task '{chosen.task}' trains nothing; leave the option out")
    place = find_device("cpu" if analytic else device)
    with Store.open(db) as store, store.lock():
        return _search(chosen, store, shown, place, resume=resume, new=new,
                       engine=lambda: make_engine(kind, workers, time_limit, memory_limit, place.kind))  # fmt: skip


def _search(study: Study, store: Store, db: str, place: Device, *, resume: bool, new: bool,
            engine: Callable[[], Engine]) -> int:  # fmt: skip
    from evaluator.tasks import TASKS
    from search.limits import check_limits
    from search.loop import Search
    from search.predictors import with_predictors
    from search.progress import Interrupted
    from search.report import Console, farewell

    earlier = None if new else store.study(study.name)
    study = with_predictors(study, store, earlier.config.get("predictors") if earlier else None)
    console = Console(study)
    if study.sampler == "grid" and study.space.num_genomes > 10_000:
        raise UsageError(
            f"sampler 'grid' goes through every one of {study.space.num_genomes:.3g} combinations; "
            "narrow the space to at most 10,000 or use screen, nsga2, nsga3, tpe or random"
        )
    for found in study.predictors.values():
        console.say(found.words())
    check_limits(study, console.say)
    notice = TASKS.get(study.task).prepare()
    if notice:
        console.say(notice)
    row = _study_row(study, store, resume=resume, new=new, place=place)
    for network, genome, changes in study.starting_points() if not store.proposals(row.id) else []:
        changed = f"; changed for this space: {', '.join(changes)}" if changes else ""
        console.say(f"starting from {network} as {study.space.build(genome).id}{changed}")
    store.update_study(row.id, state="running", message=None, config={**row.config, **_wishes(study)})
    runner = engine()
    search = Search(study, row, store, runner, console)
    state = "interrupted"
    message: str | None = "stopped by an error"
    try:
        with stopping(search.stop), console:
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
        runner.kill()
        store.update_study(row.id, state=state, message=message)
    farewell(study, row, store, summary, db)
    return 0


def _study_row(study: Study, store: Store, *, resume: bool, new: bool, place: Device = CPU) -> StudyRow:
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
        **({} if place.kind == "cpu" else {"trained_on": place.to_dict()}),
    }
    name, row = study.name, store.study(study.name)
    if row is not None and not new:
        keys = dict.fromkeys([*identity, "trained_on"])
        changed = [key for key in keys if row.config.get(key) != _plain(identity.get(key))]
        if changed:
            if "task" in changed and study.data:
                raise UsageError(_other_data(name, row.config, study))
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
    return store.create_study(name, {**identity, **_wishes(study)}, study.seed)


def _wishes(study: Study) -> dict[str, Any]:
    """What the store keeps of a study that may change when it goes on."""
    return {"budget": study.budget, "verify": study.verify}


def _other_data(name: str, config: dict[str, Any], study: Study) -> str:
    """Why a study on the user's own data cannot go on with what is there now."""
    before, now = config.get("data"), study.data
    if before is None:
        why = f"was run with the task '{config.get('task')}', not with these data"
    elif now is not None and before["size"] != now["size"]:
        why = f"was run with pictures of {before['size']} pixels, these are of {now['size']}"
    elif now is not None and before["content"] == now["content"]:
        why = "was run on the same pictures with other annotations, classes or another split"
    else:
        why = "was run on other pictures: the data have changed since"
    return f"study '{name}' {why}; add --new to start a new study beside it, or --name to name one"


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
