/* Pins: kept in the database for everyone who looks at the study, and in the link for whoever gets it. */
import { say } from "./dom.js";

export class Pins {
  constructor() { this.stored = []; this.writing = 0; this.late = false; this.began = false; }

  /** What `shown` (numbers) becomes when the database says `ids`; the same list where nothing changed elsewhere. */
  follow(ids, table, shown) {
    if (!ids || this.writing) return shown;
    if (this.late) { this.late = false; return shown; } // this answer may be from before the last write
    const now = ids.map((id) => rowOf(table, id)).filter((row) => row >= 0).map((row) => table.number(row));
    const gone = this.stored.filter((number) => !now.includes(number)), fresh = now.filter((number) => !shown.includes(number) && (!this.began || !this.stored.includes(number)));
    this.stored = now;
    this.began = true;
    return gone.length || fresh.length ? [...shown.filter((number) => !gone.includes(number)), ...fresh] : shown;
  }

  /** Keep or forget a pin in the database. Where that fails the link still has it, and a sentence that says why comes
   * back. */
  async write(table, number, on) {
    this.writing++;
    let problem = "";
    try {
      const body = JSON.stringify({ id: table.id(table.rowOf(number)), study: table.header.study, on });
      const response = await fetch("/write/pin", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) problem = answer.problem || `the server answered ${response.status}`;
    } catch { problem = "the server does not answer"; }
    this.writing--;
    this.late = true;
    if (!problem) this.stored = on ? [...this.stored.filter((other) => other !== number), number] : this.stored.filter((other) => other !== number);
    const said = `#${number} ${on ? "pinned" : "unpinned"}${problem ? ` in this link only: ${problem}` : ""}`;
    say(said);
    return problem && said;
  }
}

/** Row of an id, or -1. */
function rowOf(table, id) {
  const bytes = table.columns.get("id").values, wanted = Array.from({ length: 6 }, (_, at) => parseInt(id.slice(2 * at, 2 * at + 2), 16));
  for (let row = 0; row < table.rows; row++) if (wanted.every((byte, at) => bytes[6 * row + at] === byte)) return row;
  return -1;
}
