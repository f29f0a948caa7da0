/* Parallel coordinates: lines on canvases, drawn some milliseconds at a time so that a brush stays under the hand;
 * axes, ticks and brushes as SVG over them. */
import { h, s, beside } from "./dom.js";
import { familyColors, scaled, extent } from "./paint.js";
import { held, NONE } from "./steps.js";
import { describe } from "./plot.js";

const SIDE = 66, TOP = 12, BOTTOM = 44; // BOTTOM holds the tick of what is missing
const GRIP = 22; // pixels beside an axis in which it is brushed
const SLICE = 9; // milliseconds of drawing a frame
export const MOST = 20000; // lines; of more candidates a regular sample is drawn, and the whole front
const NEAR = 6;

export class Parallel {
  /** `act` has brush(name, part or null), open(row) and choose(rows, add). */
  constructor(root, act) {
    this.root = root;
    this.act = act;
    this.layers = ["back", "lines", "above"].map((name) => h("canvas", { "aria-hidden": "true", "data-layer": name }));
    this.marks = s("svg", { class: "marks", "aria-hidden": "true" });
    root.replaceChildren(...this.layers, this.marks);
    this.tooltip = document.getElementById("tooltip");
    this.hovered = -1;
    new ResizeObserver(() => this.table && this.draw()).observe(root);
    root.addEventListener("pointerdown", (event) => this.down(event));
    root.addEventListener("pointermove", (event) => this.move(event));
    root.addEventListener("pointerup", (event) => this.up(event));
    root.addEventListener("pointercancel", () => { this.drag = null; });
    root.addEventListener("pointerleave", () => this.hover(-1));
  }

  /** `axes` are { name, log }; `brush` as steps.js has it. */
  update(table, view, picked, axes, brush) {
    Object.assign(this, { table, view, picked, brush });
    this.wanted = axes;
    this.draw();
  }

  // -- geometry

  measure() {
    const { table, wanted, root } = this;
    this.width = root.clientWidth;
    this.height = root.clientHeight;
    this.floor = this.height - BOTTOM;
    this.missing = this.height - 16;
    const gap = wanted.length > 1 ? (this.width - 2 * SIDE) / (wanted.length - 1) : 0;
    const key = JSON.stringify([wanted, this.width, this.height, table.header.token, table.version, this.view.steps, table.columns.size, table.annotations]);
    if (key === this.measured) return;
    this.measured = key;
    this.axes = wanted.map((axis, at) => ({ ...axis, x: SIDE + at * gap, ...this.scale(axis) }));
    this.places = this.axes.map((axis) => this.place(axis));
  }

  /** Ends, ticks and the place of a value on one axis. */
  scale({ name, log }) {
    const { table, floor } = this, field = table.field(name), span = floor - TOP;
    if (field.kind === "category") {
      const labels = [...familyColors(table, name, table.header.themes.light).keys()].filter((label) => label !== NONE);
      const y = (label) => { const at = labels.indexOf(label); return at < 0 ? this.missing : floor - ((at + 0.5) / labels.length) * span; };
      return { field, labels, y, ticks: labels.map((label) => [y(label), label]) };
    }
    const kept = table.num(name).filter((value, row) => this.picked.kind[row] && (!log || value > 0));
    const [a, b] = extent(kept), on = (value) => (log ? Math.log10(value * field.scale) : value * field.scale);
    let [low, high] = Number.isFinite(a) ? [on(a), on(b)] : [0, 1];
    if (low === high) { low -= Math.abs(low) / 10 || 0.5; high += Math.abs(high) / 10 || 0.5; }
    const y = (value) => (value === value && (!log || value > 0) ? floor - ((on(value) - low) / (high - low)) * span : this.missing);
    const value = (place) => { const at = low + ((floor - place) / span) * (high - low); return (log ? 10 ** at : at) / field.scale; };
    const few = new Set(kept.length < 5e4 || Number.isInteger(kept[0]) ? kept.subarray(0, 5e4) : []), own = few.size <= 9 ? [...few].filter((at) => at === at).map((at) => at * field.scale) : null;
    const text = (at) => (Math.abs(at) >= 1e4 ? Math.round(at).toLocaleString("en-US") : String(Number(at.toPrecision(6)))).replace("-", "−");
    return { field, y, value, ticks: (own || nice(low, high, log)).map((at) => [floor - (((log ? Math.log10(at) : at) - low) / (high - low)) * span, text(at)]) };
  }

