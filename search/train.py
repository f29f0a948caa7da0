"""python -m search.train ID --data PATH --epochs N: train the chosen variant in full, at the size it will run at."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from search.command import INTERRUPTED, UsageError, call, find_device, shown_database, stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evaluator.full_recipe import FullRecipe
    from evaluator.tasks import Task
    from search.find import Found
    from search.store import Store

RUN = "run.json"
"""What tells a run from others; every folder of a run has it."""
DEFAULT_SIZE = 256
FAILED = 1

app = App(
    name="python -m search.train",
    help="Train a candidate in full, and leave its weights. The same command goes on where it stopped.",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.default
def run(
    network: str,
    /,
    *,
    epochs: int,
    data: Path | None = None,
    task: str | None = None,
    size: int | None = None,
    batch: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    db: str = "csp.db",
    name: str | None = None,
) -> int:
    """Train one network in full.

    Parameters
    ----------
    network
        Id of a candidate (or its beginning), an architecture's .json or .toml file, or a published network's name.
    epochs
        Times that every training picture is seen.
    data
        Your own data, as for search.run.
    task
        scenes or digits, instead of data; by default the task of the candidate's study.
    size
        Side of the pictures in pixels, a multiple of 32: 32 to 512 for data, 64 to 256 for scenes; by default the
        larger side of the study's deployment, or 256.
    batch
        Pictures of one step; the task's own number by default (32 for a detector).
    device
        auto (a CUDA card where there is one), cpu or cuda.
    threads
        Threads of the processor; all cores by default. Results repeat to the last bit only with as many.
    seed
        Seed of everything that is drawn.
    output
        Folder of the run: weights, log, checkpoint; runs/<id>-<task>-<epochs>-<seed> by default.
    resume
        Insist on going on: fail if the folder holds no such run yet.
    db
        SQLite file or SQLAlchemy URL that holds the candidate; the result is recorded there.
    name
        The study to look in; all by default, the one that changed last first.
    """
    for option, value, most in (("epochs", epochs, 10**6), ("batch", batch, 4096), ("threads", threads, 1024)):
        if value is not None and not 1 <= value <= most:
            raise UsageError(f"--{option} is {value}; it must be 1 to {most}")
    if data is not None and task is not None:
        raise UsageError("--task and --data exclude each other; give one of them")
    if not 0 <= seed < 2**31:
        raise UsageError(f"--seed is {seed}; it must be 0 to {2**31 - 1}")

    from evaluator.full_recipe import full_recipe

    with ExitStack() as stack:
        store = _open(db, network, name)
        if store is not None:
            stack.callback(store.close)
        from search.find import find

        found = find(network, store, name)
        place = find_device(device)
        chosen = _task(found, data, task, size)
        full = full_recipe(chosen, epochs=epochs, batch=batch)
        training = _Training(network, found, chosen, full, seed, place.kind, threads, output, resume)
        with _held(training.folder):
            code = training.run()
            if code == 0:
                training.publish(store, shown_database(db))
    return code


def _open(db: str, network: str, name: str | None) -> Store | None:
    """The database if it is there; None where nothing of it is asked for."""
    from search.find import is_file
    from search.store import DEFAULT_PATH, Store

    shown_database(db)
    is_id = not is_file(network) and set(network.lower()) <= set("0123456789abcdef")
    if db == DEFAULT_PATH and name is None and not is_id and not Path(db).exists():
        return None
    return Store.open(db, create=False)


def _task(found: Found, data: Path | None, name: str | None, size: int | None) -> Task:
    """What to train on, at the size that is wanted. Raises UsageError, TaskError."""
    from evaluator.data.build import prepare
    from evaluator.tasks import TASKS, Analytic

    deployment = found.row.config["deployment"] if found.row else {"height": DEFAULT_SIZE, "width": DEFAULT_SIZE}
    wanted = size or max(deployment["height"], deployment["width"])
    if data is not None:
        task: Task = prepare(data, wanted)
    else:
        name = name or (found.row.config["task"] if found.row else None)
        if name is None or name.startswith("data:"):
            raise UsageError("say what to train on: --data PATH, or --task scenes")
        task = TASKS.get(name)
        if name == "scenes":
            task = TASKS.get(f"scenes@{wanted}" if wanted != task.size else name)
        elif size not in (None, task.size):
            raise UsageError(
                f"--size is {size}, but the pictures of task '{name}' have {task.size} pixels; leave it out"
            )
    if isinstance(task, Analytic):
        raise UsageError(f"task '{task.name}' is a formula: nothing can be trained on it; use scenes or --data")
    kind = found.architecture.head.kind
    if kind != task.head_kind:
        raise UsageError(f"{found.title} has a {kind}'s head, and {task.name} needs a {task.head_kind}'s; name another "
                         "network or other data")  # fmt: skip
    return task


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder of a run, which one process at a time may write."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"cannot write '{folder}': {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            f"another process trains in '{folder}'; wait for it, or name another folder with -o"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


class _Training:
    """One run in its folder."""

    def __init__(self, network: str, found: Found, task: Task, full: FullRecipe, seed: int, device: str,
                 threads: int | None, output: Path | None, resume: bool) -> None:  # fmt: skip
        self.network, self.found, self.task, self.full = network, found, task, full
        self.seed, self.device = seed, device
        self.threads = threads or len(os.sched_getaffinity(0))
        self.recipe_id = full.id(task)
        place = "".join(c if c.isalnum() or c in "-." else "-" for c in task.name)
        self.folder = output or Path("runs") / f"{found.architecture.id}-{place}-{full.epochs}-{seed}"
        self.identity = {"id": found.architecture.id, "task": task.name, "size": task.size, "epochs": full.epochs,
                         "batch": full.batch, "seed": seed, "device": device, "recipe_id": self.recipe_id}  # fmt: skip
        self.history: list[dict[str, float]] = []
        self._check(resume)

    def _check(self, resume: bool) -> None:
        """Raise UsageError where the folder is another's."""
        kept = self.folder / RUN
        if not kept.exists():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise UsageError(f"'{self.folder}' holds something else than a run; name another folder with -o")
            if resume:
                raise UsageError(f"there is no run in '{self.folder}' to resume")
            return
        try:
            before = json.loads(kept.read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"'{kept}' cannot be read ({error}); name another folder with -o") from error
        changed = [f"{key} {before.get(key)}, not {value}" for key, value in self.identity.items()
                   if before.get(key) != value]  # fmt: skip
        if changed:
            raise UsageError(f"'{self.folder}' holds another run ({changed[0]}); name another folder with -o")

    def _mark(self) -> None:
        """Say whose the folder is, once and whole: what a full disk leaves half-written could not be gone on from."""
        if not (self.folder / RUN).exists():
            scratch = self.folder / f".{RUN}"
            scratch.write_text(json.dumps(self.identity, indent=1) + "\n")
            scratch.replace(self.folder / RUN)

    def about(self) -> dict[str, Any]:
        """What the weights say of themselves."""
        from evaluator.interface import interface_of
        from evaluator.record import environment
        from search.card import command

        architecture = self.found.architecture.canonical()
        return {
            "id": architecture.id, "architecture": architecture.to_dict(), "weights": "full",
            "interface": interface_of(self.task, self.full.base(self.task)).to_dict(), "task": self.task.name,
            "data": self.task.version, "recipe_id": self.recipe_id, "recipe": self.full.to_dict(self.task),
            "epochs": self.full.epochs, "seed": self.seed, "device": self.device, "threads": self.threads,
            "environment": environment().to_dict(), "command": command("python", "-m", "search.train", *sys.argv[1:]),
        }  # fmt: skip

    def run(self) -> int:
        """Train, or go on; the exit code."""
        from evaluator.full import STATE, train_full
        from evaluator.journal import Journal
        from evaluator.train import LossNotFinite
        from search.engines.guard import set_threads
        from space.lower import lower
        from space.module import Network

        stop = threading.Event()
        with stopping(stop):
            if notice := self.task.prepare():
                self.say(notice)
            set_threads(self.threads)
            anchors = self.task.anchors().shape[1] if self.task.head_kind == "detector" else self.found.num_anchors
            graph = lower(self.found.architecture, self.task.size, self.task.size, num_classes=self.task.num_classes,
                          num_anchors=anchors)  # fmt: skip
            if (self.folder / "last.safetensors").exists() and not (self.folder / STATE).exists():
                self.say("note: the checkpoint of this run is gone, so it begins again")
            self._mark()
            journal: Journal | None = None

            def watch(history: list[dict[str, float]]) -> None:
                nonlocal journal
                if journal is None:
                    journal = Journal(self.folder, len(history) - 1)
                    if journal.note:
                        self.say(journal.note)
                journal.write(history)
                self._line(history)

            self.say(f"training {self.found.title} on {self.task.name} at {self.task.size} pixels for "
                     f"{self.full.epochs} epochs in {self.folder} ({self.device}, {self.threads} threads)")  # fmt: skip
            try:
                history = train_full(
                    Network(graph), self.task, self.full, seed=self.seed, device=self.device, folder=self.folder,
                    about=self.about(), stopped=stop.is_set, watch=watch,
                )  # fmt: skip
            except LossNotFinite as error:
                print(f"error: {error}: the training diverged; try a larger --batch or another --seed", file=sys.stderr)
                return FAILED
            finally:
                if journal is not None:
                    journal.close()
        if history is None:
            self.say(f"stopped; the same command goes on from here ({self.folder})")
            return INTERRUPTED
        self.history = history
        return 0

    def _line(self, history: list[dict[str, float]]) -> None:
        from evaluator.full import best_epoch
        from search.display import clock

        point, objective = history[-1], self.task.objective
        best = best_epoch(history, objective)
        left = point["seconds"] / len(history) * (self.full.epochs - len(history))
        self.say(f"[{len(history):3d}/{self.full.epochs}] loss {point['loss']:.3f}  "
                 f"{objective.upper()} {point.get(objective, math.nan):.3f}  best "
                 f"{history[best - 1].get(objective, math.nan):.3f} in epoch {best}"
                 + (f"   (about {clock(left)} left)" if left else ""))  # fmt: skip

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def publish(self, store: Store | None, db: str) -> None:
        """Put the weights where `search.export --weights best` finds them, record the result, and say what is next."""
        from evaluator.full import best_epoch
        from search.card import command
        from search.weights import cached

        best = best_epoch(self.history, self.task.objective)
        point = self.history[best - 1]
        name = f"{self.found.architecture.id}-{self.recipe_id}-{self.seed}"
        try:
            cached(name).parent.mkdir(parents=True, exist_ok=True)
            scratch = cached(name).with_suffix(f".{os.getpid()}")
            shutil.copyfile(self.folder / "best.safetensors", scratch)
            scratch.replace(cached(name))
        except OSError as error:
            self.say(f"note: the weights are in {self.folder} only ({error.strerror or error})")
        score = self.task.objective
        print(f"{self.folder / 'best.safetensors'}: {score} {point.get(score, math.nan):.3f}, epoch {best} of "
              f"{self.full.epochs}, chosen on the validation pictures that it is measured on")  # fmt: skip
        print(f"{self.folder / 'last.safetensors'}: {score} {self.history[-1].get(score, math.nan):.3f}")
        where = [] if db == "csp.db" else ["--db", db]
        line = command("python", "-m", "search.export", self.network, "--to", "onnx", "--weights",
                       self.folder / "best.safetensors", "-o", "exported", *where)  # fmt: skip
        print(f"next: {line}")
        if store is not None and store.architecture(self.found.architecture.id) is not None:
            self._record(store, point, best, name)  # a database that is busy is no reason to hide the result
            self.say(f"recorded in {db}")

    def _record(self, store: Store, point: dict[str, float], best: int, name: str) -> None:
        from evaluator.device import find
        from evaluator.metrics import METRICS
        from evaluator.record import Evaluation, Fidelity, Job, Measurement, environment

        visits = self.full.epochs * len(self.task.load("train").images)
        job = Job(architecture=self.found.architecture, task=self.task.name, seed=self.seed, device=self.device,
                  fidelity=Fidelity(rung=0, image_visits=visits))  # fmt: skip
        if store.evaluation(job, self.recipe_id) is not None:
            return
        where = find(self.device)
        detail = {"training": "full", "epochs": self.full.epochs, "best_epoch": best, "size": self.task.size,
                  "weights": name}  # fmt: skip
        values = {key: value for key, value in point.items() if key in METRICS}
        values |= {"train_seconds": self.history[-1]["seconds"]}
        rows = [Measurement(metric=key, value=value, unit=METRICS[key].unit, task=job.task, recipe=self.recipe_id,
                            rung=0, image_visits=visits, seed=self.seed, device=where.name,
                            precision=where.precision if where.name else None, detail=detail,
                            environment=environment()) for key, value in values.items()]  # fmt: skip
        each = visits // self.full.epochs
        curve = [{**{k: v for k, v in p.items() if k not in ("epoch", "seconds")}, "image_visits": p["epoch"] * each}
                 for p in self.history]  # fmt: skip
        evaluation = Evaluation(state="complete", measurements=rows, curve=curve, seconds=values["train_seconds"])
        with store.lock():
            store.record_evaluation(job, self.recipe_id, evaluation, environment())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
