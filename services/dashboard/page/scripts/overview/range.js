// A cell that draws bounds and forecast around the last close.

import { make, makeSvg } from "../dom.js";
import { isKnown, signed } from "../format.js";

const WIDTH = 56;
const HEIGHT = 14;
const MIDDLE = WIDTH / 2;

/** Bounds that are wider are drawn up to the edge; one scale for all, so that rows compare. */
const FULL_SCALE = 0.01;

/**
 * Draw `-0.42 |--·--| +0.44` as fractions of the last close.
 * @param {import("../overview_store.js").Row} row
 * @returns {HTMLElement}
 */
export function drawRange({
  lower_change: lower,
  upper_change: upper,
  calibrated_change: forecast,
}) {
  if (!isKnown(lower) || !isKnown(upper)) return make("span", { class: "muted" }, "–");
  return make(
    "span",
    { class: "range" },
    make("span", {}, signed(lower * 100, 2)),
    drawing(toX(lower), toX(upper), toX(forecast ?? 0)),
    make("span", {}, `${signed(upper * 100, 2)}\u202f%`),
  );
}

function drawing(from, until, forecast) {
  const middle = HEIGHT / 2;
  return makeSvg(
    "svg",
    { width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    makeSvg("line", { x1: MIDDLE, x2: MIDDLE, y1: 0, y2: HEIGHT, class: "range-zero" }),
    makeSvg("rect", {
      x: from,
      y: middle - 3,
      width: Math.max(1, until - from),
      height: 6,
      class: "range-band",
    }),
    makeSvg("line", { x1: forecast, x2: forecast, y1: 2, y2: HEIGHT - 2, class: "range-forecast" }),
  );
}

/** Square root: small symbols stay visible beside volatile ones. */
function toX(change) {
  const share = Math.min(1, Math.sqrt(Math.abs(change) / FULL_SCALE));
  return Math.round((MIDDLE + Math.sign(change) * share * (MIDDLE - 1)) * 10) / 10;
}
