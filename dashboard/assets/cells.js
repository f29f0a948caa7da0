/* Tables and layer bars of a page as columns and rows: a number as a number, its unit in the heading, or beside it where
 * a column has several; spread, note and candidate id in columns of their own. */
import { MISSING } from "./dom.js";

const NUMBER = "[+−-]?(?:\\d{1,3}(?:,\\d{3})+|\\d+)(?:\\.\\d+)?(?:e[+−-]?\\d+)?";
/** `★ 0.443`, `44.1 M`, `6.13 ms ± 0.2 ms`, `▼ −11.0% less`: sign, number, unit, spread. */
const VALUE = new RegExp(`^(?:([★▲▼≈±]) ?)?(${NUMBER})(?: ?(%)| (1/s|\\p{L}[\\p{L}\\d/²]*))?(?: ± (${NUMBER})(?: \\S+)?)?(?: (?:less|more|better|worse))?$`, "u");
const ID = /^[0-9a-f]{12}$/;
const UNREAD = "[aria-hidden=true], .ways, button, script";
const APART = "div, p, li, br, .unit, .delta, .badge, .visually-hidden";

const number = (text) => Number(text.replaceAll(",", "").replaceAll("−", "-"));

/** What a person reads in an element, part by part. */
export function parts(element) {
  const found = [""];
  const read = (node) => {
    if (node.nodeType === Node.TEXT_NODE) found[found.length - 1] += node.data;
    if (node.nodeType !== Node.ELEMENT_NODE || node.matches(UNREAD)) return;
    const picture = node.matches("[role=img]"), apart = picture || node.matches(APART);
    if (apart) found.push("");
    if (picture) found[found.length - 1] = node.getAttribute("aria-label") || "";
    else node.childNodes.forEach(read);
    if (apart) found.push("");
  };
  element.childNodes.forEach(read);
  return found.map((text) => text.replace(/\s+/g, " ").trim()).filter(Boolean);
}

/** A text as a number with its unit and spread, or as the text that it is; null where there is nothing. */
export function valueOf(text) {
  const match = ID.test(text) ? null : VALUE.exec(text);
  if (!match || !Number.isFinite(number(match[2]))) return { value: text === "" || text === MISSING ? null : text };
  const [, sign, digits, percent, unit, spread] = match;
  return { value: number(digits), unit: percent || unit || "", spread: spread && number(spread), note: sign === "★" || sign === "≈" ? sign : "" };
}

function cellOf(cell) {
  const found = parts(cell), link = cell.querySelector("a[href^='/c/']");
  const id = link && !found.join(" ").includes(link.pathname.slice(3)) ? link.pathname.slice(3) : undefined;
  if (cell.matches("tbody th")) {
    const text = found.join(" · "), read = valueOf(text); // `3 stages` is a name
    return { ...(read.unit || read.spread !== undefined ? { value: text } : read), id };
  }
  const [first = "", ...rest] = found, read = valueOf(first);
  const spread = read.unit === undefined ? null : new RegExp(`^± (${NUMBER})$`).exec(rest[0] || "");
  if (spread) read.spread = number(rest.shift().slice(2));
  return { ...read, id, note: [read.note, ...rest].filter(Boolean).join(" · ") };
}

/** Columns (name and unit) and rows of what cells say; beside a column those of its ids, spreads, units, notes. */
function sheet(names, cells) {
  const columns = [], taken = new Set();
  const add = (name, stored, values) => {
    let free = name;
    for (let at = 2; taken.has(free); at++) free = `${name} (${at})`;
    taken.add(free);
    columns.push({ name: free, stored, values });
  };
  names.forEach((heading, at) => {
    const mine = cells.map((row) => row[at] || { value: null });
    const [name, spread = `${name} ±`] = heading.split(" ± "), units = new Set(mine.filter((cell) => cell.unit !== undefined).map((cell) => cell.unit));
    const stored = units.size === 1 ? [...units][0] : "";
    const beside = (key, of) => { if (mine.some((cell) => cell[key])) add(of, key === "spread" ? stored : "", mine.map((cell) => (cell[key] === "" ? null : cell[key] ?? null))); };
    add(name || (mine.some((cell) => cell.id) ? "Candidate" : "Name"), stored, mine.map((cell) => cell.value));
    const said = columns.at(-1).name;
    beside("id", `${said} id`);
    beside("spread", name ? spread : `${said} ±`);
    if (units.size > 1) beside("unit", `${said} unit`);
    beside("note", `${said} note`);
  });
  return { columns: columns.map(({ name, stored }) => ({ name, stored })), rows: cells.map((_, row) => columns.map((column) => column.values[row])) };
}

const headings = (table) => [...(table.tHead?.rows[table.tHead.rows.length - 1]?.cells || [])].map((cell) => parts(cell).join(" · "));
const lines = (table) => [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.hidden);

/** Tables with the same headings but for the first as one: what the first heading says becomes a column. */
export function tableSheet(tables) {
  const first = headings(tables[0]);
  const cells = tables.flatMap((table) => {
    const own = tables.length > 1 ? [{ value: headings(table)[0] }] : [];
    return lines(table).map((row) => [...own, ...[...row.cells].map(cellOf)]);
  });
  const names = tables.length > 1 ? ["Name", "Value", ...first.slice(1)] : first;
  const widest = Math.max(0, ...cells.map((row) => row.length));
  return sheet(Array.from({ length: widest }, (_, at) => names[at] ?? (at ? "Value" : "")), cells);
}

/** Tables that belong together. */
export function together(tables) {
  const groups = new Map();
  tables.forEach((table, at) => {
    const key = table.closest(".cards") ? JSON.stringify(headings(table).slice(1)) : at;
    groups.set(key, [...(groups.get(key) || []), table]);
  });
  return [...groups.values()];
}

const COSTS = [["MACs", "MACs"], ["Parameters", ""], ["Activation memory", "B"], ["Latency", "ms"]];

/** A row a layer of one network or of several: name, kind, output, what it costs in base units. */
export function layerSheet({ dataset }) {
  const networks = dataset.networks ? JSON.parse(dataset.networks) : { "": JSON.parse(dataset.layers) }, several = Boolean(dataset.networks);
  const columns = [...(several ? ["Network"] : []), "Layer", "Kind", "Output"].map((name) => ({ name, stored: "" }));
  const rows = Object.entries(networks).flatMap(([network, layers]) => layers.map((layer) => [...(several ? [network] : []), ...layer.slice(0, 3), ...layer.at(-1).slice(-COSTS.length)]));
  return { columns: [...columns, ...COSTS.map(([name, stored]) => ({ name, stored }))], rows };
}
