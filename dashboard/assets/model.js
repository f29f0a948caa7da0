/* Filters, fronts, the answer: pure functions of a table and a view. tests/dashboard/oracle.py is their twin. */
import { keep } from "./steps.js";

const CLOSE = 1e-7; // a value went through float32, a bound through the URL

/** Rows inside the budgets and rows of the kept kinds, as two masks: what only a budget excludes is drawn grey. */
function matching(table, view) {
  const budget = new Uint8Array(table.rows).fill(1), kind = new Uint8Array(table.rows).fill(1);
  for (const [name, [low, high]] of Object.entries(view.ranges)) {
    const values = table.num(name);
    // The bounds are widened instead of every value.
    const least = low === null ? -Infinity : low - CLOSE * Math.abs(low), most = high === null ? Infinity : high + CLOSE * Math.abs(high);
    for (let row = 0; row < table.rows; row++) if (!(values[row] >= least && values[row] <= most)) budget[row] = 0;
  }
  for (const [name, kept] of Object.entries(view.kinds)) {
    const column = table.text(name);
    const allowed = column.labels.map((label) => kept.includes(label));
    for (let row = 0; row < table.rows; row++) if (!allowed[column.values[row]]) kind[row] = 0;
  }
  keep(table, view.steps, kind);
  return { budget, kind };
}

/** A metric in its direction, smaller is better; null if neither end is better. */
function minimised(table, name) {
  const direction = table.field(name).direction;
  if (!direction) return null;
  const key = `signed ${name}`;
  if (!table.cache.has(key)) {
    const values = table.num(name);
    table.cache.set(key, direction === "maximize" ? values.map((value) => -value) : values);
  }
  return table.cache.get(key);
}

/** Numbers as pairs of unsigned halves that sort as the numbers do; the lower half comes first. */
function sortable(values) {
  const halves = new Uint32Array(new Float64Array(values).buffer);
  for (let at = 0; at < halves.length; at += 2) {
    if (values[at >> 1] === 0) halves[at] = halves[at + 1] = 0; // 0 and −0 are one
    if (halves[at + 1] >>> 31) { halves[at] = ~halves[at]; halves[at + 1] = ~halves[at + 1]; } else halves[at + 1] ^= 0x80000000;
  }
  return halves;
}

/** Rows sorted by 16 bits of a key, those that agree in the order that they had. */
function sorted(rows, halves, half, shift) {
  const starts = new Uint32Array(65537), next = new Uint32Array(rows.length);
  for (let at = 0; at < rows.length; at++) starts[((halves[2 * rows[at] + half] >>> shift) & 0xffff) + 1]++;
  if (starts.includes(rows.length, 1)) return rows; // all agree
  for (let at = 1; at < 65537; at++) starts[at] += starts[at - 1];
  for (let at = 0; at < rows.length; at++) next[starts[(halves[2 * rows[at] + half] >>> shift) & 0xffff]++] = rows[at];
  return next;
}

/** Complete rows with all of `names`, the best first, told apart by the next name in turn: sorted once a version, from
 * the last bits of the last name to the first of the first, which for 100,000 rows is ten times as fast as comparing. */
function order(table, names) {
  const key = `order ${names.join()}`;
  if (!table.cache.has(key)) {
    const signed = names.map((name) => minimised(table, name)), { complete } = table;
    const known = new Uint8Array(complete);
    for (const values of signed) for (let row = 0; row < table.rows; row++) if (values[row] !== values[row]) known[row] = 0;
    let rows = new Uint32Array(table.rows), length = 0;
    for (let row = 0; row < table.rows; row++) if (known[row]) rows[length++] = row;
    rows = rows.subarray(0, length);
    for (const values of signed.reverse()) {
      const halves = sortable(values);
      for (const [half, shift] of [[0, 0], [0, 16], [1, 0], [1, 16]]) rows = sorted(rows, halves, half, shift);
    }
    table.cache.set(key, rows);
  }
  return table.cache.get(key);
}

/** Rows of `among` (a mask) that none of `among` dominates in `names`; equal rows are on the front together. */
export function front(table, names, among) {
  const chosen = [...new Set(names)];
  const signed = chosen.map((name) => minimised(table, name));
  if (!chosen.length || signed.includes(null)) return [];
  const found = [], rows = order(table, chosen);
  const archive = signed.length === 3 ? new Stairs() : new Archive();
  let last = -1, on = false;
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at];
    if (!among[row]) continue;
    // Rows come in order, so whatever dominates a row came before it, and its equals come in one run.
    if (last < 0 || !signed.every((values) => values[row] === values[last])) {
      on = signed.length === 1 ? last < 0 : signed.length === 2 ? archive.below(signed[1][row]) : archive.admits(signed, row);
    }
    if (on) found.push(row);
    last = row;
  }
  return found;
}

