/* What is on the screen as one SVG that stands alone: title, points, axes, marks, legend, and where it is from. */
import { isolated } from "./dom.js";
import { escape } from "./vector.js";
import { familyColors, scaled, extent } from "./paint.js";

export const HEAD = 44;
const FOOT = 48;
const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-size", "font-weight", "paint-order", "text-anchor", "display"];

/** An SVG element with the look that the page's style gives it. */
export function styled(element) {
  const copy = element.cloneNode(true), from = [element, ...element.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((each, at) => {
    const style = window.getComputedStyle(from[at]);
    each.setAttribute("style", STYLES.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";"));
    each.removeAttribute("class");
  });
  const { width, height } = element.viewBox.baseVal; // inside another SVG a size in percent is of that one
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  return new XMLSerializer().serializeToString(copy);
}

/** Plotly's axes, which carry their look already, without what answers the pointer. */
export function axes(figure) {
  return [...figure.querySelectorAll("svg.main-svg")].map((svg) => {
    const copy = svg.cloneNode(true);
    for (const each of copy.querySelectorAll(".draglayer, .hoverlayer, .zoomlayer, .selectionlayer")) each.remove();
    return new XMLSerializer().serializeToString(copy);
  }).join("");
}

/** `layers` is SVG in the coordinates of the plot; `title` one line, `signs` pairs of SVG around (0, 0) and a word. */
export function picture({ table, view, theme, width, height, layers, title, signs }) {
  const right = width - 14, foot = HEAD + height, items = [...legend(table, view, theme), ...signs];
  let x = 14, line = 0;
  const drawn = items.map(([sign, text]) => {
    const wide = 34 + 7 * text.length;
    if (x + wide > right && x > 14) { x = 14; line++; }
    const found = `<g transform="translate(${x + 6} ${foot + 14 + 18 * line})">${sign}<text x="12" y="4">${escape(text)}</text></g>`;
    x += wide;
    return found;
  }).join("");
  const { header } = table, whole = foot + FOOT + 18 * line, day = new Date().toISOString().slice(0, 10);
  const source = `CSP Explorer · study ${isolated(header.study)} · ${header.device}${table.there ? `, ${table.origin}` : ""} · ${header.rows.toLocaleString("en-US")} candidates · ${day}`;
  return framed({ title, source, theme, width, height: whole, layers: `<g transform="translate(0 ${HEAD})">${layers}</g>${drawn}` });
}

/** What goes below a heading of `HEAD` pixels, with title and source around it. */
export function framed({ title, source, theme, width, height, layers }) {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="Inter, system-ui, sans-serif" font-size="12" fill="${theme.ink}">`
    + `<title>${escape(title)}</title><desc>${escape(window.location.href)}</desc><rect width="${width}" height="${height}" fill="${theme.surface}"/>`
    + `<text x="14" y="26" font-size="14" font-weight="600">${escape(title)}</text>${layers}`
    + `<text x="14" y="${height - 10}" font-size="11" fill="${theme.muted}">${escape(source)}</text></svg>`;
}

function legend(table, view, theme) {
  if (!view.color) return [];
  const field = table.field(view.color);
  if (field.kind === "category") {
    return [...familyColors(table, view.color, theme)].map(([label, color]) => [`<circle r="5" fill="${color}"/>`, label === "–" ? `no ${field.label.toLowerCase()}` : label]);
  }
  const [low, high] = extent(table.num(view.color));
  if (low > high) return [];
  const show = (value) => `${Number((value * field.scale).toPrecision(3))}${field.unit ? ` ${field.unit}` : ""}`;
  return [0, 0.25, 0.5, 0.75, 1].map((share) => [`<circle r="5" fill="${scaled(theme.scale, share)}"/>`, `${share ? "" : `${field.label} `}${show(low + share * (high - low))}`]);
}

/** The picture as PNG, twice as fine as the screen. */
export async function png(svg) {
  const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * image.width;
    canvas.height = 2 * image.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  } finally {
    URL.revokeObjectURL(url);
  }
}
