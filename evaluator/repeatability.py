"""python -m evaluator.repeatability: does the latency protocol repeat? Two round-robin passes over random candidates.

Every pass prepares the networks anew. Latencies are 25th percentiles, as everywhere; the bars are those below.
"""

from __future__ import annotations

import json
import sys
import time
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from space import cli

if TYPE_CHECKING:
    from evaluator.record import Deployment
    from space.architecture import Architecture

KENDALL = 0.95
DIFFERENCE = 0.03
"""Bars: rank correlation of two passes, and the median of the relative differences between them."""

app = App(
    name="python -m evaluator.repeatability",
    help="Measure random candidates of the default space twice and say how well the two passes agree. "
    "Exit code 1 where a bar is missed.",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.default
def run(
    *,
    backend: Annotated[list[str] | None, Parameter(negative="")] = None,
    precision: str = "fp32",
    threads: int = 1,
    candidates: int = 20,
    rounds: int | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Measure twice and compare.

    Parameters
    ----------
    backend
        Runtime (`python -m evaluator.backends` lists them); may be repeated; onnxruntime by default.
    precision
        fp32, fp16, bf16 or int8, where the runtime has it.
    threads
        Threads of one inference.
    candidates
        Random architectures of the default space, at least 3.
    rounds
        Rounds of a pass, 100 by default.
    as_json
        Print one JSON object a backend.
    """
    from evaluator.backends import BACKENDS
    from evaluator.record import Deployment
    from evaluator.timing import ROUNDS

    for option, value, low, high in (("--candidates", candidates, 3, 1000), ("--threads", threads, 1, 1024),
                                     ("--rounds", rounds or ROUNDS, 1, 100_000)):  # fmt: skip
        if not low <= value <= high:
            raise cli.UsageError(f"{option} is {value}; it must be {low} to {high:,}")
    deployment = Deployment(precision=precision, threads=threads)
    names = list(dict.fromkeys(backend or ["onnxruntime"]))
    for name in names:
        try:
            reason = BACKENDS.get(name).missing(precision)
        except ValueError as error:
            raise cli.UsageError(str(error)) from error
        if reason:
            raise cli.UsageError(reason)
    results = []
    for name in names:
        results.append(compare(name, deployment, random_architectures(candidates), rounds or ROUNDS))
        if not as_json:
            print("\n".join(lines(results[-1])), flush=True)
    if as_json:
        print(json.dumps(results, indent=1, ensure_ascii=False))
    return 0 if all(result["passed"] for result in results) else 1


def random_architectures(count: int, seed: int = 0) -> list[Architecture]:
    """Architectures of the default study's design space, each once."""
    import numpy as np

    from space.design import DesignSpace

    data = tomllib.loads((files("studies") / "default.toml").read_text())
    space, rng = DesignSpace.from_dict(data["space"]), np.random.default_rng(seed)
    found: dict[str, Architecture] = {}
    while len(found) < count:
        architecture = space.build(space.sample(rng))
        found[architecture.id] = architecture
    return list(found.values())


def compare(backend: str, deployment: Deployment, architectures: list[Architecture], rounds: int) -> dict[str, Any]:
    """Two passes over `architectures` and how they agree."""
    import numpy as np
    from scipy.stats import kendalltau

    from evaluator.profile import latency
    from evaluator.record import environment
    from space.cost import cost
    from space.lower import lower

    passes, seconds, noisy = [], [], 0
    for _ in range(2):
        start = time.perf_counter()
        rows = [found[0] for found in latency(architectures, deployment, backend=backend, rounds=rounds)]
        seconds.append(time.perf_counter() - start)
        if wrong := next((row.reason for row in rows if row.value is None), None):
            raise cli.UsageError(f"backend '{backend}' cannot be timed: {wrong}")
        noisy += sum(row.detail["noisy"] for row in rows)
        passes.append(np.array([row.value for row in rows], float))
    a, b = passes
    macs = [cost(lower(architecture)).macs for architecture in architectures]
    kendall, difference = float(kendalltau(a, b).statistic), float(np.median(np.abs(a / b - 1)))
    return {
        "backend": backend, "deployment": deployment.to_dict(), "candidates": len(architectures), "rounds": rounds,
        "kendall": kendall, "median_difference": difference, "worst_difference": float(np.abs(a / b - 1).max()),
        "shift": float(np.median(b / a)) - 1, "passed": kendall >= KENDALL and difference <= DIFFERENCE,
        "kendall_of_macs": float(kendalltau(macs, a).statistic),
        "noisy": noisy, "latency_ms": [a.tolist(), b.tolist()], "seconds": seconds,
        "load_average": [rows[0].detail["load_average_before"], rows[0].detail["load_average_after"]],
        "environment": environment().to_dict(),
    }  # fmt: skip


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a person reads it."""
    from evaluator.record import Deployment

    here, (first, second) = result["environment"], result["latency_ms"]
    name, seconds = result["backend"], result["seconds"]
    version = "".join(f" {version}" for package, version in here["versions"].items() if package.startswith(name))
    verdict = "within the bars" if result["passed"] else "MISSES a bar"
    return [
        f"{name}{version}, {Deployment(**result['deployment'])}; {here['cpu']}, {here['cores']} cores, "
        f"load average {result['load_average'][0]:.1f}",
        f"  {result['candidates']} candidates, {min(first):.2f} to {max(first):.2f} ms; "
        f"{result['rounds']} rounds a pass, {seconds[0]:.1f} s and {seconds[1]:.1f} s",
        f"  two passes: Kendall {result['kendall']:.3f} (bar {KENDALL}), median difference "
        f"{result['median_difference']:.2%} (bar {DIFFERENCE:.0%}): {verdict}",
        f"  all together shifted by {result['shift']:+.1%}; the worst candidate differs by "
        f"{result['worst_difference']:.1%}; {result['noisy']} of {len(first) + len(second)} measurements noisy",
        f"  MACs against latency: Kendall {result['kendall_of_macs']:.3f}",
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    try:
        return cli.run(app, arguments)
    except KeyboardInterrupt:
        print("stopped; nothing was left behind", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
