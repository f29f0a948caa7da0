"""Everything that a person chose, as one value that is also the URL's query.

`View.from_query` never raises: a link from another study or an older version shows what it can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dashboard.fields import CHIPS, FIELDS, FILTERED, NUMERIC, on_device

SHOWN = ("dominated", "stopped", "failed", "refused", "waiting", "published")
"""What beside the front can be shown; the order of the toggles. `published` are networks of `dashboard.references`,
shown by default where the command line names them: only the browser draws them."""

DRAGS = ("zoom", "pan", "select", "lasso")
ORIGINS = ("measured", "predicted", "both")
Zoom = tuple[float, float]
"""Ends of a zoomed axis as Plotly gives them: in the field's unit, or its logarithm on a log axis."""

Range = tuple[float | None, float | None]
"""Lowest and highest value, both included, in base units; None is open."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The choices behind one picture."""

    x: str = "latency_ms"
    y: str = "ap"
    x_log: bool = False
    y_log: bool = False
    color: str = "block"
    size: str = ""
    """A field, or empty for one size."""
    show: tuple[str, ...] = ("dominated", "failed")
    front: str = "axes"
    """`axes`: front of the two axes; `all`: of all objectives of the study."""
    ranges: Mapping[str, Range] = field(default_factory=dict)
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Category -> values kept; a category that is absent keeps all."""
    selected: tuple[int, ...] = ()
    """Proposal numbers."""
    pinned: tuple[int, ...] = ()
    """Proposal numbers kept for comparison, in the order in which they were pinned."""
    zoom_x: Zoom | None = None
    zoom_y: Zoom | None = None
    drag: str = "zoom"
    """What dragging in the plot does."""
    database: str = ""
    """Short name of one of several; empty for the first, or the only one."""
    study: str = ""
    """Empty for the study that changed last."""
    device: str = ""
    """Whose latencies, as `dashboard.targets` names it; empty for the study's own."""
    by: str = ""
    """Which of its latencies: measured, predicted or both; empty for what is known best."""

    def to_query(self, default: View) -> str:
        """The choices that differ from `default`, as a URL query without the question mark."""
        pairs: list[tuple[str, str]] = []
        given = (("db", self.database), ("study", self.study), ("dev", self.device), ("by", self.by))
        pairs += [(key, value) for key, value in given if value]
        for name in ("x", "y", "color", "size", "front", "x_log", "y_log", "drag"):
            value = getattr(self, name)
            if value != getattr(default, name):
                pairs.append((name, value if isinstance(value, str) else str(int(value))))
        if set(self.show) != set(default.show):
            pairs.append(("show", ",".join(name for name in SHOWN if name in self.show)))
        for name in FILTERED:
            low, high = self.ranges.get(name, (None, None))
            if low is not None:
                pairs.append((f"min.{name}", f"{low:.10g}"))
            if high is not None:
                pairs.append((f"max.{name}", f"{high:.10g}"))
        pairs += [(name, ",".join(self.kinds[name])) for name in CHIPS if name in self.kinds]
        for key, zoom in (("zx", self.zoom_x), ("zy", self.zoom_y)):
            if zoom is not None:
                pairs.append((key, f"{zoom[0]:.7g}..{zoom[1]:.7g}"))
        for key, chosen in (("sel", self.selected), ("pin", self.pinned)):
            if chosen:
                pairs.append((key, ",".join(str(number) for number in chosen)))
        return urlencode(pairs, safe=",/")

    @staticmethod
    def from_query(query: str | None, default: View) -> View:
        """The view that `query` describes; what it does not say, or says wrongly, is `default`'s."""
        given = dict(parse_qsl((query or "").lstrip("?"), keep_blank_values=True))
        if "lat" in given and "max.latency_ms" not in given:  # short for a link that a person types
            given["max.latency_ms"] = given["lat"]

        def choice(name: str, allowed: Sequence[str]) -> str:
            value = given.get(name, "")
            known = value in allowed or (NUMERIC[0] in allowed and on_device(value))
            return value if name in given and known else str(getattr(default, name))

        ranges = {}
        for name in FILTERED:
            bounds = (_number(given.get(f"min.{name}")), _number(given.get(f"max.{name}")))
            if bounds != (None, None):
                ranges[name] = bounds
        kinds = {name: tuple(filter(None, given[name].split(","))) for name in CHIPS if name in given}
        show = given["show"].split(",") if "show" in given else default.show
        return View(
            x=choice("x", NUMERIC),
            y=choice("y", NUMERIC),
            x_log=given.get("x_log", "1" if default.x_log else "0") == "1",
            y_log=given.get("y_log", "1" if default.y_log else "0") == "1",
            color=choice("color", (*FIELDS, "")),
            size=choice("size", (*NUMERIC, "")),
            show=tuple(name for name in SHOWN if name in show),
            front=choice("front", ("axes", "all")),
            ranges=ranges,
            kinds=kinds,
            selected=_numbers(given.get("sel", "")),
            pinned=_numbers(given.get("pin", "")),
            zoom_x=_zoom(given.get("zx", "")),
            zoom_y=_zoom(given.get("zy", "")),
            drag=choice("drag", DRAGS),
            database=given.get("db", "")[:400],
            study=given.get("study", default.study),
            device=given.get("dev", "").strip()[:200],
            by=choice("by", ORIGINS),
        )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in text.split(",") if part.isascii() and part.isdigit())[:100]


def _zoom(text: str) -> Zoom | None:
    low, _, high = text.partition("..")
    ends = _number(low), _number(high)
    return (ends[0], ends[1]) if ends[0] is not None and ends[1] is not None and ends[0] != ends[1] else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and abs(value) < float("inf") else None


def objectives_of(config: Mapping[str, Any]) -> list[str]:
    """Names of a study's objectives that this version knows, the score first."""
    found = [str(objective.get("metric")) for objective in config.get("objectives", [])]
    return [name for name in found if name in FIELDS] or ["ap"]


def default_view(config: Mapping[str, Any]) -> View:
    """The first picture of a study: its score over latency, or over its second objective."""
    score, *costs = objectives_of(config)
    cost = "latency_ms" if "latency_ms" in costs or not costs else costs[0]
    return View(x=cost, y=score)
