"""python -m benchmarks.demo SOURCE.db [OUT]: make the database that `python -m dashboard --demo` opens.

One study is kept, with what the dashboard shows of it; dropped are other studies and their facts, what only a
search or a person with SQL reads (genes, the sampler's state, details of measurements), and most points of the
learning curves. The result is compressed, opened again, and its table compared with the source's.
"""

from __future__ import annotations

import json
import lzma
import shutil
import sqlite3
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from cyclopts import App

from search.command import UsageError, call
from search.store import Store

OUT = Path(__file__).parents[1] / "studies" / "demo.db.xz"
LARGEST = 2**20
"""Bytes of a file that is to live in git and in every wheel."""
POINTS = 40
"""Points of a learning curve that are kept, the last one always."""

app = App(name="python -m benchmarks.demo", help="Shrink a study's database into one that ships.", version_flags=[])


@app.default
def run(source: Path, out: Path = OUT, *, name: str | None = None) -> int:
    """Make the demo.

    Parameters
    ----------
    source
        Database of a finished study; it is only read.
    out
        The file to write; what `python -m dashboard --demo` opens by default.
    name
        Name of the study; by default the one that changed last.
    """
    with Store.open(str(source), create=False, read_only=True) as store:
        names = [row.name for row in store.studies()]
        if not names or name not in (None, *names):
            raise UsageError(f"'{source}' has no study {name or ''}; studies here: {', '.join(names) or 'none'}")
        name = name or names[0]
        before = store.frame(name)
    with TemporaryDirectory() as folder:
        small = Path(folder) / "demo.db"
        with sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True) as old, sqlite3.connect(small) as new:
            old.backup(new)
        shrink(small, name)
        with Store.open(str(small), create=False, read_only=True) as store:
            pd.testing.assert_frame_equal(store.frame(name), before, check_exact=False, rtol=1e-6)
        size = small.stat().st_size
        packed = Path(folder) / "demo.db.xz"
        with small.open("rb") as file, lzma.open(packed, "wb", preset=9 | lzma.PRESET_EXTREME) as stream:
            shutil.copyfileobj(file, stream)
        if packed.stat().st_size > LARGEST:
            raise UsageError(f"'{source}' shrinks to {packed.stat().st_size / 2**20:.2f} MiB; a demo may have "
                             f"{LARGEST / 2**20:.0f}: take a study of fewer candidates")  # fmt: skip
        shutil.copyfile(packed, out)
    print(f"{out}: study '{name}', {len(before)} candidates; {source.stat().st_size / 2**20:.2f} MiB, "
          f"{size / 2**20:.2f} shrunk, {out.stat().st_size / 2**20:.3f} packed")  # fmt: skip
    return 0


def shrink(path: Path, name: str) -> None:
    """Drop from the database at `path` what the dashboard does not show of the study called `name`."""
    connection = sqlite3.connect(path)
    connection.create_function("thinned", 1, lambda text: json.dumps(thinned(json.loads(text)), separators=(",", ":")))
    connection.create_function("told", 2, told)
    connection.execute("PRAGMA journal_mode = DELETE")
    with connection:
        for statement in (
            "DELETE FROM proposals WHERE study_id NOT IN (SELECT id FROM studies WHERE name = :name)",
            "DELETE FROM studies WHERE name != :name",
            "DELETE FROM measurements WHERE architecture_id NOT IN (SELECT architecture_id FROM proposals)",
            "DELETE FROM evaluations WHERE architecture_id NOT IN (SELECT architecture_id FROM proposals)",
            "DELETE FROM architectures WHERE id NOT IN (SELECT architecture_id FROM proposals)",
            "DELETE FROM environments WHERE id NOT IN (SELECT environment_id FROM measurements WHERE environment_id "
            "IS NOT NULL UNION SELECT environment_id FROM evaluations WHERE environment_id IS NOT NULL "
            "UNION SELECT environment_id FROM latency_tables WHERE environment_id IS NOT NULL)",
            "UPDATE proposals SET genes = '{}', sampler = '{}'",
            "UPDATE measurements SET detail = told(detail, device), created_at = ROUND(created_at)",
            "UPDATE evaluations SET curve = thinned(curve)",
        ):
            connection.execute(statement, {"name": name} if ":name" in statement else {})
    connection.execute("VACUUM")
    connection.close()


def told(detail: str, device: str | None) -> str:
    """What is kept of a measurement's detail: where and how, of one on a device."""
    names = ("deployment", "method", "error", "noisy", "score", "fp32_score", "validated_at") if device else ()
    found = json.loads(detail)
    return json.dumps({name: found[name] for name in names if name in found}, separators=(",", ":"))


def thinned(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `POINTS` points of a learning curve to four digits; points with a metric besides the loss stay."""
    step = max(1, -(-len(curve) // POINTS))
    kept = [
        point
        for index, point in enumerate(reversed(curve))
        if index % step == 0 or set(point) - {"image_visits", "loss", "learning_rate"}
    ]
    return [{key: float(f"{value:.4g}") if key != "image_visits" else value for key, value in point.items()}
            for point in reversed(kept)]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
