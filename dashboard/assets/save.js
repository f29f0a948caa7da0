/* "Save view" beside "Copy link": what the page shows as SVG, PNG, CSV or JSON, and the study's report. */
import { h, download, say } from "./dom.js";
import { column, csv, filed, json } from "./export.js";
import { axes, picture, png, styled } from "./picture.js";
import { paint } from "./paint.js";
import { plotly, starPoints } from "./plot.js";
import { published } from "./published.js";
import { filterTexts } from "./answer.js";
import { Vector } from "./vector.js";
import { dropdown } from "./menu.js";

const OVERVIEW = ["ap", "accuracy", "latency_ms", "macs", "params", "peak_bytes", "weight_bytes"];

/** `get` gives what there is to save: { table, view, picked }, with `rows` and `columns`, `svg`, or a `plot`; or nothing. */
export function saveMenu(get) {
  const { menu, list, close } = dropdown(["Save", h("span", { class: "long" }, " view")], { id: "save" });
  document.getElementById("copy").after(menu);
  const item = (id, label, hint, act) => h("li", {}, h("button", { type: "button", id: `save-${id}`, onclick: act }, label, h("span", { class: "muted" }, ` ${hint}`)));
  const save = (ending) => async () => {
    const shown = get();
    close();
    if (!shown) { say("Nothing to save yet"); return; }
    const { header, there } = shown.table, name = [header.study, shown.name || "view", there?.key].filter(Boolean).join("-").replace(/[^\w.-]+/g, "_").slice(0, 80);
    try { await write(shown, ending, `${name}.${ending}`); say(`Saved ${name}.${ending}`); } catch (error) { say(`Not saved: ${error.message}`); throw error; }
  };
  menu.addEventListener("toggle", () => {
    const shown = get();
    if (!menu.open || !shown) return;
    const { rows } = listed(shown), count = `${rows.length.toLocaleString("en-US")} rows`, { study } = shown.table.header;
    list.replaceChildren(...(shown.plot || shown.svg ? [item("svg", "SVG", "vector", save("svg")), item("png", "PNG", "picture", save("png"))] : []),
      item("csv", "CSV", count, save("csv")), item("json", "JSON", count, save("json")),
      h("li", {}, h("a", { id: "save-report", href: `/report.html?${new URLSearchParams({ study })}`, download: "" }, "Report", h("span", { class: "muted" }, " HTML"))));
  });
}

async function write(shown, ending, name) {
  if (ending === "csv") return download(name, csv(listed(shown)), "text/csv");
  if (ending === "json") return download(name, json(listed(shown)), "application/json");
  const svg = shown.svg ? shown.svg() : await drawn(shown);
  return ending === "svg" ? download(name, svg, "image/svg+xml") : download(name, await png(svg), "image/png");
}

/** Rows and columns of a file: the page's own, else every candidate that is shown, in the order of proposals. */
function listed({ table, view, picked, rows, columns, plot }) {
  const verified = `verified_${table.header.objectives[0]}`, chosen = [...table.header.objectives, verified, view.x, view.y, view.color, view.size, ...OVERVIEW];
  const spreads = chosen.flatMap((name) => [name, `${name}_spread`]); // that of another device's latency is not known
  const names = ["number", "id", "state", "on_front", ...new Set([...spreads, ...table.header.chips, "front_share", "tags"])];
  return {
    table, picked, published: plot ? published(table, view) : [], rows: rows || Array.from({ length: table.rows }, (_, row) => row).filter((row) => picked.shown[row]),
    columns: filed(table, columns || names.filter((name) => name && (table.has(name) || name === "on_front")).map((name) => column(table, name))),
  };
}

/** The first screen's plot. */
async function drawn({ table, view, picked, plot }) {
  await plotly();
  const theme = table.header.themes[window.cspTheme.current], vector = new Vector();
  paint(Object.create(plot, { canvas: { value: vector }, vector: { value: true } }), theme);
  const { width, height } = plot, field = (name) => table.field(name).label;
  const filters = filterTexts(table, view);
  return picture({
    table, view, theme, width, height, layers: vector.text + axes(plot.figure) + styled(plot.marks),
    title: `${field(view.y)} over ${field(view.x)}${filters.length ? ` under ${filters.join(", ")}` : ""}: ${picked.count.toLocaleString("en-US")} candidates, ${picked.highlighted.length.toLocaleString("en-US")} on the front`,
    signs: signs(table, view, picked, theme),
  });
}

function signs(table, view, picked, theme) {
  const states = new Set();
  for (let row = 0; row < table.rows; row++) if (picked.shown[row]) states.add(table.label("state", row));
  return [
    [`<path d="M-7 3H0V-3H7" fill="none" stroke="${theme.ink}" stroke-width="2"/>`, "front"],
    ...(picked.best >= 0 ? [[`<polygon points="${starPoints(7)}" fill="${theme.ink}"/>`, `best ${picked.basis === "verified" ? "verified " : ""}${table.field(table.header.objectives[0]).label}: #${table.number(picked.best)}`]] : []),
    ...(table.header.verified ? [[`<rect x="-4" y="-4" width="8" height="8" fill="${theme.muted}"/>`, "verified"]] : []),
    ...(published(table, view).length ? [[`<path d="M0 -6L6 0L0 6L-6 0z" fill="none" stroke="${theme.ink}" stroke-width="1.5"/>`, "published, costs counted here"]] : []),
    ...(states.has("failed") ? [[`<path d="M-4 -4L4 4M-4 4L4 -4" stroke="${theme.warn}" stroke-width="1.4"/>`, "failed"]] : []),
    ...(states.has("refused") ? [[`<path d="M-4 -3H4L0 4z" fill="none" stroke="${theme.warn}" stroke-width="1.4"/>`, "refused"]] : []),
  ];
}
