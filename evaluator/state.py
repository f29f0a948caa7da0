"""The file that carries a training from one rung to the next: a checksum, then tensors. No code is ever unpickled.

A file that is missing, damaged or of another training is no error: there is nothing to go on from, so the
training starts afresh and gives the same numbers later. A file that cannot be written is none either.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

HEADER = b"csp-explorer training state 1\n"
"""First bytes of every file; the number rises with the layout."""


def save(path: Path | str, key: str, values: dict[str, Any]) -> str | None:
    """Write `values` (tensors, numbers, texts, lists and dicts of them) as the state of the training `key`.

    The file appears whole or not at all. Returns why it could not be written (a full disk), None if it was.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    buffer = io.BytesIO()
    torch.save({"key": key, **values}, buffer)
    body = buffer.getbuffer()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.writelines([HEADER, hashlib.sha256(body).hexdigest().encode(), b"\n", body])
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        return f"its state could not be kept: {error.strerror or error}"
    return None


def load(path: Path | str, key: str) -> dict[str, Any] | None:
    """The values saved for the training `key`, on the CPU; None if there is no such file, or another's, or damage."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return None
    header, body = data[: len(HEADER)], data[len(HEADER) + 65 :]
    digest = data[len(HEADER) : len(HEADER) + 65]
    # torch reads an archive without looking at its checksums.
    if header != HEADER or digest != hashlib.sha256(body).hexdigest().encode() + b"\n":
        return None
    try:
        values: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError):
        return None
    return values if values.pop("key", None) == key else None
