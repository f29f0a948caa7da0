/* The rail: budgets with typed values and histograms, chips that are the legend, what else is shown. */
import { h, numberOf, MISSING } from "./dom.js";
import { bounds, histogram } from "./model.js";
import { familyColors, scaled, extent } from "./paint.js";
import { SHOWN } from "./view.js";

const BUDGETS = ["latency_ms", "peak_bytes", "params", "macs"];
const LABELS = { dominated: "Dominated", stopped: "Stopped early", failed: "Failed", refused: "Refused", waiting: "Waiting", published: "Published" };
const NARROW = "(max-width: 860px)"; // as in style.css: there the answer and the plot come first, and the rail is folded
const round = (value) => Number(value.toPrecision(10));

export class Rail {
  /** `act` has range(name, [low, high], dragging), kind(name, labels or null), show(names), reset(); `device` is the choice
   * of a device; `published` where the page can draw published networks. */
  constructor(root, act, device, published = false) {
    this.published = published;
    this.root = root;
    this.act = act;
    this.device = device;
    this.filters = new Map();
    this.body = h("div");
    this.fold = h("details", { class: "fold" }, h("summary", {}, h("h2", {}, "Device and budgets")), this.body);
    root.replaceChildren(this.fold);
    const narrow = window.matchMedia(NARROW), home = h("template"), below = document.getElementById("table");
    root.before(home);
    const settle = () => {
      const focus = root.contains(document.activeElement) ? document.activeElement : null;
      if (narrow.matches && below) below.before(root); else home.after(root);
      this.fold.open = !narrow.matches || Boolean(focus);
      focus?.focus();
    };
    narrow.addEventListener("change", settle);
    settle();
  }

  /** Show what a narrow page folds away. */
  unfold() { this.fold.open = true; }

  /** Build for a table; the controls are set by `update`. */
  build(table, view) {
    this.table = table;
    const open = Boolean(this.body.querySelector("details")?.open);
    const focus = document.activeElement?.dataset?.control;
    this.filters.clear();
    const names = table.header.filters;
    const others = names.filter((name) => !BUDGETS.includes(name));
    const folded = h("details", { class: "more" }, h("summary", {}, "More filters"), others.map((name) => this.filter(name, view)));
    folded.open = open || others.some((name) => view.ranges[name]);
    this.chips = h("div", { class: "chip-groups" });
    this.shown = h("div", { class: "checks" });
    this.body.replaceChildren(
      h("div", { class: "rail-head" }, h("h2", {}, "Device and budgets"),
        h("button", { id: "reset", class: "link", type: "button", onclick: () => this.act.reset() }, "Reset")),
      this.device.root,
      ...BUDGETS.filter((name) => names.includes(name)).map((name) => this.filter(name, view)),
      ...(others.length ? [folded] : []),
      this.chips,
      h("fieldset", { class: "group", id: "show" }, h("legend", {}, "Show beside the front"), this.shown),
    );
    if (focus) this.root.querySelector(`[data-control="${CSS.escape(focus)}"]`)?.focus();
    this.focus = focus; // a chip or toggle, which only `legend` makes
  }

