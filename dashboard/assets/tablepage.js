/* /table: every candidate inside the filters, in columns that a person chooses. Only the rows in sight are elements. */
import { h } from "./dom.js";
import { base } from "./data.js";
import { study } from "./study.js";
import { Grid, href, nextSort, sortOf } from "./table.js";
import { cell, column } from "./export.js";
import { saveMenu } from "./save.js";

const $ = (id) => document.getElementById(id);
const FIRST = ["number", "id", "state", "on_front"];
const COSTS = ["macs", "flops", "params", "activations", "cio", "peak_bytes", "weight_bytes"];
const BLIND = new Set(["number", "front_share", "verdict"]);
const PRESETS = { costs: "Costs", accuracy: "Accuracy", architecture: "Architecture", verification: "Verification", everything: "Everything" };

const isCost = (name) => COSTS.includes(name) || /^(latency|energy|images_per_second|process_peak)/.test(name);
const beside = (table, name, ends = ["_spread", "_n"]) => ends.map((end) => name + end).filter((each) => table.header.beside.includes(each));
const spreads = (table, names) => names.flatMap((name) => [name, ...beside(table, name, ["_spread"])]);
const all = (table, names) => names.flatMap((name) => [name, ...beside(table, name)]);

/** Names of a preset's columns, those without any value left out. */
function preset(table, name) {
  const { axes, fields, objectives: [score] } = table.header;
  const texts = Object.keys(fields).filter((each) => fields[each].kind === "category" && each !== "verdict");
  const metrics = axes.filter((each) => fields[each].kind === "metric"), verified = metrics.filter((each) => each.startsWith("verified_"));
  const design = axes.filter((each) => fields[each].kind === "number" && !BLIND.has(each));
  const costs = [...metrics.filter(isCost), ...(axes.includes("macs") && !axes.includes("flops") ? ["flops"] : [])];
  const scores = metrics.filter((each) => !isCost(each) && !each.startsWith("verified_"));
  const judged = table.header.verified ? ["verdict", "front_share"] : ["verdict"];
  return {
    costs: [score, ...(table.there ? ["latency_ms"] : []), ...costs], // what somebody asks for stands in sight
    accuracy: [score, ...spreads(table, [score]).slice(1), ...scores.filter((each) => each !== score), ...verified],
    architecture: [score, ...design, ...texts.filter((each) => each !== "tags")],
    verification: [...spreads(table, [score, ...verified]), ...judged, ...costs.slice(0, 2)],
    everything: [...all(table, [...scores, ...verified]), ...judged, ...all(table, costs), ...design, ...texts, "reason"],
  }[name];
}

function chosen(table, view) {
  const asked = view.carried.cols || "costs", known = (name) => name === "reason" || base(name) in table.header.fields;
  const names = Object.hasOwn(PRESETS, asked) ? preset(table, asked) : asked.split(",").filter(known);
  return [...new Set(names)].filter((name) => !FIRST.includes(name)).slice(0, 120);
}

class Sheet extends Grid {
  update(state) {
    const { table, view, picked } = state;
    Object.assign(this, { table, view, picked, state });
    // A column stays away until it is here, and where nothing of it is known.
    this.columns = [...FIRST, ...chosen(table, view)].filter((name) => name === "on_front" || table.has(name)).map((name) => column(table, name));
    this.sort = sortOf(view, this.columns.map((each) => each.name));
    const key = JSON.stringify([this.columns.map((each) => [each.name, each.label, each.whose]), this.sort]);
    if (key !== this.headed) { this.headed = key; this.heading(); }
    this.order();
    this.drawn = null;
    this.draw();
  }

  heading() {
    const focus = document.activeElement?.dataset?.sort;
    this.head.replaceChildren(...this.columns.map(({ name, label, unit, text, meaning, whose }) => {
      const on = this.sort?.name === name;
      const press = h("button", { type: "button", class: "link", "data-sort": name, title: meaning, onclick: () => this.sorted(name) },
        label, h("span", { class: "unit" }, unit ? ` ${unit}` : ""), on ? (this.sort.down ? " ↓" : " ↑") : "", whose ? h("span", { class: "whose" }, whose) : null);
      return h("th", { scope: "col", class: text ? "" : "number", "aria-sort": on ? (this.sort.down ? "descending" : "ascending") : "none" }, press);
    }));
    if (focus) this.head.querySelector(`[data-sort="${CSS.escape(focus)}"]`)?.focus();
  }

