/* Everything that a person chose is the URL's query. The same names and rules as tests/dashboard/oracle.py. */
import { numberOf } from "./dom.js";
import { parseSteps, formatSteps } from "./steps.js";

/** What tables and /parallel choose beside the shared view: other pages carry it along. */
const CARRIED = ["cols", "sort", "axes", "brush", "log"];

export const SHOWN = ["dominated", "stopped", "failed", "refused", "waiting", "published"];
export const ORIGINS = ["measured", "predicted", "both"];
const DRAGS = ["zoom", "pan", "select", "lasso"];
const number = (text) => {
  const value = numberOf(text || "");
  return Number.isFinite(value) ? value : null;
};
const integers = (text) => text.split(",").filter((part) => /^\d+$/.test(part)).slice(0, 100).map((part) => Number(part.slice(0, 9)));
const short = (value, count) => String(Number(value.toPrecision(count)));

function zoom(text) {
  const parts = text.split("..");
  const low = number(parts[0]), high = number(parts[1]);
  return low !== null && high !== null && low !== high ? [low, high] : null;
}

/** The view of a query; what it does not say, or says wrongly, is the default's. `header` is the table's. */
export function parse(query, header) {
  const given = new Map(new URLSearchParams(query));
  if (given.has("lat") && !given.has("max.latency_ms")) given.set("max.latency_ms", given.get("lat"));
  const base = defaults(header);
  const fields = header.fields || {};
  const choice = (name, allowed) => (given.has(name) && allowed(given.get(name)) ? given.get(name) : base[name]);
  const isNumber = (name) => name in fields && fields[name].kind !== "category";
  const ranges = {};
  for (const name of header.filters || []) {
    const ends = [number(given.get(`min.${name}`)), number(given.get(`max.${name}`))];
    if (ends[0] !== null || ends[1] !== null) ranges[name] = ends;
  }
  const kinds = {};
  for (const name of header.chips || []) if (given.has(name)) kinds[name] = given.get(name).split(",").filter(Boolean);
  const show = given.has("show") ? given.get("show").split(",") : base.show;
  return {
    x: choice("x", isNumber),
    y: choice("y", isNumber),
    x_log: given.has("x_log") ? given.get("x_log") === "1" : false,
    y_log: given.has("y_log") ? given.get("y_log") === "1" : false,
    color: choice("color", (name) => name === "" || name in fields),
    size: choice("size", (name) => name === "" || isNumber(name)),
    front: choice("front", (name) => name === "axes" || name === "all"),
    table: choice("table", (name) => name === "front" || name === "shown"),
    show: SHOWN.filter((name) => show.includes(name)),
    ranges,
    kinds,
    selected: integers(given.get("sel") || ""),
    pinned: [...new Set(integers(given.get("pin") || ""))],
    zoom_x: zoom(given.get("zx") || ""),
    zoom_y: zoom(given.get("zy") || ""),
    drag: choice("drag", (name) => DRAGS.includes(name)),
    db: (given.get("db") || "").slice(0, 400),
    study: given.get("study") || "",
    device: (given.get("dev") || "").trim().slice(0, 200),
    by: choice("by", (name) => ORIGINS.includes(name)),
    score: choice("score", (name) => name === "proxy"),
    steps: parseSteps(given.get("steps") || ""),
    carried: Object.fromEntries(CARRIED.filter((name) => given.get(name)).map((name) => [name, given.get(name).slice(0, 2000)])),
  };
}

export function defaults(header) {
  const base = header.default || { x: "latency_ms", y: "ap", color: "block", show: ["dominated", "failed"] };
  const show = header.marked ? [...base.show, "published"] : base.show; // somebody asked for them
  return { ...base, show, size: "", front: "axes", table: "front", drag: "zoom", by: "", score: "" };
}

/** The choices that differ from the default, without the question mark. */
export function format(view, header) {
  const base = defaults(header), pairs = [];
  for (const [key, value] of [["db", view.db], ["study", view.study], ["dev", view.device], ["by", view.by], ["score", view.score]]) if (value) pairs.push([key, value]);
  for (const name of ["x", "y", "color", "size", "front", "table", "drag"]) {
    if (view[name] !== base[name]) pairs.push([name, view[name]]);
  }
  for (const name of ["x_log", "y_log"]) if (view[name]) pairs.push([name, "1"]);
  if (view.show.join() !== SHOWN.filter((name) => base.show.includes(name)).join()) pairs.push(["show", view.show.join(",")]);
  for (const name of header.filters || []) {
    const [low, high] = view.ranges[name] || [null, null];
    if (low !== null) pairs.push([`min.${name}`, short(low, 10)]);
    if (high !== null) pairs.push([`max.${name}`, short(high, 10)]);
  }
  for (const name of header.chips || []) if (view.kinds[name]) pairs.push([name, view.kinds[name].join(",")]);
  for (const [key, ends] of [["zx", view.zoom_x], ["zy", view.zoom_y]]) {
    if (ends) pairs.push([key, `${short(ends[0], 7)}..${short(ends[1], 7)}`]);
  }
  for (const [key, rows] of [["sel", view.selected], ["pin", view.pinned]]) if (rows.length) pairs.push([key, rows.join(",")]);
  if (view.steps.length) pairs.push(["steps", formatSteps(view.steps)]);
  pairs.push(...Object.entries(view.carried).filter(([, text]) => text));
  const safe = (text) => encodeURIComponent(text).replaceAll("%2C", ",").replaceAll("%2F", "/").replaceAll("%40", "@").replaceAll("%20", "+");
  return pairs.map(([key, value]) => `${safe(key)}=${safe(value)}`).join("&");
}
