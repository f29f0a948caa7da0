/* The Pareto plot in three layers: points on a canvas, axes as a transparent Plotly figure (SVG, no WebGL), and front,
 * answer, rings and published networks as SVG of our own, so that a dragged slider moves no Plotly. */
import { h, s, beside, show, say } from "./dom.js";
import { steps, wanted } from "./model.js";
import { paint } from "./paint.js";
import { escape } from "./vector.js";
import { arrange, caption, costOf, drawn, near, over, published, told } from "./published.js";

const SIDE = { left: 62, right: 40, top: 14, bottom: 46 }; // the mode bar stands in the right margin: over the area it would take clicks
const STRIP = 26; // height of the band for candidates without a value on y
const NEAR = 12; // pixels within which a point is hit
const BARS = 400;
const GRID = "rgba(125, 135, 150, 0.2)"; // drawn over the points

export class Plot {
  /** `act` has zoom(x, y), drag(mode), open(row), choose(rows, add) and hover(row). */
  constructor(root, act) {
    this.root = root;
    this.act = act;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.figure = h("div", { class: "figure" });
    this.marks = s("svg", { class: "marks", "aria-hidden": "true" });
    this.void = h("div", { class: "void", hidden: true });
    root.replaceChildren(this.canvas, this.figure, this.marks, this.void);
    this.tooltip = document.getElementById("tooltip");
    this.hovered = -1;
    new ResizeObserver(() => this.table && this.draw()).observe(root);
    root.addEventListener("pointermove", (event) => this.move(event));
    root.addEventListener("pointerleave", () => this.hover(-1));
    root.addEventListener("pointerdown", (event) => { this.down = [event.clientX, event.clientY]; }, true);
    // Plotly covers the page while a button is down, so that the plot does not hear of its release.
    window.addEventListener("pointerup", (event) => { this.up(event); this.down = null; }, true);
  }

  update(table, view, picked) {
    Object.assign(this, { table, view, picked });
    caption(table, view);
    this.draw();
  }

  // -- geometry

  measure() {
    const { view, table } = this;
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    const strip = this.hasStrip() ? STRIP : 0;
    this.box = {
      left: SIDE.left, top: SIDE.top, width: Math.max(10, this.width - SIDE.left - SIDE.right),
      height: Math.max(10, this.height - SIDE.top - SIDE.bottom - strip),
    };
    this.strip = strip ? this.box.top + this.box.height + strip / 2 + 3 : null;
    this.range = { x: view.zoom_x || this.extent("x"), y: view.zoom_y || this.extent("y") };
    const scale = { x: table.field(view.x).scale, y: table.field(view.y).scale };
    const [x0, x1] = this.range.x, [y0, y1] = this.range.y;
    const { left, top, width, height } = this.box;
    const coordinate = (log, unit) => (log ? (value) => Math.log10(value * unit) : (value) => value * unit);
    const cx = coordinate(view.x_log, scale.x), cy = coordinate(view.y_log, scale.y);
    this.px = (value) => left + ((cx(value) - x0) / (x1 - x0)) * width;
    this.py = (value) => top + height - ((cy(value) - y0) / (y1 - y0)) * height;
  }

  /** Whether anything that the toggles show has no value on y, whatever the filters. */
  hasStrip() {
    const { table, view } = this, key = `strip ${view.x} ${view.y} ${view.show.join()}`;
    if (!table.cache.has(key)) {
      const x = table.num(view.x), y = table.num(view.y), states = table.text("state").values, shown = wanted(table, view);
      let found = false;
      for (let row = 0; row < table.rows && !found; row++) found = shown[states[row]] && y[row] !== y[row] && x[row] === x[row];
      table.cache.set(key, found);
    }
    return table.cache.get(key);
  }

