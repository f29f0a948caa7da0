"""Tables of the pages of candidates: cost by stage, evaluations, measurements, environments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dash import html

from dashboard.fields import FIELDS, MISSING
from evaluator.metrics import METRICS
from space.architecture import Architecture
from space.cost import Part


def scrolled(content: Any, label: str) -> html.Div:
    """Something that may be wider than the page: it scrolls by itself, also by keyboard."""
    return html.Div(content, className="scroll", tabIndex=0, role="region", **{"aria-label": label})


def table(head: Sequence[str], body: Sequence[Sequence[Any]], numeric: Sequence[int] = ()) -> html.Table:
    """A table; `numeric` columns are aligned to the right."""

    def align(index: int) -> str:
        return "number" if index in numeric else ""

    return html.Table(
        [
            html.Thead(html.Tr([html.Th(text, scope="col", className=align(i)) for i, text in enumerate(head)])),
            html.Tbody([html.Tr([html.Td(cell, className=align(i)) for i, cell in enumerate(row)]) for row in body]),
        ]
    )


def stage_table(architecture: Architecture, parts: Sequence[Part]) -> html.Table:
    """One row for the stem, each stage and the head, with the total."""
    total = sum(part.cost.macs for part in parts) or 1
    body: list[list[Any]] = []
    for part in parts:
        index = int(part.name.removeprefix("stage")) - 1 if part.name.startswith("stage") else None
        stage = architecture.stages[index] if index is not None and index < len(architecture.stages) else None
        size = "×".join(str(side) for side in part.shape[1:])
        described: list[Any] = (
            [f"{stage.block} · {stage.fusion}", stage.depth, stage.width, paths(stage.cross, stage.main)]
            if stage
            else [MISSING] * 4
        )
        share = f"{part.cost.macs / total:.0%}"
        body.append([part.name, *described, f"{part.shape[0]}×{size}", *_costs(part.cost), share])
    sums = [sum(getattr(part.cost, name) for part in parts) for name in ("macs", "params", "activations")]
    body.append([html.B("total"), *[""] * 5, *(METRICS[name].show(value) for name, value in
                                               zip(("macs", "params", "activations"), sums)), "100%"])  # fmt: skip
    head = ("Part", "Block · fusion", "Depth", "Width", "Cross + main", "Output", "MACs", "Params", "Activations",
            "Share")  # fmt: skip
    return table(head, body, numeric=(2, 3, 5, 6, 7, 8, 9))


def _costs(layer: Any) -> list[str]:
    return [METRICS[name].show(getattr(layer, name)) for name in ("macs", "params", "activations")]


def paths(cross: int, main: int) -> html.Span:
    """Channels that bypass the blocks and channels that pass through them, as numbers and as a bar."""
    share = cross / (cross + main)
    return html.Span(
        [
            f"{cross} + {main}",
            html.Span(html.Span(style={"width": f"{share:.0%}"}), className="split", **{"aria-hidden": "true"}),
        ],
        className="paths",
    )


def evaluation_table(evaluations: Sequence[Mapping[str, Any]]) -> Any:
    """Every training of this architecture, failed ones with their reason."""
    if not evaluations:
        return html.P("None yet.", className="muted")
    body = [
        [
            row["state"],
            row["task"],
            row["rung"],
            f"{row['image_visits']:,}",
            row["seed"],
            f"{row['seconds']:.1f} s",
            f"{row['cpu_seconds']:.1f} s",
            date(row["created_at"]),
            row["reason"] or MISSING,
        ]
        for row in evaluations
    ]
    head = ("State", "Task", "Rung", "Visits", "Seed", "Time", "CPU", "Date (UTC)", "Reason")
    return scrolled(table(head, body, numeric=(2, 3, 4, 5, 6)), "Evaluations")


def measurement_table(measurements: Sequence[Mapping[str, Any]]) -> html.Table:
    """Every number with what is needed to trust it or not."""
    body = []
    for row in measurements:
        metric = METRICS.get(row["metric"])
        value, spread = row["value"], row["spread"]
        shown = metric.show(value) if metric else MISSING if value is None else f"{value:g} {row['unit']}".rstrip()
        scale = metric.scale if metric else 1.0
        context = row["task"] or row["device"]
        how = [part for part in (row["backend"], row["precision"], _plural(row["threads"], "thread"),
                                 f"batch {row['batch']}" if row["batch"] is not None else None,
                                 f"rung {row['rung']}" if row["rung"] is not None else None,
                                 f"{row['image_visits']:,} visits" if row["image_visits"] is not None else None,
                                 f"seed {row['seed']}" if row["seed"] is not None else None) if part]  # fmt: skip
        body.append(
            [
                html.Span(FIELDS[metric.name].label, title=metric.meaning) if metric else row["metric"],
                shown,
                MISSING if spread is None or not math.isfinite(spread) else f"± {spread * scale:.2g}",
                row["n"],
                row["origin"],
                context or MISSING,
                ", ".join(how) or MISSING,
                row["reason"] or MISSING,
                row["environment_id"] or MISSING,
                date(row["created_at"]),
            ]
        )
    head = ("Metric", "Value", "Spread", "n", "Origin", "Task or device", "How", "Reason if missing", "Environment",
            "Date (UTC)")  # fmt: skip
    return table(head, body, numeric=(1, 2, 3))


def _plural(count: int | None, word: str) -> str | None:
    return None if count is None else f"{count} {word}" + ("" if count == 1 else "s")


def environment_cards(measurements: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Each environment once: the machine and its versions."""
    found = {row["environment_id"]: row["environment"] for row in measurements if row["environment"]}
    if not found:
        return [html.P("None recorded.", className="muted")]
    cards = []
    for key, data in found.items():
        memory = data.get("memory_bytes")
        facts = {
            "Processor": f"{data.get('cpu', MISSING)}, {data.get('cores', MISSING)} cores",
            "Memory": f"{memory / 2**30:.1f} GiB" if memory else MISSING,
            "System": data.get("system", MISSING),
            "Python": data.get("python", MISSING),
            **{str(name): str(version) for name, version in (data.get("versions") or {}).items()},
        }
        rows = [html.Div([html.Dt(name), html.Dd(str(value))]) for name, value in facts.items()]
        cards.append(html.Div([html.H3(html.Code(str(key))), html.Dl(rows, className="facts versions")]))
    return cards


def date(seconds: float) -> str:
    """UTC date and time to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
