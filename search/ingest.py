"""python -m search.ingest results.json: take in what `measure.py` of a bundle measured on a device that is not here.

Every run (one network on one runtime) is checked and stored on its own, all of its rows or none: a file that was cut
off, edited or names unknown candidates is refused in part, each part with its reason. Checksums tell accidents and
edits; they are no signature. A run that is stored already is not stored twice.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from search.bundle import identity_of
from search.bundled import measure
from search.command import USAGE, UsageError, call, shown_database
from search.database import StoreError
from space.architecture import ArchitectureError

if TYPE_CHECKING:
    from evaluator.record import Environment, Measurement
    from search.store import Store, StudyRow
    from space.architecture import Architecture

PARTLY = 1
"""Exit code where a part was refused."""
app = App(
    name="python -m search.ingest",
    help="Store what a bundle's measure.py measured on another device.",
    version_flags=[],
)


class Refused(Exception):
    """A run that is not stored; the message says why."""


@app.default
def run(results: Path, /, *, db: str = "csp.db", name: str | None = None, device: str | None = None) -> int:
    """Store the results of a device. Exit code 1: a part was refused; 2: nothing can be used.

    Parameters
    ----------
    results
        The file that measure.py wrote.
    db
        SQLite file or SQLAlchemy URL that holds the study.
    name
        Name of the study; by default the one that the bundle was made of.
    device
        Name of the device instead of the one in the file, such as a card's: pi5.
    """
    from search.store import Store

    header, runs, cut_off = read(results)
    label = device_name(header, device)
    shown_database(db)
    with Store.open(db, create=False) as store, store.lock():
        row = _study(store, header, name)
        _check_elsewhere(label, row)
        found = _Ingest(store, row, header, label).take(runs)
    if cut_off:
        found.refuse(f"after run {len(runs)}", "the file is cut off; copy it from the device again, whole")
    return found.report(results, row.name)


# -- the file


def read(path: Path) -> tuple[dict[str, Any], list[Any], bool]:
    """Header, runs, and whether the file is cut off after them. Raises UsageError for what is no results file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        data, cut_off = json.loads(text), False
    except ValueError:
        data, cut_off = _remains(text), True
    if not isinstance(data, dict) or not isinstance(data.get("header"), dict) or not isinstance(data.get("runs"), list):
        raise UsageError(f"'{path}' is no results file of measure.py, or its beginning is lost")
    header = data["header"]
    if header.get("kind") != measure.RESULTS:
        raise UsageError(f"'{path}' is no results file of measure.py: its kind is {header.get('kind')!r}")
    if header.get("format") != measure.FORMAT:
        raise UsageError(
            f"'{path}' has format {header.get('format')!r}, this version reads {measure.FORMAT}; make the bundle anew"
        )
    if not _matches(header.get("checksum"), {key: value for key, value in header.items() if key != "checksum"}):
        raise UsageError(f"'{path}': its header was changed (device, machine or study): all of it is refused")
    missing = {"bundle", "study", "device", "machine", "arguments"} - set(header)
    if missing:
        raise UsageError(f"'{path}': its header lacks {', '.join(sorted(missing))}")
    return header, data["runs"], cut_off


def _remains(text: str) -> dict[str, Any] | None:
    """What a file that is cut off still holds whole."""
    decoder = json.JSONDecoder()
    try:
        header, end = decoder.raw_decode(text, text.index('"header":') + len('"header":') + 1)
        end = text.index("[", text.index('"runs":', end)) + 1
    except ValueError:
        return None
    runs: list[Any] = []
    while True:
        try:
            found, end = decoder.raw_decode(text, end + len(text[end:]) - len(text[end:].lstrip(", \n")))
        except ValueError:
            return {"header": header, "runs": runs}
        runs.append(found)


def _matches(stated: Any, data: Any) -> bool:
    try:
        return bool(stated == measure.checksum(data))
    except ValueError:  # NaN, which JSON does not have
        return False


