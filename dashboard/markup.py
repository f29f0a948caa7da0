"""Markup made on the server, for what Dash has no component for: inline SVG, native form controls.

Everything is `markupsafe.Markup`, which escapes what is put into it. assets/detail.js puts it into the page; our
content security policy lets nothing in it run.
"""

from __future__ import annotations

from collections.abc import Iterable

from dash import html
from markupsafe import Markup, escape

__all__ = ["Markup", "attributes", "escape", "join", "raw"]


def raw(markup: Markup, **given: str) -> html.Div:
    """A component that shows `markup`."""
    return html.Div(**{"data-html": str(markup)}, **given)


def join(parts: Iterable[Markup | str]) -> Markup:
    """Parts one after the other, what is no markup escaped."""
    return Markup("").join(parts)


def attributes(**given: str | float | bool | None) -> Markup:
    """Attributes of a tag; those that are None or False are left out, `_` becomes `-`."""
    return join(
        Markup(" {}").format(name.strip("_").replace("_", "-"))
        if value is True
        else Markup(' {}="{}"').format(name.strip("_").replace("_", "-"), value)
        for name, value in given.items()
        if value is not None and value is not False
    )
