/* The browser's part: theme, age of the data, the URL, opening candidates. No dependencies, no eval. */
(function () {
  "use strict";
  const root = document.documentElement;
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const none = () => window.dash_clientside.no_update;

  function stored() {
    try { return localStorage.getItem("csp-theme"); } catch { return null; }
  }
  function currentTheme() { return stored() || (media.matches ? "dark" : "light"); }
  function applyTheme() { root.dataset.theme = currentTheme(); root.dataset.agThemeMode = currentTheme(); }
  applyTheme();
  media.addEventListener("change", () => {
    applyTheme();
    if (window.dash_clientside.set_props) window.dash_clientside.set_props("theme", { data: currentTheme() });
  });

  let shifted = false;
  document.addEventListener("mousedown", (event) => {
    shifted = event.shiftKey || event.ctrlKey || event.metaKey;
  }, true);

  function address(pairs) {
    const path = window.location.pathname;
    history.replaceState(history.state, "", pairs ? `${path}?${pairs}` : path);
  }
  function go(href) { window.dash_clientside.set_props("url", { href: new URL(href, window.location.href).href }); }
  function candidateHref(id) { return `/c/${encodeURIComponent(id)}${window.location.search}`; }
  function openCandidate(id, number) {
    if (number !== undefined && number !== null) {
      // So that Back shows which one it was.
      const query = new URLSearchParams(window.location.search);
      query.set("sel", String(number));
      address(query.toString().replaceAll("%2C", ","));
    }
    go(candidateHref(id));
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    // A typed end of a filter counts when it is left; Enter leaves it.
    if (event.target.matches && event.target.matches(".dash-range-slider-input")) { event.target.blur(); return; }
    const row = event.target.closest && event.target.closest("#table .ag-row");
    if (!row || event.target.closest("a")) return;
    const api = window.dash_ag_grid && window.dash_ag_grid.getApi("table");
    const node = api && api.getRowNode(row.getAttribute("row-id"));
    if (node) { event.preventDefault(); openCandidate(node.data.id, node.data.number); }
  });
  // Links inside the application navigate without loading the page anew.
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='/']");
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (link.dataset.id) openCandidate(link.dataset.id, link.dataset.number);
    else go(link.getAttribute("href"));
  });

  window.dash_clientside = window.dash_clientside || {};
  let version = null;
  let readAt = 0;
  window.dash_clientside.csp = {
    theme(clicks) {
      if (clicks && window.dash_clientside.callback_context.triggered.length) {
        try { localStorage.setItem("csp-theme", currentTheme() === "dark" ? "light" : "dark"); } catch { /* private */ }
        applyTheme();
      }
      return currentTheme();
    },
    age(_, fresh) {
      if (!fresh) return "";
      if (fresh !== version) { version = fresh; readAt = Date.now(); }
      const since = (Date.now() - readAt) / 1000;
      const words = (s) => s < 60 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min`
        : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
      if (fresh.problem) return `stale ${words(fresh.read + since)}: ${fresh.problem}`;
      if (fresh.phase === "ready") return `updated ${words(fresh.changed + since)} ago`;
      return document.querySelector(".overview") ? `the database is ${fresh.phase}; this is the last that was read` : "";
    },
    // A page that waits for data becomes the real one.
    turn(fresh) {
      const waiting = document.querySelector("section.message");
      const shown = waiting && ["missing", "empty", "waiting", "error"].find((k) => waiting.classList.contains(k));
      const isCandidate = window.location.pathname.startsWith("/c/");
      if (shown && fresh && fresh.phase !== shown && !(isCandidate && fresh.phase === "ready" && shown === "error")) {
        window.location.reload();
      }
      return none();
    },
    remember(query) {
      if (window.location.pathname === "/") address(query);
      return none();
    },
    // A zoom, a pan, a reset or another drag mode; View.zoomed (dashboard/view.py) reads what this keeps.
    relaid(event, old, x, xLog, y, yLog) {
      if (!event) return none();
      const fresh = { ...old, drag: event.dragmode || old.drag };
      for (const [axis, name, log] of [["x", x, xLog], ["y", y, yLog]]) {
        const ends = event[`${axis}axis.range`] || [event[`${axis}axis.range[0]`], event[`${axis}axis.range[1]`]];
        const of = [name, Boolean(log && log.length)];
        if (event[`${axis}axis.autorange`]) fresh[axis] = { of, range: null };
        else if (ends.every((end) => typeof end === "number")) fresh[axis] = { of, range: ends };
      }
      return JSON.stringify(fresh) === JSON.stringify(old) ? none() : fresh;
    },
    clicked(click, selection, rows) {
      const trigger = window.dash_clientside.callback_context.triggered.map((t) => t.prop_id)[0] || "";
      const keys = (data) => ((data && data.points) || []).map((p) => p.customdata).filter(Array.isArray);
      if (trigger === "plot.clickData") {
        const [key] = keys(click);
        if (!key) return none();
        if (!shifted) { openCandidate(key[1], key[0]); return none(); }
        const kept = (rows || []).map((row) => Number(row.key));
        return kept.includes(key[0]) ? kept.filter((n) => n !== key[0]) : [key[0], ...kept];
      }
      if (!selection || !selection.points) return none();
      return [...new Set(keys(selection).map((key) => key[0]))];
    },
    openBest(clicks) {
      const button = document.getElementById("open-best");
      if (clicks && button) openCandidate(button.dataset.id, button.dataset.number);
      return none();
    },
    copy() {
      const done = () => window.dash_clientside.set_props("copy", { children: "Copied" });
      if (navigator.clipboard) navigator.clipboard.writeText(window.location.href).then(done, () => {});
      setTimeout(() => window.dash_clientside.set_props("copy", { children: "Copy link" }), 1600);
      return none();
    },
    study(name, fresh) {
      if (!name || !fresh || fresh.study === name) return none();
      return `${window.location.origin}/?study=${encodeURIComponent(name)}`;
    },
  };

  window.dashAgGridFunctions = window.dashAgGridFunctions || {};
  window.dashAgGridFunctions.shown = (params) => params.data ? params.data[`${params.colDef.field}_shown`] : "";
  window.dashAgGridFunctions.missingLast = (a, b, nodeA, nodeB, descending) => {
    if (a === b) return 0;
    if (a === null || a === undefined) return descending ? -1 : 1;
    if (b === null || b === undefined) return descending ? 1 : -1;
    return a - b;
  };
  window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {};
  window.dashAgGridComponentFunctions.CandidateLink = (props) => window.React.createElement(
    "a",
    { href: candidateHref(props.value), "data-id": props.value, "data-number": props.data.number, className: "mono" },
    props.value,
  );
})();
