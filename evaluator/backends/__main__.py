"""python -m evaluator.backends: the runtimes that candidates can be measured on here, and what the others need."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from typing import Annotated, Any

from cyclopts import App, Parameter

from space import cli

app = App(
    name="python -m evaluator.backends",
    help="List the runtimes: which precisions each has on this machine, its version, or what it needs.",
    version_flags=[],
)


@app.default
def run(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """List the backends.

    Parameters
    ----------
    as_json
        Print one JSON object a backend instead of a table.
    """
    found = list(listed())
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return 0
    table = cli.table("backends", ["backend", "version", "here", "not here"], left=["backend", "here", "not here"])
    for each in found:
        lacking = list(dict.fromkeys(each["missing"].values()))
        table.add_row(each["name"], each["version"] or "–", ", ".join(each["precisions"]) or "–", "; ".join(lacking))
    cli.console().print(table, markup=False)
    return 0


def listed() -> list[dict[str, Any]]:
    """Of every backend: name, version, precisions that it has here, and the others with the reason."""
    from evaluator.backends import BACKENDS

    rows = []
    for name in BACKENDS:
        backend = BACKENDS.get(name)
        try:
            version = metadata.version(backend.package)
        except metadata.PackageNotFoundError:
            version = None
        reasons = {precision: backend.missing(precision) for precision in backend.precisions}
        rows.append({
            "name": name, "version": version,
            "precisions": [precision for precision, reason in reasons.items() if reason is None],
            "missing": {precision: reason for precision, reason in reasons.items() if reason is not None},
        })  # fmt: skip
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return cli.run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
