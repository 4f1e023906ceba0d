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
  const decimals = decimalsOf((high - low) * 100);
  const interval = `[${signed(low * 100, decimals)}, ${signed(high * 100, decimals)}]`;
  if (low > 0) return { value: change(value, decimals), interval, tone: "good" };
  if (high < 0) return { value: change(value, decimals), interval, tone: "bad" };
  return { value: "not shown", interval, tone: "muted" };
}

/** The narrower an interval, the more digits of its ends mean something. */
function decimalsOf(width) {
  if (!(width > 0)) return 1;
  return Math.min(3, Math.max(1, 1 - Math.floor(Math.log10(width))));
}
