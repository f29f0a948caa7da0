"""The study that ships with the product (`studies/demo.db.xz`), unpacked for one visit.

It is unpacked into a temporary folder: the installed package is never written, and need not be writable.
`python -m benchmarks.demo` makes the file.
"""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from search.store import Store, StoreError

NAME = "demo.db.xz"
SHOWN = "the demo study"


@contextmanager
def unpacked(name: str = NAME) -> Iterator[str]:
    """Path of the demo's database while the context lasts. Raises StoreError if there is none or no room for it."""
    with TemporaryDirectory(prefix="csp-explorer-") as folder:
        path = Path(folder) / "demo.db"
        try:
            with (
                files("studies").joinpath(name).open("rb") as packed,
                lzma.open(packed) as stream,
                path.open("wb") as file,
            ):
                shutil.copyfileobj(stream, file)
        except FileNotFoundError as error:
            raise StoreError(f"this installation has no demo study ('{name}' is missing in studies)") from error
        except (OSError, lzma.LZMAError) as error:
            raise StoreError(f"the demo study cannot be unpacked into '{folder}': {error}") from error
        Store.open(str(path)).close()  # one of an older schema is brought up to date
        yield str(path)
