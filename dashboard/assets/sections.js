/* "Save" in the heading of every section that shows a chart, a table, layers or a drawing: SVG, PNG, CSV and JSON of
 * it, made in the browser. Pages of Dash are made anew while one looks; menus are put back before that is painted. */
import { h, download, say } from "./dom.js";
import { quoted, safe } from "./export.js";
import { dropdown } from "./menu.js";
import { png, styled } from "./picture.js";
import { layerSheet, parts, tableSheet, together } from "./cells.js";
import { chartPicture, chartSheet, figureOf, stand } from "./charts.js";
import { status } from "./shell.js";

const HEADING = "h1, h2, h3, h4";
const menus = new WeakMap(); // the key of each menu, by its element
let held = null; // the menu that has the focus, should it be replaced

// -- what a section shows

const title = (section) => parts(section.querySelector(HEADING)).join(" ");
const seen = (element) => element.checkVisibility() && !element.closest("form");
const all = (section, selector) => [...section.querySelectorAll(selector)].filter(seen);

/** What an element is called: its summary, caption or label, or the heading before it. */
function called(element, section) {
  const before = [...section.querySelectorAll(HEADING)].filter((each) => each.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
  const near = before.at(-1) || section.querySelector(HEADING);
  return parts(element.closest("details:not(.save)")?.querySelector("summary") || near).join(" ");
}

/** Everything in a section that can be saved, in order: what it is called, its rows, its picture. */
function things(section) {
  const charts = all(section, ".dash-graph").map((graph) => ({
    element: graph, what: "chart", rows: () => chartSheet(figureOf(graph)), picture: (words, source, theme) => chartPicture(figureOf(graph), words, source, theme),
  }));
  const drawings = all(section, ".diagram svg").slice(0, 1).map((svg) => ({
    element: svg, what: "drawing", picture: (words, source, theme) => {
      const { width, height } = svg.viewBox.baseVal;
      return stand(styled(svg), { title: words, source, theme, width, height });
    },
  }));
  const layers = all(section, ".layers:is([data-layers], [data-networks])").map((chart) => ({ element: chart, what: "layers", rows: () => layerSheet(chart) }));
  const tables = together(all(section, "table")).map((group) => ({ element: group[0], what: "table", rows: () => tableSheet(group) }));
  return [...charts, ...drawings, ...layers, ...tables].map((each) => ({ ...each, label: called(each.element, section) }))
    .sort((a, b) => (a.element.compareDocumentPosition(b.element) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
}

/** Whether there is anything to save. */
const worth = (section) => Boolean(section.querySelector(HEADING)) && [...section.querySelectorAll("table, .dash-graph, .layers, .diagram svg")].some(seen);

// -- files

const study = () => status()?.study || new URLSearchParams(window.location.search).get("study") || "";
const day = () => new Date().toISOString().slice(0, 10);
const page = () => window.location.pathname.replace(/^\/|\/$/g, "").replaceAll("/", "-");
const spaced = (text, most) => text.replace(/[^\w.-]+/g, "_").slice(0, most).replace(/^_+|_+$/g, "");
const name = (words, ending) => `${[spaced(study(), 40), spaced(page(), 24), spaced(words, 60), day()].filter(Boolean).join("-")}.${ending}`;

function csv({ columns, rows }) {
  const cell = (value) => (value === null ? "" : typeof value === "string" ? quoted(safe(value)) : String(value));
  const head = columns.map(({ name: called, stored }) => quoted(safe(stored ? `${called} [${stored}]` : called)));
  return [head, ...rows.map((row) => row.map(cell))].map((line) => `${line.join(",")}\r\n`).join("");
}

function json({ columns, rows }, words) {
  const { database = null, token = null } = status() || {};
  const units = Object.fromEntries(columns.filter((each) => each.stored).map((each) => [each.name, each.stored]));
  const head = { study: study(), database, version: token, page: page(), shown: words, link: window.location.href, exported_at: new Date().toISOString(), units };
  const lines = rows.map((row) => `{${columns.map((each, at) => `${JSON.stringify(each.name)}: ${JSON.stringify(row[at])}`).join(", ")}}`); // an object would put the column "0" first
  return `${JSON.stringify(head, null, 1).slice(0, -2)},\n "rows": [\n${lines.join(",\n")}\n]}\n`;
}

function theme() {
  const style = window.getComputedStyle(document.documentElement);
  return Object.fromEntries(["ink", "muted", "surface"].map((each) => [each, style.getPropertyValue(`--${each}`).trim()]));
}

async function write(thing, ending, words, file) {
  if (ending === "csv") return download(file, csv(thing.rows()), "text/csv");
  if (ending === "json") return download(file, json(thing.rows(), words), "application/json");
  const svg = await thing.picture(words, `CSP Explorer · study ${study()} · ${page()} · ${day()}`, theme());
  return ending === "svg" ? download(file, svg, "image/svg+xml") : download(file, await png(svg), "image/png");
}

// -- menus

const HINTS = { svg: "vector", png: "picture", csv: "spreadsheet", json: "data" };

function entries(section, close) {
  const found = things(section), whole = title(section);
  return found.flatMap((thing, at) => {
    const words = thing.label === whole ? whole : `${whole}: ${thing.label}`;
    const twice = found.filter((other) => other.label === thing.label).length > 1;
    const what = twice ? `${thing.label === whole ? "" : `${thing.label}, `}${thing.what}` : thing.label;
    const save = (ending) => async () => {
      const now = things(section)[at], file = name(twice ? `${words} ${thing.what}` : words, ending);
      close();
      if (now?.what !== thing.what) { say("Nothing to save any more"); return; }
      try { await write(now, ending, words, file); say(`Saved ${file}`); } catch (error) { say(`Not saved: ${error.message}`); throw error; }
    };
    const item = (ending) => h("li", {}, h("button", { type: "button", "data-save": ending, "aria-label": found.length > 1 ? `${ending.toUpperCase()} ${what}` : null, onclick: save(ending) },
      ending.toUpperCase(), h("span", { class: "muted" }, ` ${HINTS[ending]}`)));
    const endings = [...(thing.picture ? ["svg", "png"] : []), ...(thing.rows ? ["csv", "json"] : [])];
    return [...(found.length > 1 ? [h("li", { class: "what", "aria-hidden": "true" }, what)] : []), ...endings.map(item)];
  });
}

function menuOf(section, key) {
  const { menu, list, close } = dropdown("Save", { class: "of-section", named: `Save: ${title(section)}` });
  menu.fill = () => list.replaceChildren(...entries(section, close));
  menu.firstChild.addEventListener("click", () => { if (!menu.open) menu.fill(); }); // before it opens: `toggle` comes after the next key
  menus.set(menu, key);
  return menu;
}

/** One menu in every section that is worth one; a replaced one that had the focus gets it back. */
function tend() {
  for (const section of document.querySelectorAll("main section")) {
    const there = section.querySelector(".menu.of-section");
    const key = worth(section) ? `${window.location.pathname} ${section.id} ${title(section)}` : null;
    if (there && menus.get(there) === key) continue;
    there?.remove();
    if (key === null) continue;
    const menu = menuOf(section, key);
    section.querySelector(HEADING).after(menu);
    if (held?.key === key && !held.menu.isConnected) restore(menu);
  }
}

function restore(menu) {
  const { open, at } = held;
  if (open) { menu.fill(); menu.open = true; }
  (menu.querySelectorAll("button")[at] || menu.querySelector("summary")).focus();
}

document.addEventListener("focusin", ({ target }) => {
  const menu = target.closest(".menu.of-section");
  held = menu && { menu, key: menus.get(menu), open: menu.open, at: [...menu.querySelectorAll("button")].indexOf(target) };
});
document.addEventListener("pointerdown", ({ target }) => { if (held && !held.menu.contains(target)) held = null; }, true);
document.addEventListener("toggle", ({ target }) => {
  if (held?.menu === target) held.open = target.open;
  else if (target.closest("main section")) tend(); // what a table hid in
}, true);
const own = ({ target }) => target.closest(".js-plotly-plot, .menu.of-section");
new MutationObserver((changes) => { if (!changes.every(own)) tend(); }).observe(document.getElementById("main")?.parentElement || document.body, { childList: true, subtree: true });
tend();
