/* Tags and notes that people gave to candidates: a column `tags` and a mask of a table, followed while other tabs write. */
import { MISSING } from "./dom.js";

const NONE = { tags: {}, noted: [] };
let kept = NONE; // what the server said last

/** Let a table have the tags and notes that are known: `tags`, a category, and `noted`. The table. */
export function annotate(table) {
  const rows = rowsOf(table, [...Object.keys(kept.tags), ...kept.noted]), labels = [MISSING], codes = new Map();
  const values = new Uint16Array(table.rows); // of at most 2,000 labels
  for (const [id, tags] of Object.entries(kept.tags)) {
    const label = tags.join(", ");
    if (!codes.has(label)) { codes.set(label, labels.length); labels.push(label); }
    for (const row of rows.get(id) || []) values[row] = codes.get(label);
  }
  table.noted = new Uint8Array(table.rows);
  for (const id of kept.noted) for (const row of rows.get(id) || []) table.noted[row] = 1;
  if (labels.length > 1) table.columns.set("tags", { values, labels });
  else table.columns.delete("tags"); // a column without any value is nowhere
  table.waiting.set("tags", true); // never asked for with the columns
  for (const key of [...table.cache.keys()]) if (/^(text |colors |order |bounds |signed )?tags\b/.test(key)) table.cache.delete(key);
  return table;
}

/** Keep `page.table` annotated; `drawn()` draws what changed. */
export function follow(page, drawn) {
  let asking = false;
  document.addEventListener("csp-status", async ({ detail: { fresh } }) => {
    const of = page.table;
    // A new table may have candidates that were tagged in another study.
    if (!of || asking || typeof fresh.annotations !== "string" || fresh.annotations === of.annotations || fresh.study !== of.header.study) return;
    asking = true;
    try {
      const found = fresh.annotations ? await read(of.header.study) : NONE, same = JSON.stringify(found) === JSON.stringify(kept);
      kept = found;
      page.table.annotations = fresh.annotations;
      if (same) return;
      annotate(page.table);
      drawn();
    } catch { /* asked again with the next status */ } finally { asking = false; }
  });
}

async function read(study) {
  const response = await fetch(`/annotations?${new URLSearchParams({ study })}`, { cache: "no-store" });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
}

/** Rows of ids: a candidate may be proposed twice. Ids are compared as numbers, which is fast for 100,000 rows. */
function rowsOf(table, ids) {
  const found = new Map();
  if (!ids.length) return found;
  const bytes = table.columns.get("id").values, wanted = new Map(ids.map((id) => [parseInt(id, 16), id]));
  for (let row = 0, at = 0; row < table.rows; row++, at += 6) {
    const number = ((bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2]) * 2 ** 24 + ((bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5]);
    const id = wanted.get(number);
    if (id !== undefined) { if (found.has(id)) found.get(id).push(row); else found.set(id, [row]); }
  }
  return found;
}
