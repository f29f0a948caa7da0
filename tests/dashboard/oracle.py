"""What the browser must say: the view in a URL, filters, fronts, the answer. tests/browser holds assets/*.js to this.

`View.from_query` never raises: a link from another study or an older version shows what it can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from dashboard import view
from dashboard.candidates import Mask, answer, categories, complete, front_over, numbers
from dashboard.fields import CHIPS, FIELDS, FILTERED, NUMERIC, on_device
from dashboard.query import number

if TYPE_CHECKING:
    from search.columns import Columns

SHOWN = ("dominated", "stopped", "failed", "refused", "waiting", "published")
"""What beside the front can be shown; the order of the toggles. Only the browser draws `published` networks."""

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
            bounds = (number(given.get(f"min.{name}")), number(given.get(f"max.{name}")))
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
    ends = number(low), number(high)
    return (ends[0], ends[1]) if ends[0] is not None and ends[1] is not None and ends[0] != ends[1] else None


def default_view(config: Mapping[str, Any]) -> View:
    """The view of a study before anybody chose."""
    first = view.default_view(config)
    return View(x=first.x, y=first.y, color=first.color, show=first.show)


STATUS = {"complete": "dominated", "stopped": "stopped", "failed": "failed", "refused": "refused",
          "proposed": "waiting"}  # fmt: skip
"""What a proposal that is not on the front is called."""


def matching(frame: Columns, view: View) -> Mask:
    """Rows inside every filter. A row without a value is outside a filter on that value."""
    mask = np.ones(len(frame), bool)
    for name, (low, high) in view.ranges.items():
        values = numbers(frame, name)
        tolerance = 1e-9 * np.abs(values)  # a bound that was typed or went through the URL
        with np.errstate(invalid="ignore"):
            if low is not None:
                mask &= values >= low - tolerance
            if high is not None:
                mask &= values <= high + tolerance
    for name, kept in view.kinds.items():
        mask &= np.isin(np.array(categories(frame, name), dtype=object), list(kept))
    return mask


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Which rows of a frame play which part under a view. All masks are over the whole frame."""

    matching: Mask
    """Inside every filter, whatever the state."""
    axes_front: Mask
    """Front of the two axes among the matching candidates."""
    all_front: Mask
    """Front of all objectives among the matching candidates."""
    free_front: Mask
    """Front of the two axes as if there were no filter."""
    highlighted: Mask
    """The front that the view asks for."""
    shown: Mask
    """Drawn and listed."""
    best: int | None
    """Row of the answer."""

    @property
    def filtered(self) -> bool:
        """Whether a filter hides anything."""
        return not bool(self.matching.all())


def pick(frame: Columns, view: View, objectives: Sequence[str]) -> Picked:
    """Filters, fronts and the answer for one view; `objectives` are the study's, the score first."""
    inside, done = matching(frame, view), complete(frame)
    axes_front = front_over(frame, (view.x, view.y), inside & done)
    all_front = front_over(frame, objectives, inside & done)
    highlighted = all_front if view.front == "all" else axes_front
    states = frame["state"].tolist()
    wanted = np.array([STATUS.get(state, "waiting") in view.show for state in states], dtype=bool)
    return Picked(
        matching=inside,
        axes_front=axes_front,
        all_front=all_front,
        free_front=front_over(frame, (view.x, view.y), done),
        highlighted=highlighted,
        shown=inside & (highlighted | wanted),
        best=answer(frame, objectives, inside & done),
    )


def binding(frame: Columns, view: View, score: str) -> tuple[int, list[tuple[str, str]]] | None:
    """When no candidate fits: the row that comes nearest, and the ends of the ranges (`min`, `max`) that keep it out.

    Nearest is the row with a score whose largest excess over a bound is the smallest share of that bound.
    """
    ends = [(name, end, bound) for name, bounds in view.ranges.items()
            for end, bound in zip(("min", "max"), bounds, strict=True) if bound is not None]  # fmt: skip
    rows = np.flatnonzero(matching(frame, View(kinds=view.kinds)) & complete(frame) & ~np.isnan(numbers(frame, score)))
    if not len(rows) or not ends:
        return None
    excess = np.zeros((len(ends), len(rows)))
    for at, (name, end, bound) in enumerate(ends):
        values = numbers(frame, name)[rows]
        outside = values - bound if end == "max" else bound - values
        excess[at] = np.where(outside <= 1e-7 * abs(bound), 0.0, outside / (abs(bound) or 1.0))
    excess[np.isnan(excess)] = np.inf
    most = excess.max(axis=0)
    nearest = int(np.argmin(most))
    if not 0.0 < most[nearest] < np.inf:
        return None
    return int(rows[nearest]), [(name, end) for at, (name, end, _) in enumerate(ends) if excess[at, nearest]]
