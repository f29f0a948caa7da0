"""The table that darknet prints when it loads a network, and the same as plain numbers."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from space import cli
from space.cost import LayerCost
from space.darknet.reader import Darknet, Row
from space.ops import Shape


def _image(network: Darknet) -> Shape:
    return network.graph.nodes[0].shape


def _counts(cost: LayerCost) -> dict[str, Any]:
    return {"macs": cost.macs, "bflops": cost.bflops, "kernels": cost.kernels, "params": cost.params}


def facts(network: Darknet, *, layers: bool = False) -> dict[str, Any]:
    """Totals by name, with one entry a layer where `layers`; shapes are channels, height, width.

    `resolution` is an integer for a square image, else "HxW". `bflops` are darknet's.
    """
    _, height, width = _image(network)
    found: dict[str, Any] = {
        "name": network.name,
        "resolution": cli.size_name(height, width),
        **_counts(network.total),
        "cio": network.total.cio,
        "num_layers": len(network.rows),
    }
    if layers:
        found["layers"] = [_row_facts(row) for row in network.rows]
    return found


def _row_facts(row: Row) -> dict[str, Any]:
    return {
        "index": row.index, "type": row.kind, "line": row.line, "filters": row.output[0], "size": row.size,
        "stride": row.stride, "groups": row.groups, "sources": list(row.sources), "input": list(row.input),
        "output": list(row.output), **_counts(row.cost),
    }  # fmt: skip


def show(network: Darknet, *, layers: bool = False) -> None:
    """Print the totals, after the rows where `layers`."""
    _, height, width = _image(network)
    total = network.total
    out = cli.console()
    if layers:
        out.print(_table(network))
    out.print(
        f"{network.name}  {height}x{width}  {total.bflops:.4f} BFLOPs  {total.kernels / 1e6:.4f} M kernels  "
        f"{total.params / 1e6:.4f} M params  {total.macs / 1e6:,.1f} M MACs  {len(network.rows)} layers",
        markup=False,
        soft_wrap=True,
    )


def _table(network: Darknet) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("layer", "filters", "size/strd", "input", "output", "BFLOPs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.columns[0].justify = "left"
    for row in network.rows:
        table.add_row(f"{row.index:4} {row.kind}", _filters(row), _size(row), _input(row), _shape(row.output),
                      f"{row.cost.bflops:.3f}" if row.cost.darknet_flops else "")  # fmt: skip
    return table


def _filters(row: Row) -> str:
    return str(row.output[0]) if row.kind in ("convolutional", "connected") else ""


def _size(row: Row) -> str:
    if row.size is None:
        return "" if row.stride is None else f"{row.stride}x"
    groups = f" g{row.groups}" if row.groups > 1 else ""
    return f"{row.size} x {row.size} / {row.stride}{groups}"


def _input(row: Row) -> str:
    if row.sources:
        part = f" 1/{row.groups}" if row.groups > 1 else ""
        return " ".join(map(str, row.sources)) + part
    return _shape(row.input)


def _shape(shape: Shape) -> str:
    c, h, w = shape
    return f"{w:4} x{h:4} x{c:4}"
