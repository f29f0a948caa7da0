/* /parallel: axes side by side, a brush on each with its ends as inputs, and Keep, Exclude, Restore. */
import { h, numberOf, say } from "./dom.js";
import { MARKS } from "./device.js";
import { study } from "./study.js";
import { Parallel, MOST, bound, clipped } from "./parallel.js";
import { formatBrush, parseBrush, stepText, NONE } from "./steps.js";
import { familyColors } from "./paint.js";
import { picture, styled } from "./picture.js";
import { filterTexts } from "./answer.js";
import { saveMenu } from "./save.js";
import { Vector } from "./vector.js";

const $ = (id) => document.getElementById(id);
const AXES = 10;
const FIXED = ["partial_ratio", "fusion", "block", "depth", "width", "head", "split", "num_stages", "stem_width", "activation", "head_width", "growth_rate", "maxout"];
let weighed = [];

/** Objectives, then the axes of the design space, the most important first. */
function usual(table) {
  const { objectives, fields } = table.header, order = weighed.length ? weighed : FIXED.filter((name) => name in fields);
  return [...new Set([...objectives, ...order])].slice(0, AXES);
}
function named(table, view) {
  const given = (view.carried.axes || "").split(",").filter((name) => name in table.header.fields);
  return given.length ? [...new Set(given)].slice(0, 24) : usual(table);
}
const logs = (view) => (view.carried.log || "").split(",").filter(Boolean);
const brushOf = (view) => parseBrush(view.carried.brush || "");

const act = {
  brush: (name, part) => {
    const brush = brushOf(page.view);
    if (part) brush[name] = part; else delete brush[name];
    page.carry({ brush: formatBrush(brush) });
  },
  open: (row) => page.open(row),
  choose: (rows, add) => page.choose(rows, add),
};
const plot = new Parallel($("parallel"), act);

// -- controls of an axis

function head(state, axis, at, names) {
  const part = brushOf(state.view)[axis.name];
  const box = h("div", { class: "axis-head", role: "group", "aria-label": state.table.title(axis.name) }, options(state, axis, at, names), axis.labels ? values(axis, part) : range(axis, part),
    axis.field.where ? h("span", { class: "whose", title: state.table.whose(axis.name) }, `${MARKS[state.table.by]} ${axis.field.where}`) : null);
  box.style.left = `${axis.x}px`;
  return box;
}

function range({ name, field }, part) {
  const input = (end, words, sign) => {
    const box = h("input", { type: "text", inputmode: "decimal", class: "typed", placeholder: "any", "data-control": `${end} ${name}`, "aria-label": `${field.label} ${words}${field.unit ? `, ${field.unit}` : ""}` });
    box.value = bound(field, part?.[end]);
    box.addEventListener("change", () => {
      const value = box.value.trim() ? numberOf(box.value) : 0;
      box.setCustomValidity(Number.isFinite(value) ? "" : "A number, or nothing for any");
      if (!box.reportValidity()) return;
      const next = { low: null, high: null, ...(part?.labels ? {} : part), [end]: box.value.trim() === "" ? null : value / field.scale };
      act.brush(name, next.low === null && next.high === null ? null : next);
    });
    return h("span", { class: "end" }, h("span", { class: "muted", "aria-hidden": "true" }, sign), box);
  };
  return h("div", { class: "ends" }, input("high", "at most", "≤"), input("low", "at least", "≥"));
}

function values(axis, part) {
  const { name } = axis, all = [...axis.labels, ...(page.table.text(name).labels.includes(NONE) ? [NONE] : [])], kept = part?.labels || all;
  const boxes = all.map((label) => {
    const box = h("input", { type: "checkbox", checked: kept.includes(label), "data-control": `value ${name} ${label}` });
    box.addEventListener("change", () => {
      const now = all.filter((other) => (other === label ? box.checked : kept.includes(other)));
      act.brush(name, now.length === all.length ? null : { labels: now });
    });
    return h("label", {}, box, label === NONE ? "missing" : label);
  });
  return h("details", { class: "menu values", "data-menu": `values ${name}` }, h("summary", {}, part ? `${kept.length} of ${all.length}` : `all ${all.length}`), h("div", { class: "boxes" }, boxes));
}

