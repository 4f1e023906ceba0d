// Skill in words. Where its interval holds zero, no skill was shown, and the page says so.

import { UNKNOWN, change, isKnown, signed } from "./format.js";

/**
 * @typedef {object} SkillText
 * @property {string} value such as `+1.2 %` or `not shown`
 * @property {string} interval such as `[+0.4, +2.0]`, or empty
 * @property {"good"|"bad"|"muted"} tone
 */

/** Outcomes below which an interval says little. */
export const FEWEST_OUTCOMES = 12;

/**
 * Describe a skill against zero change.
 * @param {{value: number, low: number, high: number, n?: number}|null|undefined} skill 1 - squared
 *   error / squared error of zero change, its 95 % interval, and the outcomes it was computed from
 * @returns {SkillText}
 */
export function describeSkill(skill) {
  if (!isKnown(skill?.value)) return { value: UNKNOWN, interval: "", tone: "muted" };
  const { value, low, high, n } = skill;
  const isEnough = isKnown(low) && isKnown(high) && (n ?? FEWEST_OUTCOMES) >= FEWEST_OUTCOMES;
  if (!isEnough) return { value: "too few", interval: "", tone: "muted" };
  const decimals = decimalsOf(low * 100, high * 100);
  const interval = `[${signed(low * 100, decimals)}, ${signed(high * 100, decimals)}]`;
  if (low > 0) return { value: change(value, decimals), interval, tone: "good" };
  if (high < 0) return { value: change(value, decimals), interval, tone: "bad" };
  return { value: "not shown", interval, tone: "muted" };
}

/**
 * Return the skill of a symbol's row.
 * @param {import("./overview_store.js").Row} row
 */
export function skillOf({ skill: value, skill_low: low, skill_high: high, skill_n: n }) {
  return { value, low, high, n };
}

const MOST_DECIMALS = 3;

/** The narrower an interval, the more digits its ends have; an end keeps its sign. */
function decimalsOf(low, high) {
  const wanted = high > low ? 1 - Math.floor(Math.log10(high - low)) : 1;
  let decimals = Math.min(MOST_DECIMALS, Math.max(1, wanted));
  const isHidden = (end) => end !== 0 && Math.abs(end) < 0.5 * 10 ** -decimals;
  while (decimals < MOST_DECIMALS && (isHidden(low) || isHidden(high))) decimals++;
  return decimals;
}
