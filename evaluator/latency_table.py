"""Predicted latency of a network on a calibrated device. Standard library and numpy; the fit uses scipy.

The latency of a network is the sum over its kernels of coefficient times feature (`evaluator.kernels`), the
coefficients zero or more and of each operator kind its own. They are fitted to kernels that were timed alone and to
whole networks at once, by relative error, the networks counting more: kernels tell the coefficients apart, networks
correct them to what they are between other kernels. How much less a kernel counts is chosen by cross-validation, and
the error of held-out networks is the table's known error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluator.kernels import Feature, Kernel, Kind, features, is_isolated, kind_of, work
from space.graph import Graph
from space.ops import Conv

VERSION = 1
FEWEST_NETWORKS = 12
FOLDS = 5
KERNEL_WEIGHTS = (0.1, 0.3, 1.0)
"""What the relative error of a kernel timed alone counts beside that of a network."""
RIDGE = 1e-4
"""Against columns that tell the same: they share the weight instead of one taking it all."""

Array = np.ndarray[Any, np.dtype[np.float64]]
Column = tuple[Kind, str]


class LatencyTable:
    """A fitted predictor for one device, backend, precision, batch and thread count."""

    def __init__(self, *, coefficients: Mapping[Column, float], generic: Mapping[str, float],
                 ranges: Mapping[Kind, Sequence[int]], error: Mapping[str, float],
                 calibrated: Mapping[str, Any]) -> None:  # fmt: skip
        self._coefficients = dict(coefficients)
        self._generic = dict(generic)
        self._ranges = {kind: tuple(limits) for kind, limits in ranges.items()}
        self._error = dict(error)
        self.calibrated = dict(calibrated)
        """What it was calibrated with: deployment, space, seed, numbers of networks and kernels, load, versions."""
        self._stand_in = {kind: kind for kind in self._ranges}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> LatencyTable:
        """The table that `to_dict` gave, as the store keeps it in `latency_tables.data`. Raises ValueError if it is
        of another version or not whole."""
        if data.get("version") != VERSION:
            raise ValueError(f"a latency table of version {data.get('version')!r} is not {VERSION}: calibrate again")
        try:
            return LatencyTable(
                coefficients={(kind, name): float(value) for kind, name, value in data["coefficients"]},
                generic=data["generic"], ranges=data["ranges"], error=data["error"], calibrated=data["calibrated"],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this latency table is damaged: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The table as plain data."""
        return {
            "version": VERSION,
            "coefficients": [[kind, name, value] for (kind, name), value in self._coefficients.items()],
            "generic": self._generic,
            "ranges": {kind: list(limits) for kind, limits in self._ranges.items()},
            "error": self._error,
            "calibrated": self.calibrated,
        }

    @property
    def error(self) -> dict[str, float]:
        """Known error on whole networks it was not fitted on: `median` and `p90`, shares; `n` networks; also
        `within10`, the share within 10 percent, and `kendall`."""
        return dict(self._error)

    def predict(self, graph: Graph) -> float:
        """Latency of `graph` in milliseconds, 25th percentile, as `evaluator.profile.latency` would measure it.

        A convolution of a kind that was not calibrated is taken for the nearest one that was; another operator for
        the mean of all, by its bytes. `coverage` tells how much of the prediction is so.
        """
        return sum(ms for _, ms in self._times(graph))

    def layers(self, graph: Graph) -> list[tuple[str, float]]:
        """What each node of `graph` adds to the prediction, in milliseconds; the call itself is left out."""
        return [(node.name, ms) for node, (_, ms) in zip(graph.nodes[1:], self._times(graph))]

    def coverage(self, graph: Graph) -> float:
        """Share of the predicted time that comes from kernels within the calibrated shapes of their kind."""
        times = list(self._times(graph))
        inside = sum(ms for kernel, ms in times if kernel is None or self._within(kernel))
        return inside / sum(ms for _, ms in times)

    def _times(self, graph: Graph) -> Iterator[tuple[Kernel | None, float]]:
        for kernel, found in features(graph):
            kind = None if kernel is None else self._known(kernel)
            if kernel is not None and kind is None:
                yield kernel, _generic_ms(self._generic, kernel)
                continue
            own = None if kernel is None else found[0][0]
            yield (
                kernel,
                sum(
                    amount * self._coefficients.get((kind if k == own and kind else k, name), 0.0)
                    for k, name, amount in found
                ),
            )

    def _known(self, kernel: Kernel) -> Kind | None:
        """The calibrated kind that stands for this kernel's."""
        kind = kind_of(kernel)
        if kind not in self._stand_in:
            if not isinstance(kernel.op, Conv):
                return None
            known = [other for other in self._ranges if other.startswith("conv ")]
            if not known:
                return None
            self._stand_in[kind] = min(known, key=lambda other: _distance(kind, other))
        return self._stand_in[kind]

    def _within(self, kernel: Kernel) -> bool:
        limits = self._ranges.get(kind_of(kernel))
        if limits is None:
            return False
        size = _size(kernel)
        return all(low <= value <= high for value, low, high in zip(size, limits[::2], limits[1::2], strict=True))


