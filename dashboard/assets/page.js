/* The first screen: one view, kept in the URL; what a person does changes it, and everything is drawn from it. */
import { named, status } from "./shell.js";
import { h, bare, lost, say } from "./dom.js";
import { parse, format, defaults, SHOWN } from "./view.js";
import { pick } from "./model.js";
import { Plot, plotly } from "./plot.js";
import { Rail } from "./rail.js";
import { Answer, dialog, exportDialog } from "./answer.js";
import { Grid, href } from "./table.js";
import { toolbar } from "./toolbar.js";
import { Elsewhere } from "./elsewhere.js";
import { Pins } from "./pins.js";
import { fieldsOf } from "./steps.js";
import { saveMenu } from "./save.js";
import { follow } from "./tags.js";

const $ = (id) => document.getElementById(id);
const KEYS = [["d", "device"], ["l", "latency budget"], ["↑ ↓", "along the front"], ["Enter", "open the chosen candidate"], ["p", "pin it, or the answer"],
  ["c", "compare what is pinned"], ["e", "export it, or the answer"], ["/", "find a candidate"], ["?", "these keys"], ["Escape", "choose nothing"]];
let table = null;
let view = null;
let picked = null;
let scheduled = 0;
let written = 0;

const act = {
  range: (name, ends) => {
    const ranges = { ...view.ranges };
    if (ends) ranges[name] = ends; else delete ranges[name];
    change({ ranges });
  },
  settled: () => write(),
  kind: (name, labels) => {
    const kinds = { ...view.kinds };
    if (labels) kinds[name] = labels; else delete kinds[name];
    change({ kinds });
  },
  show: (show) => change({ show }),
  reset: () => change({ ranges: {}, kinds: {}, steps: [], show: SHOWN.filter((name) => defaults(table.header).show.includes(name)) }),
  relax: (name, end, value) => {
    const ends = [...view.ranges[name]];
    ends[end === "max" ? 1 : 0] = value;
    change({ ranges: { ...view.ranges, [name]: ends } });
    rail.unfold();
    $("rail").querySelector(`[data-control="${end}.${name}"]`)?.focus();
  },
  zoom: (x, y) => change({ ...(x !== undefined ? { zoom_x: x } : {}), ...(y !== undefined ? { zoom_y: y } : {}) }),
  drag: (drag) => change({ drag }),
  axis: (changes) => change({ ...changes, ...("x" in changes || "x_log" in changes ? { zoom_x: null } : {}), ...("y" in changes || "y_log" in changes ? { zoom_y: null } : {}) }),
  tab: (name) => change({ table: name }),
  hover: () => {},
  open: (row) => {
    view = { ...view, selected: [table.number(row)] }; // so that Back shows which one it was
    write();
    window.location.href = href(table, row);
  },
  choose: (rows, add) => {
    const numbers = rows.map((row) => table.number(row));
    const alone = !add && numbers.length === 1 && view.selected.length === 1 && view.selected[0] === numbers[0];
    let selected = alone ? [] : numbers;
    if (add) selected = [...view.selected.filter((number) => !numbers.includes(number)), ...numbers.filter((number) => !view.selected.includes(number))];
    change({ selected: selected.slice(0, 100) });
    if (rows.length) window.requestAnimationFrame(() => grid.reveal(rows[0]));
  },
  score: (score) => change({ score }),
  pin: (number) => {
    const on = view.pinned.includes(number);
    change({ pinned: on ? view.pinned.filter((other) => other !== number) : [...view.pinned, number] });
    pins.write(table, number, !on).then((said) => { if (said) $("hint").textContent = said; });
  },
};
const plot = new Plot($("plot"), act);
const elsewhere = new Elsewhere({
  get table() { return table; },
  get view() { return view; },
  change: (changes) => change({ ...changes, ...("device" in changes && view.x === "latency_ms" ? { zoom_x: null } : {}), ...("device" in changes && view.y === "latency_ms" ? { zoom_y: null } : {}) }),
  settled() {
    rail.build(table, view);
    rail.drawn = null;
    toolbar($("toolbar"), table, view, act);
    schedule();
  },
  refresh: () => refresh(),
});
const rail = new Rail($("rail"), act, elsewhere.device, true);
const pins = new Pins();
const answer = new Answer($("answer"), act);
const grid = new Grid($("table"), act);

function change(changes) {
  view = { ...view, ...changes };
  schedule();
}
function schedule() { scheduled ||= window.requestAnimationFrame(draw); }

function draw() {
  scheduled = 0;
  if (!table || !table.rows || !rail.table) return;
  picked = pick(table, view);
  plot.update(table, view, picked);
  rail.update(view, table.header.themes[window.cspTheme.current]);
  elsewhere.update();
  answer.update(table, view, picked);
  $("count").textContent = count();
  window.clearTimeout(written);
  written = window.setTimeout(write, 150);
  // A long list is sorted when the hand rests.
  window.clearTimeout(draw.listed);
  if (view.table === "front" || table.rows < 5000) grid.update(table, view, picked);
  else draw.listed = window.setTimeout(() => grid.update(table, view, picked), 120);
  need();
}

