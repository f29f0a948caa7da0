/* Rows as CSV and JSON, in base units. What is missing is an empty cell or null. */
import { bare, digits, MISSING } from "./dom.js";
import { base } from "./data.js";

const FIXED = {
  number: { label: "#", meaning: "order in which the sampler proposed the candidates" },
  id: { label: "Candidate", text: true, meaning: "hash of the architecture" },
  state: { label: "State", text: true, meaning: "how its evaluation ended" },
  on_front: { label: "Front", text: true, meaning: "on the front that the view asks for" },
  latency_ms_device: { label: "Device", text: true, meaning: "whose latency it is" },
  latency_ms_origin: { label: "Origin", text: true, meaning: "measured or predicted" },
  reason: { label: "Reason", text: true, meaning: "why it failed or was refused" },
};

const COUNT = { scale: 1, plain: false };

/** A column of tables and files: how it is called, shown and written. */
export function column(table, name) {
  if (Object.hasOwn(FIXED, name)) return { name, unit: "", stored: "", ...FIXED[name] };
  const of = base(name), field = table.field(of), { label, unit, meaning, direction, stored = "" } = field;
  if (of === name) return { name, field, label, unit, stored, direction, meaning, whose: table.whose(name), text: field.kind === "category" };
  if (name.endsWith("_n")) return { name, field: COUNT, label: `n of ${label}`, unit: "", stored: "", direction: "maximize", meaning: `number of seeds, or of repeats, of: ${meaning}` };
  return { name, field, label: `± ${label}`, unit, stored, spread: true, direction: "minimize", meaning: `standard deviation, or the spread of the rounds, of: ${meaning}` };
}

/** Columns as a file has them: a latency of another device with its name and origin. */
export function filed(table, columns) {
  const beside = ["latency_ms_device", "latency_ms_origin"].map((name) => column(table, name));
  return table.there ? columns.flatMap((each) => (each.name === "latency_ms" ? [each, ...beside] : [each])) : columns;
}

/** What a cell is in a file: a number in base units, a text, or null. */
export function value(table, picked, { name, text }, row) {
  if (name === "id") return table.id(row);
  if (name === "on_front") return picked.on[row] ? "yes" : "no";
  if (name === "latency_ms_device") return table.there.label;
  if (name === "latency_ms_origin") return origin(table, row);
  if (text) { const label = table.label(name, row); return label === MISSING ? null : label; }
  const number = table.num(name)[row];
  return number === number ? exact(number) : null;
}

/** How the latency of another device was obtained; null where there is none. */
function origin(table, row) {
  const latency = table.num("latency_ms")[row];
  return latency !== latency ? null : table.predicted[row] ? "predicted" : "measured";
}

/** What a cell shows: the same, in the unit of its heading. */
export function cell(table, picked, { name, text, field, spread }, row) {
  if (name === "on_front") return picked.on[row] ? "●" : "";
  if (name === "number") return String(table.number(row));
  if (spread) { const value = table.num(name)[row]; return Number.isFinite(value) ? digits(value * field.scale, 2) : MISSING; }
  return text ? (name === "id" ? table.id(row) : table.label(name, row)) : bare(field, table.num(name)[row]);
}

/** The shortest number that is the same one in the float32 in which it travelled. */
function exact(number) {
  if (Number.isInteger(number)) return number;
  for (let digits = 5; digits < 9; digits++) {
    const short = Number(number.toPrecision(digits));
    if (Math.fround(short) === Math.fround(number)) return short;
  }
  return Number(number.toPrecision(9));
}

const heading = ({ name, stored }) => (stored ? `${name} [${stored}]` : name);
/** A text starting like a formula would be run by a spreadsheet; an apostrophe says that it is none. */
export const safe = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
export const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

export function csv({ table, picked, rows, columns }) {
  const lines = [columns.map((each) => quoted(heading(each))).join(",")];
  for (const row of rows) {
    lines.push(columns.map((each) => {
      const found = value(table, picked, each, row);
      return found === null ? "" : typeof found === "string" ? quoted(safe(found)) : String(found);
    }).join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

export function json({ table, picked, rows, columns, published = [] }) {
  const { there, header: { study, device, objectives, token } } = table;
  const head = { study, device, ...(there ? { study_device: table.base.header.device, latency_by: table.by, predicted_by: there.method || null, predicted_error: there.error } : {}), objectives, version: token, link: window.location.href, exported_at: new Date().toISOString(),
    units: Object.fromEntries(columns.filter((each) => each.stored).map((each) => [each.name, each.stored])), ...(published.length ? { published } : {}) };
  const texts = rows.map((row) => JSON.stringify(Object.fromEntries(columns.map((each) => [each.name, value(table, picked, each, row)]))));
  return `${JSON.stringify(head, null, 1).slice(0, -2)},\n "rows": [\n${texts.join(",\n")}\n]}\n`;
}
