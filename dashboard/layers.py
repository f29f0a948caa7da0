"""What each layer costs, as bars under one another: MACs, parameters, memory, latency. Graphs in, markup out.

The bars of a quantity are one path, so that a network of 300 layers adds a dozen elements to the page.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.fields import MISSING
from dashboard.markup import Markup, join
from evaluator.metrics import METRICS
from space.cost import BYTES, alive_elements, layer_cost
from space.graph import Graph, Node
from space.ops import Act, AvgPool, Conv, Input, MaxPool, Slice, Stride

Predicted = Sequence[tuple[str, float]]
"""Milliseconds by name of the node; nodes that a runtime fuses into others may be missing."""

QUANTITIES = {
    "macs": ("MACs", "multiply-accumulates of convolutions and linear layers"),
    "params": ("Parameters", "trainable, normalisation included"),
    "peak_bytes": ("Activation memory", "alive while the layer runs, the image included; the largest is the peak"),
    "latency_ms": ("Latency", "predicted for each layer"),
}
"""Rows of the chart, by the metric that they are shown as: label and meaning."""
NOT_KNOWN = "not known: there is no prediction for each layer"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One node that computes something. `values` are by quantity, None where not known."""

    name: str
    kind: str
    shape: str
    values: Mapping[str, float | None]

    @property
    def group(self) -> str:
        """Its stem, stage or head."""
        return self.name.split(".")[0]


def layers(graph: Graph, *, batch: int = 1, precision: str = "fp32", latency: Predicted | None = None) -> list[Layer]:
    """All layers in the order of execution; views and activations alone, which cost nothing, are left out."""
    alive, known = alive_elements(graph), dict(latency or ())
    found = []
    for node, elements in zip(graph.nodes, alive):
        if isinstance(node.op, Input | Slice | Stride | Act):
            continue
        cost = layer_cost(graph, node)
        values = {"macs": float(cost.macs), "params": float(cost.params),
                  "peak_bytes": float(elements * batch * BYTES[precision]),
                  "latency_ms": None if latency is None else known.get(node.name, 0.0)}  # fmt: skip
        shape = " × ".join(str(size) for size in node.shape)
        found.append(Layer(name=node.name, kind=_kind(node), shape=shape, values=values))
    return found


def _kind(node: Node) -> str:
    op = node.op
    name = type(op).__name__
    if isinstance(op, Conv):
        stride = f" /{op.stride}" if op.stride > 1 else ""
        groups = f", {op.groups} groups" if op.groups > 1 else ""
        return f"conv {op.kernel}×{op.kernel}{stride}{groups}"
    if isinstance(op, MaxPool | AvgPool):
        return f"{'max' if isinstance(op, MaxPool) else 'mean'}-pool {op.kernel}×{op.kernel} /{op.stride}"
    return name.lower()


def bottleneck(values: Sequence[float | None]) -> float | None:
    """The largest over the mean of all that cost anything (CSPNet section 3, "computational bottleneck")."""
    costly = [value for value in values if value]
    return max(costly) / (sum(costly) / len(costly)) if costly else None


def bars(found: Sequence[Layer]) -> Markup:
    """The chart: a row of bars for each quantity, all rows over the same layers, with a line that tells of one."""
    summed = ("macs", "params", "latency_ms")
    totals = {name: sum(layer.values[name] or 0.0 for layer in found) or 1.0 for name in summed}
    told = [[layer.name, layer.kind, layer.shape, *(_show(layer.values[name], name) for name in QUANTITIES),
             [*(round((layer.values[name] or 0.0) / totals[name], 5) for name in summed), *layer.values.values()]]
            for layer in found]  # fmt: skip
    return Markup(
        '<div class="layers" tabindex="0" role="group" aria-label="Cost by layer; the arrow keys go from layer to '
        'layer" data-layers="{}"><p class="readout" aria-live="polite">Point at a layer or a mark of the diagram, or '
        "press → here.</p>{}{}</div>"
    ).format(json.dumps(told), _bands(found), join(_row(found, name) for name in QUANTITIES))


def _show(value: float | None, name: str) -> str:
    return "not known" if value is None else METRICS[name].show(value)


def groups(found: Sequence[Layer]) -> dict[str, int]:
    """Number of layers by stem, stage and head, in order."""
    counts: dict[str, int] = {}
    for layer in found:
        counts[layer.group] = counts.get(layer.group, 0) + 1
    return counts


def _bands(found: Sequence[Layer]) -> Markup:
    names = join(Markup('<span style="flex:{} 0 0" title="{}">{}</span>').format(count, name, name)
                 for name, count in groups(found).items())  # fmt: skip
    return Markup('<div class="bands" aria-hidden="true"><span class="what"></span><div>{}</div></div>').format(names)


def _row(found: Sequence[Layer], name: str) -> Markup:
    label, meaning = QUANTITIES[name]
    values = [layer.values[name] for layer in found]
    known = [value or 0.0 for value in values]
    what = Markup('<div class="what" title="{}"><b>{}</b>{}</div>').format(meaning, label, _summary(found, name))
    if None in values or not any(known):
        return Markup('<div class="quantity">{}<p class="muted">{}</p></div>').format(what, NOT_KNOWN)
    top = max(known)
    largest = known.index(top)
    heights = [100 * value / top for value in known]
    return Markup(
        '<div class="quantity">{}<svg viewBox="0 0 {} 100" preserveAspectRatio="none" role="img" '
        'aria-label="{}"><path class="band" d="{}"/><path class="on" d=""/><path class="bar" d="{}"/>'
        '<path class="bar most" d="{}"/></svg></div>'
    ).format(
        what, len(found), f"{label} of {len(found)} layers; the largest is {found[largest].name} with "
        f"{_show(top, name)}", _band_path(found),
        "".join(_bar(at, height) for at, height in enumerate(heights) if at != largest),
        _bar(largest, heights[largest]),
    )  # fmt: skip