/** Columns that the view names and that were not sent at first; `again` also those that did not arrive. */
async function need(again = false) {
  const names = [view.x, view.y, view.color, view.size, ...fieldsOf(view.steps)].filter(Boolean).flatMap((name) => [name, `${name}_spread`])
    .filter((name) => table.header.axes.includes(name) || table.field(name).kind === "category" || table.has(name));
  const of = table, came = await of.more(names, again);
  if (of !== table) return;
  lost(of, () => need(true));
  if (came) {
    for (const key of [...of.cache.keys()]) if (/^(strip|extent|order|colors|sizes|signed|bounds)/.test(key)) of.cache.delete(key);
    rail.drawn = null;
    schedule();
  }
}

function write() {
  window.clearTimeout(written);
  const query = format({ ...view, study: named() || view.study }, table.header), address = query ? `/?${query}` : "/";
  if (address !== window.location.pathname + window.location.search) history.replaceState(history.state, "", address);
}

function count() {
  const said = (number) => number.toLocaleString("en-US"), over = view.front === "all" ? "all objectives" : "these two axes";
  const parts = [`${said(picked.count)} of ${said(table.rows)} shown`, `${said(picked.highlighted.length)} on the front of ${over}`];
  for (const [axis, log] of [["x", view.x_log], ["y", view.y_log]]) {
    const values = table.num(view[axis]);
    let absent = 0, below = 0;
    for (let row = 0; row < table.rows; row++) if (picked.shown[row]) { if (values[row] !== values[row]) absent++; else if (values[row] <= 0) below++; }
    if (absent && axis === "x") parts.push(`${said(absent)} without ${table.field(view.x).label} only in the table`);
    if (log && below) parts.push(`${said(below)} without a place on the log axis of ${table.field(view[axis]).label}`);
  }
  return parts.join(" · ");
}

// -- data

let refreshing = false;
async function refresh() {
  if (refreshing) return;
  refreshing = true;
  try {
    await renew();
  } finally {
    refreshing = false;
  }
}

async function renew() {
  let found;
  try {
    found = await elsewhere.load();
  } catch (error) {
    if (!table) message({ title: "The data did not arrive", lines: [["problem", error.message], ["muted", "This page tries again every few seconds."]] });
    window.setTimeout(refresh, 2500);
    return;
  }
  if (!found.rows) {
    if (!table) message(found.header.message);
    return;
  }
  const first = !table;
  const old = table;
  table = found;
  if (old) await table.more([...old.columns.keys()].filter((name) => !table.has(name) && name in table.header.fields));
  view = first ? parse(window.location.search, table.header) : view;
  $("message").hidden = true;
  $("explorer").hidden = false;
  $("explorer").classList.remove("loading");
  if (first) { // the points first, all else in the next task
    picked = pick(table, view);
    plot.update(table, view, picked);
    document.documentElement.dataset.ready = "true";
    await new Promise((resolve) => { window.setTimeout(resolve, 0); });
  }
  if (first) view = { ...view, pinned: pins.follow(status()?.pins, table, view.pinned) };
  rail.build(table, view);
  rail.drawn = answer.drawn = null;
  toolbar($("toolbar"), table, view, act);
  const before = !first && picked && new Set(picked.highlighted.map((row) => old.number(row)));
  draw();
  if (before) pulse(picked.highlighted.map((row) => table.number(row)).filter((number) => !before.has(number)));
  document.documentElement.dataset.complete = "true";
  elsewhere.loaded();
}