  /** Ends of an axis over everything that the toggles show, whatever the filters: so a dragged slider moves no axis. */
  extent(axis) {
    const { table, view } = this, name = view[axis], log = view[`${axis}_log`];
    const key = `extent ${axis} ${view.x} ${view.y} ${log} ${view.show.join()}`;
    if (!table.cache.has(key)) table.cache.set(key, this.computed(axis, name, log));
    return table.cache.get(key);
  }
  computed(axis, name, log) {
    const { table, view } = this, values = table.num(name), x = table.num(view.x), y = table.num(view.y);
    const { scale } = table.field(name), least = log ? 0 : -Infinity, { complete } = table, state = table.text("state");
    const shown = wanted(table, view);
    const costs = published(table, view).map((reference) => costOf(reference, name, table)).filter((value) => value > least);
    let low = Math.min(...costs), high = Math.max(...costs);
    for (let row = 0; row < table.rows; row++) {
      const value = values[row];
      if ((value >= low && value <= high) || !(complete[row] ? x[row] === x[row] && y[row] === y[row] : shown[state.values[row]])) continue;
      if (value < low && value > least) low = value;
      if (value > high && value < Infinity && value > least) high = value;
    }
    [low, high] = [low * scale, high * scale];
    if (low > high) return [0, 1];
    if (log) [low, high] = [Math.log10(low), Math.log10(high)];
    const span = (high - low) || Math.abs(high) || 1;
    return [low - 0.04 * span, high + 0.05 * span];
  }

  // -- drawing

