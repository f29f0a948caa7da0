/* A click on a candidate of a chart of /devices, /analysis or /studies opens it. */
(function () {
  "use strict";
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
