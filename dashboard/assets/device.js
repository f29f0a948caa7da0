/* Which device the latencies are of: the choice in the rail, and the numbers of what was chosen, fetched on demand. */
import { h, digits } from "./dom.js";
import { read } from "./data.js";
import { ORIGINS } from "./view.js";

export const MARKS = { measured: "●", predicted: "○", both: "◐" };
const EAGER = 5000; // candidates up to which the list of devices is fetched before somebody wants it

/** What is known of the study on the device `dev` of a URL; null for the study's own. `problem` says why it is not. */
export async function load(study, dev) {
  if (!dev) return { there: null, problem: "" };
  const { header, columns } = await read(`/place.bin?${new URLSearchParams({ study, dev })}`);
  const there = header.place && { ...header.place, token: header.token, measured: columns.get("measured").values, predicted: columns.get("predicted").values };
  return { there, token: header.token, problem: header.problem };
}

const count = (values, among) => values.reduce((sum, value, row) => sum + (value === value && among[row] ? 1 : 0), 0);
const said = (number) => number.toLocaleString("en-US");

/** `, 8 % off in the median`, as far as it is known. */
export const known = (there) => (there.error === null ? ", of unknown error" : `, ${digits(100 * there.error, 2)} % off in the median`);

/** What is known of the chosen device, in words. */
function coverage(table) {
  const { there, complete } = table, all = count(table.num("number"), complete);
  const measured = count(there.measured, complete), predicted = count(there.predicted, complete);
  const missing = all - measured, lines = [];
  if (measured) lines.push(`Measured (●): ${said(measured)} of ${said(all)}${missing ? `; not measured (${share(missing, all)})` : ""}.`);
  else lines.push("Not measured.");
  if (predicted) lines.push(`Predicted (○): ${said(predicted)} by ${there.method || "a model"}${known(there)}.`);
  if (there.done < there.wanted) lines.push(`Predicting … ${said(there.done)} of ${said(there.wanted)}`);
  else if (there.problem) lines.push(sentence(there.problem));
  return lines;
}
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
const share = (part, all) => `${Math.max(1, Math.round((100 * part) / all))} %`;

export class Device {
  /** `act` has device(key) and by(origin). */
  constructor(act) {
    this.act = act;
    this.places = null;
    this.select = h("select", { id: "device", "aria-label": "Device", "data-control": "device" });
    this.lines = h("div", { class: "device muted", role: "status" });
    this.origins = h("div", { class: "origins", role: "group", "aria-label": "Which latencies" });
    this.root = h("div", { class: "group", id: "device-choice" }, this.select, this.lines, this.origins);
    this.select.addEventListener("change", () => act.device(this.select.value));
    for (const event of ["focus", "pointerenter"]) this.select.addEventListener(event, () => this.list());
  }

  update(table, view, problem) {
    Object.assign(this, { table, view });
    if (this.listed !== table.base.header.study) this.places = null;
    if (!this.places && table.rows <= EAGER) this.list();
    const key = JSON.stringify([table.version, table.header.token, view.device, view.by, problem, this.places?.length, table.header.study]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.options();
    const { there } = table;
    this.lines.replaceChildren(...(problem ? [h("p", { class: "problem" }, `${sentence(problem)} The latencies are the study’s own.`)] : there ? coverage(table).map((text) => h("p", {}, text)) : []));
    const both = there && [there.measured, there.predicted].every((values) => values.some((value) => value === value));
    const focus = document.activeElement?.dataset?.by;
    this.origins.replaceChildren(...(both ? ORIGINS.map((name) => h("button", {
      type: "button", "data-by": name, "aria-pressed": String(table.by === name), onclick: () => this.act.by(name),
      title: { measured: "only what was measured", predicted: "only predictions, also where there is a measurement", both: "measured where known (filled), else predicted (hollow)" }[name],
    }, `${MARKS[name]} ${name}`)) : []));
    if (focus) this.origins.querySelector(`[data-by="${focus}"]`)?.focus();
  }

  options() {
    const { table, view } = this, own = table.base.header.device, chosen = table.there ? table.there.key : "";
    const option = (place) => h("option", { value: place.key, selected: place.key === chosen }, `${place.label}${place.measured ? ` (${said(place.measured)} measured)` : ""}`);
    const places = (this.places || []).filter((place) => place.key), group = (label, rows) => (rows.length ? [h("optgroup", { label }, rows.map(option))] : []);
    const missing = table.there && !places.some((place) => place.key === chosen) ? [option({ ...table.there, measured: 0 })] : [];
    this.select.replaceChildren(h("option", { value: "", selected: !chosen }, `${own} (the study’s)`), ...missing,
      ...group("Measured or predicted in this study", places.filter((place) => place.measured || place.predicted)),
      ...group("Predicted from its table or card", places.filter((place) => !place.measured && !place.predicted)));
    this.select.title = view.device ? `${table.header.device}; in the link dev=${view.device}` : "the device that the latencies are of";
  }

  async list() {
    if (this.places || this.asking) return;
    this.asking = true;
    const { study } = this.table.base.header;
    try {
      const response = await fetch(`/places?${new URLSearchParams({ study })}`, { cache: "no-store" });
      if (response.ok) this.places = (await response.json()).places;
      this.listed = study;
    } catch { /* asked again with the next data */ } finally { this.asking = false; }
    if (this.places && this.table) this.options();
  }
}
