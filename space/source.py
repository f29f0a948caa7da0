"""A graph from what a user names: a network of the zoo, an architecture's JSON file, or a darknet file."""

from __future__ import annotations

import json
from pathlib import Path

from space.architecture import Architecture, ArchitectureError
from space.graph import Graph
from space.lower import lower

FILES = (".json", ".cfg")
"""Endings that name a file; anything else is a name of the zoo."""
DEFAULT_SIZE, DEFAULT_CLASSES = (256, 256), 10
"""Image and classes of an architecture's file, which states neither: those of the default study."""


def title_of(network: str) -> str:
    """What to call it: a file's stem, or the zoo's spelling of the name."""
    from space.zoo import get

    return Path(network).stem if Path(network).suffix.lower() in FILES else get(network).name


def graph_of(network: str, size: tuple[int, int] | None = None, *, num_classes: int | None = None) -> Graph:
    """The graph of `network` for an image of `size` (height, width) and `num_classes`, its own unless given.

    Raises ArchitectureError (ZooError and DarknetError are such) with one line that names the file.
    """
    suffix = Path(network).suffix.lower()
    if suffix == ".cfg":
        from space.darknet import read

        if num_classes is not None:
            raise ArchitectureError(f"{network}: a darknet file states its own classes; change them there")
        return read(Path(network), resolution=size).graph
    if suffix == ".json":
        return lower(_architecture(Path(network)), *(size or DEFAULT_SIZE), num_classes=num_classes or DEFAULT_CLASSES)
    from space.zoo import get

    return get(network).graph(*(size or ()), num_classes=num_classes)


def classes_of(network: str) -> int | None:
    """Classes of `network` unless others are asked for; None where only the file knows."""
    suffix = Path(network).suffix.lower()
    if suffix in FILES:
        return DEFAULT_CLASSES if suffix == ".json" else None
    from space.zoo import get

    return get(network).num_classes


def architecture_of(network: str) -> Architecture:
    """The architecture of `network`. Raises ArchitectureError where it is only a graph."""
    suffix = Path(network).suffix.lower()
    if suffix == ".json":
        return _architecture(Path(network))
    if suffix == ".cfg":
        raise ArchitectureError(f"{network}: a darknet file is a graph, not an architecture of the CSP family")
    from space.zoo import get

    entry = get(network)
    if entry.architecture is None:
        raise ArchitectureError(f"'{entry.name}' is a graph of its own, not an architecture of the CSP family")
    return entry.architecture


def _architecture(path: Path) -> Architecture:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ArchitectureError("not an architecture: expected stem, stages, head and activation")
        return Architecture.from_dict(data).canonical()
    except OSError as error:
        raise ArchitectureError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, AttributeError, TypeError, RecursionError) as error:  # values of the wrong kind included
        raise ArchitectureError(f"{path}: {error}") from error
