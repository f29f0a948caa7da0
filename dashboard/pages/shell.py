"""The HTML around every page: the header that all share, and the skeleton of the first screen."""

from __future__ import annotations

HEADER = """
<a href="#main" class="skip">Skip to the content</a>
<header class="top">
  <a href="/" class="brand">CSP <span class="long">Explorer</span></a>
  <nav class="pages" aria-label="Pages"><a href="/">Candidates</a><a href="/table">Table</a>
    <a href="/parallel">Parallel</a><a href="/devices">Devices</a>
    <a href="/analysis">Analysis</a><a href="/explore">Explore</a><a href="/studies">Studies</a></nav>
  <span id="studies" class="studies"></span>
  <span id="status" class="status"><span id="badge" class="badge" hidden></span>
    <span id="progress"><span class="kept"></span><span class="told"><span class="parts"></span><span id="age"
      class="age"></span></span></span></span>
  <form id="search" role="search"><input id="search-box" type="search" placeholder="Find # or id" autocomplete="off"
    aria-label="Find a candidate by number or id" list="search-found"><datalist id="search-found"></datalist></form>
  <button id="help-open" type="button" aria-label="Keys" title="Keys (?)">?</button>
  <button id="theme-toggle" type="button" aria-label="Switch light and dark" title="Switch light and dark">◐</button>
  <button id="copy" type="button" title="Copy a link to exactly this view">Copy<span class="long"> link</span></button>
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
"""

SHEET = """
<main id="main" tabindex="-1"><div id="explorer" class="explorer loading">
  <aside id="rail" class="rail" aria-label="Filters"></aside>
  <div class="sheet-area">
    <div class="sheet-head"><h1>{title}</h1><div id="tools" class="tools"></div></div>
    {body}
    <div class="caption"><span id="count" class="count" role="status"></span><span class="hint">{hint}</span></div>
  </div>
</div><div id="message" hidden></div></main>
<div id="tooltip" class="tooltip" hidden></div>
"""
TABLE = '<div id="sheet" class="table sheet"></div>'
PARALLEL = """<div class="parallel-area"><div id="heads" class="heads"></div>
      <div id="parallel" class="parallel" role="img" tabindex="-1"
        aria-label="Parallel coordinates of the candidates; the page Table lists the same ones"></div></div>"""
HINTS = {
    "table": "Enter opens, Space or a click selects; Save view keeps exactly these rows and columns.",
    "parallel": "Drag along an axis or type its ends; a click on it clears. A click on a line opens, Shift selects.",
}


def explorer(poll_ms: int, several: bool = False) -> str:
    """The document of the first screen; assets/page.js fills it. `several`: there is more than one database."""
    return _document(
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>CSP Explorer</title>' + _style(),
        f"{HEADER}{EXPLORER}", _script("page.js"), poll_ms, several,
    )  # fmt: skip


def sheet(name: str, poll_ms: int, several: bool = False) -> str:
    """The document of `table` or `parallel`; assets/<name>page.js fills it."""
    title, body = {"table": ("Table", TABLE), "parallel": ("Parallel coordinates", PARALLEL)}[name]
    head = f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} – CSP Explorer</title>'
    return _document(
        head + _style(),
        HEADER + SHEET.format(title=title, body=body, hint=HINTS[name]),
        _script(f"{name}page.js"),
        poll_ms,
        several,
    )


def around_dash(poll_ms: int, several: bool = False) -> str:
    """The `index_string` of all other pages."""
    return _document("{%metas%}<title>{%title%}</title>{%css%}" + _style(), f"{HEADER}{{%app_entry%}}",
                     '{%config%}{%scripts%}<script src="/assets/detail.js"></script>{%renderer%}' + _script("shell.js"),
                     poll_ms, several)  # fmt: skip


def _document(head: str, body: str, scripts: str, poll_ms: int, several: bool) -> str:
    choose = '<script src="/assets/databases.js"></script>' if several else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'{choose}<script src="/assets/theme.js"></script>{head}</head>'
        f'<body data-poll="{poll_ms}"><div class="shell">{body}'
        f'<div id="said" class="unseen" role="status" aria-live="polite"></div></div>'
        f'<script src="/assets/pages.js"></script>{scripts}</body></html>'
    )


def _style() -> str:
    font = '<link rel="preload" href="/assets/inter-4.1.woff2" as="font" type="font/woff2" crossorigin>'
    return font + "".join(
        f'<link rel="stylesheet" href="/assets/{name}.css">' for name in ("style", "pages", "detail", "sheets")
    )


def _script(name: str) -> str:
    return f'<script type="module" src="/assets/{name}"></script>'
