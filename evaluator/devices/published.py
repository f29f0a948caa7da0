"""Published frame rates as latencies of devices, and the roofline's prediction beside them. No torch.

A published rate is one number: nobody states batch, precision or threads, or whether a batch was shared. Latency is
1000 / rate. The prediction assumes one image, fp32 and all cores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from evaluator.devices import Card, cards
from evaluator.record import Deployment
from space.zoo import Entry, entries
from space.zoo.published import Published, Status, published

ASSUMED = "one image, fp32, all cores"


@dataclass(frozen=True, kw_only=True)
class PublishedLatency:
    """One published frame rate of a network on a device."""

    network: str
    """As the source calls it."""
    entry: str | None
    """The zoo's network of that name; None for one that the zoo does not have."""
    device: str
    """Name of a card, or what the source calls a device without one."""
    latency_ms: float
    """1000 / `fps`."""
    fps: float
    resolution: int | None
    """Side of the square image; None where the source does not say."""
    ap50: float | None
    status: Status
    source: str
    note: str | None
    approximate: str | None
    """Why the zoo's network is not exactly the published one; None where it is."""
    origin: str = "published"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A published latency beside the roofline's."""

    row: PublishedLatency
    roofline_ms: float | None
    """None where the network, its size or the card's rate is not known; `reason` says which."""
    reason: str | None = None

    @property
    def error(self) -> float | None:
        """Share by which the prediction is off, negative where it is too fast; None for doubtful figures."""
        if self.roofline_ms is None or self.row.status == "doubtful":
            return None
        return self.roofline_ms / self.row.latency_ms - 1


@cache
def published_latencies() -> list[PublishedLatency]:
    """Every published frame rate as a latency, in the order of the sources."""
    names = {spelling: card.name for card in cards().values() for spelling in card.published_as}
    known = _entries()
    return [_latency(row, known.get(row.network), names) for row in published() if row.fps is not None]


def _entries() -> dict[str, Entry]:
    """Name of a published row -> network of the zoo."""
    return {name: entry for entry in entries().values() for name in (entry.published_as or (entry.name,))}


def _latency(row: Published, entry: Entry | None, names: dict[str, str]) -> PublishedLatency:
    assert row.fps is not None
    device = row.device or "not named"
    return PublishedLatency(
        network=row.network, entry=entry.name if entry else None, device=names.get(device, device),
        latency_ms=1000 / row.fps, fps=row.fps, resolution=row.resolution, ap50=row.ap50, status=row.status,
        source=f"{row.table}: {row.source}", note=row.note, approximate=entry.approximate if entry else None,
    )  # fmt: skip


def compared(card: Card) -> list[Compared]:
    """The published latencies of a device beside the roofline's for the same network, each rate once.

    One network with several losses or recipes has one rate: it counts once.
    """
    found: dict[tuple[str, int | None, float], Compared] = {}
    for row in published_latencies():
        if row.device == card.name:
            found.setdefault((row.entry or row.network, row.resolution, row.fps), _compare(row, card))
    return list(found.values())


def _compare(row: PublishedLatency, card: Card) -> Compared:
    from evaluator.roofline import roofline_ms

    if row.entry is None:
        return Compared(row=row, roofline_ms=None, reason="not in the zoo")
    if row.resolution is None:
        return Compared(row=row, roofline_ms=None, reason="its size is not published")
    deployment = Deployment(height=row.resolution, width=row.resolution, threads=card.cores or 1)
    try:
        predicted = roofline_ms(entries()[row.entry].graph(row.resolution), card, deployment)
    except ValueError as error:
        return Compared(row=row, roofline_ms=None, reason=str(error))
    return Compared(row=row, roofline_ms=predicted)
