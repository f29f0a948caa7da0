/* The theme, before anything is drawn: the system's, unless this browser was told otherwise. */
(function () {
  "use strict";
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("csp-theme"); } catch { return null; } };
  function apply() {
    const theme = stored() || (media.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    document.documentElement.dispatchEvent(new CustomEvent("csp-theme", { detail: theme }));
  }
  window.cspTheme = {
    get current() { return document.documentElement.dataset.theme; },
    toggle() {
      try { localStorage.setItem("csp-theme", this.current === "dark" ? "light" : "dark"); } catch { /* private */ }
      apply();
    },
  };
  apply();
  media.addEventListener("change", apply);
})();
