"""What a network costs in memory as a process: a fresh interpreter that loads the runtime, then runs it.

Run as a program with one JSON object on stdin (architecture, deployment, backend); it answers with one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluator.backends import Runner
from evaluator.machine import Unreadable
from evaluator.record import Deployment
from space.architecture import Architecture

RUNS = 3
SECONDS = 600.0


def process_peak_bytes(architecture: Architecture, deployment: Deployment, backend: str, runner: Runner) -> int:
    """Resident memory at its peak while the runtime is loaded and the network read and run, less that before.

    The process reads the model file that `runner` saves, as a deployed one would; where the runtime has none (torch)
    it builds the network. Raises Unreadable with the reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        if runner.save is not None:
            runner.save(Path(folder))
        question = {"architecture": architecture.to_dict(), "deployment": deployment.to_dict(), "backend": backend,
                    "folder": folder if runner.save is not None else None}  # fmt: skip
        try:
            done = subprocess.run([sys.executable, "-m", "evaluator.footprint"], input=json.dumps(question), text=True,
                                  capture_output=True, timeout=SECONDS)  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Unreadable(f"the process took more than {SECONDS:.0f} s") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"the process ended with code {done.returncode}"]
        raise Unreadable(last[0])
    answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return answer["peak"] - answer["before"]


def _resident(key: str) -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    raise Unreadable("this system does not tell a process its peak memory (no /proc/self/status)")


def _measure(question: dict[str, Any]) -> dict[str, int]:
    from evaluator.backends import BACKENDS
    from space.lower import lower

    backend, deployment = BACKENDS.get(question["backend"]), Deployment(**question["deployment"])
    architecture = Architecture.from_dict(question["architecture"])
    graph = lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    if question["folder"] is None:
        run: Callable[[], object] = backend(graph, deployment)
    else:
        assert backend.load is not None
        run = backend.load(Path(question["folder"]), deployment.threads)
    for _ in range(RUNS):
        run()
    return {"before": before, "peak": _resident("VmHWM")}


if __name__ == "__main__":
    print(json.dumps(_measure(json.load(sys.stdin))))
