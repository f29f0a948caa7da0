"""python -m evaluator.devices [NAME]: the device cards, their figures and where these are from."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from space import cli

if TYPE_CHECKING:
    from rich.console import Console

    from evaluator.devices import Card
    from evaluator.devices.published import Compared

app = App(
    name="python -m evaluator.devices",
    help="Devices that are not here: what is published of them, and how fast networks are published to run there.",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.default
def run(
    name: str | None = None,
    /,
    *,
    measure_host: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Print all device cards, or one with its sources and its published frame rates.

    Parameters
    ----------
    name
        A card, host, or the path of a .toml file of your own.
    measure_host
        First measure the rates of this machine and the error of the roofline here; nothing else should run.
    as_json
        Print one JSON object for the card, or a list of them for all.
    """
    from evaluator.devices import CardError, card, cards
    from evaluator.devices.host import measure
    from evaluator.target import HOST

    if measure_host and name not in (None, HOST):
        raise cli.UsageError(f"--measure-host measures the card of host, not of '{name}'")
    if measure_host:
        measure()
        name = HOST
    try:
        chosen = list(cards().values()) if name is None else [card(name)]
    except CardError as error:
        raise cli.UsageError(str(error)) from error
    if as_json:
        found = [as_object(one) for one in chosen]
        print(json.dumps(found if name is None else found[0], indent=1, ensure_ascii=False))
    elif name is None:
        _print_all(cli.console(), chosen)
    else:
        _print_one(cli.console(), chosen[0])
    return 0


def as_object(card: Card) -> dict[str, Any]:
    """A card as plain data, with what is known of its roofline's error and its published latencies."""
    from evaluator.devices.published import compared
    from evaluator.roofline import known_error

    return {
        **asdict(card),
        "roofline_error": known_error(card),
        "published": [{**asdict(one.row), "roofline_ms": one.roofline_ms, "error": one.error, "reason": one.reason}
                      for one in compared(card)],
    }  # fmt: skip


def _print_all(out: Console, chosen: list[Card]) -> None:
    from evaluator.devices import cards
    from evaluator.roofline import known_error
    from evaluator.target import HOST
    from space.cost import BYTES

    columns = ["Card", "Device", "Kind", *(f"{precision} GFLOP/s" for precision in BYTES), "GB/s", "Memory GiB",
               "Roofline is off by"]  # fmt: skip
    rows = cli.table("Device cards", columns, left=("Card", "Device", "Kind"))
    for card in chosen:
        error = known_error(card)
        off = f"{100 * float(error['median']):.0f} % (median of {error['n']})" if error else "not known"
        rows.add_row(card.name, card.title, card.kind,
                     *(f"{card.peak_gflops[p]:,.0f}" if p in card.peak_gflops else "" for p in BYTES),
                     f"{card.bandwidth_gb_s:,.1f}" if card.bandwidth_gb_s else "",
                     f"{card.memory_bytes / 2**30:.1f}" if card.memory_bytes else "", off)  # fmt: skip
    out.print(rows)
    if HOST not in cards():
        out.print(f"{HOST} is not measured yet: python -m evaluator.devices --measure-host", style="dim")
    out.print("Peak rates of all cores, dense; 1 MAC is 2 operations. Sources: python -m evaluator.devices NAME",
              style="dim")  # fmt: skip


def _print_one(out: Console, card: Card) -> None:
    from evaluator.devices.published import ASSUMED, compared
    from evaluator.roofline import known_error

    out.print(f"[bold]{card.name}[/]: {card.title} ({card.kind})")
    if card.notes:
        out.print(card.notes, style="dim", soft_wrap=True, markup=False)
    if card.figures:
        rows = cli.table("Figures", ["Figure", "Value", "Source"], left=("Figure", "Source"))
        for key, value in card.figures.items():
            rows.add_row(key, f"{value:,.10g}", card.sources.get(key, "no source given"))
        out.print(rows)
    if card.profile:
        out.print("profile: " + ", ".join(f"{key} {value}" for key, value in card.profile.items()), markup=False)
    error = known_error(card)
    known = "its error is not known on this device"
    if error:
        known = f"off by {100 * float(error['median']):.0f} % (median of {error['n']}; {error['source']})"
    out.print(f"roofline: {known}", markup=False, soft_wrap=True)
    found = compared(card)
    if found:
        _print_published(out, found)
        out.print(f"The roofline's prediction is of {ASSUMED}; the sources state none of these.", style="dim")


def _print_published(out: Console, found: list[Compared]) -> None:
    columns = ["Network", "Size", "fps", "ms", "Roofline ms", "Error", "Status", "Note"]
    rows = cli.table("Published frame rates", columns, left=("Network", "Status", "Note"))
    for one in found:
        row = one.row
        predicted = f"{one.roofline_ms:.2f}" if one.roofline_ms is not None else ""
        error = f"{100 * one.error:+.0f} %" if one.error is not None else ""
        rows.add_row(f"{row.network} ~" if row.approximate else row.network, str(row.resolution or ""),
                     f"{row.fps:g}", f"{row.latency_ms:.2f}", predicted, error, row.status,
                     one.reason or row.source.partition(":")[0])  # fmt: skip
    out.print(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    try:
        return cli.run(app, arguments)
    except KeyboardInterrupt:
        print("stopped; nothing was left behind", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