def device_name(header: Mapping[str, Any], given: str | None) -> str:
    """The device that rows are stored under. Raises UsageError for a name that is none."""
    from evaluator.target import HOST

    name = header.get("device") if given is None else given
    if not isinstance(name, str) or not name.strip() or len(name) > 200 or not name.isprintable() or "/" in name:
        raise UsageError(f"the device's name is {name!r}; it must be one line of 1 to 200 characters without a slash; "
                         "give another with --device")  # fmt: skip
    if name.strip() == HOST:
        raise UsageError("the device's name is 'host', which means the machine of a command; give another with "
                         "--device")  # fmt: skip
    return name.strip()


def _check_elsewhere(label: str, row: StudyRow) -> None:
    """Raise UsageError for the name of this machine, or of the one that the study was timed on.

    Machines of one model have one name, and these rows would stand for the latencies that the study searched with.
    """
    from evaluator.record import environment

    if label in (environment().host, row.config.get("device")):
        raise UsageError(f"the device's name is '{label}', as that of this machine or of the study's own measurements, "
                         "which would be mixed with these; give another with --device")  # fmt: skip


def _study(store: Store, header: Mapping[str, Any], name: str | None) -> StudyRow:
    """The study that the bundle was made of. Raises UsageError where it is not here, or not the one named."""
    from space.registry import unknown

    studies = store.studies()
    if not studies:
        raise UsageError("the database holds no study yet; give the one that the bundle was made of with --db")
    of = header["study"] if isinstance(header.get("study"), dict) else {}
    same = [row for row in studies if identity_of(row) == of.get("identity")]
    if name is None:
        found = next((row for row in same if row.name == of.get("name")), same[0] if same else None)
    else:
        found = next((row for row in studies if row.name == name), None)
        if found is None:
            raise UsageError(unknown("study", name, [row.name for row in studies]))
    if found is None or found not in same:
        here = f"not '{name}'" if name is not None else "which is not in this database"
        raise UsageError(f"the results are of another study: they were measured for '{of.get('name')}', {here}")
    return found


# -- its runs