/** The members so far; for two names only the least second value counts, as the first one ascends. */
class Archive {
  constructor() { this.rows = []; this.least = Infinity; }
  below(value) {
    const less = value < this.least;
    if (less) this.least = value;
    return less;
  }
  admits(signed, row) {
    for (let at = 0; at < this.rows.length; at++) {
      const other = this.rows[at];
      if (signed.every((values) => values[other] <= values[row])) {
        [this.rows[at], this.rows[at >> 1]] = [this.rows[at >> 1], other]; // those that dominate often come first
        return false;
      }
    }
    this.rows.push(row);
    return true;
  }
}

/** Three names: as the first one ascends, a staircase in the other two, searched by halves. */
class Stairs {
  constructor() { this.b = []; this.c = []; }
  admits(signed, row) {
    const b = signed[1][row], c = signed[2][row];
    let low = 0, high = this.b.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.b[middle] <= b) low = middle + 1; else high = middle;
    }
    if (low && this.c[low - 1] <= c) return false;
    const from = low && this.b[low - 1] === b ? low - 1 : low;
    let to = low;
    while (to < this.c.length && this.c[to] >= c) to++;
    this.b.splice(from, to - from, b);
    this.c.splice(from, to - from, c);
    return true;
  }
}

/** Row of the best score in `among`; equal scores are told apart by the other objectives in turn; -1 if none. */
export function best(table, objectives, among, complete = true) {
  const signed = objectives.map((name) => minimised(table, name) || table.num(name));
  const less = (a, b) => (a === b ? 0 : a !== a ? (b !== b ? 0 : 1) : b !== b ? -1 : a - b);
  let found = -1;
  for (let row = 0; row < table.rows; row++) {
    if (!among[row] || (complete && !table.complete[row]) || signed[0][row] !== signed[0][row]) continue;
    if (found < 0 || signed[0][row] < signed[0][found]) { found = row; continue; }
    if (signed[0][row] > signed[0][found]) continue;
    for (const values of signed) {
      const sign = less(values[row], values[found]);
      if (sign < 0) found = row;
      if (sign) break;
    }
  }
  return found;
}

/** The answer among `inside`, by the rule of search.pick and of candidates.py: the best verified score where a verified
 * candidate is inside, unless the view asks for the proxy's, and which of the two decided. */
export function answer(table, view, inside) {
  const [score, ...others] = table.header.objectives, name = `verified_${score}`;
  if (view.score !== "proxy" && table.has(name)) {
    const { labels, values } = table.text("verdict"), judged = labels.map((label) => label === "verified" || label === "overturned");
    const among = new Uint8Array(table.rows);
    for (let row = 0; row < table.rows; row++) if (inside[row] && judged[values[row]]) among[row] = 1;
    const row = best(table, [name, ...others], among);
    if (row >= 0) return { best: row, basis: "verified" };
  }
  return { best: best(table, table.header.objectives, inside), basis: "proxy" };
}

/** When nothing fits: the row that comes nearest, whose largest excess over a bound is the smallest share of it, and
 * the ends of the ranges that it is outside of. Null where no range keeps it out. */
export function binding(table, view) {
  const { kind } = matching(table, { ...view, ranges: {} }), score = table.num(table.header.objectives[0]);
  const ends = Object.entries(view.ranges).flatMap(([name, bounds]) => ["min", "max"].map((end, at) => ({ name, end, bound: bounds[at], values: table.num(name) })))
    .filter(({ bound }) => bound !== null);
  const excess = ({ end, bound, values }, row) => {
    const outside = end === "max" ? values[row] - bound : bound - values[row];
    return outside > CLOSE * Math.abs(bound) ? outside / (Math.abs(bound) || 1) : outside !== outside ? Infinity : 0;
  };
  let nearest = -1, least = Infinity;
  for (let row = 0; row < table.rows; row++) {
    if (!kind[row] || !table.complete[row] || score[row] !== score[row]) continue;
    let most = 0;
    for (let at = 0; at < ends.length && most < least; at++) most = Math.max(most, excess(ends[at], row));
    if (most < least) { least = most; nearest = row; }
  }
  return nearest < 0 || !least ? null : { row: nearest, ends: ends.filter((each) => excess(each, nearest)).map(({ name, end }) => ({ name, end })) };
}

