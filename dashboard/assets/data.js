/* Columns of a study: fetched once a version, decoded into typed arrays. The layout is dashboard/wire.py's. */

import { annotate } from "./tags.js";
import { ORIGINS } from "./view.js";

const ABSENT = -2147483648;
const TIMED = ["latency_median_ms", "latency_p90_ms", "latency_cpu_ms", "images_per_second", "process_peak_bytes", "energy_mj"];
const OWN = ["latency_ms", "latency_ms_spread", "latency_ms_n"]; // of the study's own device
const BYTES = ["peak_bytes", "weight_bytes"]; // follow precision and batch

/** The field that a column belongs to: that of `ap_spread` and `ap_n` is `ap`. */
export const base = (name) => name.replace(/_(spread|n)$/, "");

export class Table {
  constructor(header, columns) {
    this.header = header;
    this.rows = header.rows;
    this.columns = columns;
    this.cache = new Map();
    this.waiting = new Map();
    this.lost = null; // the columns that did not arrive, and why
    this.version = 0;
    this.base = { header, own: new Map(OWN.map((name) => [name, columns.get(name)])) };
    this.there = null;
    this.predicted = null;
  }

  /** Let `latency_ms` be that of another device, as `load` of device.js gives it, `by` measured, predicted or both;
   * without one it is the study's own again. */
  settle(there, by = "") {
    const { base: { header, own }, columns } = this, put = (name, column) => (column ? columns.set(name, column) : columns.delete(name));
    this.there = there;
    this.version++;
    this.cache.clear();
    for (const name of OWN) put(name, there ? null : own.get(name));
    for (const name of BYTES) this.rescale(name, there ? there.costs[name] ?? 1 : 1);
    if (!there) { this.predicted = null; this.header = header; return; }
    put("latency_ms", { values: this.latencies(ORIGINS.includes(by) ? by : there.origin) });
    const fields = bare(header.fields), same = there.title === header.device; // in another runtime
    fields.latency_ms = { ...fields.latency_ms, where: same ? there.label : there.title };
    // What else was timed is still the study's own.
    for (const name of TIMED) if (fields[name]) fields[name] = { ...fields[name], label: `${fields[name].label} on ${same ? "the study’s runtime" : header.device}` };
    for (const [name, factor] of Object.entries(there.costs)) if (factor === null && fields[name]) fields[name] = { ...fields[name], label: `${fields[name].label} at the study’s size` };
    const after = header.filters.filter((name) => name === "ap" || name === "accuracy");
    this.header = {
      ...header, fields, device: there.label, axes: [...new Set([...header.axes, "latency_ms"])],
      filters: [...new Set([...after, "latency_ms", ...header.filters])],
    };
  }

  /** Bytes follow a device's precision and batch; `factor` is to the study's own. */
  rescale(name, factor) {
    const column = this.columns.get(name);
    if (!column || column.labels || (column.factor || 1) === factor) return;
    const values = column.own || column.values;
    this.columns.set(name, factor === 1 ? { values } : { values: values.map((value) => value * factor), own: values, factor });
  }

  latencies(by) {
    const { measured, predicted } = this.there, some = (values) => values.some((value) => value === value);
    if (by === "both" && !some(predicted)) by = "measured";
    if (by === "both" && !some(measured)) by = "predicted";
    this.by = by;
    this.predicted = Uint8Array.from(predicted, (value, row) => (value === value && (by === "predicted" || (by === "both" && measured[row] !== measured[row])) ? 1 : 0));
    return by === "predicted" ? predicted : by === "measured" ? measured : measured.map((value, row) => (this.predicted[row] ? predicted[row] : value));
  }

  /** `measured`, `predicted`, or both in words. */
  get origin() { return this.by === "both" ? "measured or predicted" : this.by; }

  /** Of a latency of another device whose it is and how it was obtained, in words; else nothing. */
  whose(name) {
    const { where } = this.field(name);
    return where ? `on ${where}, ${this.origin}` : "";
  }
  /** What an axis calls a field. */
  title(name) { return [this.field(name).label, this.whose(name)].filter(Boolean).join(" "); }

  has(name) { return this.columns.has(name) || (name === "flops" && this.columns.has("macs")); }
  field(name) {
    return this.header.fields[name]
      || { label: name, unit: "", scale: 1, direction: null, kind: "number", meaning: "", plain: false };
  }

  /** A number of every row, NaN where missing. */
  num(name) {
    const column = this.columns.get(name);
    if (column && !column.labels) return column.values;
    if (!this.cache.has(name)) this.cache.set(name, this.derived(name, column));
    return this.cache.get(name);
  }
  derived(name, column) {
    if (name === "flops" && this.columns.has("macs")) return this.num("macs").map((value) => 2 * value);
    if (column) return Float64Array.from(column.values, (code) => (column.labels[code] === "–" ? NaN : Number(column.labels[code])));
    return new Float64Array(this.rows).fill(NaN);
  }

