"""python -m space.zoo [NAME]: the published networks, rebuilt, beside their published figures."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from space import cli

if TYPE_CHECKING:
    from rich.console import Console

    from space.graph import Graph
    from space.zoo import Entry

app = App(
    name="python -m space.zoo",
    help="The networks of the CSPNet paper and its repository, rebuilt from our blocks, beside what was published.",
    version_flags=[],
)


@app.default
def run(
    name: str | None = None,
    /,
    *,
    resolution: str | None = None,
    layers: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Print all networks, or one of them in detail.

    Parameters
    ----------
    name
        A network in any spelling: CSPResNeXt-50, csresnext50, "densenet 201".
    resolution
        Input size, as 416 or 320x416; each network's published one by default.
    layers
        Print every layer of the network.
    as_json
        Print one JSON object for the network, or a list of them for all.
    """
    from space.zoo import entries, get

    if layers and name is None:
        raise cli.UsageError("--layers shows one network: give its name before it")
    size = cli.image_size(resolution)
    chosen = [get(name)] if name is not None else list(entries().values())
    if as_json:
        found = [as_object(entry, size, layers=layers) for entry in chosen]
        print(json.dumps(found[0] if name is not None else found, indent=2, ensure_ascii=False))
        return 0

    out = cli.console()
    if name is not None:
        _print_one(out, chosen[0], size, layers=layers)
    else:
        _print_all(out, chosen, size)
    return 0


def as_object(entry: Entry, size: tuple[int, int] | None, *, layers: bool = False) -> dict[str, Any]:
    """A network's counts and published rows as plain data; absent figures are left out of the rows."""
    from space.cost import breakdown, cost
    from space.zoo.compare import counts, rows_of

    height, width = size or (entry.resolution, entry.resolution)
    graph = entry.graph(height, width)
    whole, ours = cost(graph), counts(graph)
    found: dict[str, Any] = {
        "name": entry.name,
        "group": entry.group,
        "resolution": cli.size_name(height, width),
        "macs": whole.macs,
        "bflops": whole.bflops,
        "bflops_with_norm": ours.bflops_with_norm,
        "kernels": whole.kernels,
        "params": whole.params,
        "activations": whole.activations,
        "cio": whole.cio,
        "peak_bytes": whole.peak_bytes,
        "source": entry.source,
        "approximate": entry.approximate,
        "architecture": entry.architecture.to_dict() if entry.architecture else None,
        "published": [{key: value for key, value in asdict(row).items() if value is not None}
                      for row in rows_of(entry)],
    }  # fmt: skip
    if layers:
        found["layers"] = [
            {"name": part.name, "op": part.kind, "shape": list(part.shape), "macs": part.cost.macs,
             "bflops": part.cost.bflops, "kernels": part.cost.kernels, "params": part.cost.params}
            for part in breakdown(graph)
        ]  # fmt: skip
    return found


def _print_all(out: Console, chosen: list[Entry], size: tuple[int, int] | None) -> None:
    from space.zoo.compare import Overview, counts, overview

    columns = ["Network", "Size", "Params M", "published", "Δ", "BFLOPs", "published", "Δ", "Top-1", "AP", "AP50",
               "Published in"]  # fmt: skip
    # What a narrow terminal leaves out first is what `space.zoo NAME` shows.
    dropped = {name for name, needed in (("Published in", 145), ("AP", 112), ("AP50", 112), ("Top-1", 98),
                                    ("published", 92), ("Size", 75))
               if out.width < needed}  # fmt: skip
    kept = [number for number, column in enumerate(columns) if column not in dropped]
    for group in dict.fromkeys(entry.group for entry in chosen):
        rows = cli.table(group, [columns[number] for number in kept], left=("Network", "Published in"))
        for entry in (entry for entry in chosen if entry.group == group):
            # Published counts hold at their own size; at another there is nothing to compare with.
            found = Overview(params=None, work=None, scores=None) if size else overview(entry)
            height, width = size or (found.resolution or entry.resolution,) * 2
            ours = counts(entry.graph(height, width))
            params = [f"{ours.params_m(None):.3f}", "", ""]
            if found.params is not None:
                published = found.params.row.params_m
                deviation = cli.percent(found.params.params_deviation)
                params = [f"{found.params.params_m:.3f}", f"{published:.2f}", deviation]
            work, source = [f"{ours.bflops_as(None):.3f}", "", ""], ""
            if found.work is not None:
                row = found.work.row
                quoted = row.bflops if row.bflops is not None else 2 * (row.gmacs or 0)
                work = [f"{found.work.bflops:.3f}", f"{quoted:.3f}", cli.percent(found.work.bflops_deviation)]
                source = row.table
            elif found.scores is not None:
                source = found.scores.table
            scores = [getattr(found.scores, name, None) for name in ("top1", "ap", "ap50")]
            cells = [
                f"{entry.name} ~" if entry.approximate else entry.name, str(cli.size_name(height, width)),
                *params, *work, *(f"{score:.1f}" if score is not None else "" for score in scores), source,
            ]  # fmt: skip
            rows.add_row(*(cells[number] for number in kept))
        out.print(rows)
    out.print(
        "Params and BFLOPs are counted as the published row counts them: kernels alone and darknet's operations; but\n"
        "trainable parameters and normalisation for DenseNets, floats of the weights file for PRN and tiny params,\n"
        "and 2 x GMACs for timm's and mmpretrain's. ~ approximate: the authors' file was never published, or is not\n"
        "exactly this network; the reason and every published row are shown by `python -m space.zoo NAME`.\n"
        "Published figures have two or three digits: 2.51 M stands for 2.505 to 2.515.",
        style="dim",
    )