def _summary(found: Sequence[Layer], name: str) -> Markup:
    values = [layer.values[name] for layer in found]
    if None in values or not any(values):
        return Markup("")
    known = [value or 0.0 for value in values]
    whole = f"peak {_show(max(known), name)}" if name == "peak_bytes" else f"{_show(sum(known), name)} in all"
    ratio = bottleneck(known)
    return Markup('<span>{}</span><span title="{}">largest ÷ mean {}</span>').format(
        whole, f"largest: {found[known.index(max(known))].name}", f"{ratio:.1f}" if ratio else MISSING
    )


def _bar(at: int, height: float) -> str:
    return f"M{at}.08 100V{100 - max(height, 1.0):.4g}H{at}.92V100Z" if height else ""


def _band_path(found: Sequence[Layer]) -> str:
    """Every second part of the network, as a background."""
    path, start = "", 0
    for number, count in enumerate(groups(found).values()):
        if number % 2:
            path += f"M{start} 0H{start + count}V100H{start}Z"
        start += count
    return path


MOST_OVERLAID = 6
"""Networks that one overlay can tell apart: colours with dashes."""


def overlay(networks: Mapping[str, Sequence[Layer]]) -> Markup:
    """Outlines of the bars of several networks. The same parts stand over one another, whatever their length."""
    order: dict[str, int] = {}
    for found in networks.values():
        for name, count in groups(found).items():
            order[name] = max(order.get(name, 0), count)
    names = sorted(order, key=lambda name: (name == "head", name != "stem", name))
    starts, total = {}, 0
    for name in names:
        starts[name] = total
        total += order[name]
    legend = join(
        Markup('<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true"><path class="outline n{}" d="M0 4H28"/>'
               "</svg>{}</li>").format(number, name)
        for number, name in enumerate(networks)
    )  # fmt: skip
    bands = join(Markup('<span style="flex:{} 0 0">{}</span>').format(order[name], name) for name in names)
    rows = []
    for quantity in QUANTITIES:
        values = [layer.values[quantity] for found in networks.values() for layer in found]
        what = Markup('<div class="what" title="{}"><b>{}</b>{}</div>').format(
            QUANTITIES[quantity][1], QUANTITIES[quantity][0],
            "" if None in values else Markup("<span>up to {}</span>").format(
                _show(max((value or 0.0 for value in values), default=0.0), quantity)))  # fmt: skip
        if None in values or not any(values):
            rows.append(Markup('<div class="quantity">{}<p class="muted">{}</p></div>').format(what, NOT_KNOWN))
            continue
        top = max(value or 0.0 for value in values)
        paths = join(
            Markup('<path class="outline n{}" vector-effect="non-scaling-stroke" d="{}"/>').format(
                number, _outline(found, quantity, top, starts, order))
            for number, found in enumerate(networks.values())
        )  # fmt: skip
        rows.append(
            Markup('<div class="quantity">{}<svg viewBox="0 0 {} 100" preserveAspectRatio="none" role="img" '
                   'aria-label="{} by layer of {} networks">{}</svg></div>').format(
                what, total, QUANTITIES[quantity][0], len(networks), paths)
        )  # fmt: skip
    told = {name: [[layer.name, layer.kind, layer.shape, [*layer.values.values()]] for layer in found]
            for name, found in networks.items()}  # fmt: skip
    return Markup(
        '<div class="layers overlay" data-networks="{}"><ul class="legend">{}</ul>'
        '<div class="bands" aria-hidden="true"><span class="what"></span><div>{}</div></div>{}</div>'
    ).format(json.dumps(told), legend, bands, join(rows))


def _outline(found: Sequence[Layer], quantity: str, top: float, starts: Mapping[str, int],
             order: Mapping[str, int]) -> str:  # fmt: skip
    """Steps over the layers of one network; a part with fewer layers has wider ones."""
    counts, seen = groups(found), dict.fromkeys(starts, 0)
    path, end = "M0 100", 0.0
    for layer in found:
        width = order[layer.group] / counts[layer.group]
        begin = starts[layer.group] + seen[layer.group] * width
        seen[layer.group] += 1
        y = 100 - 98 * (layer.values[quantity] or 0.0) / top
        if begin > end + 1e-6:  # a part that this network lacks
            path += f"V100H{begin:.5g}"
        path += f"V{y:.4g}H{begin + width:.5g}"
        end = begin + width
    return path


def as_csv(found: Sequence[Layer]) -> bytes:
    """One row a layer, in base units; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["layer", "kind", "output", "macs", "params", "alive_bytes", "latency_ms"])
    for layer in found:
        values = [layer.values[name] for name in QUANTITIES]
        writer.writerow([layer.name, layer.kind, layer.shape, *("" if v is None else f"{v:g}" if v % 1 else int(v)
                                                                for v in values)])  # fmt: skip
    return text.getvalue().encode()
