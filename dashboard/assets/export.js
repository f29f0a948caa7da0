/* Rows as CSV and JSON, in base units. What is missing is an empty cell or null. */
import { bare, digits, MISSING } from "./dom.js";

const FIXED = {
  number: { label: "#", meaning: "order in which the sampler proposed the candidates" },
  id: { label: "Candidate", text: true, meaning: "hash of the architecture" },
  state: { label: "State", text: true, meaning: "how its evaluation ended" },
  on_front: { label: "Front", text: true, meaning: "on the front that the view asks for" },
  reason: { label: "Reason", text: true, meaning: "why it failed or was refused" },
};

/** A column of tables and files: how it is called, shown and written. */
export function column(table, name) {
  if (name in FIXED) return { name, unit: "", stored: "", ...FIXED[name] };
  const base = name.replace(/_spread$/, ""), field = table.field(base), spread = base !== name;
  return {
    name, field, spread, text: field.kind === "category", unit: field.unit, stored: field.stored || "", direction: spread ? "minimize" : field.direction,
    label: spread ? `± ${field.label}` : field.label, meaning: spread ? `standard deviation, or the spread of the rounds, of: ${field.meaning}` : field.meaning,
  };
}

/** What a cell is in a file: a number in base units, a text, or null. */
export function value(table, picked, { name, text }, row) {
  if (name === "id") return table.id(row);
  if (name === "on_front") return picked.on[row] ? "yes" : "no";
  if (text) { const label = table.label(name, row); return label === MISSING ? null : label; }
  const number = table.num(name)[row];
  return number === number ? exact(number) : null;
}

/** What a cell shows: the same, in the unit of its heading. */
export function cell(table, picked, { name, text, field, spread }, row) {
  if (name === "on_front") return picked.on[row] ? "●" : "";
  if (name === "number") return String(table.number(row));
  if (spread) { const value = table.num(name)[row]; return value === value ? digits(value * field.scale, 2) : MISSING; }
  return text ? (name === "id" ? table.id(row) : table.label(name, row)) : bare(field, table.num(name)[row]);
}

/** The shortest number that is the same one in the float32 in which it travelled. */
export function exact(number) {
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

export function json({ table, picked, rows, columns }) {
  const { study, device, objectives, token } = table.header;
  const head = { study, device, objectives, version: token, link: window.location.href, exported_at: new Date().toISOString(),
    units: Object.fromEntries(columns.filter((each) => each.stored).map((each) => [each.name, each.stored])) };
  const texts = rows.map((row) => JSON.stringify(Object.fromEntries(columns.map((each) => [each.name, value(table, picked, each, row)]))));
  return `${JSON.stringify(head, null, 1).slice(0, -2)},\n "rows": [\n${texts.join(",\n")}\n]}\n`;
}
