/* A Plotly chart as points and as a picture that stands alone. */
import { framed, HEAD } from "./picture.js";

const FOOT = 30;

/** Plotly's own markup as plain text; a document of its own runs nothing. */
const plain = (text) => new DOMParser().parseFromString(String(text ?? ""), "text/html").body.textContent.trim();
const short = (value) => (typeof value === "number" ? (Number.isFinite(value) ? Number(value.toPrecision(10)) : null) : value ?? null);

/** The figure of a place for one, which may still be empty. */
export function figureOf(graph) {
  const figure = graph.querySelector(".js-plotly-plot");
  if (!figure?._fullData?.length) throw new Error("the chart is not drawn yet");
  return figure;
}

/** The title of an axis; panels beside each other share that of the first. */
function heading({ layout, _fullLayout }, key) {
  const letter = key[0], name = (axis) => `${letter}axis${axis.slice(1)}`;
  const own = plain(layout[name(key)]?.title?.text);
  const shared = own || plain(layout[name(_fullLayout[name(key)].matches || letter)]?.title?.text) || layout.meta?.[letter] || "";
  const unit = / \(([^()]+)\)/.exec(shared);
  return { name: (unit ? shared.replace(unit[0], "") : shared) || letter, stored: unit ? unit[1] : "" };
}

/** The heading above a panel, where there are several. */
function panel({ layout, _fullLayout }, trace) {
  const x = _fullLayout[`xaxis${trace.xaxis.slice(1)}`].domain, y = _fullLayout[`yaxis${trace.yaxis.slice(1)}`].domain;
  const above = (layout.annotations || []).find((each) => each.xref === "paper" && each.x >= x[0] && each.x <= x[1] && Math.abs(each.y - y[1]) < 0.02);
  return above ? plain(above.text) : null;
}

/** Columns and rows of the points that are seen. A trace without a name only marks what others show. */
export function chartSheet(figure) {
  const seen = figure._fullData.filter((trace) => trace.visible === true);
  const named = seen.filter((trace) => figure.data[trace.index].name), units = new Map(), rows = [];
  for (const trace of named.length ? named : seen) {
    const x = heading(figure, trace.xaxis), y = heading(figure, trace.yaxis), spread = trace.error_y?.visible ? trace.error_y.array : null;
    const fixed = { panel: panel(figure, trace), series: named.length ? plain(trace.meta?.label ?? trace.name) : null };
    for (const each of [x, y]) units.set(each.name, each.stored);
    if (spread) units.set(`${y.name} ±`, y.stored);
    Array.from(trace.x).forEach((value, at) => {
      const key = Array.isArray(trace.customdata?.[at]) ? trace.customdata[at] : [];
      rows.push({ ...fixed, number: key[0] ?? null, id: key[1] ?? null, [x.name]: short(value), [y.name]: short(trace.y[at]), ...(spread ? { [`${y.name} ±`]: short(spread[at]) } : {}) });
    });
  }
  const names = ["panel", "series", "number", "id"].filter((name) => rows.some((row) => row[name] !== null));
  const columns = [...names.map((name) => ({ name, stored: "" })), ...[...units].map(([name, stored]) => ({ name, stored }))];
  return { columns, rows: rows.map((row) => columns.map(({ name }) => row[name] ?? null)) };
}

/** The chart as it stands, with title and source. */
export async function chartPicture(figure, title, source, theme) {
  const { width, height } = figure._fullLayout;
  const svg = await window.Plotly.toImage(figure, { format: "svg", width, height, imageDataOnly: true });
  return stand(svg, { title, source, theme, width, height });
}

/** An SVG of a size below a title and above a source. */
export function stand(svg, { title, source, theme, width, height }) {
  const wide = Math.max(width + 28, 420), most = Math.floor(wide / 8);
  return framed({ title: title.length > most ? `${title.slice(0, most - 1)}…` : title, source, theme, width: wide, height: HEAD + height + FOOT, layers: `<g transform="translate(14 ${HEAD})">${svg}</g>` });
}
