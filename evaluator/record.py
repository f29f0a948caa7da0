"""What an evaluation says: jobs, measurements, and the environment behind them. Standard library only.

Every number of the product travels as one `Measurement`; the store keeps them as rows and the dashboard
shows them with their origin. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from space.architecture import Architecture

Origin = Literal["counted", "measured", "predicted", "published"]
"""How a number was obtained. `counted` is exact arithmetic on the graph (MACs, parameters)."""

State = Literal["complete", "failed"]


def digest(data: Any) -> str:
    """First 12 hex digits of the SHA-256 of `data` as canonical JSON."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The machine and the versions behind a measurement."""

    host: str
    """A stable anonymous name of the machine: processor model and core count, never a host name."""
    cpu: str
    cores: int
    memory_bytes: int | None
    """None where the system does not tell."""
    system: str
    python: str
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return digest(asdict(self))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@cache
def environment() -> Environment:
    """This machine and the versions installed on it, read without importing any of them."""
    import psutil

    versions = {}
    for name in ("torch", "onnx", "onnxruntime", "numpy", "optuna", "scikit-learn", "csp-explorer"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    for name in ("openvino", "nncf", "opencv-python-headless", "ncnn", "tensorrt"):  # named only where they are
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    cpu, cores = _cpu_model(), os.cpu_count() or 1
    return Environment(
        host=f"{cpu} x{cores}",
        cpu=cpu,
        cores=cores,
        memory_bytes=int(psutil.virtual_memory().total),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions,
    )


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What is profiled: the network as the user will run it. The proxy trains a smaller picture of it."""

    height: int = 256
    width: int = 256
    num_classes: int = 10
    batch: int = 1
    precision: str = "fp32"
    threads: int = 1

    @property
    def id(self) -> str:
        return digest(asdict(self))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.height}x{self.width}, {self.num_classes} classes, batch {self.batch}, "
            f"{self.precision}, {self.threads} thread{'s' if self.threads != 1 else ''}"
        )


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How much training is spent on a candidate at one rung."""

    rung: int = 0
    image_visits: int = 4000
    """Training images seen, with repetition."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training to be done by a worker. `recipe` overrides fields of the task's default recipe.

    `resume` and `keep` are paths of state files (`evaluator.state`): where to go on from, if the file is there
    and fits, and where to leave the state for a longer training. They change what a job costs, not what it gives.
    """

    architecture: Architecture
    task: str
    fidelity: Fidelity
    seed: int
    recipe: dict[str, Any] = field(default_factory=dict)
    resume: str | None = None
    keep: str | None = None
    device: str = "cpu"
    """`cpu` or `cuda`."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number with everything needed to trust it or not.

    `value` is None when the metric could not be computed; `reason` then says why. `spread` is one
    standard deviation over `n` repeats unless `detail` says otherwise, None when there is one repeat.
    """

    metric: str
    value: float | None
    unit: str = ""
    origin: Origin = "measured"
    spread: float | None = None
    n: int = 1
    reason: str | None = None
    # where an accuracy comes from
    task: str | None = None
    recipe: str | None = None
    rung: int | None = None
    image_visits: int | None = None
    seed: int | None = None
    # where a cost comes from
    device: str | None = None
    backend: str | None = None
    deployment: str | None = None
    """Id of the `Deployment`; `detail["deployment"]` spells it."""
    batch: int | None = None
    precision: str | None = None
    threads: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    environment: Environment | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one job gave: its measurements and learning curve, or the reason why it gave none."""

    state: State
    measurements: list[Measurement] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    """Points of the learning curve: `image_visits`, `loss`, `learning_rate`, and metrics where evaluated."""
    reason: str | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