  /** One field: a histogram, a slider and a typed value for the end that is a budget, or for both. */
  filter(name, view) {
    const { table } = this, field = table.field(name), chosen = view.ranges[name] || [null, null];
    const ends = bounds(table, name, chosen) || { low: 0, high: 1, step: 0.01 };
    const sides = field.direction === "minimize" ? ["max"] : field.direction === "maximize" ? ["min"] : ["min", "max"];
    for (const [at, side] of ["min", "max"].entries()) if (chosen[at] !== null && !sides.includes(side)) sides.push(side);
    const filter = { name, ends, sides: {} };
    const bars = histogram(table, name, ends.low, ends.high);
    const strip = h("div", { class: "bars", "aria-hidden": "true" }, bars.map((share) => {
      const bar = h("span");
      bar.style.height = `${share ? Math.max(4, 100 * share) : 0}%`;
      return bar;
    }));
    filter.bars = [...strip.children];
    const typed = sides.map((side) => {
      const words = `${field.label} ${side === "max" ? "at most" : "at least"}`;
      const input = h("input", { type: "text", inputmode: "decimal", "aria-label": `${words}, ${field.unit || "value"}`, placeholder: "any",
        "data-control": `${side}.${name}`, "data-side": side, class: "typed" });
      const slider = h("input", { type: "range", min: ends.low, max: ends.high, step: ends.step, "aria-label": words, "data-control": `slide.${side}.${name}`, "data-side": side });
      filter.sides[side] = { input, slider };
      slider.addEventListener("input", () => this.slid(filter, side, Number(slider.value)));
      slider.addEventListener("change", () => this.act.settled());
      input.addEventListener("change", () => this.typed(filter, side, input.value));
      return h("span", { class: "end" }, h("span", { class: "muted", "aria-hidden": "true" }, side === "max" ? "≤" : "≥"), input);
    });
    this.filters.set(name, filter);
    return h("fieldset", { class: "group filter", "data-filter": name, title: field.meaning },
      h("legend", {}, h("span", {}, field.label, h("span", { class: "unit" }, field.unit ? ` ${field.unit}` : "")), ...typed),
      strip, ...sides.map((side) => filter.sides[side].slider));
  }

  slid(filter, side, value) {
    const stop = side === "max" ? value >= filter.ends.high : value <= filter.ends.low;
    this.change(filter, side, stop ? null : value);
  }
  typed(filter, side, text) {
    const value = text.trim() ? numberOf(text) : 0, { input } = filter.sides[side];
    input.setCustomValidity(Number.isFinite(value) ? "" : "A number, or nothing for any");
    if (!input.reportValidity()) return;
    this.change(filter, side, text.trim() === "" ? null : value);
    this.act.settled();
  }
  change(filter, side, value) {
    const range = [...(this.view.ranges[filter.name] || [null, null])];
    range[side === "max" ? 1 : 0] = value === null ? null : round(value / this.table.field(filter.name).scale);
    this.act.range(filter.name, range[0] === null && range[1] === null ? null : range);
  }

