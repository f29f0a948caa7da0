"""What others published about the networks of the zoo: figures with their source, and recounts of the public cfgs.

The figures are those of Wang et al., "CSPNet: A New Backbone that can Enhance Learning Capability of CNN" (CVPR
Workshops 2020, arXiv:1911.11929), of its repository and that of Partial Residual Networks, of timm and of mmpretrain.
They stand in `published.json`, one row a line; here they are only read. Caveats first: sources count differently, so
compare two figures only under the same convention (`conventions` explains each), and look at `status` before
trusting a row. Rows are never averaged or filled in: what a source does not print is None.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from space.registry import unknown

Status = Literal["published", "derived", "doubtful"]
"""Printed or stated by the source; following from what it states; or not to be relied on. The note says why."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of a published table; every figure that the source lacks is None."""

    network: str
    """Display name, as the zoo spells it."""
    table: str
    source: str
    cfg: str | None = None
    """The darknet cfg behind the row, a key of `recount`."""
    resolution: int | None = None
    """Side of the square input in pixels; None where the source does not say."""
    params_m: float | None = None
    params_convention: str | None = None
    """None where it is not known, as for the other conventions."""
    bflops: float | None = None
    bflops_convention: str | None = None
    gmacs: float | None = None
    gmacs_convention: str | None = None
    top1: float | None = None
    """ImageNet accuracy in percent."""
    top5: float | None = None
    ap: float | None = None
    """COCO test-dev, in percent."""
    ap50: float | None = None
    ap75: float | None = None
    ap_small: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    fps: float | None = None
    device: str | None = None
    recount_params_m: float | None = None
    """What the known structure counts to, for rows without a cfg; computed, not published."""
    recount_bflops: float | None = None
    status: Status
    note: str | None = None

    @property
    def branch(self) -> str:
        """Branch of the repository that holds `cfg`."""
        return "pytorch" if "branch pytorch" in self.table else "master"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A countable statement of the paper outside its tables; a change is negative where something falls."""

    name: str
    statement: str
    value: float
    unit: str
    recount: float | None = None
    """The same number computed from structure or from the tables; None where it cannot be."""
    resolution: int | None = None
    source: str
    status: Status
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recount:
    """Exact counts of a cfg of the CSPNet repository at its own input size.

    BFLOPs are 2 x MACs of convolutions, then with max-pools (the paper's convention), then with shortcut additions,
    which darknet counts since January 2020. They carry six decimals for the networks of the README, else four.
    """

    cfg: str
    branch: str
    resolution: int
    kernels: int
    """Weights of convolutions alone: the paper's #Parameter."""
    params: int
    """Trainable parameters: kernels, biases, two vectors of each normalisation."""
    weights_file: int | None = None
    """Floats of the weights file: kernels, biases, three vectors of each normalisation."""
    bflops_conv: float
    bflops_conv_max: float
    bflops_with_shortcut: float


@dataclass(frozen=True, kw_only=True)
class Interpretation:
    """What one reading of an unpublished Table 1 network counts to at 224, in the paper's conventions."""

    network: str
    reading: Literal["paper-flops", "textbook"]
    gamma: float
    """Share of a stage's base channels that bypasses the dense block."""
    bflops: float
    kernels_m: float


@cache
def _data() -> dict[str, Any]:
    text = resources.files("space.zoo").joinpath("published.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def _rows() -> tuple[Published, ...]:
    return tuple(Published(**row) for row in _data()["rows"])


def published(network: str | None = None, table: str | None = None) -> tuple[Published, ...]:
    """Rows in the order of their sources, those of `network` and of `table` where given.

    Empty where nothing was published; a network that only we know is no error. Raises ValueError on an unknown table.
    """
    if table is not None and table not in tables():
        raise ValueError(unknown("table", table, list(tables())))
    return tuple(
        row for row in _rows() if (network is None or row.network == network) and (table is None or row.table == table)
    )


@cache
def tables() -> tuple[str, ...]:
    """Names of the tables, the paper's first."""
    return tuple(dict.fromkeys(row.table for row in _rows()))


@cache
def claims() -> tuple[Claim, ...]:
    """The paper's other countable statements."""
    return tuple(Claim(**claim) for claim in _data()["claims"])


@cache
def recounts() -> tuple[Recount, ...]:
    """All public cfgs of the CSPNet repository, branch master first."""
    return tuple(Recount(**item) for item in _data()["recounts"])


def recount(cfg: str, *, branch: str | None = None) -> Recount:
    """Exact counts of `cfg`, a path such as `cfg/csdarknet53.cfg`.

    One path is on both branches; without `branch` master's is meant. Raises ValueError if there is no such cfg.
    """
    for item in recounts():
        if item.cfg == cfg and branch in (None, item.branch):
            return item
    raise ValueError(unknown("cfg", cfg, sorted({r.cfg for r in recounts() if branch in (None, r.branch)})))


@cache
def interpretations() -> tuple[Interpretation, ...]:
    """Both readings of the nine cross-stage networks of Table 1."""
    return tuple(Interpretation(**item) for item in _data()["interpretations"])


def conventions() -> dict[str, str]:
    """One sentence for every convention, status and reading that the rows name."""
    return dict(_data()["conventions"])
