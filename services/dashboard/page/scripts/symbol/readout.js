// The line above the candles: the values of one candle and of the prediction for it.

import { makeTime } from "../clock.js";
import { make } from "../dom.js";
import { change, price } from "../format.js";

/**
 * Make the values of the candle that opens at `openTimeMs`.
 * @param {import("./history.js").History} history
 * @param {number|null} openTimeMs null: the newest one
 * @returns {Node[]}
 */
export function makeReadout(history, openTimeMs) {
  const time = openTimeMs ?? history.newest?.open_time_ms ?? null;
  if (time === null) return [];
  const candle = history.candles.findLast((each) => each.open_time_ms === time);
  const prediction = history.predictionAt(time);
  return [
    make("span", {}, makeTime(time), " UTC"),
    ...describeCandle(candle),
    ...describePrediction(prediction),
  ];
}

function describeCandle(candle) {
  if (candle === undefined) return [make("span", { class: "muted" }, "not closed yet")];
  const { open, high, low, close, corrected } = candle;
  const tone = close >= open ? "good" : "bad";
  const values = [
    ["O", open],
    ["H", high],
    ["L", low],
    ["C", close],
  ];
  const nodes = values.map(([name, value]) => pair(name, price(value), tone));
  const sign = close >= open ? "▲" : "▼";
  nodes.push(make("span", { class: tone }, `${sign} ${change(close / open - 1)}`));
  if (corrected) nodes.push(make("span", { class: "muted" }, "✎ corrected"));
  return nodes;
}

function describePrediction(prediction) {
  if (prediction === null) return [];
  const { calibrated_close: close, lower_90: lower, upper_90: upper, hit, inside } = prediction;
  const nodes = [pair("predicted", `${price(close)} [${price(lower)}, ${price(upper)}]`, "model")];
  if (hit !== null)
    nodes.push(make("span", { class: hit ? "good" : "bad" }, hit ? "● hit" : "○ miss"));
  if (inside === false) nodes.push(make("span", { class: "bad" }, "✕ outside"));
  return nodes;
}

function pair(name, value, tone) {
  return make(
    "span",
    {},
    make("span", { class: "muted" }, `${name} `),
    make("span", { class: tone }, value),
  );
}