  update(view, theme) {
    this.view = view;
    for (const [name, filter] of this.filters) {
      const { scale } = this.table.field(name), [low, high] = view.ranges[name] || [null, null];
      const values = { min: low === null ? null : round(low * scale), max: high === null ? null : round(high * scale) };
      for (const [side, { input, slider }] of Object.entries(filter.sides)) {
        const value = values[side], stop = side === "max" ? filter.ends.high : filter.ends.low;
        // A value beyond the slider's ends widens it.
        if (value !== null && value > Number(slider.max)) slider.max = filter.ends.high = value;
        if (value !== null && value < Number(slider.min)) slider.min = filter.ends.low = value;
        if (document.activeElement !== slider || Number(slider.value) !== value) slider.value = value === null ? stop : value;
        input.value = value === null ? "" : String(Number(value.toPrecision(6)));
        slider.setAttribute("aria-valuetext", value === null ? "any" : `${input.value} ${this.table.field(name).unit}`);
      }
      const span = filter.ends.high - filter.ends.low;
      filter.bars.forEach((bar, at) => {
        const middle = filter.ends.low + ((at + 0.5) / filter.bars.length) * span;
        bar.classList.toggle("out", (values.max !== null && middle > values.max) || (values.min !== null && middle < values.min));
      });
    }
    const key = JSON.stringify([view.kinds, view.color, view.show, theme.ink, this.table.header.token]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.legend(view, theme);
  }

  /** Chips of each category: those of the colour's field carry the colours. */
  legend(view, theme) {
    const { table } = this;
    const focus = document.activeElement?.dataset?.control || this.focus;
    this.focus = null;
    this.chips.replaceChildren(...table.header.chips.flatMap((name) => {
      const column = table.text(name), counts = new Uint32Array(column.labels.length);
      for (let row = 0; row < table.rows; row++) counts[column.values[row]]++;
      const labels = [...familyColors(table, name, theme).keys(), ...(view.kinds[name] || []).filter((label) => !column.labels.includes(label))];
      if (labels.length < 2 && name !== view.color) return [];
      const colors = view.color === name ? familyColors(table, name, theme) : new Map();
      const kept = view.kinds[name] || labels;
      const signs = new Map(name === "verdict" ? [["verified", "■"], ["overturned", "⊗"], ["unverified", "●"]] : []); // labels come from the link too
      return [h("fieldset", { class: "group chips", "data-kind": name }, h("legend", { title: table.field(name).meaning }, table.field(name).label),
        labels.map((label) => {
          const box = h("input", { type: "checkbox", checked: kept.includes(label), "data-control": `${name}=${label}` });
          box.addEventListener("change", () => {
            const now = labels.filter((other) => (other === label ? box.checked : kept.includes(other)));
            this.act.kind(name, now.length === labels.length ? null : now);
          });
          const swatch = h("span", { class: colors.has(label) ? "swatch" : "sign", "aria-hidden": "true" }, signs.get(label) || "");
          if (colors.has(label)) { swatch.style.background = signs.has(label) ? "none" : colors.get(label); swatch.style.color = colors.get(label); }
          const count = counts[column.labels.indexOf(label)] || 0;
          return h("label", { class: "chip", title: `${count.toLocaleString("en-US")} candidates` }, box, ...(colors.has(label) || signs.has(label) ? [swatch] : []), label);
        }))];
    }), ...this.scale(view, theme));
    const state = table.text("state"), have = new Set(state.labels);
    this.shown.replaceChildren(...SHOWN.filter((name) => (name === "published" ? this.published && table.header.references.length : name === "dominated" || have.has(name === "waiting" ? "proposed" : name) || view.show.includes(name))).map((name) => {
      const box = h("input", { type: "checkbox", checked: view.show.includes(name), "data-control": `show=${name}` });
      box.addEventListener("change", () => this.act.show(SHOWN.filter((other) => (other === name ? box.checked : view.show.includes(other)))));
      const sign = { failed: "×", refused: "▽", stopped: "△", waiting: "○", dominated: "", published: "◇" }[name];
      return h("label", {}, box, h("span", { class: "sign", "aria-hidden": "true" }, sign), LABELS[name]);
    }));
    if (focus) this.root.querySelector(`[data-control="${CSS.escape(focus)}"]`)?.focus();
  }

  /** The colours of a category without chips; from the sixth on they share one. */
  key(view, theme) {
    const field = this.table.field(view.color), colors = [...familyColors(this.table, view.color, theme)], own = colors.slice(0, theme.families.length);
    const rest = colors.length - own.length;
    const none = `no ${field.label.toLowerCase()}`, last = colors.at(-1)[0] === MISSING; // in the order of familyColors
    const lines = [...own.map(([label, color]) => [label === MISSING ? none : label, color]), ...(rest ? [[last ? `${rest > 1 ? `${rest - 1} more or ` : ""}${none}` : `${rest} more`, theme.muted]] : [])];
    return h("div", { class: "group", "data-scale": view.color }, h("div", {}, h("strong", {}, field.label)), lines.map(([label, color]) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = color;
      return h("div", { class: "chip" }, swatch, label);
    }));
  }

  /** The bar of a numeric colour. */
  scale(view, theme) {
    if (!view.color) return [];
    if (this.table.field(view.color).kind === "category") return this.table.header.chips.includes(view.color) ? [] : [this.key(view, theme)];
    const field = this.table.field(view.color), [low, high] = extent(this.table.num(view.color));
    const bar = h("div", { class: "colorbar" });
    bar.style.background = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map((share) => scaled(theme.scale, share)).join(", ")})`;
    const end = (value) => (Number.isFinite(value) ? String(Number((value * field.scale).toPrecision(3))) : MISSING);
    return [h("div", { class: "group", "data-scale": view.color }, h("strong", {}, field.label), h("span", { class: "unit" }, ` ${field.unit}`), bar,
      h("div", { class: "ends muted" }, h("span", {}, end(low)), h("span", {}, end(high))))];
  }
}
