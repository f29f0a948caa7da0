"""Arrays rendered once and memory-mapped ever after: a folder of .npy files and a manifest of checksums.

The folder appears whole or not at all (built beside, then renamed), so any number of processes may ask for
it at once: the first one done wins and the others drop their copy.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import platformdirs

from evaluator.tasks import TaskError

MANIFEST = "manifest.json"
ABANDONED_SECONDS = 3600.0
"""Age at which a scratch folder that no process holds is taken for the leftover of a killed one."""
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

    def write(scratch: Path) -> None:
        for name, array in build().items():
            np.save(scratch / f"{name}.npy", np.ascontiguousarray(array))

    return prepare_files(folder, write)


def prepare_files(folder: str, write: Callable[[Path], None]) -> str | None:
    """As `prepare`, for data that `write` puts into a folder file by file because it may exceed the memory."""
    home = root() / folder
    fault = _fault(home, every_byte=True)
    if fault is None:
        return None
    damaged = home.exists()
    try:
        root().mkdir(parents=True, exist_ok=True)
        _sweep()
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder}-", dir=root()))
    except OSError as error:
        raise TaskError(
            f"cannot write the data cache {root()}: {error.strerror}; "
            "set CSP_EXPLORER_CACHE to a folder that you may write"
        ) from error
    held = _hold(scratch)
    try:
        write(scratch)
        _seal(scratch)
        _swap(scratch, home)
    except OSError as error:
        raise TaskError(f"cannot write the data cache {home}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if held is not None:
            os.close(held)
    notice = f"data cache {home} was {fault}; built it again" if damaged else f"built the data cache {home}"
    (logger.warning if damaged else logger.info)(notice)
    return notice


def _hold(scratch: Path) -> int | None:
    """A lock that ends with this process, so that others can tell its scratch folder from a leftover."""
    descriptor = os.open(scratch, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a file system without locks, or another process that looks at this very moment
        os.close(descriptor)
        return None
    return descriptor


def _sweep() -> None:
    """Remove what killed processes left half built."""
    for scratch in root().glob(".*-*"):
        try:
            if not scratch.is_dir() or time.time() - scratch.stat().st_mtime < ABANDONED_SECONDS:
                continue
        except OSError:
            continue
        held = _hold(scratch)
        if held is not None:
            shutil.rmtree(scratch, ignore_errors=True)
            os.close(held)


def load(folder: str, build: Callable[[], Arrays], *names: str) -> list[npt.NDArray[Any]]:
    """The named arrays of `folder`, memory-mapped. Sizes are checked, bytes are not.

    The maps are copy-on-write: every process reads the same pages, and none can change the files.
    """
    home = root() / folder
    if _fault(home, every_byte=False) is not None:
        prepare(folder, build)
    return open_arrays(folder, *names, mode="c")


def open_arrays(folder: str, *names: str, mode: Literal["r", "c"]) -> list[npt.NDArray[Any]]:
    """Memory maps of arrays that are there: read-only, or copy-on-write.

    A worker's memory limit counts every byte of a copy-on-write map (RLIMIT_DATA), and none of a read-only one.
    """
    return [np.load(root() / folder / f"{name}.npy", mmap_mode=mode) for name in names]


def fault(folder: str, *, every_byte: bool) -> str | None:
    """What is wrong with `folder`, in words that follow 'was'; None if nothing is."""
    return _fault(root() / folder, every_byte=every_byte)


def _seal(folder: Path) -> None:
    """Write down size and checksum of every file."""
    files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(folder.iterdir())}
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