  /** Height of every row on an axis. */
  place(axis) {
    const { table } = this, found = new Float32Array(table.rows);
    if (axis.labels) {
      const column = table.text(axis.name), heights = column.labels.map((label) => axis.y(label));
      for (let row = 0; row < table.rows; row++) found[row] = heights[column.values[row]];
    } else {
      const values = table.num(axis.name);
      for (let row = 0; row < table.rows; row++) found[row] = axis.y(values[row]);
    }
    return found;
  }

  // -- drawing

  draw() {
    this.measure();
    const { table, picked, brush } = this, theme = table.header.themes[window.cspTheme.current];
    this.theme = theme;
    const brushed = Object.keys(brush).length > 0, inside = held(table, brush);
    this.held = Uint8Array.from(picked.shown, (on, row) => (on && (!inside || inside[row]) ? 1 : 0));
    this.count = this.held.reduce((sum, on) => sum + on, 0);
    this.colors = this.coloring(theme);
    const backdrop = JSON.stringify([this.measured, brushed, picked.count, theme.ink, this.view.ranges, this.view.kinds, this.view.show]);
    if (backdrop !== this.behind) {
      this.behind = backdrop;
      this.start(0, brushed ? this.sampled(picked.shown) : [], () => theme.muted, 0.12);
    }
    const rows = this.sampled(this.held);
    delete this.root.dataset.drawn;
    this.start(1, rows, (row) => this.colors(row), Math.max(0.12, Math.min(0.75, 14 / Math.sqrt(rows.length || 1))), () => { this.root.dataset.drawn = String(rows.length); });
    this.above();
    this.overlay();
  }

  /** Rows of a mask in an order that shows the whole from the first ones on; at most `MOST`, regularly chosen. */
  sampled(mask) {
    const rows = [];
    for (let row = 0; row < mask.length; row++) if (mask[row]) rows.push(row);
    const step = Math.max(1, Math.ceil(rows.length / MOST)), found = [];
    const stride = 16 * step;
    for (let first = 0; first < stride; first += step) for (let at = first; at < rows.length; at += stride) found.push(rows[at]);
    return found;
  }

  coloring(theme) {
    const { table, view } = this, field = table.field(view.color);
    if (!view.color) return () => theme.families[0];
    if (field.kind === "category") {
      const column = table.text(view.color), known = familyColors(table, view.color, theme), list = column.labels.map((label) => known.get(label));
      return (row) => list[column.values[row]];
    }
    const values = table.num(view.color), [low, high] = extent(values), list = Array.from({ length: 64 }, (_, at) => scaled(theme.scale, at / 63));
    return (row) => (values[row] === values[row] ? list[Math.round((63 * (values[row] - low)) / ((high - low) || 1))] : theme.muted);
  }

