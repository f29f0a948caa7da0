/* Published networks beside the candidates: what each costs on paper here. Their accuracies are of other data, so each is
 * a line at its cost, or a diamond where both axes are costs, with an arrow from a base network to its CSP version. */
import { h, s, show } from "./dom.js";

const FONT = "11px Inter, system-ui, sans-serif";
const ROW = 15; // height of a label
const GAP = 6;
const DIAMOND = 7;
const NEAR = 4; // pixels within which a line is hit
const AROUND = [[1, 0], [-1, 0], [1, -1], [1, 1], [-1, -1], [-1, 1], [0, -1], [0, 1]];

/** What a network costs, in base units; undefined for what is no cost on paper. */
export const costOf = ({ costs }, name, { there } = {}) => (name === "flops" ? 2 * costs.macs : Object.hasOwn(costs, name) ? costs[name] * (there?.costs[name] ?? 1) : undefined);

/** The networks that a view shows. */
export const published = (table, view) => (view.show.includes("published") ? table.header.references || [] : []);

const context = document.createElement("canvas").getContext("2d");
function widthOf(text) { context.font = FONT; return context.measureText(text).width; }

// -- where everything stands, in pixels of the plot

/** Lines, diamonds, arrows and labels, no label over another; what is out of sight is left out. */
export function arrange(plot) {
  const { table, view, box } = plot, within = (value, low, size) => value >= low - 1 && value <= low + size + 1;
  const marks = (table.header.references || []).map((reference) => {
    const a = costOf(reference, view.x, table), b = costOf(reference, view.y, table);
    const mark = { reference, x: a === undefined ? null : plot.px(a), y: b === undefined ? null : plot.py(b) };
    const seen = (mark.x === null || within(mark.x, box.left, box.width)) && (mark.y === null || within(mark.y, box.top, box.height));
    return published(table, view).length && seen && (a !== undefined || b !== undefined) ? mark : null;
  });
  const pairs = (table.header.pairs || []).filter(([base, csp]) => marks[base] && marks[csp]).map(([base, csp]) => [marks[base], marks[csp]]);
  const found = { marks: marks.filter(Boolean), arrows: [], labels: [], taken: [] };
  if (!found.marks.length) return found;
  const { x, y } = found.marks[0];
  if (x !== null && y !== null) diamonds(found, pairs, box);
  else lines(found, pairs, plot, x !== null);
  return found;
}

function diamonds(found, pairs, box) {
  found.arrows = pairs.map(([from, to]) => between(from, to));
  found.taken = found.marks.map(({ x, y }) => [x - DIAMOND, y - DIAMOND, x + DIAMOND, y + DIAMOND]);
  for (const mark of found.marks) {
    const text = mark.reference.name, wide = widthOf(text);
    const places = [0, 1, 2, 3, 4, 5].flatMap((ring) => AROUND.map(([right, down]) => {
      const x = mark.x + right * (DIAMOND + GAP + (ring && 8 * ring)) - (right < 0 ? wide : right ? 0 : wide / 2);
      const y = mark.y + down * (ROW - 2 + 13 * ring) - ROW / 2;
      return { text, wide, x, y, references: [mark.reference], from: ring ? [mark.x, mark.y] : null };
    }));
    settle(found, places, box);
  }
}

/** An arrow from the edge of one diamond to that of another. */
function between(from, to) {
  const long = Math.hypot(to.x - from.x, to.y - from.y) || 1, [a, b] = [(to.x - from.x) / long, (to.y - from.y) / long];
  const off = Math.min((DIAMOND + 1) / (Math.abs(a) + Math.abs(b)), 0.3 * long);
  return [from.x + a * off, from.y + b * off, to.x - a * off, to.y - b * off];
}

/** Each pair has an arrow between its lines and one label beside it, in the first row that is free from the worse end of
 * the other axis, where the front is not. */
