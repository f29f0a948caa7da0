"""python -m evaluator.calibrate: a latency table of this machine, for networks that nobody has measured.

The one module of `evaluator` that knows the store: it is a command, and keeps what it found.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from search.command import INTERRUPTED, UsageError, call, shown_database, stopping

if TYPE_CHECKING:
    from evaluator.backends import Backend
    from evaluator.calibration import Specimen, Timings
    from evaluator.calibration_report import Report
    from evaluator.latency_table import LatencyTable
    from evaluator.target import Target
    from search.display import Display
    from search.store import Store
    from search.study import Study

MINUTES = 3.0
LONGEST = 60.0
CALIBRATING = 0.8
"""Share of the time for the calibration; the rest is the report's."""
SEED = 0
REPORT_SEED = 1

app = App(
    name="python -m evaluator.calibrate",
    help="Measure kernels and networks of a design space on this machine, and keep what predicts their latency.",
    version_flags=[],
)


@app.default
def run(
    *,
    device: str = "host",
    backend: str = "onnxruntime",
    precision: str | None = None,
    threads: int | None = None,
    batch: int | None = None,
    db: str = "csp.db",
    study: str | None = None,
    minutes: float = MINUTES,
    report: Annotated[bool, Parameter(negative="")] = False,
    force: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Calibrate, store the table, and report its error on networks that it never saw.

    Parameters
    ----------
    device
        The machine to measure: host, which is this one.
    backend
        Runtime to measure with.
    precision
        fp32, or what else the backend runs; by default the study's.
    threads
        Threads of one inference; by default the study's.
    batch
        Images of one inference; by default the study's.
    db
        SQLite file or SQLAlchemy URL that keeps the table.
    study
        Study file whose space and deployment are calibrated; the default study unless given.
    minutes
        How long it may take in all, 0.05 to 60; a fifth of it is the report's.
    report
        Calibrate nothing: report the error of the newest table that is stored.
    force
        Measure even if the machine is busy.
    json_
        Print one JSON object instead of the report.
    """
    if not 0.05 <= minutes <= LONGEST:
        raise UsageError(f"--minutes is {minutes:g}; it must be 0.05 to {LONGEST:g}")
    for name, value, most in (("threads", threads, os.cpu_count() or 1), ("batch", batch, 1024)):
        if value is not None and not 1 <= value <= most:
            raise UsageError(f"--{name} is {value}; it must be 1 to {most}")
    job = _job(device, backend, precision, threads, batch, study)
    shown = shown_database(db)
    _check_quiet(job.target.deployment.threads, force)
    _check_runs(job)

    from search.store import Store

    stop = threading.Event()
    with Store.open(db, create=not report) as store, stopping(stop):
        try:
            if report:
                table: LatencyTable | None = _stored(store, job.target)
            else:
                with store.lock():
                    table = _calibrate(job, store, minutes * 60 * CALIBRATING, shown, stop.is_set)
            if table is None:
                return INTERRUPTED
            made = _report(job, table, minutes * 60 * (1 if report else 1 - CALIBRATING), stop.is_set)
        except KeyboardInterrupt:  # asked for twice
            return INTERRUPTED
    if made is None:
        print("stopped; the table is stored, and --report makes the report", file=sys.stderr)
        return INTERRUPTED
    _print(made, json_)
    return 0


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is calibrated: a target, its runtime, and the study that networks are drawn from."""

    target: Target
    backend: Backend
    study: Study

    @property
    def space(self) -> str:
        """Digest of the design space."""
        from evaluator.record import digest

        return digest([self.study.space_data, self.study.space.head])


def _job(device: str, backend: str, precision: str | None, threads: int | None, batch: int | None,
         path: str | None) -> _Job:  # fmt: skip
    from evaluator.backends import BACKENDS
    from evaluator.record import environment
    from evaluator.target import HOST, target
    from search.study import DEFAULT, load
    from space.cost import BYTES
    from space.registry import unknown

    here = environment().host
    if device not in (HOST, here):
        raise UsageError(f"--device is '{device}', and only this machine, 'host', can be calibrated here; another one "
                         "comes with `python -m search.bundle` and `python -m search.ingest`")  # fmt: skip
    if precision is not None and precision not in BYTES:
        raise UsageError(f"--precision: {unknown('precision', precision, list(BYTES))}")
    study = load(path or DEFAULT)
    own = study.deployment
    deployment = replace(
        own, precision=precision or own.precision, threads=threads or own.threads, batch=batch or own.batch
    )
    try:
        runtime = BACKENDS.get(backend)
    except ValueError as error:
        raise UsageError(f"--backend: {error}") from error
    return _Job(target=target(HOST, deployment, backend=backend), backend=runtime, study=study)


def _check_quiet(threads: int, force: bool) -> None:
    """Raise UsageError where other work leaves no core for the threads that are measured."""
    load, limit = os.getloadavg()[0], _free_load(threads)
    if load > limit and not force:
        raise UsageError(
            f"the machine is not quiet: its load average is {load:.1f}, and only up to {limit:.1f} leaves {threads} of "
            f"{os.cpu_count()} cores free; wait until it is, or measure anyway with --force"
        )


def _free_load(threads: int) -> float:
    return max(0.5, (os.cpu_count() or 1) - threads)


def _check_runs(job: _Job) -> None:
    """Raise UsageError where the runtime is missing, or refuses the deployment."""
    import numpy as np

    from evaluator.calibration import lowered, random_networks

    [network] = random_networks(job.study.space, 1, np.random.default_rng(SEED))
    try:
        job.backend(lowered(network, job.target.deployment), job.target.deployment)()
    except (ImportError, ValueError) as error:
        raise UsageError(str(error)) from error


# -- calibrating


def _calibrate(job: _Job, store: Store, seconds: float, shown: str, stop: Callable[[], bool]) -> LatencyTable | None:
    """The fitted table, stored; None if it was stopped before."""
    from evaluator.calibration import Progress, calibration_set, time_graphs
    from evaluator.record import digest, environment
    from search.display import Display

    target, deployment = job.target, job.target.deployment
    specimens = calibration_set(job.study.space, deployment, seed=SEED)
    graphs = [specimen.graph(deployment) for specimen in specimens]
    key = digest([target.device, target.backend, deployment.id, environment().id, job.space,
                  [specimen.to_dict() for specimen in specimens]])  # fmt: skip
    progress, display = Progress(key), Display("calibrate", round(seconds))
    networks = sum(specimen.kernel is None for specimen in specimens)
    display.phase(f"timing {networks} networks and {len(graphs) - networks} kernels of study '{job.study.name}' on "
                  f"{target} for {seconds:.0f} s: {deployment}")  # fmt: skip
    with display:
        timings = time_graphs(graphs, job.backend, deployment, seconds=seconds, progress=progress, stop=stop,
                              watch=_Watcher(display, seconds))  # fmt: skip
    if timings.resumed:
        display.say(f"went on from {timings.resumed} heats of an earlier run")
    if stop():
        display.say(f"stopped with {timings.heats} heats timed; the same command goes on from here within a day")
        return None
    table = _fitted(job, specimens, graphs, timings)
    if max(timings.load) > _free_load(deployment.threads) + 1:
        display.say(f"the machine was not quiet meanwhile: its load average rose to {max(timings.load):.1f}")
    store.add_latency_table(device=target.device, backend=target.backend, precision=deployment.precision,
                            batch=deployment.batch, threads=deployment.threads, data=table.to_dict(),
                            environment=environment())  # fmt: skip
    progress.remove()
    display.say(f"the latency table of {target} is in {shown}")
    return table


def _fitted(job: _Job, specimens: list[Specimen], graphs: list[Any], timings: Timings) -> LatencyTable:
    import numpy as np

    from evaluator.calibration_report import line
    from evaluator.latency_table import FEWEST_NETWORKS, fit

    times = timings.latency_ms()
    networks = [i for i in times if specimens[i].kernel is None]
    if len(networks) < FEWEST_NETWORKS:
        raise UsageError(
            f"{len(networks)} networks were timed in {timings.seconds:.0f} s, and {FEWEST_NETWORKS} are the fewest to "
            "fit: give more --minutes, and the command goes on from here"
        )
    calibrated = {
        "device": job.target.device,
        "backend": job.target.backend,
        "deployment": job.target.deployment.to_dict(),
        "study": job.study.name,
        "space": job.space,
        "seed": SEED,
        "seconds": timings.seconds,
        "rounds": min(len(timings.wall_ms[i]) for i in times),
        "repeatability": timings.repeatability(),
        "load_average": [min(timings.load), max(timings.load)],
        "macs_line": line([graphs[i] for i in networks], np.array([times[i] for i in networks])),
        "times_ms": [times.get(i) for i in range(len(graphs))],  # of `calibration_set`, in its order
    }
    return fit([(graphs[i], ms) for i, ms in times.items()], calibrated=calibrated)


class _Watcher:
    """Tells the display every few seconds where the timing stands."""

    EVERY_SECONDS = 5.0

    def __init__(self, display: Display, seconds: float) -> None:
        self._display, self._seconds, self._next = display, seconds, 0.0

    def __call__(self, timings: Timings, heats: int) -> None:
        from search.display import clock

        if timings.seconds < min(self._next, self._seconds):
            return
        self._next = timings.seconds + self.EVERY_SECONDS
        done, whole = min(timings.seconds, self._seconds), timings.heats // heats
        line = f"{timings.heats} heats timed; all graphs {whole}×"
        left = f"about {clock(self._seconds - done)} left" if done < self._seconds else ""
        self._display.advance(round(done), line, "", left)


# -- reporting


def _stored(store: Store, target: Target) -> LatencyTable:
    from evaluator.latency_table import LatencyTable

    wanted = target.deployment
    for row in store.latency_tables(device=target.device, backend=target.backend):
        if (row["precision"], row["batch"], row["threads"]) == (wanted.precision, wanted.batch, wanted.threads):
            try:
                return LatencyTable.from_dict(row["data"])
            except ValueError as error:
                raise UsageError(str(error)) from error
    raise UsageError(f"no latency table of {target}, batch {wanted.batch}, {wanted.threads} threads is stored; "
                     "calibrate first: leave out --report")  # fmt: skip


def _report(job: _Job, table: LatencyTable, seconds: float, stop: Callable[[], bool]) -> Report | None:
    """Measure networks that calibration never saw, and compare; None if it was stopped before."""
    import numpy as np

    from evaluator.calibration import calibration_set, lowered, random_networks, time_graphs
    from evaluator.calibration_report import UNSEEN, report
    from search.display import Display

    display = Display("report", round(seconds))
    deployment, space = job.target.deployment, job.study.space
    if table.calibrated.get("space") != job.space:
        display.say(f"the table was calibrated for another space, that of study '{table.calibrated.get('study')}'")
    seen = [s.architecture.id for s in calibration_set(space, deployment, seed=SEED) if s.architecture]
    networks = random_networks(space, UNSEEN, np.random.default_rng((SEED, REPORT_SEED)), without=seen)
    if not networks:
        raise UsageError(f"the space of study '{job.study.name}' has no network that the calibration did not see")
    graphs = [lowered(network, deployment) for network in networks]
    display.phase(f"timing {len(graphs)} networks that the calibration never saw for {seconds:.0f} s")
    with display:
        timings = time_graphs(graphs, job.backend, deployment, seconds=seconds, seed=REPORT_SEED, stop=stop,
                              watch=_Watcher(display, seconds))  # fmt: skip
    times = timings.latency_ms()
    if stop() or len(times) < 2:
        return None
    timed = sorted(times)
    return report(
        table,
        [networks[i] for i in timed],
        [graphs[i] for i in timed],
        np.array([times[i] for i in timed]),
        target=f"{job.target}",
        deployment=deployment,
        repeatability=timings.repeatability(),
        rounds=min(len(timings.wall_ms[i]) for i in timed),
        load_average=[min(timings.load), max(timings.load)],
    )


def _print(made: Report, as_json: bool) -> None:
    from evaluator.calibration_report import markdown

    if as_json:
        print(json.dumps(_finite(made.to_dict())))
    else:
        print(markdown(made))


def _finite(value: Any) -> Any:
    """`value` with null in the place of what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
