"""python -m search.pick: which variant for my device, under my budgets?"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from search.command import UsageError, call, open_to_read, shown_database
from search.selection import study_of

NOTHING_FITS = 3
"""Exit code where no candidate fits the budgets of a device, or of all devices at once."""

app = App(
    name="python -m search.pick",
    help="Pick the best variant of a study for a device under budgets. Exit code 3: nothing fits.",
    version_flags=[],
)


@app.default
def run(
    *,
    device: Annotated[list[str] | None, Parameter(negative="")] = None,
    at_most: Annotated[list[str] | None, Parameter(name="--max", negative="")] = None,
    at_least: Annotated[list[str] | None, Parameter(name="--min", negative="")] = None,
    prefer: str | None = None,
    by: Literal["auto", "verified", "proxy"] = "auto",
    ladder: int | None = None,
    measured_only: Annotated[bool, Parameter(negative="")] = False,
    threads: int | None = None,
    batch: int | None = None,
    size: str | None = None,
    db: str = "csp.db",
    name: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Pick a variant.

    Parameters
    ----------
    device
        DEVICE, DEVICE/BACKEND or DEVICE/BACKEND/PRECISION, host for this machine; by default where the study
        was timed. Repeat it for who wins where, and one compromise for all.
    at_most
        METRIC=NUMBER or METRIC@DEVICE=NUMBER, such as latency_ms=12 or peak_mb=64; may be repeated.
    at_least
        The same for what must not be lower, such as ap=0.3 or fps=30; may be repeated.
    prefer
        The study's score (ap, accuracy), which is the default, or knee: of score against latency.
    by
        Which score: verified, proxy, or auto (verified if a verified candidate fits, else proxy).
    ladder
        Also give N variants, 2 to 6, spread along the device's front: n, s, m, l, x, xx.
    measured_only
        Leave out predicted latencies.
    threads
        Threads of one inference, where others than the device's or the study's are asked for.
    batch
        Images of one inference.
    size
        Image size, 416 or height x width such as 320x416.
    db
        SQLite file or SQLAlchemy URL that holds the study.
    name
        Name of the study; by default the one that changed last.
    json
        Print one JSON object instead of tables.
    """
    from search.answer import KNEE, answer
    from search.budgets import budgets
    from search.choice import LADDER
    from search.pick_json import to_json
    from search.pick_report import report
    from search.shortlist import shortlist
    from space.registry import unknown

    wanted = budgets(at_most or [], at_least or [])
    if ladder is not None and not 2 <= ladder <= len(LADDER):
        raise UsageError(f"--ladder is {ladder}; it must be 2 to {len(LADDER)}")
    changes = _changes(threads, batch, size)
    shown = shown_database(db)
    with open_to_read(db) as store:
        row = study_of(store, name)
        listed = shortlist(store, row, measured_only=measured_only, changes=changes)
        if not listed.ids:
            raise UsageError(
                f"study '{row.name}' has no complete candidate to pick from; go on with `python -m search.run`"
            )
        if prefer not in (None, listed.metric, KNEE):
            raise UsageError(f"--prefer: {unknown('preference', prefer, [listed.metric, KNEE])}")
        found = answer(listed, device or [None], wanted, prefer=prefer, evidence=by, ladder=ladder)
        print(to_json(found, shown)) if json else report(found, shown)
    return 0 if found.fits else NOTHING_FITS


def _changes(threads: int | None, batch: int | None, size: str | None) -> dict[str, int]:
    """What the options change of a deployment. Raises UsageError."""
    from space import cli

    for option, value, most in (("--threads", threads, 1024), ("--batch", batch, 4096)):
        if value is not None and not 1 <= value <= most:
            raise UsageError(f"{option} is {value}; it must be 1 to {most:,}")
    side = cli.image_size(size, "--size")
    given = {"threads": threads, "batch": batch, **(dict(zip(("height", "width"), side)) if side else {})}
    return {name: value for name, value in given.items() if value is not None}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
