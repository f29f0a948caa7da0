"""A graph from what a user names: a network of the zoo, an architecture's JSON or TOML file, or a darknet file."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from space.architecture import ALWAYS, Architecture, ArchitectureError
from space.graph import Graph
from space.lower import NUM_ANCHORS, lower

DATA = (".json", ".toml")
FILES = (*DATA, ".cfg")
"""Endings that name a file; anything else is a name of the zoo."""
DEFAULT_SIZE, DEFAULT_CLASSES = (256, 256), 10
"""Image and classes of an architecture's file that states neither: those of the default study."""
MOST, MOST_TEXT = 100_000, 2**20


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
    if suffix in DATA:
        file = _file(Path(network))
        return lower(file.architecture, *(size or file.size), num_classes=num_classes or file.num_classes,
                     num_anchors=file.num_anchors)  # fmt: skip
    from space.zoo import get

    return get(network).graph(*(size or ()), num_classes=num_classes)


def classes_of(network: str) -> int | None:
    """Classes of `network` unless others are asked for; None where only the file knows."""
    suffix = Path(network).suffix.lower()
    if suffix in FILES:
        return _file(Path(network)).num_classes if suffix in DATA else None
    from space.zoo import get

    return get(network).num_classes


def anchors_of(network: str) -> int:
    """Anchors a level of `network`, a name or an architecture's file."""
    if Path(network).suffix.lower() in DATA:
        return _file(Path(network)).num_anchors
    from space.zoo import get

    return get(network).num_anchors


def architecture_of(network: str) -> Architecture:
    """The architecture of `network`. Raises ArchitectureError where it is only a graph."""
    suffix = Path(network).suffix.lower()
    if suffix in DATA:
        return _file(Path(network)).architecture
    if suffix == ".cfg":
        raise ArchitectureError(f"{network}: a darknet file is a graph, not an architecture of the CSP family")
    from space.zoo import get

    entry = get(network)
    if entry.architecture is None:
        raise ArchitectureError(f"'{entry.name}' is a graph of its own, not an architecture of the CSP family")
    return entry.architecture


class _File(NamedTuple):
    """An architecture's file: the architecture, and what it is built for."""

    architecture: Architecture
    size: tuple[int, int]
    num_classes: int
    num_anchors: int


def _file(path: Path) -> _File:
    try:
        text = _text(path)
        data = _with_none(tomllib.loads(text)) if path.suffix.lower() == ".toml" else json.loads(text)
        if not isinstance(data, dict):
            raise ArchitectureError("not an architecture: expected stem, stages, head and activation")
        built = {"height": DEFAULT_SIZE[0], "width": DEFAULT_SIZE[1], "num_classes": DEFAULT_CLASSES,
                 "num_anchors": NUM_ANCHORS}  # fmt: skip
        if "architecture" in data:  # as `space.export` writes it
            built |= {key: value for key, value in data.items() if key in built}
            data = data["architecture"]
        for key, value in built.items():
            if type(value) is not int or not 1 <= value <= MOST:
                raise ArchitectureError(f"{key} is {value!r}; it must be a whole number from 1 to {MOST}")
        architecture = Architecture.from_dict(data).canonical()
    except OSError as error:
        raise ArchitectureError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, AttributeError, RecursionError) as error:  # values of the wrong kind included
        raise ArchitectureError(f"{path}: {error}") from error
    return _File(architecture, (built["height"], built["width"]), built["num_classes"], built["num_anchors"])


def to_toml(architecture: Architecture, *, height: int, width: int, num_classes: int, num_anchors: int) -> str:
    """An architecture's file as TOML, which has no null: a value of none is left out."""
    import tomli_w

    data = architecture.canonical().to_dict()
    parts = [data["stem"], *data["stages"], data["head"]]
    for part in parts:
        for key in [key for key, value in part.items() if value is None]:
            del part[key]
    built = {"height": height, "width": width, "num_classes": num_classes, "num_anchors": num_anchors}
    return tomli_w.dumps({**built, "architecture": data})


def _with_none(data: dict[str, Any]) -> dict[str, Any]:
    """The inverse: what `Architecture.to_dict` always has, and TOML lacks, is none."""
    found = data.get("architecture")
    if isinstance(found, dict):
        parts = [("stem", [found.get("stem")]), ("stages", found.get("stages")), ("head", [found.get("head")])]
        for kind, members in parts:
            for part in members if isinstance(members, list) else ():
                if isinstance(part, dict):
                    for key in ALWAYS[kind]:
                        part.setdefault(key, None)
    return data


def start_of(network: str) -> tuple[Architecture, str | None]:
    """What a search starts from for `network`: its architecture, or its nearest kin's and the kin's name."""
    if Path(network).suffix.lower() not in FILES:
        from space.zoo import get

        entry = get(network)
        if entry.kin is not None:
            return architecture_of(entry.kin), entry.kin
    return architecture_of(network), None


def _text(path: Path) -> str:
    """The file's text; no device and nothing enormous is read."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ArchitectureError("not a file")
    if found.st_size > MOST_TEXT:
        raise ArchitectureError(f"{found.st_size} bytes are no architecture; at most {MOST_TEXT}")
    return path.read_text(encoding="utf-8")
