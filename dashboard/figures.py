"""The colours of both themes and the font of every figure. A module `figures_*` or `curves` draws; SVG traces only.

WebGL fails in silence. The plot of all candidates is drawn by the browser: assets/plot.js.
"""

from __future__ import annotations

from dataclasses import dataclass

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of a figure; the page's own are in assets/style.css."""

    ink: str
    muted: str
    grid: str
    surface: str
    families: tuple[str, ...]
    """Categories: told apart in normal, protan, deutan and tritan vision."""
    warn: str
    scale: tuple[str, ...]
    """Numbers, low to high: cividis, without the end that the surface swallows."""


_CIVIDIS = ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55",
            "#fee838")  # fmt: skip

LIGHT = Theme(
    ink="#16181d", muted="#5d6470", grid="#e6e8ec", surface="#ffffff", warn="#6b7280",
    families=("#0D3792", "#B01A25", "#00A87B", "#AB84CB", "#D28300"), scale=_CIVIDIS[:9],
)  # fmt: skip
DARK = Theme(
    ink="#f2f4f7", muted="#a3abb8", grid="#2b313b", surface="#15181d", warn="#9aa3b0",
    families=("#56B4E9", "#F28E2B", "#2BC48A", "#E29CC6", "#F0E442"), scale=_CIVIDIS[2:],
)  # fmt: skip


def theme_called(name: str | None) -> Theme:
    """The theme `dark` or, for anything else, `light`."""
    return DARK if name == "dark" else LIGHT