def _size(kernel: Kernel) -> tuple[int, int, int]:
    """Channels in, channels out, places: what a kind's calibrated range is told in."""
    return sum(shape[0] for shape in kernel.inputs), kernel.output[0], kernel.output[1] * kernel.output[2]


def _distance(kind: Kind, other: Kind) -> tuple[bool, float, float, bool]:
    """How unlike two kinds of convolution are: grouped or not, size, groups, stride."""

    def read(text: Kind) -> tuple[int, str, float]:
        _, size, stride, groups = text.split()
        return (
            int(size.partition("x")[0]),
            stride,
            {"depthwise": 6.0, "image": 0.0}.get(groups)
            or (math.log2(int(groups[1:])) if groups[1:].isdigit() else 0.0),
        )

    (size, stride, groups), (size2, stride2, groups2) = read(kind), read(other)
    return (groups > 0) != (groups2 > 0), abs(math.log(size / size2)), abs(groups - groups2), stride != stride2


def _generic_ms(generic: Mapping[str, float], kernel: Kernel) -> float:
    amounts = _generic_work(kernel)
    return sum(generic[name] * amount for name, amount in amounts.items())


def _generic_work(kernel: Kernel) -> dict[str, float]:
    """What any kernel is told by when its kind is not known."""
    own = work(kernel)
    moved = own["in"] + own["out"] + own.get("weights", 0.0)
    return {"n": 1.0, "bytes": moved, "macs": own.get("macs", 0.0)}


# -- the fit


def fit(timed: Sequence[tuple[Graph, float]], *, calibrated: Mapping[str, Any] | None = None) -> LatencyTable:
    """A table from graphs and their measured latencies in milliseconds: whole networks, and kernels alone as
    `Kernel.graph` gives them. Deterministic.

    `calibrated` is kept with the table. Raises ValueError with fewer than FEWEST_NETWORKS networks, or a time that is
    not a positive number.
    """
    whole = np.array([not is_isolated(graph) for graph, _ in timed], bool)
    times = np.array([ms for _, ms in timed], np.float64)
    if whole.sum() < FEWEST_NETWORKS:
        raise ValueError(f"{int(whole.sum())} timed networks are too few to fit a latency table: "
                         f"{FEWEST_NETWORKS} at least")  # fmt: skip
    if not (np.isfinite(times) & (times > 0)).all():
        raise ValueError("a latency is not a positive number")
    found = [list(features(graph)) for graph, _ in timed]
    columns, matrix = _matrix([[f for _, own in entry for f in own] for entry in found])
    weight, error = _cross_validated(matrix, times, whole)
    generic = [[("", name, amount) for kernel, _ in entry if kernel is not None
                for name, amount in _generic_work(kernel).items()] for entry in found]  # fmt: skip
    names, plain = _matrix(generic)
    return LatencyTable(
        coefficients={c: v for c, v in zip(columns, _solve(matrix, times, whole, weight), strict=True) if v > 0},
        generic={name: v for (_, name), v in zip(names, _solve(plain, times, whole, weight), strict=True)},
        ranges=_ranges(kernel for entry in found for kernel, _ in entry if kernel is not None),
        error=error,
        calibrated={"networks": int(whole.sum()), "kernels": int((~whole).sum()), "kernel_weight": weight,
                    **(calibrated or {})},
    )  # fmt: skip