def _print_one(out: Console, entry: Entry, size: tuple[int, int] | None, *, layers: bool) -> None:
    from space.cost import cost
    from space.zoo.compare import comparisons, rows_of

    height, width = size or (entry.resolution, entry.resolution)
    graph = entry.graph(height, width)
    whole = cost(graph)
    out.print(f"[bold]{entry.name}[/] at {height}x{width}, {entry.source}")
    if entry.architecture:
        out.print(f"{entry.architecture.id}  {entry.architecture.words()}", style="dim", soft_wrap=True)
    if entry.approximate:
        out.print(f"approximate: {entry.approximate}", style="yellow", soft_wrap=True)
    out.print(
        f"{whole.macs / 1e9:.4f} G MACs   {whole.bflops:.4f} BFLOPs   {whole.kernels / 1e6:.4f} M kernels   "
        f"{whole.params / 1e6:.4f} M parameters   {whole.cio / 1e6:.3f} M CIO   "
        f"{whole.peak_bytes / 2**20:.2f} MiB peak activations (fp32)"
    )
    if layers:
        _print_layers(out, graph)
    ours = {id(c.row): c for c in comparisons(entry)}
    columns = ["Table", "Size", "Params M", "Δ", "BFLOPs", "Δ", "Top-1", "Top-5", "AP", "AP50", "AP75", "fps",
               "Device", "Note"]  # fmt: skip
    lines = []
    for row in rows_of(entry):
        found = ours.get(id(row))
        params = cli.percent(found.params_deviation) if found else ""
        bflops = cli.percent(found.bflops_deviation) if found else ""
        note = " ".join(filter(None, ["" if row.status == "published" else row.status + ".", row.note]))
        numbers = [row.top1, row.top5, row.ap, row.ap50, row.ap75, row.fps]
        work = row.bflops if row.bflops is not None else 2 * row.gmacs if row.gmacs is not None else None
        lines.append([
            row.table, str(row.resolution or ""), f"{row.params_m:g}" if row.params_m is not None else "", params,
            f"{work:.4g}" if work is not None else "", bflops, *(f"{n:g}" if n is not None else "" for n in numbers),
            row.device or "", note,
        ])  # fmt: skip
    used = [number for number in range(len(columns)) if any(line[number] for line in lines)]
    rows = cli.table("Published", [columns[number] for number in used], left=("Table", "Device", "Note"))
    for line in lines:
        rows.add_row(*(line[number] for number in used))
    if lines:
        out.print(rows)


def _print_layers(out: Console, graph: Graph) -> None:
    from space.cost import breakdown

    rows = cli.table("Layers", ["Layer", "Op", "Output", "MACs M", "BFLOPs", "Params k"], left=("Layer", "Op"))
    for part in breakdown(graph):
        cost = part.cost
        macs = f"{cost.macs / 1e6:.2f}" if cost.macs else ""
        bflops = f"{cost.bflops:.4f}" if cost.darknet_flops else ""
        params = f"{cost.params / 1e3:.1f}" if cost.params else ""
        rows.add_row(part.name, part.kind, "x".join(map(str, part.shape)), macs, bflops, params)
    out.print(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return cli.run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
