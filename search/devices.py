"""The devices that a study can be asked about, what is known of each, and the target that a name means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evaluator.devices import cards
from evaluator.record import Deployment, environment
from evaluator.target import DEFAULT_BACKEND, HOST, Target, target
from space.cost import BYTES
from space.registry import unknown

if TYPE_CHECKING:
    import pandas as pd

    from search.store import Store, StudyRow

PREDICTED = "latency_ms"
"""The latency that is compared, and the one metric that is predicted: the 25th percentile."""


class TargetError(ValueError):
    """A device or precision that is not known; the message names those that are."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that a study can be asked about, and what is known of it."""

    name: str
    """As on a command line: `host`, or the name in measurements and of cards."""
    device: str
    """As measurements name it."""
    title: str
    measured: Mapping[Target, int] = field(default_factory=dict)
    """Candidates with a measured latency, by what exactly they were measured on."""
    tables: tuple[Target, ...] = ()
    """What its latency tables are of, the newest first."""
    card: bool = False

    def __str__(self) -> str:
        known = [f"{n} measured on {_words(place)}" for place, n in self.measured.items()]
        known += [f"latency table of {_words(place)}" for place in self.tables] + ["card"] * self.card
        return f"{self.name} ({', '.join(known) or 'nothing known yet'})"


def _words(place: Target) -> str:
    """Runtime and precision, and what of the deployment is not one image on one thread."""
    size = place.deployment
    parts = [f"{place.backend}/{size.precision}", *([f"batch {size.batch}"] if size.batch != 1 else []),
             *([f"{size.threads} threads"] if size.threads != 1 else []), f"{size.height}x{size.width}"]  # fmt: skip
    return " ".join(parts)


def devices(store: Store, study: str) -> dict[str, Device]:
    """Every device that is known in a study, by its name on a command line, `host` first."""
    row, here = store.study(study), environment().host
    size = Deployment(**row.config.get("deployment", {})) if row else Deployment()
    measured, tables = _measured(store.deployed(study), size), calibrated(store, size)
    own = row.config.get("device") if row else None
    names = dict.fromkeys([here, *([own] if own else []), *measured, *tables, *cards()])
    found = {}
    for device in names:
        name = HOST if device in (here, HOST) else device
        card = cards().get(name)
        title = f"this machine, {here}" if name == HOST else card.title if card else device
        real = here if name == HOST else device
        found[name] = Device(name=name, device=real, title=title, measured=measured.get(real, {}),
                             tables=tables.get(real, ()), card=card is not None)  # fmt: skip
    return found


def calibrated(store: Store, size: Deployment) -> dict[str, tuple[Target, ...]]:
    """By device, what its latency tables are of at the size of `size`, the newest first."""
    found: dict[str, dict[Target, None]] = {}
    for table in store.latency_tables():
        deployment = replace(size, **{name: table[name] for name in ("precision", "batch", "threads")})
        place = Target(device=table["device"], backend=table["backend"], deployment=deployment)
        found.setdefault(place.device, {})[place] = None
    return {device: tuple(places) for device, places in found.items()}


def _measured(rows: pd.DataFrame, own: Deployment) -> dict[str, dict[Target, int]]:
    """By device and target how many candidates have a measured latency. `own` is the study's deployment."""
    rows = rows[rows["metric"].eq(PREDICTED) & rows["origin"].eq("measured") & rows["value"].notna()]
    found: dict[str, dict[Target, int]] = {}
    for key, group in rows.groupby(["device", "backend", "deployment"]):
        device, backend, deployment = map(str, key)
        spelt = group["detail"].iloc[-1].get("deployment")  # left out where rows were made small
        size = own if deployment == own.id else Deployment(**spelt) if spelt else None
        if size is not None:
            place = Target(device=device, backend=backend, deployment=size)
            found.setdefault(device, {})[place] = group["id"].nunique()
    return found


