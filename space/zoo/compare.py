"""Our counts beside published figures, each figure under the convention in which it was counted.

A deviation above 0.1 % has a reason: the row's note, or the entry's `approximate`.
"""

from __future__ import annotations

from dataclasses import dataclass

from space.cost import cost, norm_elements
from space.graph import Graph
from space.ops import Norm
from space.zoo import Entry
from space.zoo.published import Published, published

PRIMARY = ("CSPNet Table 1", "CSPNet Table 2", "CSPNet Table 3", "repository README, ImageNet", "PRN README",
           "repository README (branch pytorch), COCO", "timm 1.0.31", "mmpretrain")  # fmt: skip
"""Tables with counts, in the order in which the first one that has a figure is quoted."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A graph's counts under every convention that the tables use; see `published.conventions`."""

    macs: int
    kernels: int
    params: int
    bflops: float
    bflops_with_norm: float
    gmacs_with_norm: float
    weights_file: int
    pre: bool
    """Normalisation stands before the convolutions: a DenseNet, which the tables count with normalisation."""

    def params_m(self, convention: str | None) -> float:
        """Parameters in 1e6 under a convention; where none is named, kernels, or a DenseNet's parameters."""
        if convention is None and self.pre:
            return self.params / 1e6
        numbers = {"trainable": self.params, "weights file": self.weights_file}
        return numbers.get(convention or "", self.kernels) / 1e6

    def bflops_as(self, convention: str | None) -> float:
        """BFLOPs under a convention; where none is named, darknet's, or with normalisation for a DenseNet."""
        with_norm = convention == "torch with norm" or (convention is None and self.pre)
        return self.bflops_with_norm if with_norm else self.bflops

    def gmacs_as(self, convention: str | None) -> float:
        """GMACs under a convention, without normalisation unless it says so."""
        return self.gmacs_with_norm if convention == "with norm" else self.macs / 1e9


def counts(graph: Graph) -> Counts:
    """All counts of a graph."""
    whole, norm = cost(graph), norm_elements(graph)
    scales = sum(node.shape[0] for node in graph.nodes if getattr(node.op, "norm", False))
    return Counts(
        macs=whole.macs,
        kernels=whole.kernels,
        params=whole.params,
        bflops=whole.bflops,
        bflops_with_norm=2 * (whole.macs + norm) / 1e9,
        gmacs_with_norm=(whole.macs + norm) / 1e9,
        weights_file=whole.params + 2 * scales,
        pre=any(isinstance(node.op, Norm) for node in graph.nodes),
    )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Our figures under the conventions of one published row, and how far they are from it (1 = 100 %)."""

    row: Published
    params_m: float
    bflops: float

    @property
    def params_deviation(self) -> float | None:
        """(ours - published) / published, None where nothing is published."""
        return None if not self.row.params_m else self.params_m / self.row.params_m - 1

    @property
    def bflops_deviation(self) -> float | None:
        """As `params_deviation`; from the published GMACs where there are no BFLOPs."""
        if self.row.bflops:
            return self.bflops / self.row.bflops - 1
        return None if not self.row.gmacs else self.bflops / (2 * self.row.gmacs) - 1


def rows_of(entry: Entry) -> tuple[Published, ...]:
    """Every published row about a network, in the order of the tables."""
    rows = dict.fromkeys(row for name in entry.published_as or (entry.name,) for row in published(name))
    return tuple(rows)


def comparisons(entry: Entry) -> list[Comparison]:
    """One comparison for each published row with a count, at that row's resolution."""
    found = []
    for row in rows_of(entry):
        if row.params_m is None and row.bflops is None and row.gmacs is None:
            continue
        ours = counts(entry.graph(row.resolution))
        bflops = ours.bflops_as(row.bflops_convention)
        if row.bflops is None and row.gmacs is not None:
            bflops = 2 * ours.gmacs_as(row.gmacs_convention)
        found.append(Comparison(row=row, params_m=ours.params_m(row.params_convention), bflops=bflops))
    return found


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What the table of all networks quotes: the first row of `PRIMARY` that has parameters, work, and scores."""

    params: Comparison | None
    work: Comparison | None
    scores: Published | None

    @property
    def resolution(self) -> int | None:
        """Input size of the quoted counts."""
        quoted = self.work or self.params
        return quoted.row.resolution if quoted else None


def overview(entry: Entry) -> Overview:
    """The published rows to quote about a network, those at one resolution if there are several."""

    def order(row: Published) -> tuple[int, bool, bool]:
        table = PRIMARY.index(row.table) if row.table in PRIMARY else len(PRIMARY)
        return table, row.gmacs_convention not in (None, "conv+fc"), row.resolution != entry.resolution

    found = sorted(comparisons(entry), key=lambda c: order(c.row))
    work = next((c for c in found if c.bflops_deviation is not None), None)
    size = work.row.resolution if work else entry.resolution
    scored = sorted(rows_of(entry), key=order)
    return Overview(
        params=next((c for c in found if c.row.params_m is not None), None),
        work=work,
        scores=next(
            (r for r in scored if (r.top1 or r.ap50) and r.resolution == size and r.status != "doubtful"), None
        ),
    )