  /** A text of every row: codes and their labels. */
  text(name) {
    const column = this.columns.get(name);
    if (column && column.labels) return column;
    const key = `text ${name}`;
    if (!this.cache.has(key)) {
      const labels = [], known = new Map(), values = new Uint32Array(this.rows), numbers = this.num(name);
      for (let row = 0; row < this.rows; row++) {
        const label = Number.isNaN(numbers[row]) ? "–" : String(Number(numbers[row].toPrecision(6)));
        if (!known.has(label)) { known.set(label, labels.length); labels.push(label); }
        values[row] = known.get(label);
      }
      this.cache.set(key, { values, labels });
    }
    return this.cache.get(key);
  }
  label(name, row) { const column = this.text(name); return column.labels[column.values[row]]; }
  id(row) {
    const bytes = this.columns.get("id").values;
    let text = "";
    for (let at = row * 6; at < row * 6 + 6; at++) text += bytes[at].toString(16).padStart(2, "0");
    return text;
  }
  number(row) { return this.num("number")[row]; }

  /** Row of a proposal number, or -1; numbers ascend. */
  rowOf(number) {
    const numbers = this.num("number");
    let low = 0, high = this.rows - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (numbers[middle] === number) return middle;
      if (numbers[middle] < number) low = middle + 1; else high = middle - 1;
    }
    return -1;
  }

  get complete() {
    if (!this.cache.has("complete")) {
      const state = this.text("state"), code = state.labels.indexOf("complete");
      const found = new Uint8Array(this.rows);
      for (let row = 0; row < this.rows; row++) if (state.values[row] === code) found[row] = 1;
      this.cache.set("complete", found);
    }
    return this.cache.get("complete");
  }

  /** Fetch those of `names` that are not here yet. False if nothing came: `lost` says what did not arrive, which is
   * asked for again when it is chosen again, or `again`. */
  async more(names, again = false) {
    const offered = new Set(Object.keys(this.header.fields || {}));
    const lacking = names.filter((name) => offered.has(base(name)) && !this.has(name) && !this.waiting.has(name) && !(this.there && OWN.includes(name)));
    if (this.lost && lacking.join() === this.lost.names.join() && !again) return false; // drawn once more
    this.lost = null;
    if (!lacking.length) return false;
    for (const name of lacking) this.waiting.set(name, true); // for good if they come: what the server has not is not asked for twice
    let found = null;
    try {
      found = await read(`/data.bin?${new URLSearchParams({ study: this.header.study, only: lacking.join(",") })}`);
    } catch (error) { this.lost = { names: lacking, problem: error.message }; }
    if (!found || found.header.token !== this.header.token || found.header.rows !== this.rows) {
      for (const name of lacking) this.waiting.delete(name);
      return false;
    }
    for (const [name, column] of found.columns) {
      if (OWN.includes(name)) this.base.own.set(name, column);
      if (this.there && OWN.includes(name)) continue; // the device was chosen meanwhile
      this.columns.set(name, column);
      if (this.there && BYTES.includes(name)) this.rescale(name, this.there.costs[name] ?? 1);
      this.cache.delete(name);
      this.cache.delete(`text ${name}`);
    }
    return true;
  }
}

export async function read(url) {
  const response = await fetch(url, { cache: "no-cache" });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const tag = response.headers.get("ETag");
  return { tag, ...decode(await response.arrayBuffer()) };
}

/** A copy that knows only its own names: a link may name `constructor` as a field. */
const bare = (fields) => Object.assign(Object.create(null), fields);

export function decode(buffer) {
  const view = new DataView(buffer);
  if (view.getUint32(0, false) !== 0x43535031) throw new Error("the server sent no columns");
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  if (header.fields) header.fields = bare(header.fields);
  const columns = new Map();
  for (const { name, type, at, labels } of header.columns) {
    columns.set(name, { labels, values: values(buffer, 8 + length + at, type, header.rows) });
  }
  return { header, columns };
}

function values(buffer, at, type, rows) {
  if (type === "id") return new Uint8Array(buffer, at, rows * 6);
  if (type === "u1") return new Uint8Array(buffer, at, rows);
  if (type === "u2") return new Uint16Array(buffer, at, rows);
  if (type === "u4") return new Uint32Array(buffer, at, rows);
  if (type === "f8") return new Float64Array(buffer, at, rows);
  if (type === "f4") return new Float64Array(new Float32Array(buffer, at, rows));
  const found = new Float64Array(new Int32Array(buffer, at, rows));
  for (let row = 0; row < rows; row++) if (found[row] === ABSENT) found[row] = NaN;
  return found;
}

/** The study's table. */
export async function load(study) {
  const { header, columns } = await read(`/data.bin${study ? `?${new URLSearchParams({ study })}` : ""}`);
  return annotate(new Table(header, columns));
}
