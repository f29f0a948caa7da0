/* Links of the header keep database, study and device, or the whole view where it counts; on /devices, /analysis and /studies a click on a candidate of a chart opens it. */
(function () {
  "use strict";
  // These share one view, with its filters; a candidate's page carries it along, and the tab remembers it on all others.
  const views = ["/", "/table", "/parallel", "/devices", "/analysis"], KEY = "csp-view";
  const of = window.location.pathname, shares = (path) => views.includes(path) || path.startsWith("/c/"), viewed = shares(of);
  function kept() {
    const now = new URLSearchParams(window.location.search);
    const same = new URLSearchParams(["db", "study", "dev"].flatMap((name) => (now.get(name) ? [[name, now.get(name)]] : [])));
    return `?${same}`.replace(/^\?$/, "");
  }
  /** The view that this tab saw last, if it was of the same study; with the device of this page. */
  function remembered() {
    let seen = null;
    try { seen = sessionStorage.getItem(KEY); } catch { /* private */ }
    if (seen === null) return kept();
    const before = new URLSearchParams(seen), now = new URLSearchParams(window.location.search);
    if (["db", "study"].some((name) => before.get(name) && now.get(name) && before.get(name) !== now.get(name))) return kept();
    for (const name of ["db", "study", "dev"]) if (now.get(name)) before.set(name, now.get(name)); else if (name === "dev") before.delete(name);
    return `?${before}`.replace(/^\?$/, "");
  }
  /** The query of a link to another page. */
  window.cspQuery = (path) => (shares(path) ? (viewed ? window.location.search : remembered()) : kept());
  function follow() {
    for (const link of document.querySelectorAll(".pages a")) {
      if (link.pathname === of) link.setAttribute("aria-current", "page");
      link.search = window.cspQuery(link.pathname);
    }
    const back = document.getElementById("back");
    if (back && !viewed) back.search = window.cspQuery("/");
  }
  follow();
  if (viewed) window.addEventListener("pagehide", () => { try { sessionStorage.setItem(KEY, window.location.search); } catch { /* private */ } });
  for (const event of ["pointerover", "pointerdown", "focusin"]) document.addEventListener(event, ({ target }) => { if (target.closest?.(".pages, #back")) follow(); });
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.csp_pages = {
    open(clicks) {
      const triggered = window.dash_clientside.callback_context.triggered[0];
      const data = triggered && triggered.value;
      const key = data && data.points && data.points.map((point) => point.customdata).find(Array.isArray);
      if (key) {
        const now = new URLSearchParams(window.location.search), study = key[2] || now.get("study");
        const query = new URLSearchParams([["db", now.get("db")], ["study", study], ["dev", now.get("dev")]].filter(([, text]) => text));
        window.location.assign(`/c/${encodeURIComponent(key[1])}${query.size ? `?${query}` : ""}`);
      }
      return window.dash_clientside.no_update;
    },
  };
})();