function lines(found, pairs, plot, upright) {
  const { table, view, box } = plot, worse = table.field(upright ? view.y : view.x).direction === "minimize";
  const paired = new Set(pairs.flat()), along = (mark) => (upright ? mark.x : mark.y);
  const units = [...pairs.map(([base, csp]) => ({ marks: [base, csp], text: `${base.reference.name} → ${versionOf(base, csp)}` })),
    ...found.marks.filter((mark) => !paired.has(mark)).map((mark) => ({ marks: [mark], text: mark.reference.name }))];
  units.sort((a, b) => along(a.marks[0]) - along(b.marks[0]));
  for (const { marks, text } of units) {
    const ends = marks.map(along), low = Math.min(...ends), high = Math.max(...ends), wide = widthOf(text), references = marks.map((mark) => mark.reference);
    const step = upright ? ROW + 2 : 26, count = Math.floor((upright ? box.height : box.width) / step) - 1;
    const places = Array.from({ length: Math.max(0, count) }, (_, at) => {
      const across = upright ? (worse ? box.top + step * (at + 0.7) : box.top + box.height - step * (at + 0.7))
        : worse ? box.left + box.width - step * (at + 0.6) : box.left + step * (at + 0.6);
      const arrow = ends.length < 2 ? null : upright ? [ends[0], across, ends[1], across] : [across, ends[0], across, ends[1]];
      const common = { text, wide, references, arrow };
      const middle = (low + high) / 2 - ROW / 2, off = ends.length < 2 ? -ROW / 2 - 1 : 0; // a lone line would cross its name
      return upright ? [{ ...common, x: high + GAP, y: across - ROW / 2 }, { ...common, x: low - GAP - wide, y: across - ROW / 2 }]
        : [{ ...common, x: across - GAP - wide, y: middle + off }, { ...common, x: across + GAP, y: middle + off }];
    }).flat();
    settle(found, places, box);
  }
}

/** `CSP 0.5` of CSPPeleeNet 0.5 beside PeleeNet. */
const versionOf = (base, csp) => csp.reference.name.replace(base.reference.name, "").trim();

/** Put a label at the first place that is inside and free, of those rather at one beside the arrows; where none is, only
 * the line or the diamond stays. */
function settle(found, places, box) {
  const rectangle = ({ x, y, wide, arrow }) => [Math.min(x, ...(arrow ? [arrow[0], arrow[2]] : [])) - 2, Math.min(y, ...(arrow ? [arrow[1], arrow[3]] : [])),
    Math.max(x + wide, ...(arrow ? [arrow[0], arrow[2]] : [])) + 2, Math.max(y + ROW, ...(arrow ? [arrow[1], arrow[3]] : []))];
  const free = ([a, b, c, d]) => a >= box.left && c <= box.left + box.width && b >= box.top && d <= box.top + box.height
    && found.taken.every(([e, f, g, i]) => a >= g || c <= e || b >= i || d <= f);
  const crossed = ([a, b, c, d]) => found.arrows.some(([x0, y0, x1, y1]) => [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1].some((share) => {
    const x = x0 + share * (x1 - x0), y = y0 + share * (y1 - y0);
    return x > a && x < c && y > b && y < d;
  }));
  const open = places.filter((each) => free(rectangle(each))), place = open.find((each) => !crossed(rectangle(each))) || open[0];
  if (!place) return;
  found.taken.push(rectangle(place));
  found.labels.push(place);
  if (place.arrow) found.arrows.push(place.arrow);
}

// -- drawing and pointing

