"""Which items train and which validate, so that copies of one picture never come to lie on both sides."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from evaluator.data.dataset import SplitName

VAL_SHARE = 0.2
SEED = 0


def seeded(digests: Sequence[str], labels: Sequence[int], *, seed: int = SEED) -> list[SplitName]:
    """A split of 80 to 20 by the digests of the pictures, within each class.

    The same pictures get the same split whatever they are called and wherever they lie. Copies of one picture
    stay together, with the class of the first. A class of one picture trains.
    """
    label_of: dict[str, int] = {}
    for digest, label in zip(digests, labels, strict=True):
        label_of.setdefault(digest, label)
    members: dict[int, list[str]] = defaultdict(list)
    for digest, label in label_of.items():
        members[label].append(digest)
    val: set[str] = set()
    for group in members.values():
        number = max(1, round(VAL_SHARE * len(group))) if len(group) > 1 else 0
        val |= set(sorted(group, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())[:number])
    return ["val" if digest in val else "train" for digest in digests]
