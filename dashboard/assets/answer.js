/* The answer bar: the best candidate under the budgets with its numbers, or what stands in the way. */
import { h, bare, digits, isolated, show, shown, say, MISSING } from "./dom.js";
import { answer, binding } from "./model.js";
import { exportCommand, pickCommand } from "./commands.js";
import { known } from "./device.js";
import { stepText } from "./steps.js";
import { costOf } from "./published.js";

const SIGNS = { verified: "✓", overturned: "✗", unverified: "?" };

/** A field's name inside a sentence. */
const inside = ({ label }) => (/^[A-Z]{2}|^MACs$/.test(label) ? label : label.toLowerCase());
const listed = (texts) => [texts.slice(0, -1).join(", "), ...texts.slice(-1)].filter(Boolean).join(" and ");

/** Every filter in words, for example `latency ≤ 12 ms`. */
export function filterTexts(table, view) {
  const texts = [];
  for (const name of table.header.filters) {
    const [low, high] = view.ranges[name] || [null, null], field = table.field(name);
    const label = inside(field);
    const value = (end) => `${Number((end * field.scale).toPrecision(4))}${field.unit ? ` ${field.unit}` : ""}`;
    if (low !== null && high !== null) texts.push(`${label} ${value(low)} – ${value(high)}`);
    else if (high !== null) texts.push(`${label} ≤ ${value(high)}`);
    else if (low !== null) texts.push(`${label} ≥ ${value(low)}`);
  }
  for (const name of table.header.chips) {
    if (view.kinds[name]) texts.push(`${table.field(name).label.toLowerCase()} ${view.kinds[name].map(isolated).join(" or ") || "none"}`);
  }
  return [...texts, ...view.steps.map((step) => stepText(table, step))];
}

function badge(table, row) {
  const verdict = table.label("verdict", row), score = table.header.objectives[0], verified = `verified_${score}`;
  const title = verdict === "unverified" ? "its score is the proxy’s; its page says how to verify it"
    : `${table.field(score).label} ${show(table.field(score), table.num(verified)[row])} over several seeds, `
      + `on the front in ${Math.round(100 * table.num("front_share")[row])} % of the draws`;
  return h("span", { class: `badge ${verdict}`, title }, `${SIGNS[verdict] || ""} ${verdict}`);
}

export class Answer {
  /** `act` has open(row), pin(number), score(name) and relax(name, end, value). */
  constructor(root, act) {
    this.root = root;
    this.act = act;
  }

  update(table, view, picked) {
    const { header } = table;
    const key = JSON.stringify([header.token, table.version, picked.best, picked.basis, view.x, view.ranges, view.kinds, view.steps, view.pinned, picked.best < 0 ? 0 : table.columns.size]);
    if (key === this.drawn) return;
    this.drawn = key;
    const focus = document.activeElement?.id;
    this.root.replaceChildren(...(picked.best < 0 ? this.nothing(table, view) : this.found(table, view, picked)));
    this.root.classList.toggle("none", picked.best < 0);
    if (focus && this.root.contains(document.getElementById(focus))) document.getElementById(focus).focus();
  }

  found(table, view, picked) {
    const { header } = table, row = picked.best, score = table.field(header.objectives[0]);
    const filters = filterTexts(table, view), number = table.number(row);
    const scores = [header.objectives[0], ...(table.label("verdict", row) === "unverified" ? [] : [`verified_${header.objectives[0]}`])];
    const names = [...(picked.basis === "verified" ? scores.reverse() : scores),
      ...Object.keys(view.ranges), view.x, ...header.objectives.slice(1), "params", "peak_bytes"];
    const facts = [...new Set(names)].filter((name) => table.has(name));
    const question = `Best ${picked.basis === "verified" ? "verified " : ""}${score.label} on ${header.device}${filters.length ? ` under ${filters.join(", ")}` : ""}`;
    const other = rival(table, view, row), notes = [this.instead(table, view, picked), how(table, row), other && beside(other)].filter(Boolean);
    return [
      h("div", { class: "answer-text" },
        h("p", { class: "question", title: question }, question),
        h("p", { class: "named" }, h("b", {}, `#${number}`), " ", badge(table, row),
          ` ${["block", "fusion", "head"].map((name) => table.label(name, row)).join(" · ")} `, h("code", {}, table.id(row))),
        ...(notes.length ? [h("p", { class: "beside muted" }, notes.flatMap((note, at) => [at ? " · " : "", ...[note].flat()]))] : [])),
      h("dl", { class: "facts" }, facts.map((name) => this.fact(table, name, row, other))),
      this.buttons(table, view, picked, number),
    ];
  }

