"""The HTML around every page: the header that all share, and the skeleton of the first screen."""

from __future__ import annotations

HEADER = """
<a href="#main" class="skip">Skip to the content</a>
<header class="top">
  <a href="/" class="brand">CSP Explorer</a>
  <nav class="pages" aria-label="Pages"><a href="/">Candidates</a><a href="/devices">Devices</a>
    <a href="/analysis">Analysis</a><a href="/explore">Explore</a><a href="/studies">Studies</a></nav>
  <span id="studies" class="studies"></span>
  <span id="status" class="status"></span>
  <span id="age" class="age"></span>
  <form id="search" role="search"><input id="search-box" type="search" placeholder="Find # or id" autocomplete="off"
    aria-label="Find a candidate by number or id" list="search-found"><datalist id="search-found"></datalist></form>
  <button id="help-open" type="button" aria-label="Keys" title="Keys (?)">?</button>
  <button id="theme-toggle" type="button" aria-label="Switch light and dark" title="Switch light and dark">◐</button>
  <button id="copy" type="button" title="Copy a link to exactly this view">Copy link</button>
</header>
"""

EXPLORER = """
<main id="main" tabindex="-1"><div id="explorer" class="explorer loading">
  <aside id="rail" class="rail" aria-label="Filters"></aside>
  <div class="stage-area">
    <section id="answer" class="answer" aria-label="Answer" aria-live="polite"></section>
    <div id="toolbar" class="toolbar" role="group" aria-label="Axes and marks"></div>
    <div id="plot" class="plot" role="group" tabindex="0"
      aria-label="Scatter plot of the candidates; the table below lists the same ones"></div>
    <div class="caption"><span id="count" class="count" role="status"></span><span id="hint" class="hint">
      Click opens, Shift-click or a box selects, ↑ ↓ walk along the front, ? lists the keys.</span></div>
    <div id="table" class="table"></div>
  </div>
</div><div id="message" hidden></div></main>
<div id="tooltip" class="tooltip" hidden></div>
<div id="said" class="unseen" role="status" aria-live="polite"></div>
"""


def explorer(poll_ms: int) -> str:
    """The document of the first screen; assets/page.js fills it."""
    return _document(
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>CSP Explorer</title>' + _style(),
        f"{HEADER}{EXPLORER}", _script("page.js"), poll_ms,
    )  # fmt: skip


def around_dash(poll_ms: int) -> str:
    """The `index_string` of all other pages."""
    return _document("{%metas%}<title>{%title%}</title>{%css%}" + _style(), f"{HEADER}{{%app_entry%}}",
                     '{%config%}{%scripts%}<script src="/assets/detail.js"></script>{%renderer%}' + _script("shell.js"),
                     poll_ms)  # fmt: skip


def _document(head: str, body: str, scripts: str, poll_ms: int) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<script src="/assets/theme.js"></script>{head}</head>'
        f'<body data-poll="{poll_ms}"><div class="shell">{body}</div>'
        f'<script src="/assets/pages.js"></script>{scripts}</body></html>'
    )


def _style() -> str:
    font = '<link rel="preload" href="/assets/inter-4.1.woff2" as="font" type="font/woff2" crossorigin>'
    return font + "".join(f'<link rel="stylesheet" href="/assets/{name}.css">' for name in ("style", "pages", "detail"))


def _script(name: str) -> str:
    return f'<script type="module" src="/assets/{name}"></script>'