function options(state, { name, field, log }, at, names) {
  const move = (by) => { const next = [...names]; next.splice(at, 1); next.splice(at + by, 0, name); page.carry({ axes: next.join(",") }); };
  const entry = (key, label, run) => h("li", {}, h("button", { type: "button", "data-control": `${key} ${name}`, onclick: run }, label));
  const toggle = () => page.carry({ log: (log ? logs(state.view).filter((other) => other !== name) : [...logs(state.view), name]).join(",") });
  const better = { minimize: " ↓", maximize: " ↑" }[field.direction] || "", worse = { minimize: "lower is better", maximize: "higher is better" }[field.direction];
  return h("details", { class: "menu options", "data-menu": `options ${name}` }, h("summary", { title: [field.meaning, worse].filter(Boolean).join("; ") },
    h("b", {}, field.label), " ", h("span", { class: "unit" }, `${log ? "log " : ""}${field.unit}${better} ▾`)), h("ul", {},
    at ? entry("left", "Move left", () => move(-1)) : null, at < names.length - 1 ? entry("right", "Move right", () => move(1)) : null,
    field.kind === "category" ? null : entry("log", log ? "Linear scale" : "Log scale", toggle),
    field.kind === "category" ? null : entry("missing", "Only what is missing", () => act.brush(name, { labels: [NONE] })),
    names.length > 2 ? entry("remove", "Remove", () => page.carry({ axes: names.filter((other) => other !== name).join(",") })) : null));
}

function heads(state, names) {
  const key = JSON.stringify([plot.measured, state.view.carried]);
  if (key === heads.key) return;
  heads.key = key;
  const focus = document.activeElement?.dataset?.control, open = [...$("heads").querySelectorAll("details[open]")].map((each) => each.dataset.menu);
  $("heads").replaceChildren(...plot.axes.map((axis, at) => head(state, axis, at, names)));
  $("heads").style.setProperty("--axis", `${plot.axes.length > 1 ? Math.min(150, plot.axes[1].x - plot.axes[0].x - 4) : 150}px`);
  for (const each of $("heads").querySelectorAll("details")) if (open.includes(each.dataset.menu)) each.open = true;
  if (focus) $("heads").querySelector(`[data-control="${CSS.escape(focus)}"]`)?.focus();
}

// -- what is kept

function tools(state, names) {
  const { table, view } = state, brush = brushOf(view), on = Object.keys(brush).length > 0;
  const key = JSON.stringify([on, view.steps, names, table.header.token, table.version]);
  if (key === tools.key) return;
  tools.key = key;
  const focus = document.activeElement?.id;
  const step = (only) => () => {
    say(`${only ? "Kept" : "Excluded"} ${plot.count.toLocaleString("en-US")} candidates`);
    page.change({ steps: [...page.view.steps, { only, brush: brushOf(page.view) }] });
    page.carry({ brush: "" });
  };
  const button = (id, label, title, enabled, run) => h("button", { type: "button", id, title, disabled: !enabled, onclick: run }, label);
  const others = [...table.header.axes, ...Object.keys(table.header.fields).filter((name) => table.field(name).kind === "category")].filter((name) => !names.includes(name));
  const add = h("select", { id: "add-axis", "aria-label": "Add an axis" }, h("option", { value: "" }, "Add an axis"), [...new Set(others)].map((name) => h("option", { value: name }, table.field(name).label)));
  add.addEventListener("change", () => add.value && page.carry({ axes: [...names, add.value].join(",") }));
  const chips = view.steps.map((each, at) => h("button", { type: "button", class: "step", id: `step-${at}`, title: "Undo this step", onclick: () => page.change({ steps: view.steps.filter((_, other) => other !== at) }) }, `${stepText(table, each)} ×`));
  $("tools").replaceChildren(
    button("keep", "Keep", "Only the brushed candidates, on all pages", on, step(true)), button("exclude", "Exclude", "All but the brushed candidates, on all pages", on, step(false)),
    button("clear", "Clear brushes", "", on, () => page.carry({ brush: "" })), button("restore", "Restore", "All that was excluded comes back", view.steps.length > 0 || on, () => { page.change({ steps: [] }); page.carry({ brush: "" }); }),
    ...chips, add, button("usual", "Usual axes", "Objectives, then what matters most for the score", Boolean(view.carried.axes || view.carried.log), () => page.carry({ axes: "", log: "" })));
  if (focus) document.getElementById(focus)?.focus();
}