  /** A switch to what the other score would choose, verified or the proxy's, where that is another candidate. */
  instead(table, view, picked) {
    const other = answer(table, { ...view, score: picked.basis === "verified" ? "proxy" : "" }, picked.inside);
    if (other.basis === picked.basis || other.best === picked.best) return null;
    const [score] = table.header.objectives, name = other.basis === "verified" ? `verified_${score}` : score;
    const words = `${other.basis === "verified" ? "by the verified score" : "by the proxy’s score"}: #${table.number(other.best)} with ${show(table.field(name), table.num(name)[other.best])}`;
    return h("button", { id: "instead", type: "button", class: "link", title: "let this score choose", onclick: () => this.act.score(other.basis === "proxy" ? "proxy" : "") }, words);
  }

  fact(table, name, row, other) {
    const field = table.field(name), value = table.num(name)[row];
    const spread = table.has(`${name}_spread`) ? table.num(`${name}_spread`)[row] : NaN;
    const origin = name === "latency_ms" && table.there && value === value ? (table.predicted[row] ? ", predicted" : ", measured") : "";
    return h("div", {}, h("dt", { title: field.meaning }, field.label + origin), h("dd", {}, ...shown(field, value, spread)),
      ...(other ? [changed(field, value, other.value(name), `against ${other.name}`)] : []));
  }

  buttons(table, view, picked, number) {
    const row = picked.best, pinned = view.pinned.includes(number);
    return h("div", { class: "actions" },
      h("button", { id: "open-best", class: "primary", type: "button", onclick: () => this.act.open(row), "aria-label": `Open candidate ${number}` }, "Open"),
      h("button", { id: "pin-best", type: "button", "aria-pressed": String(pinned), onclick: () => this.act.pin(number) }, pinned ? "Unpin" : "Pin"),
      h("button", { id: "export-best", type: "button", "aria-haspopup": "dialog", onclick: () => exportDialog(table, view, row, picked) }, "Export"));
  }

  nothing(table, view) {
    const { header } = table, score = table.field(header.objectives[0]), filters = filterTexts(table, view);
    if (!filters.length || !table.complete.includes(1)) return [h("p", { class: "answer-text" }, unscored(table, score.label))];
    if (table.there && view.ranges.latency_ms && !table.num("latency_ms").some((value) => value === value)) {
      return [h("p", { class: "answer-text" }, `No latency of a candidate is known on ${header.device}: ${table.there.problem || "choose predicted ones, or another device"}.`)];
    }
    const found = binding(table, view), text = `No candidate fits ${filters.join(", ")} on ${header.device}.`;
    if (!found) return [h("p", { class: "answer-text" }, `${text} Loosen a filter on the left, or Reset.`)];
    const ends = found.ends.map(({ name, end }) => {
      const field = table.field(name), value = table.num(name)[found.row], loosened = outwards(value * field.scale, end) / field.scale;
      return { name, end, loosened, has: `${field.label} ${show(field, value)}`, words: `${inside(field)} ${end === "max" ? "≤" : "≥"} ${show(field, loosened)}` };
    });
    const relax = () => { for (const { name, end, loosened } of ends.toReversed()) this.act.relax(name, end, loosened); }; // the first has the focus then
    return [
      h("div", { class: "answer-text" }, h("p", { class: "named", title: text }, text),
        h("p", { class: "question" }, `The nearest has ${listed(ends.map(({ has }) => has))} (#${table.number(found.row)}).`)),
      h("div", { class: "actions" }, h("button", { id: "relax", class: "primary", type: "button", onclick: relax }, `Relax to ${listed(ends.map(({ words }) => words))}`)),
    ];
  }
}

/** A value with three digits that still admits it. */
function outwards(value, end) {
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value) || 1)) - 2);
  return Number(((end === "max" ? Math.ceil(value / step - 1e-9) : Math.floor(value / step + 1e-9)) * step).toPrecision(10));
}

/** Why no candidate has its score. The words of dashboard/candidates.py `without_score`. */
function unscored(table, score) {
  const { state } = table.header, states = table.text("state"), code = states.labels.indexOf("failed"), reasons = table.text("reason");
  const times = new Uint32Array(reasons.labels.length), said = (number) => number.toLocaleString("en-US");
  let failed = 0;
  for (let row = 0; row < table.rows; row++) if (states.values[row] === code) { failed++; times[reasons.values[row]]++; }
  const named = [...times.keys()].filter((at) => times[at] && reasons.labels[at] !== MISSING).sort((a, b) => times[b] - times[a]);
  const why = named.length ? `, ${times[named[0]] === failed ? "all" : said(times[named[0]])} for this reason: ${isolated(reasons.labels[named[0]])}` : "";
  const count = failed ? ` ${said(failed)} of ${said(table.rows)} failed${why}.` : "";
  if (state === "running") return `No candidate has ${score} yet: the first ones are being trained. This page follows.${count && ` So far${count}`}`;
  const ended = { complete: "is complete", interrupted: "was interrupted; the same command goes on" }[state] || `was ${state}`;
  return `No candidate has ${score}, and the search ${ended}.${count}`;
}

