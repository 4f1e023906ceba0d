// Skill in words. Where its interval holds zero, no skill was shown, and the page says so.

import { UNKNOWN, change, isKnown, signed } from "./format.js";

/**
 * @typedef {object} SkillText
 * @property {string} value such as `+1.2 %` or `not shown`
 * @property {string} interval such as `[+0.4, +2.0]`, or empty
 * @property {"good"|"bad"|"muted"} tone
 */

/**
 * Describe a skill against zero change.
 * @param {number|null} value 1 - squared error / squared error of zero change
 * @param {number|null} low lower end of its 95 % interval
 * @param {number|null} high upper end
 * @returns {SkillText}
 */
export function describeSkill(value, low, high) {
  if (!isKnown(value)) return { value: UNKNOWN, interval: "", tone: "muted" };
  if (!isKnown(low) || !isKnown(high)) return { value: "too few", interval: "", tone: "muted" };
  const decimals = decimalsOf(low * 100, high * 100);
  const interval = `[${signed(low * 100, decimals)}, ${signed(high * 100, decimals)}]`;
  if (low > 0) return { value: change(value, decimals), interval, tone: "good" };
  if (high < 0) return { value: change(value, decimals), interval, tone: "bad" };
  return { value: "not shown", interval, tone: "muted" };
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
