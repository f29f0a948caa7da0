"""The card of this machine: rates measured here, and how wrong a roofline made of them was here.

It is measured when asked (`python -m evaluator.devices --measure-host`, some ten seconds on a quiet machine), never
by the way: a search that trains meanwhile would halve the rates. It lies in the cache folder, a file a machine.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.record import Deployment, digest, environment
from evaluator.target import DEFAULT_BACKEND

if TYPE_CHECKING:
    from evaluator.devices import Card

NETWORKS = ("PeleeNet", "CSPPeleeNet 0.5", "CSPMobileNetV2", "Darknet Reference", "ResNet-10", "CSPResNet-50",
            "CSPResNeXt-50", "CSPDarkNet-53", "YOLOv3-tiny-PRN", "CSPPeleeNet-EFM")  # fmt: skip
"""Networks of the zoo whose measured latency a roofline is compared with: dense, residual, grouped, depthwise."""
SIZE = 224
ROUNDS = 10


def _file() -> Path:
    from evaluator.tasks._cache import root

    return root() / f"host-{digest(environment().host)}.json"


@cache
def measured() -> dict[str, Any] | None:
    """What `measure` found on this machine: `card` and `error`; None before it ran, or where its file is damaged."""
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"card", "error", "networks"} <= set(found) else None


def measure(networks: Sequence[str] = NETWORKS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure the host's card and the error of its roofline, keep both, and return them.

    Raises OSError where the cache folder cannot be written, ImportError where the runtime is missing.
    """
    from evaluator.devices import Card, cards

    here = environment()
    gflops, bandwidth = convolution_gflops(), copy_gb_s()
    rate = f"measured: best dense convolution of {DEFAULT_BACKEND} on one thread, {gflops:.1f}, times the cores"
    card: dict[str, Any] = {
        "title": f"this machine: {here.host}",
        "kind": "cpu",
        "cores": here.cores,
        "memory_bytes": here.memory_bytes,
        "peak_gflops": {"fp32": round(gflops * here.cores, 1)},
        "bandwidth_gb_s": round(bandwidth, 1),
        "sources": {
            "cores": "operating system",
            "memory_bytes": "operating system",
            "peak_gflops.fp32": rate,
            "bandwidth_gb_s": "measured: best copy of 256 MiB by one thread, bytes read plus bytes written",
        },
    }
    compared = _compare(Card(name="host", **card), networks, rounds)
    errors = [abs(predicted / latency - 1) for predicted, latency in compared.values()]
    found = {
        "card": card,
        "networks": compared,
        "error": {
            "median": statistics.median(errors),
            "n": len(errors),
            "source": f"{len(errors)} networks of the zoo at {SIZE}x{SIZE} measured here with {DEFAULT_BACKEND}, "
                      "fp32, batch 1, one thread",
        },
    }  # fmt: skip
    _keep(found)
    measured.cache_clear()
    cards.cache_clear()
    return found


def _compare(card: Card, networks: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Network -> predicted and measured milliseconds."""
    import numpy as np

    from evaluator.backends import BACKENDS
    from evaluator.roofline import roofline_ms
    from evaluator.timing import race
    from space.zoo import get

    deployment = Deployment(height=SIZE, width=SIZE)
    prepare = BACKENDS.get(DEFAULT_BACKEND)
    graphs = {name: get(name).graph(SIZE) for name in networks}
    times = race([prepare(graph, deployment) for graph in graphs.values()], rounds=rounds, warm_up=2).wall_ms
    return {
        name: [roofline_ms(graph, card, deployment), float(latency)]
        for (name, graph), latency in zip(graphs.items(), np.percentile(times, 25, axis=1), strict=True)
    }


def _keep(found: dict[str, Any]) -> None:
    """Write the file whole or not at all."""
    home = _file()
    home.parent.mkdir(parents=True, exist_ok=True)
    scratch = home.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(found, indent=1))
    scratch.replace(home)


def convolution_gflops(seconds: float = 0.5) -> float:
    """Best rate of dense fp32 convolutions on one thread of the runtime, in 1e9 operations a second.

    Not numpy's matrix product: its kernels reached half of ONNX Runtime's rate on a processor that they did not know.
    """
    from evaluator.backends import BACKENDS
    from space.cost import cost
    from space.graph import Builder

    rates = []
    for channels, size in ((256, 28), (128, 56)):
        builder = Builder((channels, size, size), activation="relu")
        ref = 0
        for number in range(4):
            ref = builder.conv(ref, channels, 3, name=f"conv{number}")
        graph = builder.graph([ref])
        run = BACKENDS.get(DEFAULT_BACKEND)(graph, Deployment(height=size, width=size))
        rates.append(2 * cost(graph).macs / _best(run, seconds) / 1e9)
    return max(rates)


def copy_gb_s(megabytes: int = 256, seconds: float = 0.5) -> float:
    """Best rate of a copy by one thread, read plus written, in 1e9 bytes a second; the array exceeds every cache."""
    import numpy as np

    source = np.ones(megabytes * 2**20 // 8)
    target = np.empty_like(source)
    return 2 * source.nbytes / _best(lambda: np.copyto(target, source), seconds) / 1e9


def _best(run: Callable[[], object], seconds: float) -> float:
    """Shortest of the calls that fit into `seconds`, at least three, after one that does not count."""
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
