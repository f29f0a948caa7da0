/* What /table and /parallel share: data, the view of the URL, the rail's filters, search, live update, the chosen device. */
import { named } from "./shell.js";
import { h, lost, say } from "./dom.js";
import { Elsewhere } from "./elsewhere.js";
import { parse, format, defaults, SHOWN } from "./view.js";
import { pick } from "./model.js";
import { Rail } from "./rail.js";
import { fieldsOf } from "./steps.js";
import { href } from "./table.js";
import { follow } from "./tags.js";

const PICKED = ["ranges", "kinds", "steps", "show", "x", "y", "front"]; // a brush or a sorted column picks nothing anew
const $ = (id) => document.getElementById(id);

/** Run a page: `draw(state)` shows it, `columns(state)` names what it needs, `found(row)` shows a candidate. */
export function study(page) {
  const state = { table: null, view: null, picked: null, change, carry, open, choose, settled, refresh };
  let scheduled = 0, written = 0, refreshing = false, drawn = null;
  const elsewhere = new Elsewhere(state);
  const rail = new Rail($("rail"), {
    range: (name, ends) => change({ ranges: entry(state.view.ranges, name, ends) }),
    kind: (name, labels) => change({ kinds: entry(state.view.kinds, name, labels) }),
    show: (show) => change({ show }),
    settled: () => write(),
    reset: () => change({ ranges: {}, kinds: {}, steps: [], show: SHOWN.filter((name) => defaults(state.table.header).show.includes(name)) }),
  }, elsewhere.device);

  function change(changes) {
    state.view = { ...state.view, ...changes };
    scheduled ||= window.requestAnimationFrame(draw);
  }
  /** Change what only this page and its neighbours know; an empty text leaves it out. */
  function carry(changes) {
    change({ carried: Object.fromEntries(Object.entries({ ...state.view.carried, ...changes }).filter(([, text]) => text)) });
  }
  /** The latencies are of another device, or of another origin. */
  function settled() {
    rail.build(state.table, state.view);
    rail.drawn = drawn = null;
    change({});
  }
  function open(row) {
    state.view = { ...state.view, selected: [state.table.number(row)] };
    write();
    window.location.href = href(state.table, row);
  }
  function choose(rows, add) {
    const { selected } = state.view, numbers = rows.map((row) => state.table.number(row));
    const alone = !add && numbers.length === 1 && selected.length === 1 && selected[0] === numbers[0];
    const rest = add ? selected.filter((number) => !numbers.includes(number)) : [];
    change({ selected: alone ? [] : [...rest, ...numbers.filter((number) => !add || !selected.includes(number))].slice(0, 100) });
  }

  async function draw(again = false) {
    scheduled = 0;
    const of = state.table;
    if (PICKED.some((name) => drawn?.[name] !== state.view[name]) || drawn.of !== of) state.picked = pick(of, state.view);
    drawn = { ...state.view, of };
    rail.update(state.view, of.header.themes[window.cspTheme.current]);
    elsewhere.update();
    page.draw(state);
    window.clearTimeout(written);
    written = window.setTimeout(write, 150);
    const came = await of.more(needed(), again === true);
    if (of !== state.table) return;
    lost(of, () => draw(true));
    if (came) { of.cache.clear(); rail.drawn = drawn = null; change({}); }
  }
  const needed = () => [...page.columns(state), state.view.x, state.view.y, state.view.color, ...fieldsOf(state.view.steps)].filter(Boolean);

  function write() {
    window.clearTimeout(written);
    const query = format({ ...state.view, study: named() || state.view.study }, state.table.header), address = query ? `${page.path}?${query}` : page.path;
    if (address !== window.location.pathname + window.location.search) history.replaceState(history.state, "", address);
  }

  async function refresh() {
    if (refreshing) return;
    refreshing = true;
    try { await renew(); } finally { refreshing = false; }
  }
  async function renew() {
    let found;
    try {
      found = await elsewhere.load();
    } catch (error) {
      if (!state.table) message({ title: "The data did not arrive", lines: [["problem", error.message], ["muted", "This page tries again every few seconds."]] });
      window.setTimeout(refresh, 2500);
      return;
    }
    if (!found.rows) { if (!state.table) message(found.header.message); return; }
    state.view ||= parse(window.location.search, found.header);
    if (page.before) await page.before(found, state.view);
    const old = state.table;
    state.table = found;
    await found.more([...(old ? old.columns.keys() : []), ...needed()].filter((name) => !found.has(name)));
    $("message").hidden = true;
    $("explorer").hidden = false;
    $("explorer").classList.remove("loading");
    rail.build(found, state.view);
    rail.drawn = null;
    await draw();
    document.documentElement.dataset.complete = "true";
    elsewhere.loaded();
  }
  function message(said) {
    $("explorer").hidden = true;
    $("message").hidden = false;
    const line = ([what, text]) => (what === "command" ? h("pre", { tabindex: 0 }, text) : h("p", { class: what }, text));
    $("message").replaceChildren(h("section", { class: "message" }, h("h1", {}, said.title), said.lines.map(line)));
  }

  document.addEventListener("csp-version", ({ detail: { fresh } }) => {
    if (!state.table || fresh.token !== state.table.header.token || (fresh.study && fresh.study !== state.table.header.study)) refresh();
  });
  follow(state, () => { rail.drawn = drawn = null; change({}); });
  document.documentElement.addEventListener("csp-theme", () => { if (state.table) { rail.drawn = null; change({}); } });
  window.addEventListener("popstate", () => {
    if (!state.table) return;
    const before = state.view;
    state.view = parse(window.location.search, state.table.header);
    elsewhere.changed(before);
    rail.build(state.table, state.view);
    change({});
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select, textarea") || event.metaKey || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    $("search-box").focus();
  });
  // A link to another page is made from the address, which follows a hand only when it rests.
  for (const event of ["pointerover", "focusin"]) document.querySelector(".pages").addEventListener(event, () => { if (state.view) write(); }, true);
  $("help-open").hidden = true;
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const row = find(state.table, $("search-box").value);
    if (row < 0) { say("No such candidate"); $("search-box").setCustomValidity("No candidate has this number or id"); $("search-box").reportValidity(); return; }
    change({ selected: [state.table.number(row)] });
    window.requestAnimationFrame(() => window.requestAnimationFrame(() => page.found?.(row)));
  });
  $("search-box").addEventListener("input", (event) => event.target.setCustomValidity(""));
  window.csp = state;
  refresh();
  return state;
}

function entry(all, name, value) {
  const next = { ...all };
  if (value) next[name] = value; else delete next[name];
  return next;
}

/** Row of a proposal number or of the beginning of an id; -1 if there is none. */
function find(table, text) {
  const wanted = text.trim().toLowerCase().replace("#", "");
  if (!table || !wanted) return -1;
  if (/^\d+$/.test(wanted) && wanted.length < 10 && table.rowOf(Number(wanted)) >= 0) return table.rowOf(Number(wanted));
  for (let row = 0; row < table.rows; row++) if (table.id(row).startsWith(wanted)) return row;
  return -1;
}
