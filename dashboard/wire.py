"""A study as the browser reads it: one block of bytes with a small JSON header and a column after the other.

Layout: `CSP1`, the header's length as a little-endian uint32, the header in UTF-8, blanks up to a multiple of 8,
then the columns, each at its `at` after the header, little-endian. Types: `f4`, `f8`, `i4` (-2147483648 is missing),
`u1`, `u2` and `u4` (codes of `labels`), `id` (6 bytes each, 12 hex digits). assets/data.js reads it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from dashboard import candidates
from dashboard.data import Snapshot
from dashboard.deployed import COSTS, deployment_of, rescaled
from dashboard.fields import CHIPS, FIELDS, FILTERED, NUMERIC, VERIFIED, Field, on_device, rank
from dashboard.figures import DARK, LIGHT
from dashboard.pages.message import Message
from dashboard.references import Reference, pairs
from dashboard.targets import Choice, Predictions, named, unknown
from dashboard.texts import isolated
from dashboard.view import Default, default_view, objectives_of
from evaluator.metrics import METRICS
from search.columns import Columns

MISSING = -(2**31)
FAST = 4
"""Level of gzip: for 100,000 candidates level 9 saves 1 % and takes 2.6 times as long."""


def encode(header: dict[str, Any], columns: Columns | None, names: Sequence[str]) -> bytes:
    """The block of `names`, compressed; without columns only the header."""
    blocks: list[bytes] = []
    described: list[dict[str, Any]] = []
    at = 0
    for name in names if columns is not None else ():
        assert columns is not None
        kind, values, labels = _column(columns, name)
        block = values.tobytes()
        described.append({"name": name, "type": kind, "at": at, **({"labels": labels} if labels is not None else {})})
        blocks += [block, b"\0" * (-len(block) % 8)]
        at += len(block) + len(blocks[-1])
    text = json.dumps({**header, "columns": described}, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 8)
    whole = b"".join([b"CSP1", len(text).to_bytes(4, "little"), text, *blocks])
    return gzip.compress(whole, FAST, mtime=0)


def _column(columns: Columns, name: str) -> tuple[str, candidates.Numbers, list[str] | None]:
    if name == "id":
        return "id", np.frombuffer(bytes.fromhex("".join(columns.ids)), np.uint8), None
    if name in columns.texts:
        text = columns.texts[name]
        present = np.flatnonzero(np.bincount(text.codes, minlength=len(text.labels)))
        labels = [candidates.as_text(text.labels[code]) for code in present]
        width = np.min_scalar_type(max(1, len(labels)))
        codes = np.zeros(len(text.labels), width)
        codes[present] = np.arange(len(present))
        return f"u{width.itemsize}", codes[text.codes], labels
    values = columns.numbers[name]
    known = values[np.isfinite(values)]
    # Costs are whole and compared exactly; float32 keeps seven digits of what was measured.
    if len(known) and (known == np.floor(known)).all():
        if np.abs(known).max() >= -MISSING:
            return "f8", values.astype("<f8"), None
        return "i4", np.where(np.isfinite(values), values, MISSING).astype("<i4"), None
    return "f4", values.astype("<f4"), None


def core(columns: Columns, objectives: Sequence[str], view: Default) -> list[str]:
    """Columns that the first screen needs; others are asked for one by one."""
    wanted = [*objectives, *FILTERED, *(f"{VERIFIED}{name}" for name in objectives[:1]), view.x, view.y]
    numbers = [name for metric in dict.fromkeys(wanted) for name in (metric, f"{metric}_spread")]
    if candidates.any_verified(columns):
        numbers.append("front_share")
    names = ["number", *(name for name in numbers if known(columns, name)), "state", "reason", *CHIPS]
    return ["id", *dict.fromkeys(name for name in names if name in columns)]


def known(columns: Columns, name: str) -> bool:
    """Whether a number is known of any candidate."""
    return name in columns.numbers and bool(np.isfinite(columns.numbers[name]).any())


def numeric(columns: Columns) -> list[str]:
    """Fields that can be an axis: those with at least one value, as lists show them."""
    names = [*NUMERIC, *filter(on_device, columns.numbers)]
    return sorted((name for name in names if known(columns, name)), key=rank)


def beside(columns: Columns, names: Sequence[str]) -> list[str]:
    """`<metric>_spread` and `<metric>_n` of `names`, where something was repeated; the browser asks for them."""
    spreads = [name for name in (f"{metric}_spread" for metric in names) if known(columns, name)]
    counts = [f"{metric}_n" for metric in names if f"{metric}_n" in columns.numbers]
    return [*spreads, *(name for name in counts if np.nanmax(columns.numbers[name], initial=0.0) > 1)]


def first_view(columns: Columns, config: Mapping[str, Any]) -> Default:
    """The default view. Before any candidate is finished a measured cost may still come: the axis is kept for it."""
    begun = bool(candidates.in_state(columns, "complete", "stopped", "failed").any())
    return default_view(config, partial(known, columns) if begun else None)


def filters(columns: Columns) -> list[str]:
    """Fields with a slider, in the order of the rail."""
    return [name for name in FILTERED if known(columns, name)]


def header(snapshot: Snapshot, references: Sequence[Reference], message: Message | None, *,
           marked: bool = False) -> dict[str, Any]:  # fmt: skip
    """What the browser must know beside the numbers. `marked`: somebody asked for these references."""
    result: dict[str, Any] = {"phase": snapshot.phase, "token": snapshot.token, "problem": snapshot.problem}
    if message is not None:
        result["message"] = {"title": message.title, "lines": [list(line) for line in message.lines]}
    if snapshot.columns is None or snapshot.study is None:
        return {**result, "rows": 0}
    columns, config = snapshot.columns, snapshot.study.config
    default, objectives = first_view(columns, config), objectives_of(config)
    axes = numeric(columns)
    names = dict.fromkeys((*FIELDS, *axes, *objectives, default.x, default.y))  # a link may name any of them
    return {
        **result,
        "rows": len(columns),
        "state": snapshot.study.state,
        "study": snapshot.study.name,
        "device": isolated(str(config.get("device") or "this machine")),
        "objectives": objectives,
        "verified": candidates.any_verified(columns),
        "axes": axes,
        "beside": beside(columns, axes),
        "filters": filters(columns),
        "chips": list(CHIPS),
        "fields": {name: described(FIELDS[name]) for name in names},
        "default": {"x": default.x, "y": default.y, "color": default.color, "show": list(default.show)},
        "references": [
            {"name": reference.name, "costs": dict(reference.costs), "about": reference.about}
            for reference in references
        ],
        "marked": marked,
        "pairs": pairs([reference.name for reference in references]),
        "database": snapshot.database,
        "several": len(snapshot.studies) > 1,
        "themes": {"light": asdict(LIGHT), "dark": asdict(DARK)},
    }


def described(field: Field) -> dict[str, Any]:
    """A field as the browser shows it."""
    share, base = field.name == "front_share", field.name.removeprefix(VERIFIED)
    return {
        "label": field.label, "unit": "%" if share else field.unit, "scale": 100.0 if share else field.scale,
        "stored": stored(field),
        "direction": field.direction, "kind": field.kind, "meaning": field.meaning,
        "plain": field.kind == "metric" and field.name != "flops" and not METRICS[base].unit,
    }  # fmt: skip


# -- another device than the study's own


def choice(found: Choice) -> dict[str, Any]:
    """A device to choose, and how many candidates are measured and predicted there so far."""
    place = found.place
    counts = [int(np.isfinite(values).sum()) for values in (place.measured, place.predicted)] if place else [0, 0]
    return {"key": found.key, "name": found.name, "title": found.title, "runtime": found.runtime, "label": found.label,
            "measured": counts[0], "predicted": counts[1]}  # fmt: skip


def place(snapshot: Snapshot, dev: str, among: Sequence[Choice], predictions: Predictions) -> bytes:
    """The latencies of a study on the device that a URL calls `dev`: two columns, measured and predicted."""
    head: dict[str, Any] = {"token": snapshot.token, "place": None, "problem": "", "rows": len(snapshot.columns or ())}
    found = named(dev[:200], among)
    if snapshot.columns is None or (found is not None and not found.key):
        return encode(head, snapshot.columns, ())
    if found is None:
        return encode({**head, "problem": unknown(dev, among)}, snapshot.columns, ())
    known_here = predictions.known(snapshot, found)
    told = {"origin": known_here.origin(), "method": known_here.method, "done": known_here.done,
            "error": known_here.error if known_here.error == known_here.error else None,
            "wanted": known_here.wanted, "problem": known_here.problem,
            "costs": {name: rescaled(name, deployment_of(snapshot.study.config if snapshot.study else None),
                                     found.target.deployment) for name in COSTS}}  # fmt: skip
    values = Columns(numbers={"measured": known_here.measured, "predicted": known_here.predicted}, texts={},
                     ids=snapshot.columns.ids)  # fmt: skip
    return encode({**head, "place": {**choice(found), **told}}, values, ("measured", "predicted"))


def stored(field: Field) -> str:
    """The unit of the numbers themselves, as files have them."""
    if field.name == "flops":
        return "FLOPs"
    return METRICS[field.name.removeprefix(VERIFIED)].unit if field.kind == "metric" else ""
