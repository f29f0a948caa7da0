/* The header of every page: state and age of the study, theme, link. Asks every few seconds what changed. */
import { h, ago, isolated, say } from "./dom.js";

const period = Number(document.body.dataset.poll) || 2500;
let latest = null;
let readAt = 0;
let stoodAt = Date.now(); // when the database was last there
/** The study that the address names. */
export const named = () => new URLSearchParams(window.location.search).get("study") || "";
/** The study of this page: without a name the one that it began with, which no other one takes the place of. */
const study = () => named() || window.csp?.table?.header.study || latest?.study || "";

/** The newest status, or null before the first. */
export const status = () => latest;

async function poll() {
  try {
    const response = await fetch(`/status?${new URLSearchParams({ study: study() })}`, { cache: "no-store" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    tell(await response.json());
  } catch (error) {
    if (latest) tell({ ...latest, problem: "the server does not answer", read: latest.read + (Date.now() - readAt) / 1000, changed: latest.changed + (Date.now() - readAt) / 1000 });
  }
  window.setTimeout(poll, document.hidden ? 4 * period : period);
}

function tell(fresh) {
  const before = latest;
  latest = fresh;
  readAt = Date.now();
  if (fresh.phase === "ready" && !fresh.problem) stoodAt = readAt;
  if (named() && fresh.study && fresh.study !== named()) mistaken(named(), fresh.study);
  if (fresh.studies.length > 1) anchor(fresh.study);
  head(fresh);
  age();
  document.dispatchEvent(new CustomEvent("csp-status", { detail: { fresh } }));
  if (before && (before.token !== fresh.token || before.phase !== fresh.phase || before.study !== fresh.study)) {
    document.dispatchEvent(new CustomEvent("csp-version", { detail: { before, fresh } }));
  }
  if (!before) document.dispatchEvent(new CustomEvent("csp-version", { detail: { before: fresh, fresh } }));
}

/** A link may name a study that is gone or misspelt: another one is shown, and the page says so until it is left. */
function mistaken(asked, shown) {
  const query = new URLSearchParams(window.location.search), words = `There is no study “${isolated(asked.slice(0, 60))}” here: this is “${isolated(shown)}”.`;
  query.set("study", shown);
  history.replaceState(history.state, "", `${window.location.pathname}?${query}${window.location.hash}`);
  const said = h("p", { class: "problem mistaken", role: "status" }, words, h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => said.remove() }, "×"));
  document.body.append(said);
}

/** Name the study in the address, as soon as there are several. */
function anchor(name) {
  const query = new URLSearchParams(window.location.search);
  if (!name || query.get("study")) return;
  query.set("study", name);
  history.replaceState(history.state, "", `${window.location.pathname}?${query}${window.location.hash}`);
  if (!document.getElementById("explorer")) window.dash_clientside?.set_props?.("url", { search: `?${query}` });
}

/** Whether this page is of any study, not of one candidate. */
const stays = () => /^\/(devices|analysis|explore|studies|table|parallel)\/?$/.test(window.location.pathname);

function head(fresh) {
  const place = document.getElementById("status"), studies = document.getElementById("studies");
  const key = JSON.stringify([fresh.progress, fresh.studies, fresh.study, fresh.databases]);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  // What does not fit is left out from the end, in whole words (style.css .told): the two verdicts go together.
  const [first, ...rest] = fresh.progress.split(/(?<! verified) · /);
  place.querySelector(".kept").textContent = first;
  place.querySelector(".parts").replaceChildren(...rest.map((text) => h("span", {}, ` · ${text}`)));
  if (fresh.databases?.length) {
    studies.replaceChildren(everywhere(fresh));
  } else if (fresh.studies.length > 1) {
    const select = h("select", { id: "study", "aria-label": "Study" }, fresh.studies.map((name) => h("option", { value: name, selected: name === fresh.study }, name)));
    select.addEventListener("change", () => { window.location.href = `${stays() ? window.location.pathname : "/"}?${new URLSearchParams({ study: select.value })}`; });
    studies.replaceChildren(select);
  } else {
    studies.replaceChildren(h("span", { class: "study-name", title: `study ${fresh.study}` }, fresh.study));
  }
}

