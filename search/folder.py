"""A folder that appears whole or not at all: filled beside its place, synced, and put there in one step."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.command import UsageError

_AT_FDCWD, _EXCHANGE = -100, 2


@contextmanager
def folder(target: Path, *, mark: str, force: bool) -> Iterator[Path]:
    """An empty folder to fill, which becomes `target` if nothing is raised; otherwise nothing of it is left.

    `mark` is a file that every folder of ours has: with `force` an older one is replaced, but nobody else's. What a
    killed process left beside `target` is removed. Raises UsageError where `target` may not be written.
    """
    target = Path(os.path.abspath(target))
    _check(target, mark, force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise UsageError(f"cannot write beside '{target}': {error.strerror or error}") from error
    held = os.open(scratch, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.umask(mask := os.umask(0))
        scratch.chmod(0o777 & ~mask)
        yield scratch
        _sync(scratch)
        _check(target, mark, force)
        _replace(scratch, target)
        _sync(target.parent, files=False)
    finally:
        os.close(held)
        shutil.rmtree(scratch, ignore_errors=True)


def _check(target: Path, mark: str, force: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir():
        raise UsageError(f"--output is '{target}', which is a file; name a folder")
    if not (target / mark).exists():
        raise UsageError(f"'{target}' holds files that no export wrote; name another folder with -o")
    if not force:
        raise UsageError(f"'{target}' holds an export already; add --force to replace it, or name another folder")


def _sweep(target: Path) -> None:
    """Remove what killed processes left of this folder; a lock tells it from what another process fills now."""
    for left in target.parent.glob(f".{target.name}-*"):
        if not left.is_dir():
            continue
        descriptor = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(descriptor)


def _sync(place: Path, *, files: bool = True) -> None:
    for path in [*(place.rglob("*") if files else ()), place]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(scratch: Path, target: Path) -> None:
    """Put `scratch` in the place of `target`; what was there is then in `scratch`, where the system can swap them."""
    if not target.exists() or not any(target.iterdir()):
        os.replace(scratch, target)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    exchange = getattr(libc, "renameat2", None)
    both = (_AT_FDCWD, os.fsencode(scratch), _AT_FDCWD, os.fsencode(target))
    if exchange is None or exchange(*both, _EXCHANGE):  # an older system: two steps
        old = scratch.with_name(f"{scratch.name}-old")
        os.replace(target, old)
        os.replace(scratch, target)
        shutil.rmtree(old, ignore_errors=True)
