/* Elements and numbers as a person reads them. Text of the database only ever becomes text nodes. */

/** An element: h("b", {class: "x", onclick: f}, "text", child). Properties without a value are left out. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A text of others with its own direction, as <bdi> gives it where there is markup: it cannot turn the sentence around
 * it. dashboard/texts.py `isolated` is its twin. */
const TURNS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
export const isolated = (text) => (TURNS.test(text) ? `\u2068${text.replace(/[\u2066-\u2069]/g, "")}\u2069` : text);

const SVG = "http://www.w3.org/2000/svg";
export function s(name, properties = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, String(value));
  return element;
}

export const MISSING = "–";

/** The number that a person typed, here or in a link; NaN if it is none. Commas before groups of three digits part
 * thousands ("1,000"), a single other one is a decimal point ("1,5", "0,125"). dashboard/query.py `number` is its twin. */
export function numberOf(text) {
  const given = text.trim().replace("−", "-");
  const plain = /^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?$/.test(given) ? given.replaceAll(",", "") : /^[^,.]*,[^,.]*$/.test(given) ? given.replace(",", ".") : given;
  return /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i.test(plain) ? Number(plain) : NaN;
}

/** A number with at most `digits` digits that count, without trailing zeros, with a true minus sign. */
export function digits(value, count = 3) {
  const text = Math.abs(value) >= 10 ** count
    ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(count)));
  return text.replace("-", "−");
}

/** What Metric.show says in Python, without the unit. */
export function bare(field, value) {
  if (value === null || value === undefined || Number.isNaN(value)) return MISSING;
  const scaled = value * field.scale;
  return field.plain ? scaled.toFixed(3).replace("-", "−") : digits(scaled);
}

export function show(field, value) {
  const text = bare(field, value);
  return text === MISSING || !field.unit ? text : `${text} ${field.unit}`;
}

/** Parts of a sentence: the number, and its unit lighter. */
export function shown(field, value, spread) {
  const text = bare(field, value);
  if (text === MISSING) return [text];
  const tail = !Number.isFinite(spread) ? "" : ` ± ${digits(spread * field.scale, 2)}`;
  return [text, h("span", { class: "unit" }, `${tail}${field.unit ? ` ${field.unit}` : ""}`)];
}

export function ago(seconds) {
  return seconds < 60 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min`
    : seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

export function download(name, text, type) {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // on a busy machine the browser takes a while to come for it
}

/** Put a tooltip beside a place of the window, inside it. */
export function beside(tooltip, x, y) {
  const { width, height } = tooltip.getBoundingClientRect();
  tooltip.style.left = `${Math.min(x + 14, window.innerWidth - width - 8)}px`;
  tooltip.style.top = `${y + 16 + height > window.innerHeight ? y - height - 12 : y + 16}px`;
}

/** Say something to a screen reader, politely. */
export function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}

/** Say under the plot which columns of `table` did not arrive, with a button that asks `again`; nothing once they came. */
export function lost(table, again) {
  const before = document.getElementById("lost");
  if (before?.of === table.lost) return;
  before?.remove();
  if (!table.lost) return;
  const labels = table.lost.names.filter((name) => name in table.header.fields).map((name) => table.field(name).label).join(", ");
  const said = h("span", { id: "lost", class: "problem" }, `${labels} did not arrive: ${table.lost.problem}. `, h("button", { type: "button", class: "link", onclick: again }, "Retry"));
  said.of = table.lost;
  document.querySelector(".caption").append(said);
  say(said.textContent);
}