/** For each label of the state, whether the toggles show it beside the front. */
export function wanted(table, view) {
  const names = { complete: "dominated", stopped: "stopped", failed: "failed", refused: "refused" };
  return table.text("state").labels.map((label) => view.show.includes(names[label] || "waiting"));
}

/** The front of the two axes as if there were no filter. */
function freeFront(table, view) {
  const key = `order free ${view.x} ${view.y}`;
  if (!table.cache.has(key)) table.cache.set(key, front(table, [view.x, view.y], table.complete));
  return table.cache.get(key);
}

/** Which rows play which part under a view. `shown` is a mask; the fronts are lists, `highlighted` one of them. */
export function pick(table, view) {
  const { budget, kind } = matching(table, view);
  const inside = new Uint8Array(table.rows);
  let all = true;
  for (let row = 0; row < table.rows; row++) {
    inside[row] = budget[row] & kind[row];
    if (!inside[row]) all = false;
  }
  const axes = front(table, [view.x, view.y], inside);
  const highlighted = view.front === "all" ? front(table, table.header.objectives, inside) : axes;
  const on = new Uint8Array(table.rows);
  for (const row of highlighted) on[row] = 1;
  const states = table.text("state").values, beside = wanted(table, view);
  const shown = new Uint8Array(table.rows);
  let count = 0;
  for (let row = 0; row < table.rows; row++) {
    if (inside[row] && (on[row] || beside[states[row]])) { shown[row] = 1; count++; }
  }
  return {
    inside, budget, kind, filtered: !all, axes, free: all ? axes : freeFront(table, view),
    highlighted, on, shown, count, ...answer(table, view, inside),
  };
}

/** Round ends and a step for a slider over the values of a field, in its unit; null without a value. */
export function bounds(table, name, chosen) {
  const key = `bounds ${name}`, scale = table.field(name).scale;
  if (!table.cache.has(key)) {
    let low = Infinity, high = -Infinity;
    const values = table.num(name);
    for (let row = 0; row < table.rows; row++) {
      const value = values[row];
      if (value < low && value > -Infinity) low = value;
      if (value > high && value < Infinity) high = value;
    }
    table.cache.set(key, [low, high]);
  }
  const known = table.cache.get(key);
  if (known[0] > known[1]) return null;
  const ends = [...known, ...chosen.filter((value) => value !== null)].map((value) => value * scale);
  const low = Math.min(...ends), high = Math.max(...ends);
  const step = 10 ** Math.floor(Math.log10(((high - low) || Math.abs(high) || 1) / 50));
  const round = (value) => Number(value.toPrecision(10));
  return { low: round(Math.floor(low / step + 1e-9) * step), high: round(Math.ceil(high / step - 1e-9) * step), step: round(step) };
}

/** Share of the fullest bin for each of `bins` equal bins between `low` and `high`, in the field's unit. */
export function histogram(table, name, low, high, bins = 28) {
  const counts = new Array(bins).fill(0), scale = table.field(name).scale, values = table.num(name);
  const per = bins / ((high - low) || 1);
  for (let row = 0; row < table.rows; row++) {
    const at = (values[row] * scale - low) * per; // NaN is nowhere
    if (at >= 0 && at <= bins) counts[at < bins ? at | 0 : bins - 1]++;
  }
  const most = Math.max(1, ...counts);
  return counts.map((count) => count / most);
}

/** The corners of what a front attains, as points joined by straight lines, out to the worst values. */
export function steps(points, xDirection, yDirection, worst) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const worse = (direction, a, b) => (direction === "minimize" ? Math.max(a, b) : Math.min(a, b));
  const line = [];
  sorted.forEach((point, at) => {
    // The worse of both neighbours in each direction is attained by either.
    if (at) line.push([worse(xDirection, sorted[at - 1][0], point[0]), worse(yDirection, sorted[at - 1][1], point[1])]);
    line.push(point);
  });
  if (line.length && worst) {
    const bestFirst = xDirection === "minimize";
    const drop = [line[bestFirst ? 0 : line.length - 1][0], worst[1]];
    const run = [worst[0], line[bestFirst ? line.length - 1 : 0][1]];
    return bestFirst ? [drop, ...line, run] : [run, ...line, drop];
  }
  return line;
}
