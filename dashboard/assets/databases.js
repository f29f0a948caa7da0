/* Several databases: the address names one (`db=`), and everything that the page asks for is asked of that one.
 * Loaded before all else, and only where there are several. A tab stays with its database from page to page. */
(function () {
  "use strict";
  const KEY = "csp-database";
  const named = () => new URLSearchParams(window.location.search).get("db");
  try {
    const kept = sessionStorage.getItem(KEY);
    if (named()) sessionStorage.setItem(KEY, named());
    else if (kept) {
      const query = new URLSearchParams(window.location.search);
      query.set("db", kept);
      history.replaceState(history.state, "", `${window.location.pathname}?${query}${window.location.hash}`);
    }
  } catch { /* private */ }
  const plain = window.fetch;
  window.fetch = function (address, options) {
    const db = named();
    if (!db || typeof address !== "string" || !address.startsWith("/") || /[?&]db=/.test(address)) return plain.call(window, address, options);
    return plain.call(window, `${address}${address.includes("?") ? "&" : "?"}${new URLSearchParams({ db })}`, options);
  };
})();
