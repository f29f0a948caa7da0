"""What a calibration times, and how: kernels and whole networks of a design space, in heats, over and over.

Each pass shuffles all graphs into heats of some sixty, which are raced round-robin (`evaluator.timing`), so that a
drift of the machine falls on other graphs together in every pass; 60 networks raced at once gave the same 25th
percentiles within 0.7 % (median) and Kendall 0.99, in chunks of ten one after the other within 1.2 % and 0.96
(2026-11, 4 virtual cores). Every heat is written to the cache when it ends, so that an interrupted calibration goes on.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.backends import Backend
from evaluator.kernels import Kernel, Kind, kernels, kind_of
from evaluator.record import Deployment
from evaluator.tasks._cache import root
from evaluator.timing import race
from space.architecture import Architecture
from space.cost import cost
from space.design import DesignSpace
from space.graph import Graph
from space.lower import lower

NETWORKS = 200
KERNELS = 400
HEAT = 60
"""Graphs raced together; fewer where their memory is more than HEAT_BYTES."""
HEAT_BYTES = 2 * 2**30
PER_SESSION_BYTES = 12 * 2**20
"""What a prepared network takes beside weights and activations, as measured with ONNX Runtime."""
WARM_UP = 2
ROUNDS = 8
"""Rounds of a heat."""
PASSES = 12
"""Passes after which more would tell little more."""
STALE_SECONDS = 24 * 3600.0
"""Age of progress that is not gone on from: the machine may be in another state."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One thing to be timed, as plain data: a whole network or a kernel alone."""

    architecture: Architecture | None = None
    kernel: Kernel | None = None

    def graph(self, deployment: Deployment) -> Graph:
        """Its graph; a kernel has its shapes in itself."""
        if self.kernel is not None:
            return self.kernel.graph()
        assert self.architecture is not None
        return lowered(self.architecture, deployment)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: `{"kernel": …}` or `{"architecture": …}`."""
        if self.kernel is not None:
            return {"kernel": self.kernel.to_dict()}
        assert self.architecture is not None
        return {"architecture": self.architecture.to_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Specimen:
        """The specimen that `to_dict` gave. Raises ValueError for anything else."""
        if set(data) == {"kernel"}:
            return Specimen(kernel=Kernel.from_dict(data["kernel"]))
        if set(data) == {"architecture"}:
            return Specimen(architecture=Architecture.from_dict(data["architecture"]))
        raise ValueError(f"{data!r:.200} is neither a kernel nor an architecture")


def lowered(architecture: Architecture, deployment: Deployment) -> Graph:
    """The graph of an architecture as it is deployed."""
    return lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)


def random_networks(space: DesignSpace, count: int, rng: np.random.Generator, *,
                    without: Sequence[str] = ()) -> list[Architecture]:  # fmt: skip
    """Different random networks, none with an id of `without`; fewer where the space holds fewer."""
    found: dict[str, Architecture] = {}
    for _ in range(50 * count):
        if len(found) == count:
            break
        architecture = space.build(space.sample(rng))
        if architecture.id not in without:
            found[architecture.id] = architecture
    return list(found.values())


def calibration_set(space: DesignSpace, deployment: Deployment, *, seed: int = 0, networks: int = NETWORKS,
                    num_kernels: int = KERNELS) -> list[Specimen]:  # fmt: skip
    """Random networks of `space`, and kernels of these and as many others. The same arguments give the same set.

    A kind gets kernels by the square root of the number of shapes that it comes in.
    """
    rng = np.random.default_rng(seed)
    chosen = random_networks(space, networks, rng)
    others = random_networks(space, networks, rng, without=[a.id for a in chosen])
    by_kind: dict[Kind, dict[Kernel, None]] = {}
    for architecture in [*chosen, *others]:
        for kernel in kernels(lowered(architecture, deployment)):
            by_kind.setdefault(kind_of(kernel), {})[kernel] = None
    total = sum(math.sqrt(len(shapes)) for shapes in by_kind.values())
    specimens = [Specimen(architecture=architecture) for architecture in chosen]
    for kind in sorted(by_kind):
        shapes = list(by_kind[kind])
        count = min(len(shapes), math.ceil(num_kernels * math.sqrt(len(shapes)) / total))
        specimens += [Specimen(kernel=shapes[i]) for i in sorted(rng.permutation(len(shapes))[:count])]
    return specimens


# -- timing


@dataclass
class Timings:
    """Times of all rounds so far, in milliseconds, by the position of the graph."""

    wall_ms: list[list[float]]
    heats: int = 0
    resumed: int = 0
    """Heats of an earlier call."""
    seconds: float = 0.0
    load: list[float] = field(default_factory=list)
    """Load average before and after each heat."""

    def add(self, heat: Mapping[str, Any]) -> None:
        """Count a heat in, as it stands in the file of progress."""
        for index, rounds in zip(heat["graphs"], heat["ms"], strict=True):
            self.wall_ms[index].extend(rounds)
        self.heats += 1
        self.seconds += heat["seconds"]
        self.load += heat["load"]

    def latency_ms(self) -> dict[int, float]:
        """25th percentile by position, of what has been timed."""
        return {i: float(np.percentile(times, 25)) for i, times in enumerate(self.wall_ms) if times}

    def repeatability(self) -> float:
        """Median relative difference of the 25th percentiles of two halves of the rounds; NaN before there are two."""
        halves = [(np.percentile(t[::2], 25), np.percentile(t[1::2], 25)) for t in self.wall_ms if len(t) > 1]
        return float(np.median([abs(a / b - 1) for a, b in halves])) if halves else math.nan


def time_graphs(graphs: Sequence[Graph], backend: Backend, deployment: Deployment, *, seconds: float, seed: int = 0,
                progress: Progress | None = None, stop: Callable[[], bool] = lambda: False,
                watch: Callable[[Timings, int], None] = lambda timings, heats: None) -> Timings:  # fmt: skip
    """Time `graphs` until `seconds` are spent, `stop()` says so or PASSES are done; a heat is always finished.

    `progress` gives what an earlier call left and keeps what this one finds; `watch` is told after each heat, with
    the number of heats of a pass. Raises what the backend raises.
    """
    timings = Timings(wall_ms=[[] for _ in graphs])
    for heat in progress.read(len(graphs)) if progress else ():
        timings.add(heat)
    timings.resumed = timings.heats
    memory = [_bytes(graph, deployment) for graph in graphs]
    for turn, (number, heats, members) in enumerate(_schedule(memory, seed)):
        if turn < timings.heats:
            continue
        if timings.seconds >= seconds or stop():
            break
        start = time.monotonic()
        runs = [backend(graphs[i], deployment) for i in members]
        result = race(runs, rounds=ROUNDS, warm_up=WARM_UP, seed=seed + number)
        del runs
        heat = {
            "graphs": members,
            "ms": np.round(result.wall_ms, 6).tolist(),
            "seconds": time.monotonic() - start,
            "load": [result.load_average_before, result.load_average_after],
        }
        timings.add(heat)
        if progress:
            progress.append(heat)
        watch(timings, heats)
    return timings


def _bytes(graph: Graph, deployment: Deployment) -> int:
    counted = cost(graph, batch=deployment.batch)
    return int(2 * counted.peak_bytes + 3 * counted.weight_bytes + PER_SESSION_BYTES)


def _schedule(memory: Sequence[int], seed: int) -> Iterator[tuple[int, int, list[int]]]:
    """Of every heat the number of its pass, the number of heats in the pass, and its graphs."""
    for number in range(PASSES):
        order = np.random.default_rng((seed, number)).permutation(len(memory)).tolist()
        size = math.ceil(len(order) / math.ceil(len(order) / HEAT))
        heats: list[list[int]] = [[]]
        for index in order:
            full = len(heats[-1]) == size or sum(memory[i] for i in heats[-1]) + memory[index] > HEAT_BYTES
            if full and heats[-1]:
                heats.append([])
            heats[-1].append(index)
        for heat in heats:
            yield number, len(heats), heat


class Progress:
    """The heats of one calibration so far, a line of JSON each, in the cache folder."""

    def __init__(self, key: str) -> None:
        self.path: Path = root() / "calibrations" / f"{key}.jsonl"

    def read(self, num_graphs: int) -> list[dict[str, Any]]:
        """The whole heats that are there, in order; none from before yesterday. What follows a torn line is cut off."""
        try:
            if time.time() - self.path.stat().st_mtime > STALE_SECONDS:
                self.remove()
            lines = self.path.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        heats = []
        for line in lines:
            try:
                heat = json.loads(line)
                if not all(0 <= index < num_graphs for index in heat["graphs"]):
                    break
            except (ValueError, KeyError, TypeError):
                break
            heats.append(heat)
        if len(heats) < len(lines):
            self._write(heats)
        return heats

    def _write(self, heats: list[dict[str, Any]]) -> None:
        scratch = self.path.with_suffix(".part")
        scratch.write_text("".join(json.dumps(heat) + "\n" for heat in heats))
        os.replace(scratch, self.path)

    def append(self, heat: Mapping[str, Any]) -> None:
        """Keep a heat. A cache that cannot be written costs only the chance to go on later, so it is logged."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(heat) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            logger.warning("cannot keep progress in %s: %s", self.path, error.strerror)

    def remove(self) -> None:
        """The calibration is stored; its progress is no longer needed."""
        self.path.unlink(missing_ok=True)
