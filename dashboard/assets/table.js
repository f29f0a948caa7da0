/* The table under the plot: the front, or everything shown. Only the rows in sight are elements. */
import { h, shown } from "./dom.js";
import { stateOf } from "./plot.js";

const ROW = 28;
const EXTRA = 8;
const COLUMNS = ["ap", "accuracy", "latency_ms", "macs", "params", "peak_bytes", "weight_bytes"];
const TEXTS = ["block", "fusion", "head"];

export class Grid {
  /** `act` has open(row), choose(rows, add), tab(name) and axis(changes of the view). */
  constructor(root, act) {
    this.root = root;
    this.act = act;
    this.sort = null;
    this.tabs = h("div", { class: "tabs", role: "group", "aria-label": "Rows of the table" });
    this.head = h("tr");
    this.body = h("tbody");
    this.scroll = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Candidates" },
      h("table", { class: "grid" }, h("thead", {}, this.head), this.body));
    root.replaceChildren(this.tabs, this.scroll);
    this.scroll.addEventListener("scroll", () => this.draw());
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.table && this.draw()).observe(this.scroll);
  }

  update(table, view, picked) {
    Object.assign(this, { table, view, picked });
    const { header } = table, score = header.objectives[0];
    const names = [...new Set([score, `verified_${score}`, view.x, view.y, ...header.objectives.slice(1), ...COLUMNS])];
    this.columns = names.filter((name) => table.has(name) && header.axes.includes(name));
    this.sort = sortOf(view, ["number", "state", ...this.columns, ...TEXTS]);
    const key = JSON.stringify([this.columns, this.sort, view.table, header.verified, header.device]);
    if (key !== this.headed) { this.headed = key; this.heading(); }
    this.order();
    this.drawn = null;
    this.draw();
  }

  heading() {
    const focus = document.activeElement?.dataset?.sort;
    const button = (name, label, title) => {
      const on = this.sort?.name === name;
      return h("th", { scope: "col", class: TEXTS.includes(name) || name === "state" ? "" : "number", "aria-sort": on ? (this.sort.down ? "descending" : "ascending") : "none" },
        h("button", { type: "button", class: "link", "data-sort": name, title, onclick: () => this.sorted(name) }, `${label}${on ? (this.sort.down ? " ↓" : " ↑") : ""}`));
    };
    this.head.replaceChildren(button("number", "#", "proposal number"), h("th", { scope: "col" }, "Candidate"), button("state", "Status", ""),
      ...(this.table.header.verified ? [h("th", { scope: "col" }, "Verification")] : []),
      ...this.columns.map((name) => { const field = this.table.field(name); return button(name, field.label, `${field.meaning}${field.unit ? ` (${field.unit})` : ""}`); }),
      ...TEXTS.map((name) => button(name, this.table.field(name).label, "")));
    if (focus) this.head.querySelector(`[data-sort="${CSS.escape(focus)}"]`)?.focus();
  }

  sorted(name) {
    const sort = nextSort(this.sort, name, this.table.field(name).direction);
    this.act.axis({ carried: { ...this.view.carried, sort } });
  }

  /** Rows in order: the front along x, all others by score, unless a column was chosen. What is missing comes last. */
  order() {
    const { table, view, picked } = this;
    const front = view.table === "front";
    const rows = front ? [...picked.highlighted] : Array.from({ length: table.rows }, (_, row) => row).filter((row) => picked.shown[row]);
    const { name, down } = this.sort || (front ? { name: view.x, down: false } : { name: table.header.objectives[0], down: table.field(table.header.objectives[0]).direction === "maximize" });
    const sign = down ? -1 : 1;
    if (TEXTS.includes(name) || name === "state") {
      rows.sort((a, b) => sign * (table.label(name, a) < table.label(name, b) ? -1 : table.label(name, a) > table.label(name, b) ? 1 : 0) || a - b);
    } else {
      const values = table.num(name);
      rows.sort((a, b) => (values[a] !== values[a]) - (values[b] !== values[b]) || sign * (values[a] - values[b]) || a - b);
    }
    this.rows = rows;
    const tab = (key, label, count) => h("button", { type: "button", "aria-pressed": String(view.table === key), "data-tab": key, onclick: () => this.act.tab(key) },
      label, h("span", { class: "muted" }, ` ${count.toLocaleString("en-US")}`));
    const counts = JSON.stringify([view.table, picked.highlighted.length, picked.count]);
    if (counts !== this.counted) {
      this.counted = counts;
      const focus = document.activeElement?.dataset?.tab;
      this.tabs.replaceChildren(tab("front", "On the front", picked.highlighted.length), tab("shown", "All shown", picked.count));
      if (focus) this.tabs.querySelector(`[data-tab="${focus}"]`)?.focus();
    }
  }

  draw() {
    const { rows } = this, first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - EXTRA);
    const last = Math.min(rows.length, first + Math.ceil(this.scroll.clientHeight / ROW) + 2 * EXTRA);
    const key = `${first} ${last}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const focus = this.body.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.number : null;
    const space = (count) => { const cell = h("tr", { class: "space", "aria-hidden": "true" }, h("td", { colspan: 20 })); cell.style.height = `${count * ROW}px`; return cell; };
    this.body.replaceChildren(
      ...(first ? [space(first)] : []), ...rows.slice(first, last).map((row) => this.row(row)), ...(last < rows.length ? [space(rows.length - last)] : []),
      ...(rows.length ? [] : [h("tr", {}, h("td", { colspan: 20, class: "muted" }, this.nobody()))]));
    if (focus) this.body.querySelector(`tr[data-number="${focus}"]`)?.focus({ preventScroll: true });
  }

  /** Why there is no row. */
  nobody() {
    const { table, view, picked } = this, label = (name) => table.field(name).label;
    if (picked.filtered) return "No candidate is inside the filters.";
    return view.table === "front" && view.front === "axes" ? `No candidate has both ${label(view.y)} and ${label(view.x)}.` : "There is no such candidate.";
  }

  row(row) {
    const { table, view, picked } = this, number = table.number(row), chosen = view.selected.includes(number);
    const share = table.header.verified ? table.num("front_share")[row] : NaN, verdict = table.label("verdict", row);
    const reason = table.label("reason", row);
    return h("tr", { "data-number": number, "data-row": row, tabindex: 0, class: [chosen ? "chosen" : "", row === picked.best ? "best" : ""].join(" "), "aria-selected": String(chosen) },
      h("td", { class: "number" }, `${row === picked.best ? "★ " : ""}${number}`),
      h("td", {}, h("a", { class: "mono", href: href(table, row) }, table.id(row))),
      h("td", { title: reason === "–" ? "" : reason }, stateOf(table, row, picked)),
      ...(table.header.verified ? [h("td", {}, share === share ? `${verdict} (${Math.round(share * 100)} %)` : verdict)] : []),
      ...this.columns.map((name) => this.cell(name, row)),
      ...TEXTS.map((name) => h("td", {}, table.label(name, row))));
  }

  /** A number; where the latencies are of another device, how it was obtained. */
  cell(name, row, content = shown(this.table.field(name), this.table.num(name)[row])) {
    const { table } = this, value = table.num(name)[row];
    if (name !== "latency_ms" || !table.there) return h("td", { class: "number" }, ...content);
    if (value !== value) return h("td", { class: "number muted" }, table.by === "predicted" ? "not predicted" : "not measured");
    return h("td", { class: "number", title: table.predicted[row] ? `predicted: ${table.there.method}` : "measured" }, table.predicted[row] ? "≈ " : "", ...content);
  }

  click(event) {
    const row = event.target.closest("tr[data-row]");
    if (!row || event.target.closest("a")) return;
    row.focus({ preventScroll: true });
    this.act.choose([Number(row.dataset.row)], event.shiftKey || event.ctrlKey || event.metaKey);
  }
  key(event) {
    const row = event.target.closest("tr[data-row]");
    if (!row || event.target.closest("a")) return;
    if (event.key === "Enter") { event.preventDefault(); this.act.open(Number(row.dataset.row)); }
    if (event.key === " ") { event.preventDefault(); this.act.choose([Number(row.dataset.row)], true); }
  }

  /** Bring a row into sight. */
  reveal(row) {
    const at = this.rows.indexOf(row);
    if (at < 0) return;
    const top = at * ROW, visible = this.scroll.clientHeight - 2 * ROW;
    if (top < this.scroll.scrollTop || top > this.scroll.scrollTop + visible) this.scroll.scrollTop = Math.max(0, top - visible / 2);
    this.drawn = null;
    this.draw();
  }
}

/** The column and the direction that the link says, where that is one of `names`; else null. */
export function sortOf(view, names) {
  const given = view.carried.sort || "", name = given.replace(/^-/, "");
  return names.includes(name) ? { name, down: given.startsWith("-") } : null;
}

/** What the link says after a click on a heading: first the better end, then the other one, then as it was. */
export function nextSort(sort, name, direction) {
  const better = direction === "maximize", on = sort?.name === name, down = on ? !sort.down : better;
  return on && sort.down !== better ? "" : `${down ? "-" : ""}${name}`;
}

/** The address of a candidate's page; the query leads back to the view. */
export function href(table, row) {
  return `/c/${table.id(row)}${window.location.search}`;
}
