/* Latencies of another device than the study's own, for every page that filters and sorts by them: taken when somebody
 * chooses, asked for again while they are being predicted, kept when the study grows. */
import { say } from "./dom.js";
import { load } from "./data.js";
import { Device, load as loadPlace } from "./device.js";
import { parse } from "./view.js";

const AGAIN = { predicting: 50, grown: 300, silent: 2500 }; // milliseconds

const unreached = (dev, error) => ({ there: null, silent: true, problem: `The latencies of ${dev} did not arrive (${error.message})` });
const reached = (study, dev) => loadPlace(study, dev).catch((error) => unreached(dev, error));

export class Elsewhere {
  /** `page` has table, view, change(changes), settled(), which builds anew what was made of other numbers, and refresh(),
   * which loads all data anew. */
  constructor(page) {
    this.page = page;
    this.problem = ""; // why the device of the link is not shown
    this.device = new Device({
      device: (device) => { page.change({ device, by: "" }); this.take(true); },
      by: (by) => { page.change({ by: by === page.table.there.origin ? "" : by }); this.settle(); },
    });
  }

  update() { this.device.update(this.page.table, this.page.view, this.problem); }

  /** The study's table, which speaks of the view's device already. Call `loaded` when the page has taken it. */
  async load() {
    const given = parse(window.location.search, {}), { device, by } = this.page.view || given;
    const study = given.study || this.page.table?.header.study || ""; // the page stays with the one that it began with
    const [table, place] = await Promise.all([load(study), reached(study, device)]);
    this.asked = { device, by };
    this.grown = Boolean(place.there) && place.token !== table.header.token; // between the two answers
    this.problem = place.problem;
    this.silent = place.silent;
    if (place.there && !this.grown) table.settle(place.there, by);
    return table;
  }
  loaded() {
    if (this.grown) this.later(this.page.refresh, AGAIN.grown);
    else if (!this.changed(this.asked)) this.proceed();
  }

  /** Follow the view after it was another one. Whether it was of another device. */
  changed({ device, by }) {
    const { table, view } = this.page, other = view.device !== device;
    if (other) this.take(true);
    else if (view.by !== by && table.there) this.settle();
    return other;
  }

  /** Take the latencies of the view's device; `news` where somebody waits for them. */
  async take(news) {
    window.clearTimeout(this.timer);
    const { page } = this, { table: of, view: { device } } = page;
    const found = await reached(of.header.study, device), { there } = found;
    if (of !== page.table || device !== page.view.device) return; // something newer is on its way
    if (there && found.token !== of.header.token) { this.later(page.refresh, AGAIN.grown); return; }
    const still = found.silent && this.silent, predicting = there && of.there && there.done < there.wanted;
    this.problem = found.problem;
    this.silent = found.silent;
    if (!news && predicting) { // nothing moves until all are there
      of.there.done = there.done;
      this.device.drawn = null;
      this.update();
    } else if (news || !still) this.settle(there);
    if (news) say(there ? `Latencies of ${there.label}` : "Latencies of the study’s own device");
    this.proceed();
  }

  proceed() {
    const { there } = this.page.table;
    if (this.silent) this.later(() => this.take(false), AGAIN.silent);
    else if (there && there.done < there.wanted) this.later(() => this.take(false), AGAIN.predicting);
  }
  later(act, wait) {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(act, wait);
  }

  /** Let the table speak of a device; a budget on what is no longer known goes. */
  settle(there = this.page.table.there) {
    const { page } = this, { table } = page;
    table.settle(there, page.view.by);
    page.change({ ranges: Object.fromEntries(Object.entries(page.view.ranges).filter(([name]) => table.header.filters.includes(name))) });
    page.settled();
  }
}