  sorted(name) { this.state.carry({ sort: nextSort(this.sort, name, this.columns.find((each) => each.name === name).direction) }); }

  order() {
    const { table, picked, sort } = this, rows = [];
    for (let row = 0; row < table.rows; row++) if (picked.shown[row]) rows.push(row);
    const [score] = table.header.objectives;
    const { name, down } = sort || { name: score, down: table.field(score).direction === "maximize" };
    this.rows = this.columns.find((each) => each.name === name)?.text ? byText(table, picked, rows, name, down) : byNumber(table.num(name), rows, down);
  }

  row(row) {
    const { table, view, picked, columns } = this, number = table.number(row), on = view.selected.includes(number);
    return h("tr", { "data-number": number, "data-row": row, tabindex: 0, class: `${on ? "chosen " : ""}${row === picked.best ? "best" : ""}`, "aria-current": on ? "true" : null },
      columns.map((each) => (each.name === "latency_ms" ? this.cell(each.name, row, [cell(table, picked, each, row)]) : h("td", { class: each.text ? "" : "number" }, each.name === "id" ? h("a", { class: "mono", href: href(table, row) }, table.id(row))
        : `${each.name === "number" && row === picked.best ? "★ " : ""}${cell(table, picked, each, row)}`))));
  }
}

/** Sorted, what is missing last whatever the direction. */
function byNumber(values, rows, down) {
  const sign = down ? -1 : 1;
  return rows.sort((a, b) => (values[a] !== values[a]) - (values[b] !== values[b]) || sign * (values[a] - values[b]) || a - b);
}
function byText(table, picked, rows, name, down) {
  const sign = down ? -1 : 1;
  if (name === "on_front") return rows.sort((a, b) => -sign * (picked.on[a] - picked.on[b]) || a - b);
  if (name === "id") { const ids = new Map(rows.map((row) => [row, table.id(row)])); return rows.sort((a, b) => (ids.get(a) < ids.get(b) ? -sign : sign)); }
  const { labels, values } = table.text(name), rank = new Int32Array(labels.length);
  const before = (a, b) => (a === "–") - (b === "–") || (Number(a) - Number(b) || (a < b ? -1 : 1)) * sign;
  labels.map((label, at) => [label, at]).sort((a, b) => before(a[0], b[0])).forEach(([, at], place) => { rank[at] = place; });
  return rows.sort((a, b) => rank[values[a]] - rank[values[b]] || a - b);
}

const sheet = new Sheet($("sheet"), {
  open: (row) => page.open(row),
  choose: (rows, add) => page.choose(rows, add),
});

let built = "";
/** Presets and single columns. */
function tools({ table, view, carry }) {
  const key = JSON.stringify([view.carried.cols, table.header.token, table.columns.size, table.version]);
  if (key === built) return;
  built = key;
  const asked = view.carried.cols || "costs", now = chosen(table, view), opened = $("tools").querySelector("details")?.open;
  const focus = document.activeElement?.dataset?.tool;
  const presets = Object.entries(PRESETS).map(([name, label]) => h("button", { type: "button", "data-tool": name, "aria-pressed": String(asked === name),
    onclick: () => carry({ cols: name === "costs" ? "" : name }) }, label));
  const boxes = preset(table, "everything").map((name) => {
    const box = h("input", { type: "checkbox", "data-tool": `col ${name}`, checked: now.includes(name) });
    box.addEventListener("change", () => carry({ cols: (box.checked ? [...now, name] : now.filter((other) => other !== name)).join(",") || "number" }));
    return h("label", {}, box, column(table, name).label);
  });
  $("tools").replaceChildren(h("div", { class: "presets", role: "group", "aria-label": "Columns" }, presets),
    h("details", { class: "menu picker", open: opened }, h("summary", {}, "Columns"), h("div", { class: "boxes", role: "group", "aria-label": "Single columns" }, boxes)));
  if (focus) $("tools").querySelector(`[data-tool="${CSS.escape(focus)}"]`)?.focus();
}

const page = study({
  path: "/table",
  columns: ({ table, view }) => chosen(table, view),
  draw(state) {
    tools(state);
    sheet.update(state);
    const said = (number) => number.toLocaleString("en-US");
    $("count").textContent = `${said(sheet.rows.length)} of ${said(state.table.rows)} candidates, ${said(sheet.columns.length)} columns`;
  },
  found: (row) => sheet.reveal(row),
});
saveMenu(() => page.picked && { ...page, name: "table", rows: sheet.rows, columns: sheet.columns });
