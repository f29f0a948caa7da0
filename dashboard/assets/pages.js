/* Links of the header keep database, study and device, or the whole view where it counts; on /devices, /analysis and /studies a click on a candidate of a chart opens it. */
(function () {
  "use strict";
  // These share one view, with its filters; a candidate's page carries it along.
  const views = ["/", "/table", "/parallel", "/devices", "/analysis"];
  const of = window.location.pathname, viewed = views.includes(of) || of.startsWith("/c/");
  function follow() {
    const now = new URLSearchParams(window.location.search);
    const same = new URLSearchParams(["db", "study", "dev"].flatMap((name) => (now.get(name) ? [[name, now.get(name)]] : [])));
    for (const link of document.querySelectorAll(".pages a")) {
      if (link.pathname === of) link.setAttribute("aria-current", "page");
      link.search = viewed && views.includes(link.pathname) ? window.location.search : same;
    }
  }
  follow();
  for (const event of ["pointerover", "pointerdown", "focusin"]) document.querySelector(".pages").addEventListener(event, follow);
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
