/* The points, on a canvas: shapes while they are few, pixels written by hand when they are many. */

const FEW = 5000; // from here on points are squares of pixels: 100,000 take some 5 ms

/** Colours of a field's categories, in the order of the chips: `–` last, grey after the fifth. */
export function familyColors(table, name, theme) {
  const labels = [...new Set(table.text(name).labels)];
  const rank = (label) => [label === "–" ? 1 : 0, Number.isNaN(Number(label)) ? Infinity : Number(label)];
  labels.sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x[0] - y[0] || (x[1] === y[1] ? (a < b ? -1 : 1) : x[1] - y[1]);
  });
  return new Map(labels.map((label, at) => [label, theme.families[at] || theme.muted]));
}

const rgb = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
const packed = (color) => { const [r, g, b] = rgb(color); return ((b << 16) | (g << 8) | r) >>> 0; };

/** A colour of the scale for a share from 0 to 1. */
export function scaled(scale, share) {
  const at = Math.max(0, Math.min(1, share)) * (scale.length - 1), low = Math.floor(at), high = Math.min(low + 1, scale.length - 1);
  const mixed = rgb(scale[low]).map((value, channel) => Math.round(value + (rgb(scale[high])[channel] - value) * (at - low)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** Colour of every row: codes into a list. */
function colors(plot, theme) {
  const { table, view } = plot, key = `colors ${view.color} ${theme.ink}`;
  if (table.cache.has(key)) return table.cache.get(key);
  let result;
  if (!view.color) {
    result = { codes: new Uint8Array(table.rows), list: [theme.families[0]] };
  } else if (table.field(view.color).kind === "category") {
    const column = table.text(view.color), known = familyColors(table, view.color, theme);
    result = { codes: column.values, list: column.labels.map((label) => known.get(label)) };
  } else {
    const values = table.num(view.color), [low, high] = extent(values);
    const list = Array.from({ length: 64 }, (_, at) => scaled(theme.scale, at / 63));
    const codes = Uint8Array.from(values, (value) => (value === value ? Math.round((63 * (value - low)) / ((high - low) || 1)) : 64));
    result = { codes, list: [...list, theme.muted] };
  }
  table.cache.set(key, result);
  return result;
}

export function extent(values) {
  let low = Infinity, high = -Infinity;
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (value < low && value > -Infinity) low = value;
    if (value > high && value < Infinity) high = value;
  }
  return [low, high];
}

/** Diameter of every row in pixels, area following a field; null for one size. */
function sizes(plot) {
  const { table, view } = plot, key = `sizes ${view.size}`;
  if (!view.size) return null;
  if (!table.cache.has(key)) {
    const values = table.num(view.size), [low, high] = extent(values);
    const share = (value) => (value === value && high > low ? (value - low) / (high - low) : 0);
    table.cache.set(key, Float32Array.from(values, (value) => Math.sqrt(36 + share(value) * 364)));
  }
  return table.cache.get(key);
}

export function paint(plot, theme) {
  const { canvas, width, height } = plot, ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = theme.surface;
  context.fillRect(0, 0, width, height);
  shade(plot, context, theme);
  const many = plot.table.rows > FEW && !plot.vector; // a file takes every shape
  if (many) pixels(plot, context, theme, ratio);
  shapes(plot, context, theme, many);
}

/** What lies over a budget of an axis. */
function shade(plot, context, theme) {
  const { view, box, table } = plot;
  context.fillStyle = theme.grid;
  context.globalAlpha = 0.55;
  const right = box.left + box.width, bottom = box.top + box.height;
  const fill = (x0, y0, x1, y1) => {
    const [a, b] = [Math.max(box.left, x0), Math.min(right, x1)], [c, d] = [Math.max(box.top, y0), Math.min(bottom, y1)];
    if (b > a && d > c) context.fillRect(a, c, b - a, d - c);
  };
  const [lowX, highX] = view.ranges[view.x] || [null, null], [lowY, highY] = view.ranges[view.y] || [null, null];
  if (highX !== null) fill(plot.px(highX), box.top, right, bottom);
  if (lowX !== null) fill(box.left, box.top, plot.px(lowX), bottom);
  if (lowY !== null) fill(box.left, plot.py(lowY), right, bottom);
  if (highY !== null) fill(box.left, box.top, right, plot.py(highY));
  context.globalAlpha = 1;
  if (plot.strip !== null && table.rows) {
    context.fillStyle = theme.muted;
    context.font = "11px Inter, system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText("none", box.left - 8, plot.strip + 4);
  }
}

/** Part of a row: 0 not drawn, 1 over a budget, 2 complete, 3 another state; the front is drawn by `shapes`. */
function parts(plot) {
  const { table, view, picked } = plot, state = table.text("state").labels.indexOf("complete"), codes = table.text("state").values;
  const grey = view.show.includes("dominated"), result = new Uint8Array(table.rows);
  for (let row = 0; row < table.rows; row++) {
    const done = codes[row] === state;
    if (picked.shown[row]) result[row] = done ? 2 : 3;
    else if (grey && done && picked.kind[row] && !picked.budget[row]) result[row] = 1;
  }
  return result;
}

/** Where every row is on the canvas, in its pixels, computed once for an axis and a zoom; -32768 where nowhere. */
function projected(plot, ratio) {
  const { table, view, box, range } = plot;
  const key = JSON.stringify([view.x, view.y, view.x_log, view.y_log, range, box, plot.strip, ratio, table.header.token, table.version, table.columns.size]);
  if (plot.projection?.key === key) return plot.projection;
  const xs = table.num(view.x), ys = table.num(view.y), sx = table.field(view.x).scale, sy = table.field(view.y).scale;
  const [x0, x1] = range.x, [y0, y1] = range.y;
  const kx = (box.width * ratio) / (x1 - x0), ky = (box.height * ratio) / (y1 - y0);
  const ox = box.left * ratio, oy = (box.top + box.height) * ratio;
  const x = new Int16Array(table.rows), y = new Int16Array(table.rows);
  const place = (value) => (value > -32000 && value < 32000 ? Math.round(value) : -32768);
  for (let row = 0; row < table.rows; row++) {
    x[row] = place(ox + ((view.x_log ? Math.log10(xs[row] * sx) : xs[row] * sx) - x0) * kx);
    y[row] = ys[row] === ys[row] ? place(oy - ((view.y_log ? Math.log10(ys[row] * sy) : ys[row] * sy) - y0) * ky)
      : plot.strip === null ? -32768 : place(plot.strip * ratio);
  }
  plot.projection = { key, x, y };
  return plot.projection;
}

function pixels(plot, context, theme, ratio) {
  const { table, picked, box } = plot, { codes, list } = colors(plot, theme), diameters = sizes(plot);
  const role = parts(plot), ys = table.num(plot.view.y), { x: px, y: py } = projected(plot, ratio);
  const left = Math.round((box.left - 3) * ratio), top = Math.round((box.top - 3) * ratio);
  const wide = Math.round((box.width + 6) * ratio), tall = Math.round((plot.height - box.top - 14) * ratio);
  const image = context.getImageData(left, top, wide, tall), buffer = new Uint32Array(image.data.buffer);
  const palette = list.map(packed), warn = packed(theme.warn), over = packed(scaled([theme.surface, theme.muted], 0.4));
  const predicted = predictions(plot), rim = Math.max(1, Math.round(ratio)), plain = table.rows > 40000 ? 2 : 3, bottom = Math.round((box.top + box.height) * ratio) - top + 2;
  for (let pass = 1; pass <= 3; pass++) {
    const alpha = pass === 2 ? 110 : 150;
    for (let row = 0; row < table.rows; row++) {
      if (role[row] !== pass || picked.on[row]) continue;
      const known = ys[row] === ys[row];
      if (!known && pass === 1) continue;
      const hollow = pass === 2 && predicted(row); // one pixel wider, so that there is a hole
      const side = Math.round((diameters ? diameters[row] * 0.6 : plain + hollow) * ratio), half = side >> 1;
      const x = px[row] - left - half, y = py[row] - top - half;
      if (x >= 0 && x + side <= wide && y >= 0 && y + side <= (known ? bottom : tall)) {
        blend(buffer, wide, x, y, side, pass === 1 ? over : pass === 2 ? palette[codes[row]] : warn, alpha, hollow ? rim : 0);
      }
    }
  }
  context.putImageData(image, left, top);
}

/** Whether a row stands where a prediction puts it. */
function predictions({ view, table }) {
  if (view.x.includes("@") || view.y.includes("@")) return () => true;
  const timed = [view.x, view.y].includes("latency_ms") && table.predicted;
  return (row) => Boolean(timed && timed[row]);
}

/** A square of one colour over what is there, or only its `rim`; red and blue are mixed in one multiplication. */
function blend(buffer, wide, x, y, side, color, alpha, rim) {
  const rest = 256 - alpha, rb = (color & 0xff00ff) * alpha, g = (color & 0x00ff00) * alpha;
  for (let line = y; line < y + side; line++) {
    const hole = rim && line >= y + rim && line < y + side - rim ? line * wide + x + rim : -1;
    for (let at = line * wide + x, end = at + side; at < end; at++) {
      if (at === hole) at = end - rim;
      const old = buffer[at];
      buffer[at] = (0xff000000 | ((((old & 0xff00ff) * rest + rb) >>> 8) & 0xff00ff) | ((((old & 0x00ff00) * rest + g) >>> 8) & 0x00ff00)) >>> 0;
    }
  }
}

function shapes(plot, context, theme, frontOnly) {
  const { table, view, picked, box } = plot, { codes, list } = colors(plot, theme), diameters = sizes(plot);
  const state = table.text("state"), verdict = table.text("verdict");
  const predicted = predictions(plot);
  const size = (row) => (diameters ? diameters[row] : table.rows > 1500 ? 7 : 9) / 2;
  context.save();
  context.beginPath();
  context.rect(box.left - 7, box.top - 7, box.width + 14, plot.height - box.top);
  context.clip();
  const each = (draw) => {
    for (let row = 0; row < table.rows; row++) draw(row);
  };
  if (!frontOnly) {
    const role = parts(plot);
    each((row) => {
      if (role[row] === 1 && plot.drawable(row)) dot(context, plot.at(row), size(row), verdict, row, theme.muted, 0.22);
    });
    each((row) => {
      if (role[row] !== 2 || picked.on[row]) return;
      if (plot.drawable(row)) dot(context, plot.at(row), size(row), verdict, row, list[codes[row]], 0.35, predicted(row));
      else inStrip(plot, row, (at) => sign(context, at, "none", theme.muted));
    });
    each((row) => {
      if (role[row] !== 3) return;
      const label = state.labels[state.values[row]];
      if (plot.drawable(row)) sign(context, plot.at(row), label, theme.warn);
      else inStrip(plot, row, (at) => sign(context, at, label, theme.warn));
    });
  }
  context.lineWidth = 1.5;
  for (const row of picked.highlighted) {
    if (!plot.drawable(row)) continue;
    dot(context, plot.at(row), size(row), verdict, row, list[codes[row]], 1, predicted(row));
    if (predicted(row)) { context.fillStyle = theme.surface; context.fill(); }
    context.strokeStyle = predicted(row) ? list[codes[row]] : theme.ink;
    context.lineWidth = predicted(row) ? 2 : 1.5;
    context.stroke();
  }
  const overturned = verdict.labels.indexOf("overturned");
  if (overturned >= 0) {
    each((row) => {
      if (verdict.values[row] === overturned && picked.shown[row] && plot.drawable(row)) {
        sign(context, plot.at(row), "overturned", theme.ink, row === picked.best ? 9 : size(row) + 1.5);
      }
    });
  }
  context.restore();
}

function inStrip(plot, row, draw) {
  const x = plot.table.num(plot.view.x)[row], y = plot.table.num(plot.view.y)[row];
  if (plot.strip !== null && y !== y && Number.isFinite(x) && (!plot.view.x_log || x > 0)) draw([plot.px(x), plot.strip]);
}

/** A circle, or a square where verified; hollow where predicted. The path stays for an outline. */
function dot(context, [x, y], radius, verdict, row, color, alpha, hollow = false) {
  context.beginPath();
  if (verdict.labels[verdict.values[row]] === "verified") context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
  else context.arc(x, y, radius, 0, 2 * Math.PI);
  context.globalAlpha = alpha;
  context.fillStyle = context.strokeStyle = color;
  if (hollow && alpha < 1) { context.lineWidth = 1.2; context.stroke(); } else if (!hollow) context.fill();
  context.globalAlpha = 1;
}

/** What is no score: × failed, ▽ refused, △ stopped early, ◯ waiting; a cross over what was overturned. */
function sign(context, [x, y], label, color, radius = 4) {
  const lines = {
    failed: [[-1, -1, 1, 1], [-1, 1, 1, -1]], overturned: [[-0.7, -0.7, 0.7, 0.7], [-0.7, 0.7, 0.7, -0.7]],
    refused: [[-1, -0.8, 1, -0.8], [1, -0.8, 0, 1], [0, 1, -1, -0.8]], stopped: [[-1, 0.8, 1, 0.8], [1, 0.8, 0, -1], [0, -1, -1, 0.8]],
  }[label] || [];
  context.beginPath();
  for (const [a, b, c, d] of lines) {
    context.moveTo(x + a * radius, y + b * radius);
    context.lineTo(x + c * radius, y + d * radius);
  }
  if (!lines.length || label === "overturned") { context.moveTo(x + radius, y); context.arc(x, y, radius, 0, 2 * Math.PI); }
  context.strokeStyle = color;
  context.lineWidth = 1.4;
  context.stroke();
}