/** The studies of all databases; a database without any can be chosen too. */
function everywhere(fresh) {
  const option = (db, name) => h("option", { value: JSON.stringify([db.name, name]), selected: db.chosen && (name === fresh.study || !name) }, name || "no study yet");
  const select = h("select", { id: "study", "aria-label": "Database and study" }, fresh.databases.map((db) => h("optgroup", { label: db.name }, (db.studies.length ? db.studies : [""]).map((name) => option(db, name)))));
  select.addEventListener("change", () => {
    const [db, name] = JSON.parse(select.value);
    window.location.href = `${stays() ? window.location.pathname : "/"}?${new URLSearchParams(name ? { db, study: name } : { db })}`;
  });
  return select;
}

function age() {
  if (!latest) return;
  const since = (Date.now() - readAt) / 1000, ready = latest.phase === "ready", gone = Boolean(latest.problem) || !ready;
  const shown = document.querySelector(".explorer:not([hidden]), .candidate, .evidence");
  const said = latest.problem || (ready ? `updated ${ago(latest.changed + since)} ago` : shown ? `the database is ${latest.phase}; this is the last that was read` : "");
  const word = latest.problem ? `stale ${ago(latest.read + since)}` : ready || !shown ? latest.word : `stale ${ago((Date.now() - stoodAt) / 1000)}`;
  const place = document.getElementById("age"), badge = document.getElementById("badge");
  place.classList.toggle("stale", gone);
  put(place, said);
  badge.className = `badge ${gone && word ? "stale" : latest.state}`;
  badge.hidden = !word;
  put(badge, word);
  document.getElementById("status").title = [word, latest.progress, said, latest.message].filter(Boolean).join(" · ");
}

/** Nothing is written that stands there already: a selection and a hint stay. */
function put(place, text) { if (place.textContent !== text) place.textContent = text; }

/** The address with the study, though it be the only one today. */
function address() {
  const url = new URL(window.location.href);
  if (latest?.study && !url.searchParams.get("study")) url.searchParams.set("study", latest.study);
  return url.href;
}

document.getElementById("theme-toggle").addEventListener("click", () => window.cspTheme.toggle());
document.getElementById("copy").addEventListener("click", async (event) => {
  const button = event.currentTarget, words = button.dataset.words ||= button.innerHTML;
  try { await navigator.clipboard.writeText(address()); button.textContent = "Copied"; say("Link copied"); } catch { button.textContent = "Copy the address"; }
  window.setTimeout(() => { button.innerHTML = words; }, 1600);
});
window.setInterval(age, 1000);
window.setTimeout(poll, 0);

/** Open the candidate that a number or the beginning of an id names; only the server knows them here. */
async function find(box) {
  const text = box.value.trim().replace("#", "");
  if (!text) return;
  let found = { problem: "the server does not answer" };
  try { found = await (await fetch(`/find?${new URLSearchParams({ study: study(), text })}`)).json(); } catch { /* said below */ }
  if (found.id) { window.location.href = `/c/${found.id}${window.cspQuery("/c/")}`; return; }
  say(found.problem);
  box.setCustomValidity(found.problem);
  box.reportValidity();
}

// The pages of Dash follow theme and data through two stores.
if (!document.getElementById("explorer")) {
  const set = (name, data) => {
    if (window.dash_clientside?.set_props && document.getElementById("main")) window.dash_clientside.set_props(name, { data });
    else window.setTimeout(set, 50, name, data);
  };
  set("theme", window.cspTheme.current);
  import("./sections.js");
  document.documentElement.addEventListener("csp-theme", () => set("theme", window.cspTheme.current));
  document.addEventListener("csp-version", ({ detail: { before, fresh } }) => {
    const waiting = document.querySelector("section.message.missing, section.message.empty, section.message.waiting, section.message.error");
    if (waiting && fresh.phase !== before.phase) window.location.reload();
    set("version", { token: fresh.token });
  });
  const box = document.getElementById("search");
  box.addEventListener("submit", (event) => {
    event.preventDefault();
    find(document.getElementById("search-box"));
  });
  document.getElementById("search-box").addEventListener("input", ({ target }) => target.setCustomValidity(""));
  document.getElementById("help-open").hidden = true;
}
