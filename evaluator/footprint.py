"""What a network costs in memory as a process: a fresh interpreter that loads the runtime, then runs it.

Run as a program with one JSON object on stdin (architecture, deployment, backend); it answers with one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from evaluator.machine import Unreadable
from evaluator.record import Deployment
from space.architecture import Architecture

RUNS = 3
SECONDS = 600.0


def process_peak_bytes(architecture: Architecture, deployment: Deployment, backend: str) -> int:
    """Resident memory at its peak while the runtime is loaded and the network built and run, less that before.

    Our own export of the network happens before, so it does not count. Raises Unreadable with the reason.
    """
    question = {"architecture": architecture.to_dict(), "deployment": deployment.to_dict(), "backend": backend}
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
    from space.onnx import random_weights, to_onnx

    architecture, deployment = Architecture.from_dict(question["architecture"]), Deployment(**question["deployment"])
    graph = lower(architecture, deployment.height, deployment.width, num_classes=deployment.num_classes)
    prepare, weights = BACKENDS.get(question["backend"]), random_weights(graph)
    to_onnx(graph, weights, batch=deployment.batch).SerializeToString()  # what exporting needs is there from here on
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    run = prepare(graph, deployment, weights)
    for _ in range(RUNS):
        run()
    return {"before": before, "peak": _resident("VmHWM")}


if __name__ == "__main__":
    print(json.dumps(_measure(json.load(sys.stdin))))