/** How the latency of the answer on another device is known. */
function how(table, row) {
  const { there } = table, value = there && table.num("latency_ms")[row];
  if (!there) return "";
  if (value !== value) return `latency not ${table.by === "predicted" ? "predicted" : "measured"}`;
  return table.predicted[row] ? `latency predicted by ${there.method || "a model"}${known(there)}` : "latency measured";
}

/** What the answer is compared with: the first pinned candidate, else the published network that is nearest in MACs,
 * a CSP one where there is any. */
function rival(table, view, row) {
  const pinned = view.pinned.map((number) => table.rowOf(number)).find((at) => at >= 0 && at !== row);
  if (pinned !== undefined) return { name: `pinned #${table.number(pinned)}`, value: (name) => table.num(name)[pinned] };
  const all = table.header.references || [], csp = all.filter(({ name }) => name.startsWith("CSP"));
  const away = (reference) => Math.abs(Math.log(costOf(reference, "macs") / table.num("macs")[row]));
  const [near] = [...(csp.length ? csp : all)].filter((reference) => Number.isFinite(away(reference))).sort((a, b) => away(a) - away(b));
  return near && { name: `${near.name} (published, counted here)`, about: near.about, value: (name) => costOf(near, name, table) };
}
const beside = ({ name, about }) => [h("span", { title: about }, `beside ${name}`), about ? h("span", { class: "unseen" }, `. ${about}`) : null];

/** How much better or worse a value is than another, in a word as well as in colour. */
function changed(field, value, base, title) {
  const change = value - base;
  if (base === undefined || change !== change) return h("dd", { class: "difference", title: `${title}: not comparable` }, "–");
  if (bare(field, value) === bare(field, base)) return h("dd", { class: "difference", title }, "equal"); // as it is shown
  const good = field.direction ? (change < 0) === (field.direction === "minimize") : null;
  const amount = field.plain && !field.unit ? (change * field.scale).toFixed(3) : `${digits((100 * change) / Math.abs(base || 1), 2)} %`;
  const signed = `${change > 0 ? "+" : ""}${amount}`.replace("-", "−");
  return h("dd", { class: `difference ${good === null ? "" : good ? "better" : "worse"}`, title }, `${signed} ${good === null ? "" : good ? "▲ better" : "▼ worse"}`);
}

/** The commands for a candidate; of the answer also the question that it answers. */
export function exportDialog(table, view, row, picked) {
  const isAnswer = row === picked.best;
  if (table.header.database === null) {
    dialog(`Export #${table.number(row)}`, h("p", {}, "This study ships with the product, and its database is gone when the dashboard ends."),
      h("p", {}, "A candidate of a search of your own is exported with:"), h("pre", { tabindex: 0 }, "python -m search.export ID --to onnx -o FOLDER"));
    return;
  }
  const { command, left } = isAnswer ? pickCommand(table, view, picked.basis) : { command: null, left: [] };
  dialog(`Export #${table.number(row)}`, h("p", {}, "Type this in a terminal:"), ...copyable(exportCommand(table, row), "primary"),
    h("p", { class: "muted" }, "--to also takes torchscript, torch, safetensors, openvino, darknet, toml and html."),
    ...(command ? [h("h3", {}, "The same answer in a terminal"), ...copyable(command, "")] : []),
    ...(isAnswer && left.length ? [h("p", { class: "muted" }, `It is not quite the same: ${left.join("; ")}.`)] : []));
}

function copyable(command, look) {
  const copied = h("button", { type: "button", class: look, onclick: async () => {
    try { await navigator.clipboard.writeText(command); copied.textContent = "Copied"; say("Copied"); } catch { copied.textContent = "Select the text and copy it"; }
  } }, "Copy");
  return [h("pre", { tabindex: 0 }, command), h("p", {}, copied)];
}

/** A modal dialog; Escape and Close close it, and focus goes back to where it was. */
export function dialog(title, ...body) {
  const close = h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => box.close() }, "×");
  const box = h("dialog", { "aria-label": title }, h("div", { class: "dialog-head" }, h("h2", {}, title), close), ...body);
  box.addEventListener("close", () => box.remove());
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  document.body.append(box);
  box.showModal();
  return box;
}
