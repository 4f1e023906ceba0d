// Numbers and times as people read them. What is not known is a dash.

export const UNKNOWN = "–";
const MINUS = "\u2212";
const NARROW_SPACE = "\u202f";

const formats = new Map();

/**
 * Format a number with a fixed count of decimals.
 * @param {number|null|undefined} value
 * @param {number} decimals
 */
export function decimal(value, decimals) {
  if (!isKnown(value)) return UNKNOWN;
  if (!formats.has(decimals)) {
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    formats.set(decimals, new Intl.NumberFormat("en", digits));
  }
  return formats.get(decimals).format(value).replace("-", MINUS);
}

/** Format a count: `12,345`. @param {number|null|undefined} value */
export function count(value) {
  return decimal(value, 0);
}

/**
 * Format a price with five significant digits at least, two decimals at least: from 1e-8 to 1e5.
 * @param {number|null|undefined} value in the quote currency
 */
export function price(value) {
  return decimal(value, priceDecimals(value));
}

/** Return how many decimals a price is shown with. @param {number|null|undefined} value */
export function priceDecimals(value) {
  if (!isKnown(value) || value <= 0) return 2;
  return Math.min(12, Math.max(2, 4 - Math.floor(Math.log10(value))));
}

/**
 * Format a fraction as a signed percentage.
 * @param {number|null|undefined} value a fraction
 * @param {number} [decimals]
 */
export function change(value, decimals = 2) {
  return isKnown(value) ? `${signed(value * 100, decimals)}${NARROW_SPACE}%` : UNKNOWN;
}

/** Format a number with its sign; what rounds to zero has none. */
export function signed(value, decimals) {
  if (!isKnown(value)) return UNKNOWN;
  const text = decimal(Math.abs(value), decimals);
  if (!/[1-9]/.test(text)) return text;
  return (value < 0 ? MINUS : "+") + text;
}

/**
 * Format a share as a percentage: `51.2 %`.
 * @param {number|null|undefined} value a fraction
 * @param {number} [decimals]
 */
export function share(value, decimals = 1) {
  if (value === 1) return `100${NARROW_SPACE}%`;
  return isKnown(value) ? `${decimal(value * 100, decimals)}${NARROW_SPACE}%` : UNKNOWN;
}

/** Format a latency: `120 ms`, `1.2 s`. @param {number|null|undefined} value in ms */
export function latency(value) {
  if (!isKnown(value)) return UNKNOWN;
  if (Math.abs(value) < 1000) return `${decimal(value, value < 10 ? 1 : 0)}${NARROW_SPACE}ms`;
  return Math.abs(value) < 60_000 ? `${decimal(value / 1000, 1)}${NARROW_SPACE}s` : duration(value);
}

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
];

/** Format a duration, ms, by its two largest units: `3 h 12 min`. @param {number|null} value */
export function duration(value) {
  if (!isKnown(value)) return UNKNOWN;
  const whole = Math.max(0, value);
  const first = UNITS.findIndex(([, size]) => whole >= size);
  if (first < 0) return "0 s";
  const [name, size] = UNITS[first];
  const parts = [`${Math.floor(whole / size)} ${name}`];
  const next = UNITS[first + 1];
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  if (rest > 0) parts.push(`${rest} ${next[0]}`);
  return parts.join(" ");
}

/** Format how long ago something was, ms: seconds count below a minute. @param {number} value */
export function age(value) {
  return duration(value < 60_000 ? value : Math.floor(value / 60_000) * 60_000);
}

/** Format a time of day in UTC: `12:35` or `12:35:04`. */
export function timeOfDay(ms, withSeconds = false) {
  return isKnown(ms) ? new Date(ms).toISOString().slice(11, withSeconds ? 19 : 16) : UNKNOWN;
}

/** Format a date and a time in UTC: `2026-11-26 12:35`. */
export function timestamp(ms, withSeconds = false) {
  if (!isKnown(ms)) return UNKNOWN;
  return new Date(ms)
    .toISOString()
    .slice(0, withSeconds ? 19 : 16)
    .replace("T", " ");
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const localFormat = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
});

/** Format a time where the viewer is, with the zone: what stands in a hover text. */
export function localTime(ms) {
  if (!isKnown(ms)) return "";
  return `${localFormat.format(ms)} (${zone}, your time)`;
}

/** Format a probability: `= 0.031`, `< 0.001`. @param {number|null|undefined} p */
export function probability(p) {
  if (!isKnown(p)) return UNKNOWN;
  return p < 0.001 ? "< 0.001" : decimal(p, 3);
}

/**
 * Return how many decimals tell values of this size apart, at least one.
 * @param {number} largest absolute value
 */
export function decimalsFor(largest) {
  return largest > 0 ? Math.min(6, Math.max(1, 1 - Math.floor(Math.log10(largest)))) : 1;
}

/** Make a sentence out of a reason: a capital letter, a full stop. @param {string} text */
export function sentence(text) {
  if (text === "") return "";
  const end = /[.!?…]$/.test(text) ? "" : ".";
  return text[0].toUpperCase() + text.slice(1) + end;
}

/** Shorten a model version to the part that tells versions apart. @param {string|null} version */
export function shortVersion(version) {
  return version ? version.split("-").at(-1) : UNKNOWN;
}

/** Return a count with its noun: `1 symbol`, `2 symbols`. */
export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Tell whether a number is there. @returns {boolean} */
export function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}
