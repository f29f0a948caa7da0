/* What is on the screen as commands for a terminal: search.export of a candidate, search.pick of the question. */

import { stepText } from "./steps.js";

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** A word of a command line; what is not seen stands as an escape, which bash and zsh turn back. */
export function quoted(text) {
  if (/^[\w./:@=+-]+$/.test(text)) return text;
  if (!UNSEEN.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const hex = (sign) => sign.codePointAt(0).toString(16);
  const escaped = (sign) => (sign.codePointAt(0) < 0x10000 ? `\\u${hex(sign).padStart(4, "0")}` : `\\U${hex(sign).padStart(8, "0")}`);
  return `$'${[...text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")].map((sign) => (UNSEEN.test(sign) ? escaped(sign) : sign)).join("")}'`;
}

/** `--db` and `--name`, where they are not what the command takes by itself. */
function where(header) {
  const parts = header.database && header.database !== "csp.db" ? ["--db", quoted(header.database)] : [];
  return header.several ? [...parts, "--name", quoted(header.study)] : parts;
}

/** The command that exports a candidate. */
export function exportCommand(table, row) {
  const id = table.id(row);
  return ["python -m search.export", id, "--to onnx -o", id, ...where(table.header)].join(" ");
}

/** The command that gives this answer, and why it might not; null where no command can name the device. The answer is
 * the best score inside the filters, whatever the axes, the front and the toggles. */
export function pickCommand(table, view, basis) {
  const { header, there } = table, parts = [], left = [];
  if (there && !there.name) return { command: null, left: [`${there.label} has no name of its own on a command line`] };
  if (there) parts.push("--device", quoted(there.name));
  if (there && table.by === "measured") parts.push("--measured-only");
  if (there && table.by === "predicted" && there.measured.some((value) => value === value)) left.push("it takes measured latencies where there are any");
  if (there && Object.values(there.costs).includes(null)) left.push("it counts costs at the image size of the device");
  if (basis === "verified" && view.ranges[header.objectives[0]]) left.push(`it takes a budget on ${header.fields[header.objectives[0]].label} for one on the verified one`);
  if (there && there.wanted && there.wanted < table.complete.reduce((sum, one) => sum + one, 0)) left.push("it predicts every candidate");
  for (const name of header.filters) {
    const field = header.fields[name], [low, high] = view.ranges[name] || [null, null];
    if (low === null && high === null) continue;
    if (field.kind !== "metric") { left.push(`it has no option for ${field.label}`); continue; }
    if (high !== null) parts.push("--max", `${name}=${Number(high.toPrecision(10))}`);
    if (low !== null) parts.push("--min", `${name}=${Number(low.toPrecision(10))}`);
  }
  for (const name of header.chips) if (view.kinds[name]) left.push(`it has no option for ${header.fields[name].label}`);
  for (const step of view.steps) left.push(`it has no option for “${stepText(table, step)}”`);
  return { command: ["python -m search.pick", ...parts, ...(view.score === "proxy" ? ["--by proxy"] : []), ...where(header)].join(" "), left };
}
