// A cell that draws bounds and forecast around the last close.

import { make, makeSvg } from "../dom.js";
import { UNKNOWN, isKnown, signed } from "../format.js";

const WIDTH = 56;
const HEIGHT = 14;
const MIDDLE = WIDTH / 2;

/** Bounds that are wider are drawn up to the edge; one scale for all, so that rows compare. */
const FULL_SCALE = 0.01;

/** Draws `-0.42 |--·--| +0.44` as fractions of the last close; a new value moves its parts. */
export class RangeCell {
  #lower = document.createTextNode("");
  #upper = document.createTextNode("");
  #band = makeSvg("rect", { y: HEIGHT / 2 - 3, height: 6, class: "range-band" });
  #forecast = makeSvg("line", { y1: 2, y2: HEIGHT - 2, class: "range-forecast" });
  #drawing = makeSvg(
    "svg",
    { width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    makeSvg("line", { x1: MIDDLE, x2: MIDDLE, y1: 0, y2: HEIGHT, class: "range-zero" }),
    this.#band,
    this.#forecast,
  );
  #cell = make(
    "span",
    { class: "range" },
    make("span", {}, this.#lower),
    this.#drawing,
    make("span", {}, this.#upper),
  );

  /** @param {{data: import("../overview_store.js").Row}} cell */
  init(cell) {
    this.refresh(cell);
  }

  getGui() {
    return this.#cell;
  }

  refresh({ data: { lower_change: lower, upper_change: upper, calibrated_change: forecast } }) {
    const isDrawn = isKnown(lower) && isKnown(upper);
    this.#drawing.classList.toggle("range-unknown", !isDrawn);
    this.#lower.data = isDrawn ? signed(lower * 100, 2) : UNKNOWN;
    this.#upper.data = isDrawn ? `${signed(upper * 100, 2)}\u202f%` : "";
    if (isDrawn) this.#draw(toX(lower), toX(upper), toX(forecast ?? 0));
    return true;
  }

  #draw(from, until, forecast) {
    this.#band.setAttribute("x", String(from));
    this.#band.setAttribute("width", String(Math.max(1, until - from)));
    for (const end of ["x1", "x2"]) this.#forecast.setAttribute(end, String(forecast));
  }
}

/** Square root: small symbols stay visible beside volatile ones. */
function toX(change) {
  const share = Math.min(1, Math.sqrt(Math.abs(change) / FULL_SCALE));
  return Math.round((MIDDLE + Math.sign(change) * share * (MIDDLE - 1)) * 10) / 10;
}
