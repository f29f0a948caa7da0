"""The stage diagram of a network inside a page; assets/detail.css gives it the colours of the theme."""

from __future__ import annotations

from dashboard.markup import Markup
from space.draw import describe, layout
from space.graph import Graph

WIDEST = 1330.0
"""A backbone wider than this, in pixels, goes over several rows."""


def diagram(graph: Graph, name: str) -> Markup:
    """SVG whose marks have the names of their nodes as `data-nodes`, each node of the graph once."""
    canvas = layout(graph, widest=WIDEST)
    drawn = canvas.svg(
        title=f"Stage diagram of {name}", description=describe(graph), names=[node.name for node in graph.nodes],
        ids="diagram-", backdrop=False,
    )  # fmt: skip
    # `Canvas` escapes every text. The natural width lets the style sheet shrink the drawing, but not beyond reading.
    return Markup('<div style="--natural:{:.0f}px">{}</div>').format(canvas.right + 16, Markup(drawn))


def download(graph: Graph, name: str) -> bytes:
    """The diagram as a file, in its own colours."""
    from space.draw import draw

    return draw(graph, title=name).encode()