def _matrix(rows: Sequence[Sequence[Feature]]) -> tuple[list[Column], Array]:
    columns = sorted({(kind, name) for row in rows for kind, name, _ in row})
    position = {column: index for index, column in enumerate(columns)}
    matrix = np.zeros((len(rows), len(columns)))
    for index, row in enumerate(rows):
        for kind, name, amount in row:
            matrix[index, position[kind, name]] += amount
    return columns, matrix


def _solve(matrix: Array, times: Array, whole: Array, kernel_weight: float) -> list[float]:
    """Coefficients, zero or more, with the least squared relative error."""
    from scipy.optimize import nnls

    weights = np.where(whole, 1.0, kernel_weight)
    relative = matrix * (weights / times)[:, None]
    scale = np.sqrt(np.mean(relative**2, axis=0))
    scale[scale == 0] = np.inf
    size = matrix.shape[1]
    found, _ = nnls(
        np.vstack([relative / scale, math.sqrt(RIDGE) * np.eye(size)]),
        np.concatenate([weights, np.zeros(size)]),
        maxiter=100 * size,
    )
    return [float(value) for value in found / scale]


def _cross_validated(matrix: Array, times: Array, whole: Array) -> tuple[float, dict[str, float]]:
    """The best weight of kernels, and with it the error on networks that the fit had not seen."""
    networks = np.flatnonzero(whole)
    choices = KERNEL_WEIGHTS if not whole.all() else KERNEL_WEIGHTS[-1:]
    best: tuple[float, float, dict[str, float]] | None = None
    for weight in choices:
        predicted = np.empty(len(networks))
        for fold in range(FOLDS):
            held = np.zeros(len(times), bool)
            held[networks[fold::FOLDS]] = True
            found = _solve(matrix[~held], times[~held], whole[~held], weight)
            predicted[fold::FOLDS] = matrix[held] @ np.array(found)
        share = np.abs(predicted / times[networks] - 1)
        if best is None or share.mean() < best[0]:
            best = (float(share.mean()), weight, errors(predicted, times[networks]))
    assert best is not None
    return best[1], best[2]


def errors(predicted: Array, measured: Array) -> dict[str, float]:
    """`median`, `p90` and `worst` of the absolute relative errors, `within10` (share within 10 percent), `n`, and
    `kendall` where there is something to rank."""
    from scipy.stats import kendalltau

    share = np.abs(np.asarray(predicted) / np.asarray(measured) - 1)
    tau = float(kendalltau(predicted, measured).statistic) if len(share) > 1 else math.nan
    found = {
        "median": float(np.median(share)),
        "p90": float(np.percentile(share, 90)),
        "within10": float(np.mean(share <= 0.1)),
        "worst": float(share.max()),
        "n": len(share),
    }
    return {**found, "kendall": tau} if math.isfinite(tau) else found


def _ranges(found: Iterator[Kernel]) -> dict[Kind, list[int]]:
    """Kind -> least and most of each of `_size`."""
    ranges: dict[Kind, list[int]] = {}
    for kernel in found:
        size = _size(kernel)
        limits = ranges.setdefault(kind_of(kernel), [value for value in size for _ in range(2)])
        for position, value in enumerate(size):
            limits[2 * position] = min(limits[2 * position], value)
            limits[2 * position + 1] = max(limits[2 * position + 1], value)
    return ranges