  draw() {
    if (!this.table || !this.root.clientWidth) return;
    this.measure();
    const theme = this.table.header.themes[window.cspTheme.current];
    paint(this, theme);
    this.mark(theme);
    this.tell();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.axes(theme), this.plotted ? 60 : 0);
    document.documentElement.dataset.drawn = String(this.picked.count);
  }

  /** Where no candidate has a value of an axis: what is missing, and a way out. */
  tell() {
    const { table, view } = this, { header } = table, { x, y } = view;
    const known = (name) => table.num(name).some(Number.isFinite), coming = (name) => !table.has(name) && header.axes.includes(name);
    const axis = ["x", "y"].find((each) => !coming(view[each]) && !known(view[each]));
    const other = axis && (axis === "x" ? ["macs", "params"] : [header.objectives[0]]).find((name) => name !== x && name !== y && known(name));
    const key = axis ? JSON.stringify([axis, view[axis], other, header.device]) : "";
    if (key === (this.told || "")) return;
    Object.assign(this, { told: key, missing: axis });
    this.void.hidden = !axis;
    if (!axis) return;
    const there = view[axis] === "latency_ms" ? ` on ${header.device}` : "";
    this.void.replaceChildren(h("p", {}, `No candidate has ${table.field(view[axis]).label}${there}. Choose another ${axis.toUpperCase()} above${there ? ", or another device" : ""}.`),
      ...(other ? [h("button", { type: "button", onclick: () => this.act.axis({ [axis]: other }) }, `Show ${table.field(other).label} instead`)] : []));
  }

  at(row) { return [this.px(this.table.num(this.view.x)[row]), this.py(this.table.num(this.view.y)[row])]; }
  drawable(row) {
    const { view, table } = this, x = table.num(view.x)[row], y = table.num(view.y)[row];
    return Number.isFinite(x) && Number.isFinite(y) && (!view.x_log || x > 0) && (!view.y_log || y > 0);
  }

  mark(theme) {
    const { view, table, picked, box } = this;
    const inner = s("g", { "clip-path": "url(#plot-area)" });
    const clip = s("clipPath", { id: "plot-area" });
    clip.append(s("rect", { x: box.left - 8, y: box.top - 8, width: box.width + 16, height: box.height + 16 }));
    inner.append(this.references(theme));
    const directions = [table.field(view.x).direction, table.field(view.y).direction];
    if (directions[0] && directions[1]) {
      const same = picked.free.length === picked.axes.length && picked.free.every((row, at) => row === picked.axes[at]);
      if (picked.filtered && !same) inner.append(this.line(picked.free, directions, { class: "free", stroke: theme.muted }));
      inner.append(this.line(picked.axes, directions, { class: "front", stroke: theme.ink }));
    }
    this.bars(inner, theme);
    for (const row of this.pinnedRows()) if (this.drawable(row)) this.pin(inner, row, theme);
    if (picked.best >= 0 && this.drawable(picked.best)) inner.append(this.star(picked.best, theme));
    for (const number of view.selected) {
      const row = table.rowOf(number);
      if (row < 0 || !picked.inside[row] || !this.drawable(row)) continue;
      const [cx, cy] = this.at(row);
      inner.append(s("circle", { class: "ring", "data-number": number, cx, cy, r: 10, stroke: theme.ink }));
    }
    this.marks.replaceChildren(clip, inner);
    this.marks.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
  }

  /** The published networks, arranged once for an axis and a zoom. */
  references(theme) {
    const { view, table, range, box } = this;
    const key = JSON.stringify([view.x, view.y, view.x_log, view.y_log, range, box, table.header.token, table.version, published(table, view).length, theme.ink]);
    if (this.arranged?.key !== key) {
      const found = arrange(this);
      this.arranged = { ...found, key, group: drawn(found, this, theme) };
    }
    return this.arranged.group;
  }

  line(rows, directions, attributes) {
    const { view, table } = this, x = table.num(view.x), y = table.num(view.y);
    const points = rows.filter((row) => this.drawable(row)).map((row) => [x[row], y[row]]);
    // Out to the worst value in sight of each axis.
    const far = (axis, direction) => {
      const [low, high] = this.range[axis], end = direction === "minimize" ? high : low;
      return (view[`${axis}_log`] ? 10 ** end : end) / table.field(view[axis]).scale;
    };
    const corners = steps(points, directions[0], directions[1], [far("x", directions[0]), far("y", directions[1])]);
    const path = corners.map(([a, b]) => `${this.px(a).toFixed(1)},${this.py(b).toFixed(1)}`).join("L");
    return s("path", { ...attributes, d: path ? `M${path}` : "" });
  }

  /** Spreads: of every verified score on y, and of the candidate under the pointer on both axes. */
  bars(inner, theme) {
    const { view, table, picked } = this;
    const draw = (row, axis) => {
      const spread = table.num(`${view[axis]}_spread`)[row], value = table.num(view[axis])[row];
      if (!(spread > 0) || !this.drawable(row)) return;
      const [cx, cy] = this.at(row);
      const ends = axis === "x" ? [this.px(value - spread), cy, this.px(value + spread), cy]
        : [cx, this.py(value - spread), cx, this.py(value + spread)];
      if (ends.every(Number.isFinite)) {
        inner.append(s("line", { class: "whisker", x1: ends[0], y1: ends[1], x2: ends[2], y2: ends[3], stroke: theme.muted }));
      }
    };
    if (view.y.startsWith("verified_") && table.has(`${view.y}_spread`)) {
      let left = BARS;
      for (let row = 0; row < table.rows && left; row++) if (picked.shown[row] && this.drawable(row)) { draw(row, "y"); left--; }
    }
    if (this.hovered >= 0) for (const axis of ["x", "y"]) draw(this.hovered, axis);
  }

  star(row, theme) {
    return s("polygon", { class: "star", points: starPoints(10, ...this.at(row)), fill: theme.ink, stroke: theme.surface });
  }

  pin(inner, row, theme) {
    const [x, y] = this.at(row);
    const label = s("text", { class: "pin", x: x + 9, y: y - 8, fill: theme.ink, stroke: theme.surface });
    label.textContent = `#${this.table.number(row)}`;
    inner.append(s("circle", { class: "pinned", cx: x, cy: y, r: 7.5, stroke: theme.ink }), label);
  }
  pinnedRows() { return this.view.pinned.map((number) => this.table.rowOf(number)).filter((row) => row >= 0); }

  // -- axes, by Plotly

  async axes(theme) {
    const Plotly = await plotly();
    if (this.down) { this.timer = setTimeout(() => this.axes(theme), 60); return; } // Plotly is dragging
    const { view } = this;
    const layout = this.layout(theme), key = JSON.stringify(layout);
    if (key === this.plotted) return;
    this.plotted = key;
    // Without any marker Plotly offers no box to select with.
    await Plotly.react(this.figure, [{ x: [null], y: [null], mode: "markers", hoverinfo: "skip" }], layout, {
      responsive: false, displaylogo: false, doubleClick: false, displayModeBar: true, scrollZoom: false,
      modeBarButtons: [["zoom2d", "pan2d", "select2d", "lasso2d", {
        name: "reset", title: "Reset axes", icon: Plotly.Icons.home, click: () => this.act.zoom(null, null),
      }]],
    });
    this.listen();
    document.documentElement.dataset.axes = `${view.x} ${view.y}`;
  }

  listen() {
    if (this.listening) return;
    this.listening = true;
    const ends = (event, axis) => {
      const found = event[`${axis}axis.range`] || [event[`${axis}axis.range[0]`], event[`${axis}axis.range[1]`]];
      return found.every((end) => typeof end === "number") ? [found[0], found[1]] : undefined;
    };
    const moved = (event) => {
      const x = ends(event, "x"), y = ends(event, "y");
      if (x || y) this.act.zoom(x, y);
      if (event.dragmode) this.act.drag(event.dragmode);
    };
    this.figure.on("plotly_relayout", moved);
    this.figure.on("plotly_relayouting", moved);
    this.figure.on("plotly_doubleclick", () => this.act.zoom(null, null));
    this.figure.on("plotly_selected", (event) => {
      if (event && (event.range || event.lassoPoints)) this.select(event);
    });
  }

  layout(theme) {
    const { view, table, box } = this;
    const axis = (name) => {
      const field = table.field(view[name]), log = view[`${name}_log`];
      const better = { minimize: "lower is better", maximize: "higher is better" }[field.direction] || "";
      const text = `${escape(table.title(view[name]))}${field.unit ? ` (${escape(field.unit)})` : ""}`
        + (better ? `  <span style="font-size:11px;color:${theme.muted}">${better}</span>` : "");
      return {
        title: { text, standoff: 6 }, type: log ? "log" : "linear", range: [...this.range[name]], gridcolor: GRID,
        zeroline: false, linecolor: theme.grid, ticks: "", showticklabels: name !== this.missing, automargin: false, exponentformat: "none", showgrid: true,
        minexponent: 9, nticks: name === "x" ? 12 : 7, ...(log ? { dtick: this.range[name][1] - this.range[name][0] < 1.2 ? "D1" : "D2" } : {}),
      };
    };
    return {
      width: this.width, height: this.height, dragmode: view.drag, hovermode: false, showlegend: false,
      margin: { l: box.left, r: SIDE.right, t: box.top, b: SIDE.bottom, autoexpand: false, pad: 0 },
      xaxis: { ...axis("x"), ...(this.strip ? { anchor: "free", position: 0 } : {}) },
      yaxis: { ...axis("y"), domain: [this.strip ? STRIP / (box.height + STRIP) : 0, 1] }, selections: [],
      font: { family: "Inter, system-ui, sans-serif", size: 12, color: theme.ink },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", template: "none",
      modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: theme.muted, activecolor: theme.ink },
    };
  }

  // -- pointer

  place(event) {
    const frame = this.root.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  /** Row of the drawn point nearest to a place; those on the front win over others as near. */
  nearest(x, y) {
    const { table, view, picked } = this, xs = table.num(view.x), ys = table.num(view.y);
    let found = -1, least = NEAR * NEAR;
    for (let row = 0; row < table.rows; row++) {
      if (!picked.shown[row]) continue;
      const dx = this.px(xs[row]) - x;
      if (!(dx < NEAR && dx > -NEAR)) continue;
      const dy = (ys[row] === ys[row] ? this.py(ys[row]) : this.strip ?? NaN) - y;
      const distance = dx * dx + dy * dy - (picked.on[row] ? 30 : 0);
      if (distance < least) { least = distance; found = row; }
    }
    return found;
  }

  move(event) {
    if (!this.table || event.buttons || event.target.closest(".modebar")) { this.hover(-1); return; }
    const [x, y] = this.place(event), named = over(this.arranged, x, y), row = named.length ? -1 : this.nearest(x, y);
    this.hover(row, event.clientX, event.clientY);
    if (row < 0) this.name(named.length ? named : near(this.arranged, this, x, y), event.clientX, event.clientY);
  }
  /** What was published of networks under the pointer. */
  name(references, x, y) {
    if (!references.length) return;
    this.tooltip.replaceChildren(...told(this.table, this.view, references));
    this.tooltip.hidden = false;
    beside(this.tooltip, x, y);
  }
  hover(row, x = 0, y = 0) {
    if (row !== this.hovered) {
      this.hovered = row;
      this.root.classList.toggle("over", row >= 0);
      if (this.table) this.mark(this.table.header.themes[window.cspTheme.current]);
      if (row >= 0) this.tooltip.replaceChildren(...describe(this.table, row, this.picked));
      this.act.hover(row);
    }
    this.tooltip.hidden = row < 0;
    if (row >= 0) beside(this.tooltip, x, y);
  }
  up(event) {
    const { down } = this;
    if (!down || event.button || event.target.closest(".modebar")) return;
    const still = Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4;
    const row = still && this.table ? this.nearest(...this.place(event)) : -1;
    if (row < 0) return;
    if (event.shiftKey || event.ctrlKey || event.metaKey) this.act.choose([row], true);
    else this.act.open(row);
  }

  select(event) {
    const { table, view, picked } = this, xs = table.num(view.x), ys = table.num(view.y), rows = [];
    const sx = table.field(view.x).scale, sy = table.field(view.y).scale;
    const polygon = event.lassoPoints ? event.lassoPoints.x.map((x, at) => [x, event.lassoPoints.y[at]]) : null;
    const [x0, x1] = polygon ? [] : [...event.range.x].sort((a, b) => a - b);
    const [y0, y1] = polygon ? [] : [...event.range.y].sort((a, b) => a - b);
    for (let row = 0; row < table.rows; row++) {
      const x = xs[row] * sx, y = ys[row] * sy;
      if (picked.shown[row] && (polygon ? within(polygon, x, y) : x >= x0 && x <= x1 && y >= y0 && y <= y1)) rows.push(row);
    }
    plotly().then((Plotly) => Plotly.relayout(this.figure, { selections: [] })); // else the next box drags this one
    this.act.choose(rows, false);
    say(`${rows.length} selected`);
  }
}

