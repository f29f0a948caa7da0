/* /devices, /analysis and /studies: links of the header keep the study; a click on a candidate of a chart opens it. */
(function () {
  "use strict";
  const chosen = new URLSearchParams(window.location.search).get("study");
  for (const link of document.querySelectorAll(".pages a")) {
    if (link.pathname === window.location.pathname) link.setAttribute("aria-current", "page");
    if (chosen) link.search = new URLSearchParams({ study: chosen });
  }
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.csp_pages = {
    open(clicks) {
      const triggered = window.dash_clientside.callback_context.triggered[0];
      const data = triggered && triggered.value;
      const key = data && data.points && data.points.map((point) => point.customdata).find(Array.isArray);
      if (key) {
        const study = key[2] || new URLSearchParams(window.location.search).get("study");
        const query = study ? `?study=${encodeURIComponent(study)}` : "";
        window.location.assign(`/c/${encodeURIComponent(key[1])}${query}`);
      }
      return window.dash_clientside.no_update;
    },
  };
})();
