// Facts that come with a name of their own: the unit is in the name.

import { makeTime } from "./clock.js";
import { make } from "./dom.js";
import * as format from "./format.js";

const MOST_SHOWN = 8; // of a list

/** @type {[RegExp, (value: any) => Node|string][]} the first that fits a name holds */
const KINDS = [
  [/(_at|since|from|through|until|published|open_time|time)_ms$/, (value) => makeTime(value)],
  [/timestamp_seconds$/, (value) => makeTime(value > 0 ? value * 1000 : null)],
  [/_ms$/, format.latency],
  [/_seconds$/, (value) => format.latency(value * 1000)],
  [/_ratio$|^share$|_share$/, (value) => format.share(value)],
  [/_bytes$/, formatBytes],
];

/**
 * Make a list of facts.
 * @param {Record<string, any>} facts
 * @returns {HTMLElement}
 */
export function makeFacts(facts) {
  const items = Object.entries(facts).flatMap(([name, value]) => [
    make("dt", {}, labelOf(name)),
    make("dd", {}, formatFact(name, value)),
  ]);
  return make("dl", { class: "facts" }, ...items);
}

/**
 * Format a value by the unit in its name.
 * @param {string} name
 * @param {any} value
 * @returns {Node|string}
 */
function formatFact(name, value) {
  if (value === null || value === undefined || value === "")
    return make("span", { class: "muted" }, format.UNKNOWN);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return formatList(value);
  if (typeof value === "object") return makeFacts(value);
  if (typeof value === "string") return value;
  const kind = KINDS.find(([pattern]) => pattern.test(name));
  return kind ? kind[1](value) : formatPlain(value);
}

/** Write a name as words, without the unit that its value is shown with. */
function labelOf(name) {
  const words = name.replace(/(_timestamp_seconds|_ms|_seconds|_ratio|_bytes|_total)(?=$|\{)/, "");
  return words.replaceAll("_", " ");
}

function formatList(values) {
  const shown = values.slice(0, MOST_SHOWN).map((each) => String(formatPlain(each)));
  const rest = values.length - shown.length;
  return shown.join(", ") + (rest > 0 ? `, and ${rest} more` : "");
}

function formatPlain(value) {
  if (typeof value !== "number") return typeof value === "object" ? JSON.stringify(value) : value;
  if (Number.isInteger(value)) return format.count(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 0.001 || size >= 1e6)
    ? value.toExponential(2)
    : format.decimal(value, 4);
}

function formatBytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const i = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${format.decimal(value / 1024 ** i, i === 0 ? 0 : 1)} ${units[i]}`;
}
