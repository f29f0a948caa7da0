/* Axes, colour, size and which front: native selects. */
import { h } from "./dom.js";

export function toolbar(root, table, view, act) {
  const { axes, fields } = table.header;
  const numbers = [...new Set([...axes, view.x, view.y])].map((name) => [name, table.field(name).label]);
  const categories = Object.keys(fields).filter((name) => fields[name].kind === "category").map((name) => [name, fields[name].label]);
  const choose = (id, label, options, value, changed) => {
    const select = h("select", { id, title: table.header.fields[value]?.meaning }, options.map(([name, text]) => h("option", { value: name, selected: name === value }, text)));
    select.addEventListener("change", () => changed(select.value));
    return h("label", { class: "control" }, h("span", {}, label), select);
  };
  const log = (axis) => {
    const box = h("input", { type: "checkbox", id: `${axis}-log`, checked: view[`${axis}_log`] });
    box.addEventListener("change", () => act.axis({ [`${axis}_log`]: box.checked }));
    return h("label", { class: "log" }, box, "log");
  };
  const focus = document.activeElement?.id;
  root.replaceChildren(
    h("span", { class: "pair" }, choose("x", "X", numbers, view.x, (x) => act.axis({ x })), log("x")),
    h("span", { class: "pair" }, choose("y", "Y", numbers, view.y, (y) => act.axis({ y })), log("y")),
    choose("color", "Colour", [["", "one colour"], ...numbers, ...categories], view.color, (color) => act.axis({ color })),
    choose("size", "Size", [["", "one size"], ...numbers], view.size, (size) => act.axis({ size })),
    choose("front", "Front", [["axes", "two axes"], ["all", "all objectives"]], view.front, (front) => act.axis({ front })),
  );
  if (focus && root.querySelector(`#${CSS.escape(focus)}`)) root.querySelector(`#${CSS.escape(focus)}`).focus();
}
