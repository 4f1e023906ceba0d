// Predictions and their outcomes in words: the newest one, and a table of the newest twelve.

import { makeTime } from "../clock.js";
import { make, makeTable } from "../dom.js";
import { change, price, shortVersion } from "../format.js";

const NEWEST = 12;

const HEADINGS = [
  { text: "Candle (UTC)" },
  { text: "Last close", isNumber: true },
  { text: "Forecast", isNumber: true },
  { text: "Next close", isNumber: true },
  { text: "90 % bounds", isNumber: true },
  { text: "Outcome", isNumber: true },
  { text: "Direction" },
  { text: "Bounds" },
  { text: "Version" },
];

/**
 * Describe the newest outcome.
 * @param {import("./history.js").History} history
 * @returns {{hit: "true"|"false"|"none", text: string, tone: string}}
 */
export function describeNewestOutcome({ newestOutcome: outcome }) {
  if (outcome === null) return { hit: "none", text: "No outcome yet", tone: "muted" };
  const bounds = outcome.inside === false ? ", outside the bounds" : "";
  if (outcome.hit === null) return { hit: "none", text: `No direction${bounds}`, tone: "muted" };
  if (outcome.hit) return { hit: "true", text: `● Hit${bounds}`, tone: "good" };
  return { hit: "false", text: `○ Miss${bounds}`, tone: "bad" };
}

/**
 * Make the table of the newest predictions.
 * @param {import("./history.js").History} history
 * @returns {HTMLElement}
 */
export function makeOutcomeTable(history) {
  const rows = history.predictions.slice(-NEWEST).reverse().map(toCells);
  return makeTable(HEADINGS, rows, "Newest predictions and their outcomes");
}

function toCells(each) {
  const forecast = each.calibrated_close / each.base_close - 1;
  const outcome = each.outcome_close;
  return [
    makeTime(each.open_time_ms),
    price(each.base_close),
    make("span", { class: "model" }, change(forecast, 3)),
    make("span", { class: "model" }, price(each.calibrated_close)),
    `${price(each.lower_90)} – ${price(each.upper_90)}`,
    outcome === null
      ? "not closed yet"
      : `${price(outcome)} (${change(outcome / each.base_close - 1)})`,
    makeVerdict(each.hit, "● hit", "○ miss"),
    makeVerdict(each.inside, "inside", "✕ outside"),
    make("span", { class: "mono", title: each.version }, shortVersion(each.version)),
  ];
}

function makeVerdict(isGood, yes, no) {
  if (isGood === null) return make("span", { class: "muted" }, "–");
  return make("span", { class: isGood ? "good" : "bad" }, isGood ? yes : no);
}
