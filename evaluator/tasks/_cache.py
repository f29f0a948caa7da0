"""Arrays rendered once and memory-mapped ever after: a folder of .npy files and a manifest of checksums.

The folder appears whole or not at all (built beside, then renamed), so any number of processes may ask for
it at once: the first one done wins and the others drop their copy.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from evaluator.tasks import TaskError

MANIFEST = "manifest.json"
Arrays = Mapping[str, npt.NDArray[Any]]

logger = logging.getLogger(__name__)


def root() -> Path:
    """The folder of all cached data: $CSP_EXPLORER_CACHE, or the user's cache folder."""
    return Path(os.environ.get("CSP_EXPLORER_CACHE") or platformdirs.user_cache_dir("csp-explorer"))


def prepare(folder: str, build: Callable[[], Arrays]) -> str | None:
    """Make `folder` of the cache hold what `build` gives, and check all of it against its checksums.

    Returns None if it was there and whole, else a notice that says what was done. A folder that does not
    match its checksums is built again. Raises TaskError if nothing can be written.
    """
    home = root() / folder
    fault = _fault(home, every_byte=True)
    if fault is None:
        return None
    damaged = home.exists()
    try:
        root().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder}-", dir=root()))
    except OSError as error:
        raise TaskError(
            f"cannot write the data cache {root()}: {error.strerror}; "
            "set CSP_EXPLORER_CACHE to a folder that you may write"
        ) from error
    try:
        _write(scratch, build())
        _swap(scratch, home)
    except OSError as error:
        raise TaskError(f"cannot write the data cache {home}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    notice = f"data cache {home} was {fault}; built it again" if damaged else f"built the data cache {home}"
    (logger.warning if damaged else logger.info)(notice)
    return notice


def load(folder: str, build: Callable[[], Arrays], *names: str) -> list[npt.NDArray[Any]]:
    """The named arrays of `folder`, memory-mapped. Sizes are checked, bytes are not.

    The maps are copy-on-write: every process reads the same pages, and none can change the files.
    """
    home = root() / folder
    if _fault(home, every_byte=False) is not None:
        prepare(folder, build)
    return [np.load(home / f"{name}.npy", mmap_mode="c") for name in names]


def _write(folder: Path, arrays: Arrays) -> None:
    files = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        np.save(path, np.ascontiguousarray(array))
        files[path.name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=1, sort_keys=True) + "\n")


def _swap(scratch: Path, home: Path) -> None:
    """Put `scratch` in the place of `home` unless another process already put a whole folder there."""
    if home.exists() and _fault(home, every_byte=True) is not None:
        # A folder with files cannot be replaced in one step; readers keep their maps of the moved one.
        os.replace(home, scratch / "damaged")
    try:
        os.replace(scratch, home)
    except OSError:
        if _fault(home, every_byte=True) is not None:
            raise
    shutil.rmtree(home / "damaged", ignore_errors=True)


def _fault(folder: Path, *, every_byte: bool) -> str | None:
    """What is wrong with a cache folder, in words that follow 'was'; None if nothing is."""
    if not folder.exists():
        return "missing"
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
        for name, expected in files.items():
            if (folder / name).stat().st_size != expected["bytes"]:
                return f"damaged ({name} has the wrong size)"
            if every_byte and _sha256(folder / name) != expected["sha256"]:
                return f"damaged ({name} does not match its checksum)"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"damaged ({type(error).__name__})"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