class _Ingest:
    """Takes in the runs of one file and counts what became of them."""

    def __init__(self, store: Store, row: StudyRow, header: Mapping[str, Any], device: str) -> None:
        self._store, self._row, self._header, self._device = store, row, header, device
        self._known = {proposal.architecture.id: proposal.architecture for proposal in store.proposals(row.id)}
        self._environment = environment_of(header["machine"])
        self.stored: Counter[str] = Counter()
        """Runs by runtime and precision."""
        self.unfit: list[str] = []
        self.tables: list[str] = []
        self.twice, self.older, self.unfinished = 0, 0, 0
        self.refused: list[str] = []

    def take(self, runs: Iterable[Any]) -> _Ingest:
        """Store what can be used of all runs, role by role."""
        sound: dict[str, list[tuple[str, Any]]] = {}
        for number, run in enumerate(runs, 1):
            place = f"run {number}"
            body = None
            if isinstance(run, dict):
                place += f" ({run.get('id')} on {run.get('backend')})"
                body = {key: value for key, value in run.items() if key != "checksum"}
            if body is None or not _matches(run.get("checksum"), [self._header["checksum"], body]):
                self.refuse(place, "it was changed after it was measured, or is of another file")
            elif run.get("role") not in ROLES:
                self.refuse(place, f"its role is {run.get('role')!r}; this version stores {', '.join(ROLES)}")
            else:
                sound.setdefault(run["role"], []).append((place, run))
        for role, found in sound.items():
            ROLES[role](self, found)
        return self

    def refuse(self, place: str, reason: str) -> None:
        """Say at once what is not stored and why."""
        self.refused.append(place)
        print(f"refused: {place}: {reason}", file=sys.stderr)

    def candidates(self, runs: Iterable[tuple[str, Any]]) -> None:
        """Store candidates, each run on its own."""
        for place, run in runs:
            try:
                self._candidate(run)
            except Refused as error:
                self.refuse(place, str(error))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                if isinstance(error, StoreError):
                    raise
                self.refuse(place, f"it is not a run of format {measure.FORMAT}: {error!r}")

    def _candidate(self, run: Mapping[str, Any]) -> None:
        if run["reason"] is None and not run["wall_ms"]:
            self.unfinished += 1
            return
        architecture, rows = self._rows(run)
        stored = self._stored(architecture.id, rows[0])
        if any(detail.get("checksum") == run["checksum"] for detail in stored):
            self.twice += 1
            return
        if any((detail.get("measured_at") or 0.0) > (run["measured_at"] or 0.0) for detail in stored):
            self.older += 1  # what is stored last counts, so this would take the place of newer numbers
            return
        self._store.record(architecture, rows)
        if run["reason"] is None:
            self.stored[f"{run['backend']} {run['deployment']['precision']}"] += 1
            self.unfinished += len(run["wall_ms"]) < self._header["arguments"]["rounds"]
        else:
            self.unfit.append(f"{run['id']} on {run['backend']}: {run['reason']}")

    def _stored(self, identity: str, like: Measurement) -> list[dict[str, Any]]:
        """Details of what is stored of a candidate on the target of `like`."""
        where = (like.device, like.backend, like.deployment)
        return [row["detail"] for row in self._store.measurements(identity)
                if (row["device"], row["backend"], row["deployment"]) == where]  # fmt: skip

    def _rows(self, run: Mapping[str, Any]) -> tuple[Architecture, list[Measurement]]:
        """The rows of one candidate on one runtime. Raises Refused, or what a run of another form leads to."""
        from evaluator.record import Deployment

        if run["id"] not in self._known:
            raise Refused(f"study '{self._row.name}' has no candidate '{run['id']}'")
        deployment = Deployment(**run["deployment"])
        classes = self._row.config["deployment"]["num_classes"]
        if deployment.num_classes != classes:
            raise Refused(f"it was measured with {deployment.num_classes} classes, and the study has {classes}")
        detail = {
            "deployment": deployment.to_dict(),
            "bundle": self._header["bundle"],
            "checksum": run["checksum"],
            "check": run["check"],
            "measured_at": run["measured_at"],
        }
        rows = rows_of(run, deployment, self._device, detail, self._environment)
        return self._known[run["id"]], rows

    def calibration(self, runs: Iterable[tuple[str, Any]]) -> None:
        """Fit a latency table to the calibration graphs of each runtime and deployment, and store it."""
        groups: dict[str, list[tuple[str, Any]]] = {}
        for place, run in runs:
            if run.get("reason") is None and run.get("wall_ms"):
                groups.setdefault(f"{run.get('backend')} {run.get('deployment', {}).get('precision')}", []).append(
                    (place, run)
                )
        for key, found in groups.items():
            try:
                self._table(key, found)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                if isinstance(error, StoreError):
                    raise
                self.refuse(f"the calibration of {key}", str(error))

    def _table(self, key: str, runs: Sequence[tuple[str, Any]]) -> None:
        """Raises ValueError where a table cannot be fitted, or what a run of another form leads to."""
        from evaluator.calibration import Specimen
        from evaluator.latency_table import fit
        from evaluator.record import Deployment, digest

        deployment, backend = Deployment(**runs[0][1]["deployment"]), str(runs[0][1]["backend"])
        timed = []
        for place, run in runs:
            try:
                timed.append((Specimen.from_dict(run["spec"]).graph(deployment), _statistics(run)["p25"]))
            except (Refused, ArchitectureError) as error:
                self.refuse(place, str(error))
        same, measured_at = digest([run["checksum"] for _, run in runs]), max(run["measured_at"] for _, run in runs)
        stored = [row["data"]["calibrated"] for row in self._store.latency_tables(device=self._device, backend=backend)]
        if any(one.get("checksum") == same for one in stored):
            self.twice += len(runs)
            return
        if any(one.get("deployment") == deployment.to_dict() and one.get("measured_at", 0.0) > measured_at
               for one in stored):  # fmt: skip
            self.older += len(runs)
            return
        calibrated = {
            "device": self._device, "backend": backend, "deployment": deployment.to_dict(), "study": self._row.name,
            "bundle": self._header["bundle"], "checksum": same, "measured_at": measured_at,
            "rounds": min(len(run["wall_ms"]) for _, run in runs),
        }  # fmt: skip
        table = fit(timed, calibrated=calibrated)
        self._store.add_latency_table(
            device=self._device, backend=backend, precision=deployment.precision, batch=deployment.batch,
            threads=deployment.threads, data=table.to_dict(), environment=self._environment,
        )  # fmt: skip
        self.tables.append(f"stored a latency table of {self._device} ({key}), fitted to {len(timed)} graphs: its "
                           f"cross-validated error is {table.error['median']:.1%} (median)")  # fmt: skip

    def report(self, path: Path, study: str) -> int:
        """Print what became of the file; returns the exit code."""
        for place, count in sorted(self.stored.items()):
            print(f"stored {count} candidates of '{study}' on {self._device} ({place})")
        for line in self.tables:
            print(line)
        for line in self.unfit:
            print(f"stored as missing: {line}")
        if self.twice:
            print(f"{self.twice} runs are stored already; nothing is stored twice")
        if self.older:
            print(f"{self.older} runs are older than what is stored of the same candidates and are left out")
        if self.unfinished:
            print(f"{self.unfinished} runs have fewer rounds than were asked for: measure.py was stopped; run it again "
                  "there, it goes on")  # fmt: skip
        if not self.refused:
            return 0
        used = self.stored.total() + len(self.unfit) + len(self.tables) + self.twice + self.older
        print(f"{len(self.refused)} parts of '{path}' are refused", file=sys.stderr)
        return PARTLY if used else USAGE