  context(at) {
    const canvas = this.layers[at], ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(this.width * ratio); // which also clears it
    canvas.height = Math.round(this.height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  /** Draw rows on a layer over as many frames as it takes; a new call ends an old one. */
  start(layer, rows, color, alpha, done = () => {}) {
    const context = this.context(layer);
    this.turns ||= [0, 0];
    const turn = ++this.turns[layer];
    context.globalAlpha = alpha;
    context.lineWidth = 1;
    let at = 0;
    const slice = () => {
      if (turn !== this.turns[layer]) return;
      const until = performance.now() + SLICE;
      while (at < rows.length && performance.now() < until) {
        for (const end = Math.min(rows.length, at + 32); at < end; at++) { context.strokeStyle = color(rows[at]); this.line(context, rows[at]); }
      }
      if (at < rows.length) window.requestAnimationFrame(slice); else done();
    };
    slice();
  }
  line(context, row) {
    const { axes, places } = this;
    context.beginPath();
    for (let at = 0; at < axes.length; at++) if (at) context.lineTo(axes[at].x, places[at][row]); else context.moveTo(axes[at].x, places[at][row]);
    context.stroke();
  }

  /** The front in ink, what is chosen, and the line under the pointer. */
  above(context = this.context(2)) {
    const { table, view, picked, theme } = this;
    const draw = (row, color, width, alpha = 1) => { context.strokeStyle = color; context.lineWidth = width; context.globalAlpha = alpha; this.line(context, row); };
    const many = picked.highlighted.length;
    for (const row of picked.highlighted) if (this.held[row]) draw(row, theme.ink, 1.4, many > 60 ? 0.55 : 0.9);
    if (picked.best >= 0 && this.held[picked.best]) draw(picked.best, theme.ink, 3);
    for (const number of [...view.pinned, ...view.selected]) {
      const row = table.rowOf(number);
      if (row >= 0) { draw(row, theme.surface, 5); draw(row, this.colors(row), 3); }
    }
    if (this.hovered >= 0) { draw(this.hovered, theme.surface, 5); draw(this.hovered, this.colors(this.hovered), 3); }
    if (table.there) this.origins(context, [...picked.highlighted.filter((row) => this.held[row]), ...[...view.pinned, ...view.selected].map((number) => table.rowOf(number)), this.hovered]);
  }

  /** Where the latencies are of another device, how each of `rows` was obtained: filled measured, hollow predicted. */
  origins(context, rows) {
    const { table, theme, places, axes } = this, at = axes.findIndex(({ name }) => name === "latency_ms");
    if (at < 0) return;
    context.globalAlpha = 1;
    context.lineWidth = 1.6;
    context.strokeStyle = theme.ink;
    for (const row of rows) {
      if (row < 0 || places[at][row] === this.missing) continue;
      context.fillStyle = table.predicted[row] ? theme.surface : theme.ink;
      context.beginPath();
      context.arc(axes[at].x, places[at][row], 3.5, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
  }

  overlay() {
    const { axes, theme, missing, floor, brush } = this, nodes = [];
    const text = (x, y, words, given) => { const found = s("text", { x, y, fill: theme.ink, stroke: theme.surface, ...given }); found.textContent = words; return found; };
    const room = Math.floor((axes.length > 1 ? axes[1].x - axes[0].x : 200) / 7);
    axes.forEach((axis, at) => {
      const last = at === axes.length - 1 && at > 0, beside = last ? { x: axis.x - 7, "text-anchor": "end" } : { x: axis.x + 7, "text-anchor": "start" };
      nodes.push(s("line", { class: "axis", x1: axis.x, x2: axis.x, y1: TOP, y2: floor, stroke: theme.ink }));
      nodes.push(s("line", { class: "axis", x1: axis.x - 4, x2: axis.x + 4, y1: missing, y2: missing, stroke: theme.muted }));
      for (const [y, words] of axis.ticks) {
        nodes.push(s("line", { class: "axis", x1: axis.x - 3, x2: axis.x + 3, y1: y, y2: y, stroke: theme.ink }));
        nodes.push(text(0, y + 4, clipped(words, room), { class: "tick", ...beside }));
      }
      if (at === 0) nodes.push(text(axis.x - 8, missing + 4, "missing", { class: "tick", "text-anchor": "end", fill: theme.muted }));
      const ends = this.ends(axis, brush[axis.name]);
      if (ends) nodes.push(s("rect", { class: "brush", "data-axis": axis.name, x: axis.x - 8, width: 16, y: ends[0], height: Math.max(3, ends[1] - ends[0]), fill: theme.ink, stroke: theme.ink }));
    });
    this.marks.replaceChildren(...nodes);
    this.marks.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
  }

  /** Top and bottom of a brush on the screen; null without one. */
  ends(axis, part) {
    if (!part) return null;
    const { floor, missing } = this;
    if (part.labels) {
      const heights = part.labels.map((label) => axis.y(axis.labels ? label : NaN)).filter(Number.isFinite), half = axis.labels ? Math.min(12, (floor - TOP) / axis.labels.length / 2) : 8;
      return heights.length ? [Math.min(...heights) - (heights.every((y) => y === missing) ? 8 : half), Math.max(...heights) + (heights.includes(missing) ? 8 : half)] : null;
    }
    if (!axis.value) return null;
    const inside = (y) => Math.max(TOP, Math.min(floor, y));
    return [part.high === null ? TOP : inside(axis.y(part.high)), part.low === null ? floor : inside(axis.y(part.low))];
  }

  // -- pointer

  at(event) { const frame = this.root.getBoundingClientRect(); return [event.clientX - frame.left, event.clientY - frame.top]; }
  near(x) { return this.axes?.find((axis) => Math.abs(axis.x - x) <= GRIP); }

  down(event) {
    const [x, y] = this.at(event), axis = this.near(x);
    if (!this.table || event.button) return;
    this.drag = { axis: null, x, y, moved: false };
    if (!axis) return;
    const ends = this.ends(axis, this.brush[axis.name]), part = this.brush[axis.name];
    const grip = ends && part.low !== undefined ? (Math.abs(y - ends[0]) < NEAR ? "high" : Math.abs(y - ends[1]) < NEAR ? "low" : y > ends[0] && y < ends[1] ? "both" : "") : "";
    // A dragged end has the other one as its beginning; a dragged brush keeps its length.
    this.drag = { axis, x, y, grip, moved: false, ends, from: grip === "high" ? ends[1] : grip === "low" ? ends[0] : y };
    this.root.setPointerCapture(event.pointerId);
    event.preventDefault();
    this.root.focus();
  }

  move(event) {
    const [x, y] = this.at(event), { drag } = this;
    if (!this.axes) return;
    if (!drag) {
      this.root.classList.toggle("over-axis", Boolean(this.near(x)));
      this.hover(this.near(x) ? -1 : this.nearest(x, y), event.clientX, event.clientY);
      return;
    }
    if (Math.abs(y - drag.y) > 3) drag.moved = true;
    if (!drag.axis || !drag.moved) return;
    this.hover(-1);
    const by = drag.grip === "both" ? Math.max(TOP - drag.ends[0], Math.min(this.floor - drag.ends[1], y - drag.y)) : 0;
    this.act.brush(drag.axis.name, drag.grip === "both" ? this.part(drag.axis, drag.ends[0] + by, drag.ends[1] + by) : this.part(drag.axis, drag.from, y));
  }

  up(event) {
    const { drag } = this, [x, y] = this.at(event);
    this.drag = null;
    if (!drag || drag.moved) return;
    if (drag.axis) { this.act.brush(drag.axis.name, y > this.floor + 8 ? { labels: [NONE] } : null); return; }
    const row = this.nearest(x, y);
    if (row < 0) return;
    if (event.shiftKey || event.ctrlKey || event.metaKey) this.act.choose([row], true); else this.act.open(row);
  }

  /** What a brush between two heights holds; null if nothing. */
  part(axis, a, b) {
    const top = Math.min(a, b), low = Math.max(a, b);
    if (axis.labels) {
      const labels = [...axis.labels, NONE].filter((label) => axis.y(label) >= top && axis.y(label) <= low);
      return labels.length ? { labels } : null;
    }
    if (top > this.floor + 6) return { labels: [NONE] };
    const open = [low >= this.floor + 1, top <= TOP - 1];
    return { low: open[0] ? null : axis.value(Math.min(low, this.floor)), high: open[1] ? null : axis.value(Math.max(top, TOP)), ...(open[0] && open[1] ? { low: axis.value(this.floor) } : {}) };
  }

  /** Row of the line nearest to a place; those on the front win over others as near. */
  nearest(x, y) {
    const { axes, places, held: mask, picked } = this, at = axes.findLastIndex((axis) => axis.x <= x);
    if (at < 0 || at > axes.length - 2 || !mask) return -1;
    const share = (x - axes[at].x) / (axes[at + 1].x - axes[at].x), left = places[at], right = places[at + 1];
    let found = -1, least = NEAR;
    for (let row = 0; row < mask.length; row++) {
      if (!mask[row]) continue;
      const distance = Math.abs(left[row] + share * (right[row] - left[row]) - y) - (picked.on[row] ? 2 : 0);
      if (distance < least) { least = distance; found = row; }
    }
    return found;
  }
  hover(row, x = 0, y = 0) {
    if (row !== this.hovered) {
      this.hovered = row;
      this.root.classList.toggle("over", row >= 0);
      if (this.table) this.above();
      this.tooltip.hidden = row < 0;
      if (row >= 0) this.tooltip.replaceChildren(...describe(this.table, row, this.picked));
    }
    if (row >= 0) beside(this.tooltip, x, y);
  }
}

/** Round values between two ends, which are logarithms on a log axis. */
function nice(low, high, log, most = 8) {
  if (log) {
    const found = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power++) for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    const inside = found.filter((value) => Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9);
    if (inside.length > most) return inside.filter((value) => Number.isInteger(Number(Math.log10(value).toFixed(9))));
    return inside.length > 1 ? inside : nice(10 ** low, 10 ** high, false, most);
  }
  const raw = (high - low) / most, base = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find((digit) => digit * base >= raw) * base;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) found.push(Number((at * step).toPrecision(12)));
  return found;
}

export const clipped = (words, most) => (words.length > most ? `${words.slice(0, most - 1)}…` : words);

/** What an input of a brush shows for a bound. */
export const bound = (field, value) => (value === null || value === undefined ? "" : String(Number((value * field.scale).toPrecision(6))));