/** How many lines stand for how many candidates. */
function count({ table, view, picked }) {
  const said = (number) => number.toLocaleString("en-US"), on = picked.highlighted.filter((row) => plot.held[row]).length;
  return [`${said(plot.count)} ${Object.keys(brushOf(view)).length ? "brushed" : "shown"} of ${said(table.rows)}`, `${said(on)} on the front of ${view.front === "all" ? "all objectives" : "two axes"}`,
    ...(plot.count > MOST ? [`${said(Math.ceil(plot.count / Math.ceil(plot.count / MOST)))} lines drawn: a regular sample, and the whole front`] : [])].join(" · ");
}

const page = study({
  path: "/parallel",
  async before(table) {
    if (weighed.length) return; // axes stay where they are while a search writes
    try {
      const response = await fetch(`/importance?${new URLSearchParams({ study: table.header.study })}`);
      weighed = (await response.json()).axes.filter((name) => name in table.header.fields);
    } catch { weighed = []; }
  },
  columns: ({ table, view }) => [...named(table, view), ...Object.keys(brushOf(view))],
  draw(state) {
    const names = named(state.table, state.view), scales = logs(state.view);
    plot.update(state.table, state.view, state.picked, names.map((name) => ({ name, log: scales.includes(name) })), brushOf(state.view));
    heads(state, names);
    tools(state, names);
    $("count").textContent = count(state);
  },
});
page.plot = plot;
new ResizeObserver(() => plot.axes && heads(page, named(page.table, page.view))).observe($("parallel"));
document.addEventListener("pointerdown", (event) => { for (const each of $("heads").querySelectorAll("details[open]")) if (!each.contains(event.target)) each.open = false; });
$("heads").addEventListener("keydown", (event) => {
  const menu = event.target.closest("details[open]");
  if (event.key === "Escape" && menu) { menu.open = false; menu.querySelector("summary").focus(); }
});

/** The lines as SVG, the titles of the axes above them. */
function svg() {
  const { table, view, picked } = page, { theme } = plot, vector = new Vector(), room = 46;
  vector.lineWidth = 1;
  const lines = plot.sampled(plot.held);
  vector.globalAlpha = Math.max(0.12, Math.min(0.75, 14 / Math.sqrt(lines.length || 1)));
  for (const row of lines) { vector.strokeStyle = plot.colors(row); plot.line(vector, row); }
  plot.above(vector);
  vector.globalAlpha = 1;
  vector.fillStyle = theme.ink;
  vector.textAlign = "left";
  const most = Math.floor((plot.axes.length > 1 ? plot.axes[1].x - plot.axes[0].x : 200) / 6);
  for (const axis of plot.axes) {
    if (axis.field.where) vector.fillText(clipped(`${MARKS[table.by]} ${axis.field.where}`, most), Math.max(6, axis.x - 46), -32);
    vector.fillText(axis.field.label, Math.max(6, axis.x - 46), -18);
    if (axis.field.unit) vector.fillText(axis.field.unit, Math.max(6, axis.x - 46), -4);
  }
  const filters = [...filterTexts(table, view), ...(Object.keys(brushOf(view)).length ? [stepText(table, { only: true, brush: brushOf(view) })] : [])];
  return picture({
    table, view, theme, width: plot.width, height: plot.height + room, layers: `<g transform="translate(0 ${room})">${vector.text}${styled(plot.marks)}</g>`,
    title: `${plot.count.toLocaleString("en-US")} candidates${filters.length ? `: ${filters.join(", ")}` : ""}`,
    signs: [[`<path d="M-7 0H7" stroke="${theme.ink}" stroke-width="1.6"/>`, `front, ${picked.highlighted.filter((row) => plot.held[row]).length}`], ...origins(table, theme)],
  });
}

/** Signs of the axis whose latencies are of another device. */
function origins({ there, by }, theme) {
  const names = there ? (by === "both" ? ["measured", "predicted"] : [by]) : [];
  return names.map((name) => [`<circle r="3.5" fill="${name === "measured" ? theme.ink : theme.surface}" stroke="${theme.ink}" stroke-width="1.6"/>`, `latency ${name}`]);
}
saveMenu(() => page.picked && {
  ...page, name: "parallel", svg, rows: Array.from({ length: page.table.rows }, (_, row) => row).filter((row) => plot.held[row]),
});