function within(polygon, x, y) {
  let inside = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at++) {
    const [ax, ay] = polygon[at], [bx, by] = polygon[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** The corners of a star with five points. */
export function starPoints(radius, x = 0, y = 0) {
  return Array.from({ length: 10 }, (_, at) => {
    const reach = at % 2 ? 0.44 * radius : radius, angle = (Math.PI * at) / 5;
    return `${(x + reach * Math.sin(angle)).toFixed(1)},${(y - reach * Math.cos(angle)).toFixed(1)}`;
  }).join(" ");
}

/** What hovering says of a candidate. */
export function describe(table, row, picked) {
  const { header } = table;
  const names = [...new Set([...header.objectives, "latency_ms", "macs", "params", "peak_bytes"])].filter((name) => table.has(name));
  const line = (name) => {
    const field = table.field(name), spread = table.num(`${name}_spread`)[row];
    const value = table.num(name)[row], there = name === "latency_ms" && table.there;
    const origin = there ? ` on ${there.title}, ${value !== value ? "not " : ""}${table.predicted[row] || table.by === "predicted" ? "predicted" : "measured"}:` : "";
    return h("div", {}, `${field.label}${origin} ${show(field, value)}${Number.isFinite(spread) ? ` ± ${show(field, spread)}` : ""}`);
  };
  const verdict = table.label("verdict", row), reason = table.label("reason", row), verified = `verified_${header.objectives[0]}`;
  const tags = table.has("tags") && table.label("tags", row) !== "–" ? `tags: ${table.label("tags", row).slice(0, 200)}` : "", noted = table.noted?.[row] ? "has a note" : "";
  return [
    h("div", {}, h("b", {}, `#${table.number(row)}`), ` ${table.id(row)} · ${stateOf(table, row, picked)}`),
    h("div", { class: "muted" }, ["block", "fusion", "head"].map((name) => table.label(name, row)).join(" · ")),
    ...names.map(line),
    ...(verdict === "unverified" ? [] : [h("div", {}, `${verdict}: ${show(table.field(verified), table.num(verified)[row])}`
      + `, on the front in ${Math.round(table.num("front_share")[row] * 100)} % of the draws`)]),
    ...(tags || noted ? [h("div", {}, [tags, noted].filter(Boolean).join(" · "))] : []),
    ...(reason === "–" ? [] : [h("div", { class: "muted" }, reason.slice(0, 120))]),
  ];
}

export function stateOf(table, row, picked) {
  const names = { complete: "dominated", proposed: "waiting" }, state = table.label("state", row);
  if (picked.on[row]) return "on front";
  return state === "complete" && !picked.inside[row] ? "outside the filters" : names[state] || state;
}

let loading = null;
/** plotly.js, loaded once, after the points are drawn. */
export function plotly() {
  loading ||= new Promise((resolve, reject) => {
    if (window.Plotly) { resolve(window.Plotly); return; }
    const script = h("script", { src: "/plotly.js" });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => { loading = null; reject(new Error("plotly.js did not load")); };
    document.head.append(script);
  });
  return loading;
}
