/* Choices on any fields, made on /parallel: a brush, and steps that keep only, or leave out, what a brush held.
 * A brush is field -> { low, high } in base units (null is open), or field -> { labels }; "–" is what is missing. */

import { isolated, numberOf } from "./dom.js";

const CLOSE = 1e-7; // a value went through float32, a bound through the URL
const MOST = 20;
export const NONE = "–";
const number = (text) => (Number.isFinite(numberOf(text)) ? numberOf(text) : null);
const end = (value) => (value === null ? "" : String(Number(value.toPrecision(10))));

/** For example `ap~0.3..,block~=dense|res`. What cannot be read is left out. */
export function parseBrush(text) {
  const brush = {};
  for (const part of text.slice(0, 4000).split(",").slice(0, 60)) {
    const [name, given] = [part.slice(0, part.indexOf("~")), part.slice(part.indexOf("~") + 1)].map(decoded);
    if (!part.includes("~") || !name || name.startsWith("__")) continue;
    if (given.startsWith("=")) brush[name] = { labels: part.slice(part.indexOf("~=") + 2).split("|").map(decoded) };
    else {
      const [low, high] = given.split("..").map(number);
      if (high !== undefined && (low !== null || high !== null)) brush[name] = { low, high };
    }
  }
  return brush;
}
function decoded(text) { try { return decodeURIComponent(text); } catch { return text; } }
const coded = (text) => encodeURIComponent(text).replaceAll("%40", "@").replaceAll("%2F", "/").replaceAll("~", "%7E");

export function formatBrush(brush) {
  return Object.entries(brush).map(([name, { low, high, labels }]) => `${coded(name)}~${labels ? `=${labels.map(coded).join("|")}` : `${end(low)}..${end(high)}`}`).join(",");
}

/** For example `only:ap~0.3..;not:block~=dense`. */
export function parseSteps(text) {
  return text.slice(0, 8000).split(";").slice(0, MOST).flatMap((part) => {
    const found = part.match(/^(only|not):(.+)$/), brush = found ? parseBrush(found[2]) : {};
    return Object.keys(brush).length ? [{ only: found[1] === "only", brush }] : [];
  });
}
export function formatSteps(steps) { return steps.slice(0, MOST).map(({ only, brush }) => `${only ? "only" : "not"}:${formatBrush(brush)}`).join(";"); }

export const fieldsOf = (steps) => [...new Set(steps.flatMap(({ brush }) => Object.keys(brush)))];

/** A mask of the rows that a brush holds; null if it names a column that is not here. */
export function held(table, brush) {
  const mask = new Uint8Array(table.rows).fill(1);
  for (const [name, { low, high, labels }] of Object.entries(brush)) {
    if (!table.has(name)) return null;
    if (labels && table.field(name).kind === "category") {
      const column = table.text(name), kept = column.labels.map((label) => labels.includes(label));
      for (let row = 0; row < table.rows; row++) if (!kept[column.values[row]]) mask[row] = 0;
      continue;
    }
    const values = table.num(name);
    if (labels) { // of numbers only those that are missing have a label
      for (let row = 0; row < table.rows; row++) if (values[row] === values[row] || !labels.includes(NONE)) mask[row] = 0;
      continue;
    }
    const least = low === null ? -Infinity : low - CLOSE * Math.abs(low), most = high === null ? Infinity : high + CLOSE * Math.abs(high);
    for (let row = 0; row < table.rows; row++) if (!(values[row] >= least && values[row] <= most)) mask[row] = 0;
  }
  return mask;
}

/** Take from `mask` what the steps leave out. */
export function keep(table, steps, mask) {
  for (const { only, brush } of steps) {
    const inside = held(table, brush);
    if (inside) for (let row = 0; row < table.rows; row++) if (inside[row] !== (only ? 1 : 0)) mask[row] = 0;
  }
}

/** A brush in words. */
function brushText(table, brush) {
  return Object.entries(brush).map(([name, { low, high, labels }]) => {
    const field = table.field(name), unit = field.unit ? ` ${field.unit}` : "";
    const value = (bound) => Number((bound * field.scale).toPrecision(4));
    if (labels) return `${field.label} ${labels.map((label) => (label === NONE ? "missing" : isolated(label))).join(" or ") || "none"}`;
    if (low === null) return `${field.label} ≤ ${value(high)}${unit}`;
    return high === null ? `${field.label} ≥ ${value(low)}${unit}` : `${field.label} ${value(low)} to ${value(high)}${unit}`;
  }).join(", ");
}
export const stepText = (table, { only, brush }) => `${only ? "only" : "without"} ${brushText(table, brush)}`;