/** What `arrange` found, as SVG. */
export function drawn({ marks, arrows, labels }, { box }, theme) {
  const group = s("g", { class: "published" }), line = (x1, y1, x2, y2, more) => s("line", { x1, y1, x2, y2, stroke: theme.muted, ...more });
  for (const { reference, x, y } of marks) {
    const look = { "stroke-width": 1.5, "stroke-dasharray": reference.name.startsWith("CSP") ? "7 4" : "2 4" };
    if (x !== null && y !== null) continue;
    group.append(x !== null ? line(x, box.top, x, box.top + box.height, look) : line(box.left, y, box.left + box.width, y, look));
  }
  for (const { from, x, y, wide } of labels) {
    if (from) group.append(line(...from, Math.max(x, Math.min(from[0], x + wide)), y + ROW / 2, { "stroke-width": 1 }));
  }
  for (const [x0, y0, x1, y1] of arrows) group.append(...arrow(x0, y0, x1, y1, theme.ink));
  for (const { x, y } of marks) {
    if (x === null || y === null) continue;
    group.append(s("polygon", { points: `${x},${y - DIAMOND} ${x + DIAMOND},${y} ${x},${y + DIAMOND} ${x - DIAMOND},${y}`, fill: theme.surface, "fill-opacity": 0.7, stroke: theme.ink, "stroke-width": 1.5 }));
  }
  for (const { text, wide, x, y } of labels) {
    group.append(s("rect", { x: x - 2, y: y + 1, width: wide + 4, height: ROW - 2, rx: 2, fill: theme.surface, "fill-opacity": 0.8 }));
    const label = s("text", { x, y: y + 11, fill: theme.ink, stroke: theme.surface, "font-size": 11, "stroke-width": 2, "paint-order": "stroke" });
    label.textContent = text;
    group.append(label);
  }
  return group;
}

function arrow(x0, y0, x1, y1, color) {
  const long = Math.hypot(x1 - x0, y1 - y0) || 1, [a, b] = [(x1 - x0) / long, (y1 - y0) / long], size = Math.min(7, long);
  const [x, y] = [x1 - a * size, y1 - b * size];
  return [s("line", { x1: x0, y1: y0, x2: x, y2: y, stroke: color, "stroke-width": 1.5 }),
    s("polygon", { points: `${x1},${y1} ${x - b * size * 0.5},${y + a * size * 0.5} ${x + b * size * 0.5},${y - a * size * 0.5}`, fill: color })];
}

/** The networks whose label or diamond is at a place. */
export function over({ marks, labels }, x, y) {
  const label = labels.find((each) => x >= each.x - 2 && x <= each.x + each.wide + 2 && y >= each.y && y <= each.y + ROW);
  if (label) return label.references;
  return marks.filter((mark) => mark.x !== null && mark.y !== null && Math.abs(mark.x - x) + Math.abs(mark.y - y) <= DIAMOND + 2).map(({ reference }) => reference);
}

/** The networks whose line is near a place. */
export function near({ marks }, { box }, x, y) {
  if (x < box.left || x > box.left + box.width || y < box.top || y > box.top + box.height) return [];
  return marks.filter((mark) => (mark.x === null) !== (mark.y === null) && Math.abs(mark.x === null ? mark.y - y : mark.x - x) <= NEAR).map(({ reference }) => reference);
}

/** What pointing says of networks. */
export function told(table, view, references) {
  const names = [...new Set([view.x, view.y, "macs", "params"])];
  return references.flatMap((reference) => [
    h("div", {}, h("b", {}, reference.name), " · published network"),
    h("div", {}, names.filter((name) => Number.isFinite(costOf(reference, name))).map((name) => `${table.field(name).label} ${show(table.field(name), costOf(reference, name, table))}`).join(", ")),
    h("div", { class: "muted" }, reference.about),
  ]);
}

/** The legend under the plot, whose list says in words what is drawn: for keyboards and screen readers, too. */
export function caption(table, view) {
  const shown = published(table, view), key = JSON.stringify([table.header.token, view.x, view.y, shown.length]), before = document.getElementById("published");
  if (before?.dataset.key === key || (!before && !shown.length)) return;
  const open = before?.open, focus = before?.contains(document.activeElement);
  before?.remove();
  if (!shown.length) return;
  const summary = h("summary", {}, `◇ ┊ ${shown.length} published, costs counted here`);
  const list = h("details", { id: "published", class: "menu published", "data-key": key, open },
    summary, h("ul", { tabindex: 0, "aria-label": "Published networks" }, shown.map((reference) => h("li", {}, told(table, view, [reference])))));
  list.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && list.open) { event.stopPropagation(); list.open = false; summary.focus(); }
  });
  document.querySelector(".caption").append(list);
  if (focus) summary.focus();
}
