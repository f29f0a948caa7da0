"""Files of a data folder: which there are, that none leads out of it, and digests of their bytes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from evaluator.data.dataset import Log
from evaluator.tasks import TaskError, _cache

IMAGE_ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm",
    ".pnm", ".jp2", ".avif", ".tga",
)  # fmt: skip
MOST_BYTES = 512 * 2**20
"""A picture's file may be as large as this."""
SETTLED_SECONDS = 2.0
"""A file changed as recently as this may change again within one tick of its clock: its digest is not kept."""


@dataclass(frozen=True)
class Tree:
    """All regular files of a folder by their path in it, with `/`; hidden ones are left out."""

    root: Path
    files: dict[str, os.stat_result] = field(repr=False)

    @cached_property
    def _normal(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in self.files}

    def find(self, name: str) -> str | None:
        """The file called `name`; accents may be spelled in one or two characters, as systems differ in that."""
        return name if name in self.files else self._normal.get(unicodedata.normalize("NFC", name))

    def below(self, folder: str) -> Iterator[str]:
        """Files in `folder` and all folders below; "" is the root."""
        start = f"{folder}/" if folder else ""
        return (name for name in self.files if name.startswith(start))

    @cached_property
    def folders(self) -> set[str]:
        """All folders that hold a file, themselves or further below; "" is the root."""
        return {
            str(parent) if str(parent) != "." else "" for name in self.files for parent in PurePosixPath(name).parents
        }

    def path(self, name: str) -> Path:
        return self.root / name


def is_image(name: str) -> bool:
    """Whether the name ends like that of a picture."""
    return PurePosixPath(name).suffix.lower() in IMAGE_ENDINGS


def shown(name: str) -> str:
    """A file name that can be printed, whatever its bytes are."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def walk(root: Path, log: Log) -> Tree:
    """Every file below `root`. Links that lead out of it are refused; links within it are followed, never twice."""
    try:
        home = root.resolve(strict=True)
        os.listdir(home)
    except OSError as error:
        raise TaskError(f"data '{root}' cannot be read: {error.strerror or error}; give a folder") from error
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise TaskError(f"data '{root}' is a link to itself; give a folder") from error
    files: dict[str, os.stat_result] = {}
    seen: set[str] = set()

    def enter(folder: str, prefix: str) -> None:
        real = os.path.realpath(folder)
        if real in seen:
            return
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            log.file(f"folder cannot be read ({error.strerror})", prefix.rstrip("/"))
            return
        # Links last, so that a folder goes by its own name.
        for entry in sorted(entries, key=lambda entry: entry.is_symlink()):
            name = f"{prefix}{entry.name}"
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_symlink() and not _inside(os.path.realpath(entry.path), str(home)):
                log.file("link that leads out of the data folder", name)
                continue
            try:
                found = entry.stat()
            except OSError:
                log.file("broken link" if entry.is_symlink() else "cannot be read", name)
                continue
            if stat.S_ISDIR(found.st_mode):
                enter(entry.path, f"{name}/")
            elif stat.S_ISREG(found.st_mode):
                files[name] = found
            else:
                log.file("not a regular file", name)

    enter(str(home), "")
    return Tree(home, dict(sorted(files.items())))


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def join(folder: str, name: str) -> str | None:
    """`name` as seen from `folder`, as a path in the data folder; None if it leads out of it."""
    name = name.replace("\\", "/")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":") or "\0" in name:
        return None
    parts: list[str] = folder.split("/") if folder else []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def read_text(tree: Tree, name: str) -> str:
    """A text file of the data folder. Raises TaskError."""
    try:
        return tree.path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"'{shown(name)}' of the data cannot be read: {error}") from error


def read_bytes(path: Path) -> bytes:
    """A picture's file. Raises OSError, or ValueError if it is larger than `MOST_BYTES`."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES // 2**20} MiB")
        return file.read()


class Digests:
    """SHA-256 of files, kept in the cache so that a second look at a folder reads no picture again.

    A digest is believed while path, size and both times of a file (its content's and its inode's) are the same.
    Whoever uses the bytes later checks them against the digest again.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        here = hashlib.sha256(os.fsencode(tree.root)).hexdigest()[:16]
        self._path = _cache.root() / f"digests-{here}.json"
        self._now = time.time()
        self._new: dict[str, list[object]] = {}
        try:
            self._old = json.loads(self._path.read_text())
            if not isinstance(self._old, dict):
                raise ValueError
        except (OSError, ValueError):
            self._old = {}

    def of(self, name: str) -> str:
        """The digest of a file of the tree. Raises OSError, or ValueError for a file that is too large."""
        found = self._tree.files[name]
        facts = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        known = self._old.get(name)
        if isinstance(known, list) and len(known) == 4 and known[:3] == facts:
            digest = str(known[3])
        else:
            digest = hashlib.sha256(read_bytes(self._tree.path(name))).hexdigest()
        if max(found.st_mtime, found.st_ctime) < self._now - SETTLED_SECONDS:
            self._new[name] = [*facts, digest]
        return digest

    def save(self) -> None:
        """Keep what was learnt, unless the cache cannot be written; that costs only time."""
        if self._new == self._old:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, prefix=".digests-", delete=False) as file:
                json.dump(self._new, file)
            os.replace(file.name, self._path)
        except OSError:
            return
