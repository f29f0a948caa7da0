"""Named networks: the published ones of the CSPNet paper and its repository, rebuilt from our own blocks.

`get(name)` finds one whatever its spelling (`CSPResNeXt-50`, `cspresnext50`, `csresnext50`); its `graph()` is read
by every reader of the project, its `published` figures carry their source. `python -m space.zoo` prints all of
them beside what was published.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from space.architecture import Architecture, ArchitectureError
from space.cost import Cost, cost
from space.graph import Graph
from space.lower import lower

COCO_CLASSES = 80
COCO_ANCHORS = 3
IMAGENET_CLASSES = 1000


class ZooError(ArchitectureError):
    """A name that the zoo does not have, or a network that cannot do what is asked; one line."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One named network.

    `architecture` is the network as a point of the CSP family, or None for the few that lie outside it; these
    have `build`, a function of the resolution. `approximate` says why a network is not exactly the published one.
    """

    name: str
    resolution: int
    source: str
    architecture: Architecture | None = None
    build: Callable[[int, int], Graph] | None = None
    num_classes: int = IMAGENET_CLASSES
    num_anchors: int = COCO_ANCHORS
    aliases: tuple[str, ...] = ()
    published_as: tuple[str, ...] = ()
    """Names of the published rows about this network, where they are not its own."""
    group: str = "ImageNet classifiers"
    approximate: str | None = None
    kin: str | None = None
    """For a network outside the family: the one inside that a search starts from in its place."""

    def graph(self, height: int | None = None, width: int | None = None, *, num_classes: int | None = None) -> Graph:
        """The network's graph, at its published resolution and for its own classes unless others are given.

        Raises ZooError for other classes of a network that is a graph of its own.
        """
        height = height or self.resolution
        width = width or height
        if self.architecture is None:
            assert self.build is not None
            if num_classes not in (None, self.num_classes):
                raise ZooError(f"'{self.name}' is a graph of its own: it has {self.num_classes} classes")
            return self.build(height, width)
        return lower(self.architecture, height, width, num_classes=num_classes or self.num_classes,
                     num_anchors=self.num_anchors)  # fmt: skip

    def cost(self, resolution: int | None = None) -> Cost:
        """What the network costs at `resolution`."""
        return cost(self.graph(resolution))


def _key(name: str) -> str:
    """A name without case and punctuation; the repository's `cs…` prefix and `dark-net` spelling are `csp…`."""
    key = re.sub(r"[^a-z0-9.]", "", name.lower())
    return re.sub(r"^cs(?=res|dark|mobile|dense|pelee)", "csp", key)


@cache
def entries() -> dict[str, Entry]:
    """All networks by their name, in the order in which the tables print them."""
    from space.zoo import approximate, classifiers, detectors, irregular, table1

    found = [*classifiers.ENTRIES, *irregular.ENTRIES, *approximate.ENTRIES, *table1.ENTRIES, *detectors.ENTRIES]
    return {entry.name: entry for entry in found}


def names() -> list[str]:
    """Names of all networks."""
    return list(entries())


def get(name: str) -> Entry:
    """The network called `name`. Raises ZooError with the nearest names."""
    spellings = {_key(spelling): entry for entry in entries().values() for spelling in (*entry.aliases, entry.name)}
    key = _key(name)
    if key in spellings:
        return spellings[key]
    near = [spellings[match].name for match in difflib.get_close_matches(key, spellings, n=3, cutoff=0.5)]
    hint = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else "."
    raise ZooError(f"no network '{name}'{hint} All names: python -m space.zoo")
