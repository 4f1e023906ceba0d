// Marks on the candles: promotions, statuses, gaps, the newest close, the chosen candle.

import { price, shortVersion } from "../format.js";

const PRECISION = 12; // decimals; ECharts rounds to two by default, which ends small prices

/**
 * Return the lines.
 * @param {Record<string, string>} palette
 * @param {import("./history.js").History} history
 * @param {number|null} selected open time of the chosen candle
 * @param {number} pricesPx width of the prices at the right
 */
export function makeMarkLines(palette, history, selected, pricesPx) {
  const { promotions, statuses, newest, intervalMs } = history;
  const data = [
    ...promotions.map((each) => promotionLine(palette, each)),
    ...statuses.map((each) => statusLine(palette, each)),
  ];
  if (newest !== null) data.push(closeLine(palette, newest, pricesPx));
  if (selected !== null)
    data.push(timeLine(palette, selected + intervalMs / 2, "", "solid", "end"));
  return { silent: true, symbol: "none", precision: PRECISION, data };
}

/** Return the spans that have no candles. */
export function makeGapAreas(palette, { gaps }) {
  const itemStyle = { color: palette.raised };
  const label = { color: palette.muted, position: "insideBottom", fontSize: 11 };
  const data = gaps.map(([from, until]) => [
    { name: "gap", xAxis: from, itemStyle, label },
    { xAxis: until },
  ]);
  return { silent: true, data };
}

function promotionLine(palette, { open_time_ms: time, version }) {
  return timeLine(palette, time, `◆ ${shortVersion(version)}`, "dashed", "end");
}

function statusLine(palette, { time_ms: time, status }) {
  // Below the candles: a promotion at the same time has its name above.
  return timeLine(palette, time, status, "dotted", "start");
}

function timeLine(palette, time, text, type, position) {
  return {
    xAxis: time,
    label: { formatter: text, position, rotate: 0, color: palette.muted, fontSize: 11 },
    lineStyle: { color: palette.muted, type },
  };
}

function closeLine(palette, { open, close }, pricesPx) {
  const colour = close >= open ? palette.good : palette.bad;
  const label = {
    formatter: price(close),
    position: "end",
    align: "left",
    width: pricesPx - 16,
    padding: [4, 5],
    borderRadius: 2,
    backgroundColor: colour,
    color: palette.surface,
    fontSize: 11,
  };
  return { yAxis: close, label, lineStyle: { color: colour, type: "dotted" } };
}