ROLES = {"candidate": _Ingest.candidates, "calibration": _Ingest.calibration}
"""What stores the runs of each role, all of a file at once: a latency table is fitted on many of them."""


def environment_of(machine: Mapping[str, Any]) -> Environment:
    """The device's machine as rows keep it. Raises UsageError where it is none."""
    from evaluator.record import Environment

    try:
        return Environment(host=f"{machine['cpu']} x{machine['cores']}", **machine)
    except (KeyError, TypeError) as error:
        raise UsageError(f"the results say nothing usable of the machine: {error!r}") from error


def rows_of(run: Mapping[str, Any], deployment: Any, device: str, detail: dict[str, Any],
            environment: Environment) -> list[Measurement]:  # fmt: skip
    """The rows of a run: its statistics, made from its rounds. Raises Refused where these cannot be."""
    from evaluator.metrics import METRICS
    from evaluator.profile import NOISY
    from evaluator.record import Measurement
    from evaluator.timing import coarse

    place = {"unit": METRICS["latency_ms"].unit, "device": device, "backend": run["backend"],
             "deployment": deployment.id, "batch": deployment.batch, "precision": deployment.precision,
             "threads": deployment.threads, "environment": environment}  # fmt: skip
    if run["reason"] is not None:
        return [Measurement(metric="latency_ms", value=None, reason=str(run["reason"]), n=0, detail=detail, **place)]
    found = _statistics(run)
    detail |= {
        "spread": "interquartile range",
        "noisy": found["median"] > (1 + NOISY) * found["p25"],
        **{f"{key}_before": value for key, value in run["before"].items()},
        **{f"{key}_after": value for key, value in run["after"].items()},
    }
    values = {"latency_ms": found["p25"], "latency_median_ms": found["median"], "latency_p90_ms": found["p90"]}
    rows = [
        Measurement(metric=name, value=value, n=len(run["wall_ms"]), detail=detail,
                    spread=found["p75"] - found["p25"] if name == "latency_ms" else None, **place)
        for name, value in values.items()
    ]  # fmt: skip
    if run["cpu_ms"]:
        times = _times(run["cpu_ms"], least=0.0)
        problem = coarse(times)
        rows.append(Measurement(metric="latency_cpu_ms", value=None if problem else statistics.fmean(times),
                                n=0 if problem else len(times), reason=problem, detail=detail, **place))  # fmt: skip
    return rows


def _statistics(run: Mapping[str, Any]) -> dict[str, float]:
    check = run["check"]
    if check is None or not check["difference"] <= check["tolerance"]:
        raise Refused("its outputs were not found to be right")
    found = measure.summary(_times(run["wall_ms"], least=1e-9))
    stated = run["summary"]
    if any(not math.isclose(found[key], stated[key], rel_tol=1e-9) for key in found):
        raise Refused("its statistics are not those of its rounds")
    return found


def _times(values: Sequence[Any], *, least: float) -> list[float]:
    if not all(isinstance(value, int | float) and least <= value < math.inf for value in values):
        raise Refused("a time is not a positive number")
    return [float(value) for value in values]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
