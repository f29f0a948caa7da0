"""What the machine tells of itself while something is timed: load, clock, throttling, energy. Standard library only.

Every reading may be missing; the reason then stands in its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CPUS = Path("/sys/devices/system/cpu")
POWERCAP = Path("/sys/class/powercap")
ENERGY_SECONDS = 1.0
"""Inferences are repeated for so long to read their energy: counters tick some 1,000 times a second."""


def reading() -> dict[str, Any]:
    """Load average, clock and throttling counts now, to compare before and after."""
    clocks = _numbers("cpu[0-9]*/cpufreq/scaling_cur_freq")
    throttled = _numbers("cpu[0-9]*/thermal_throttle/*_throttle_count")
    return {
        "load_average": os.getloadavg()[0],
        "cpu_mhz": round(sum(clocks) / len(clocks) / 1000) if clocks else "unknown: no cpufreq",
        "throttled": sum(throttled) if throttled else "unknown: no counter",
    }


def _numbers(pattern: str) -> list[int]:
    found = []
    for path in CPUS.glob(pattern):
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):
            return []
    return found


class Unreadable(Exception):
    """A counter that cannot be read; the message says why."""


def energy_mj(run: Callable[[], object], *, card: bool) -> float:
    """Millijoules of one `run`, by the counter of the processor's packages (RAPL) or of card 0 (NVML).

    The counter also sees what else draws power there, idling included. Raises Unreadable with the reason.
    """
    counter = _nvml() if card else _rapl()
    before, number, start = counter(), 0, time.perf_counter()
    while time.perf_counter() - start < ENERGY_SECONDS:
        run()
        number += 1
    spent = counter() - before
    if spent < 0:
        raise Unreadable("the energy counter began anew meanwhile")
    return spent / number


def _rapl() -> Callable[[], float]:
    # On laptops there is also the zone `psys`, of the whole machine: the packages would count twice.
    packages = [path for path in sorted(POWERCAP.glob("*rapl:[0-9]/energy_uj")) if _zone(path) != "psys"]
    if not packages:
        raise Unreadable(f"this machine has no energy counter (no RAPL in {POWERCAP})")

    def counter() -> float:
        try:
            return sum(int(path.read_text()) for path in packages) / 1e3
        except (OSError, ValueError) as error:
            raise Unreadable(f"the energy counter cannot be read: {error}") from error

    counter()
    return counter


def _zone(path: Path) -> str | None:
    try:
        return (path.parent / "name").read_text().strip()
    except OSError:
        return None


def _nvml() -> Callable[[], float]:
    try:
        import pynvml
    except ImportError as error:
        raise Unreadable("energy of a card needs NVML: pip install nvidia-ml-py") from error
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        raise Unreadable(f"the card's energy counter cannot be read: {error}") from error
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