/** New members of the front are named once. */
function pulse(numbers) {
  if (!numbers.length) return;
  say(`${numbers.length} new on the front: ${numbers.slice(0, 3).map((number) => `#${number}`).join(", ")}`);
  for (const number of numbers.slice(0, 50)) {
    const row = table.rowOf(number);
    if (!plot.drawable(row)) continue;
    const [x, y] = plot.at(row), ring = h("span", { class: "pulse", "aria-hidden": "true" });
    ring.style.left = `${x}px`;
    ring.style.top = `${y}px`;
    $("plot").append(ring);
    window.setTimeout(() => ring.remove(), 1600);
  }
}

function message(said) {
  $("explorer").hidden = true;
  $("message").hidden = false;
  const line = ([what, text]) => (what === "command" ? h("pre", { tabindex: 0 }, text) : h("p", { class: what }, text));
  $("message").replaceChildren(h("section", { class: "message" }, h("h1", {}, said.title), said.lines.map(line)));
}

document.addEventListener("csp-version", ({ detail: { fresh } }) => {
  if (!table || fresh.token !== table.header.token || (fresh.study && fresh.study !== table.header.study)) refresh();
});
document.addEventListener("csp-status", ({ detail: { fresh } }) => {
  if (!table || !view || (fresh.study && fresh.study !== table.header.study)) return;
  const pinned = pins.follow(fresh.pins, table, view.pinned);
  if (pinned !== view.pinned) change({ pinned });
});
follow({ get table() { return table; } }, () => { rail.drawn = null; schedule(); });
document.documentElement.addEventListener("csp-theme", () => { plot.plotted = null; rail.drawn = null; schedule(); });
window.addEventListener("popstate", () => { if (table) { const before = view; view = parse(window.location.search, table.header); elsewhere.changed(before); rail.build(table, view); toolbar($("toolbar"), table, view, act); schedule(); } });

// -- keys

/** The row that a key is about: the one that is chosen, else the answer. */
function current() {
  const row = view.selected.length === 1 ? table.rowOf(view.selected[0]) : -1;
  return row >= 0 ? row : picked.best;
}

function along(by) {
  const rows = view.table === "front" ? grid.rows : [...picked.highlighted].sort((a, b) => table.num(view.x)[a] - table.num(view.x)[b]);
  if (!rows.length) return;
  const at = rows.indexOf(view.selected.length === 1 ? table.rowOf(view.selected[0]) : -1);
  const row = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + by))];
  change({ selected: [table.number(row)] });
  window.requestAnimationFrame(() => grid.reveal(row));
  const fields = [...new Set([view.y, view.x])];
  say(`#${table.number(row)}: ${fields.map((name) => `${table.field(name).label} ${bare(table.field(name), table.num(name)[row])} ${table.field(name).unit}`).join(", ")}`);
}

/** The page of the pinned candidates beside each other, of the same study, database and device. */
function compare() {
  const rows = view.pinned.map((number) => table.rowOf(number)).filter((row) => row >= 0).slice(0, 6);
  if (rows.length < 2) { say("Pin two candidates to compare them"); $("hint").textContent = "Pin two candidates to compare them: p pins the chosen one, or the answer."; return; }
  write(); // so that Back shows the same view
  const given = new URLSearchParams(window.location.search), kept = ["study", "db", "dev"].filter((name) => given.get(name)).map((name) => [name, given.get(name)]);
  const tail = kept.length ? `&${new URLSearchParams(kept)}` : "";
  window.location.href = `/compare?ids=${rows.map((row) => table.id(row)).join(",")}${tail}`;
}

function help() {
  dialog("Keys", h("dl", { class: "keys" }, KEYS.map(([key, meaning]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, meaning)))));
}

document.addEventListener("keydown", (event) => {
  if (!table || !picked || event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape" && typing) { event.target.blur(); return; }
  if (typing) { if (event.key === "Enter" && event.target.classList.contains("typed")) event.target.dispatchEvent(new Event("change")); return; }
  const row = current();
  const keys = {
    d: () => { rail.unfold(); $("device").focus(); },
    l: () => { rail.unfold(); const box = $("rail").querySelector("[data-control='max.latency_ms']"); box?.focus(); box?.select(); },
    ArrowUp: () => along(-1), ArrowDown: () => along(1),
    p: () => row >= 0 && act.pin(table.number(row)),
    c: compare, e: () => row >= 0 && exportDialog(table, view, row, picked), "/": () => $("search-box").focus(), "?": help,
    Escape: () => change({ selected: [] }),
    Enter: () => !event.target.closest("button, a, summary, tr") && view.selected.length === 1 && row >= 0 && act.open(row),
  };
  if (!(event.key in keys) || (event.key.startsWith("Arrow") && event.target.closest(".rail"))) return;
  if (event.key !== "Enter") event.preventDefault();
  keys[event.key]();
});

$("help-open").addEventListener("click", help);
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const row = find($("search-box").value);
  if (row < 0) { say("No such candidate"); $("search-box").setCustomValidity("No candidate has this number or id"); $("search-box").reportValidity(); return; }
  act.choose([row], false);
});
$("search-box").addEventListener("input", (event) => event.target.setCustomValidity(""));
function find(text) {
  const wanted = text.trim().toLowerCase().replace("#", "");
  if (!table || !wanted) return -1;
  if (/^\d+$/.test(wanted) && wanted.length < 10 && table.rowOf(Number(wanted)) >= 0) return table.rowOf(Number(wanted));
  for (let row = 0; row < table.rows; row++) if (table.id(row).startsWith(wanted)) return row;
  return -1;
}

saveMenu(() => table && picked && { table, view, picked, plot });
window.csp = { get table() { return table; }, get view() { return view; }, get picked() { return picked; }, plot };
refresh().then(() => plotly());
