/* A canvas that keeps what is drawn on it as SVG: the plots' painters draw pictures for files as they draw the screen. */

const short = (value) => String(Math.round(value * 100) / 100);
export const escape = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&#34;"); // the spelling that Plotly knows, too
let clips = 0;

/** The part of CanvasRenderingContext2D that the painters use; `text` is the SVG so far. */
export class Vector {
  constructor() {
    this.parts = [];
    this.open = [];
    this.style = null;
    this.globalAlpha = 1;
    this.lineWidth = 1;
    this.path = [];
  }
  getContext() { return this; }
  setTransform() {}
  save() { this.group(null); this.open.push(0); }
  restore() { this.group(null); this.parts.push("</g>".repeat(this.open.pop() || 0)); }
  beginPath() { this.path = []; this.round = null; }
  moveTo(x, y) { this.path.push(`M${short(x)} ${short(y)}`); this.round = null; }
  lineTo(x, y) { this.path.push(`L${short(x)} ${short(y)}`); this.round = null; }
  rect(x, y, width, height) { this.path.push(`M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}z`); this.round = null; }
  /** Only whole circles. */
  arc(x, y, radius) {
    this.round = this.path.length ? null : `<circle cx="${short(x)}" cy="${short(y)}" r="${short(radius)}"/>`;
    const r = short(radius);
    this.path.push(`M${short(x - radius)} ${short(y)}a${r} ${r} 0 1 0 ${short(2 * radius)} 0a${r} ${r} 0 1 0 ${short(-2 * radius)} 0`);
  }
  clip() {
    this.group(null);
    const id = `clip-${++clips}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path.join("")}"/></clipPath><g clip-path="url(#${id})">`);
    if (this.open.length) this.open[this.open.length - 1]++;
  }
  fill() { this.put(`fill="${this.fillStyle}"${this.alpha("fill")}`); }
  stroke() { this.put(`fill="none" stroke="${this.strokeStyle}" stroke-width="${short(this.lineWidth)}"${this.alpha("stroke")}`); }
  fillRect(x, y, width, height) {
    this.group(`fill="${this.fillStyle}"${this.alpha("fill")}`);
    this.parts.push(`<rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"/>`);
  }
  fillText(text, x, y) {
    this.group(null);
    this.parts.push(`<text x="${short(x)}" y="${short(y)}" fill="${this.fillStyle}" font-size="11" text-anchor="${this.textAlign === "right" ? "end" : "start"}">${escape(text)}</text>`);
  }
  alpha(what) { return this.globalAlpha < 1 ? ` ${what}-opacity="${short(this.globalAlpha)}"` : ""; }
  put(style) {
    this.group(style);
    this.parts.push(this.round || `<path d="${this.path.join("")}"/>`);
  }
  /** Elements of one style in a row share a group. */
  group(style) {
    if (style === this.style) return;
    if (this.style !== null) this.parts.push("</g>");
    if (style !== null) this.parts.push(`<g ${style}>`);
    this.style = style;
  }
  get text() { this.group(null); return this.parts.join(""); }
}