def find(text: str | None, row: StudyRow, known_devices: Mapping[str, Device],
         changes: Mapping[str, Any] | None = None) -> tuple[Device, Target]:  # fmt: skip
    """The device and target that `text` names (`pi5`, `host/openvino`), or the study's own for None; `changes` are
    fields of the deployment that are asked for beside.

    Where nothing was measured on it and no latency table is of it, what `text` leaves open (backend, precision,
    threads) is that of what was measured most at the same size and batch, or of the newest table. Raises TargetError
    for a device that nothing is known of.
    """
    own = Deployment(**row.config.get("deployment", {}))
    backend = str(row.config.get("backend", DEFAULT_BACKEND))
    if text is None:
        here = next((d for d in known_devices.values() if d.device == row.config.get("device")), known_devices[HOST])
        return here, Target(device=here.device, backend=backend, deployment=replace(own, **(changes or {})))
    name = text.partition("/")[0]
    found_device = next((d for d in known_devices.values() if name in (d.name, d.device)), None)
    if found_device is None:
        near = unknown("device", name, list(known_devices)).partition(" Allowed:")[0]
        raise TargetError(f"{near} Known here: {'; '.join(map(str, known_devices.values()))}. Another one comes with "
                          "`python -m search.bundle` and `python -m search.ingest`")  # fmt: skip
    card = cards().get(found_device.name)
    try:
        found = target(found_device.device + text[len(name) :], own, card.profile if card else None, backend=backend)
    except ValueError as error:
        raise TargetError(str(error)) from error
    check_named(text, (*found_device.measured, *found_device.tables))
    if changes:
        return found_device, replace(found, deployment=replace(found.deployment, **changes))
    most = sorted(found_device.measured, key=lambda place: -found_device.measured[place])
    places, named = (*most, *found_device.tables), text.split("/")[1:]
    found = filled(places, found, named)
    if found not in places and not found_device.card and found_device.name != HOST:
        # Measured for a card of the user's own, at that card's size: nothing else can be asked of such a device.
        found = next((place for place in places if _has(place, named)), found)
    return found_device, found


def check_named(text: str, places: Iterable[Target]) -> None:
    """Raise TargetError for a backend or precision in `text` that there is not; `places` are known beside ours."""
    from evaluator.backends import BACKENDS

    allowed = {"backend": [*BACKENDS, *(place.backend for place in places)], "precision": list(BYTES)}
    for (kind, names), name in zip(allowed.items(), text.split("/")[1:]):
        if name not in names:
            raise TargetError(f"target '{text}': {unknown(kind, name, list(dict.fromkeys(names)))}")


def filled(places: Sequence[Target], where: Target, named: Sequence[str]) -> Target:
    """`where`, or what of `places` is nearest at its size and batch and has the backend and precision `named`."""
    if where in places:
        return where

    def apart(place: Target) -> tuple[bool, bool]:
        return place.backend != where.backend, place.deployment.precision != where.deployment.precision

    def size(place: Target) -> Deployment:
        return replace(place.deployment, precision="", threads=0)

    alike = [place for place in places if size(place) == size(where) and _has(place, named)]
    return min(alike, key=apart, default=where)  # of equals the first


def _has(place: Target, named: Sequence[str]) -> bool:
    return (place.backend, place.deployment.precision)[: len(named)] == tuple(named)


EXTRA = {"process_peak_bytes": " --extras", "energy_mj": " --extras",
         "quantised_score": " --accuracy", "quantisation_loss": " --accuracy"}  # fmt: skip
"""Metrics that `search.measure` measures when asked, and that a bundle does not."""


def advice(where: Target, metric: str = PREDICTED) -> str:
    """How a latency, or another metric of a runtime, could be known on `where`."""
    if where.device == environment().host:
        line = f"search.measure --backend {where.backend} --precision {where.deployment.precision}"
        table = ", `python -m evaluator.calibrate` makes a latency table" if metric == PREDICTED else ""
        return f"`python -m {line}{EXTRA.get(metric, '')}` measures{table}"
    if metric in EXTRA:
        return "It is only measured on the machine itself, by `python -m search.measure`"
    return (f"`python -m search.bundle --front --calibrate --device {where.device} -o bundle.zip` makes what measures "
            "there, `python -m search.ingest` takes its results")  # fmt: skip
