/* A button that opens a list. Escape closes it and goes back to the button, and so does what is done in it. */
import { h } from "./dom.js";

document.addEventListener("pointerdown", ({ target }) => {
  for (const menu of document.querySelectorAll(".menu.save[open]")) if (!menu.contains(target)) menu.open = false;
}, true);

/** The closed menu, its empty list, and what closes it. */
export function dropdown(label, { class: more = "", named, ...properties }) {
  const list = h("ul"), summary = h("summary", { "aria-label": named }, label);
  const menu = h("details", { class: `menu save ${more}`.trim(), ...properties }, summary, list);
  const close = () => { if (menu.open) { menu.open = false; summary.focus(); } };
  menu.addEventListener("keydown", (event) => { if (event.key === "Escape" && menu.open) { event.stopPropagation(); close(); } });
  return { menu, list, close };
}
