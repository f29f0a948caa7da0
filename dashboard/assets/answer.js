/* The answer bar: the best candidate under the budgets with its numbers, or what stands in the way. */
import { h, digits, show, shown, say } from "./dom.js";
import { best, binding } from "./model.js";
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
    if (view.kinds[name]) texts.push(`${table.field(name).label.toLowerCase()} ${view.kinds[name].join(" or ") || "none"}`);
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
  /** `act` has open(row), pin(number) and relax(name, end, value). */
  constructor(root, act) {
    this.root = root;
    this.act = act;
  }

  update(table, view, picked) {
    const { header } = table;
    const key = JSON.stringify([header.token, table.version, picked.best, view.x, view.ranges, view.kinds, view.steps, view.pinned, picked.best < 0 ? 0 : table.columns.size]);
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
    const names = [header.objectives[0], ...(table.label("verdict", row) === "unverified" ? [] : [`verified_${header.objectives[0]}`]),
      ...Object.keys(view.ranges), view.x, ...header.objectives.slice(1), "params", "peak_bytes"];
    const facts = [...new Set(names)].filter((name) => table.has(name));
    const question = `Best ${score.label} on ${header.device}${filters.length ? ` under ${filters.join(", ")}` : ""}${this.verified(table, picked)}`;
    const other = rival(table, view, row), said = how(table, row);
    return [
      h("div", { class: "answer-text" },
        h("p", { class: "question", title: question }, question),
        h("p", { class: "named" }, h("b", {}, `#${number}`), " ", badge(table, row),
          ` ${["block", "fusion", "head"].map((name) => table.label(name, row)).join(" · ")} `, h("code", {}, table.id(row))),
        ...(said || other ? [h("p", { class: "beside muted" }, said, said && other ? " · " : "", ...(other ? beside(other) : []))] : [])),
      h("dl", { class: "facts" }, facts.map((name) => this.fact(table, name, row, other))),
      this.buttons(table, view, row, number),
    ];
  }

  /** The best verified candidate, where the answer is another one. */
  verified(table, picked) {
    const name = `verified_${table.header.objectives[0]}`, verdict = table.text("verdict"), code = verdict.labels.indexOf("verified");
    if (code < 0) return "";
    const among = Uint8Array.from(picked.inside, (on, row) => (on && verdict.values[row] === code ? 1 : 0));
    const row = best(table, [name, ...table.header.objectives.slice(1)], among);
    return row < 0 || row === picked.best ? "" : ` · best verified: #${table.number(row)} with ${show(table.field(name), table.num(name)[row])}`;
  }

  fact(table, name, row, other) {
    const field = table.field(name), value = table.num(name)[row];
    const spread = table.has(`${name}_spread`) ? table.num(`${name}_spread`)[row] : NaN;
    const origin = name === "latency_ms" && table.there && value === value ? (table.predicted[row] ? ", predicted" : ", measured") : "";
    return h("div", {}, h("dt", { title: field.meaning }, field.label + origin), h("dd", {}, ...shown(field, value, spread)),
      ...(other ? [changed(field, value, other.value(name), `against ${other.name}`)] : []));
  }

  buttons(table, view, row, number) {
    const pinned = view.pinned.includes(number);
    return h("div", { class: "actions" },
      h("button", { id: "open-best", class: "primary", type: "button", onclick: () => this.act.open(row), "aria-label": `Open candidate ${number}` }, "Open"),
      h("button", { id: "pin-best", type: "button", "aria-pressed": String(pinned), onclick: () => this.act.pin(number) }, pinned ? "Unpin" : "Pin"),
      h("button", { id: "export-best", type: "button", "aria-haspopup": "dialog", onclick: () => exportDialog(table, view, row, true) }, "Export"));
  }

  nothing(table, view) {
    const { header } = table, score = table.field(header.objectives[0]), filters = filterTexts(table, view);
    if (!filters.length || !table.complete.includes(1)) {
      return [h("p", { class: "answer-text" }, `No candidate has ${score.label} yet: the first ones are being trained. This page follows.`)];
    }
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
  return near && { name: `${near.name} (published, counted here)`, about: near.about, value: (name) => costOf(near, name) };
}
const beside = ({ name, about }) => [h("span", { title: about }, `beside ${name}`), about ? h("span", { class: "unseen" }, `. ${about}`) : null];

/** How much better or worse a value is than another, in a word as well as in colour. */
function changed(field, value, base, title) {
  const change = value - base;
  if (base === undefined || change !== change) return h("dd", { class: "difference", title: `${title}: not comparable` }, "–");
  const good = field.direction && change !== 0 ? (change < 0) === (field.direction === "minimize") : null;
  const amount = field.plain && !field.unit ? (change * field.scale).toFixed(3) : `${digits((100 * change) / Math.abs(base || 1), 2)} %`;
  const signed = `${change > 0 ? "+" : ""}${amount}`.replace("-", "−");
  return h("dd", { class: `difference ${good === null ? "" : good ? "better" : "worse"}`, title }, `${signed} ${good === null ? "" : good ? "▲ better" : "▼ worse"}`);
}

/** The commands for a candidate; of the answer also the question that it answers. */
export function exportDialog(table, view, row, isAnswer) {
  if (table.header.database === null) {
    dialog(`Export #${table.number(row)}`, h("p", {}, "This study ships with the product, and its database is gone when the dashboard ends."),
      h("p", {}, "A candidate of a search of your own is exported with:"), h("pre", { tabindex: 0 }, "python -m search.export ID --to onnx -o FOLDER"));
    return;
  }
  const { command, left } = isAnswer ? pickCommand(table, view) : { command: null, left: [] };
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
