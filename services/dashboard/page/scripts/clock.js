// The server's time, so that ages are right where the viewer's clock is not.

import { make } from "./dom.js";
import { UNKNOWN, age, isKnown, localTime, timeOfDay, timestamp } from "./format.js";

let offsetMs = 0;

/** Take over the server's time. @param {number} timeMs */
export function setServerTime(timeMs) {
  offsetMs = timeMs - Date.now();
}

/** Return the server's time, ms. It goes on counting while the server is not reached. */
export function serverNow() {
  return Date.now() + offsetMs;
}

/**
 * Call `listener` once a second while the page is seen.
 * @param {() => void} listener
 * @returns {() => void} ends it
 */
export function everySecond(listener) {
  const timer = setInterval(() => document.hidden || listener(), 1000);
  return () => clearInterval(timer);
}

/**
 * Make a time in UTC that shows the viewer's time on hover.
 * @param {number|null|undefined} ms
 * @param {{withDate?: boolean, withSeconds?: boolean}} [options]
 * @returns {HTMLElement}
 */
export function makeTime(ms, { withDate = true, withSeconds = false } = {}) {
  if (ms === null || ms === undefined) return make("span", { class: "muted" }, "–");
  const text = withDate ? timestamp(ms, withSeconds) : timeOfDay(ms, withSeconds);
  const datetime = new Date(ms).toISOString();
  return make("time", { datetime, title: `${timestamp(ms, true)} UTC\n${localTime(ms)}` }, text);
}

/**
 * Make an age that goes on counting: see `countAges`.
 * @param {number|null|undefined} arrivedMs
 * @returns {HTMLElement}
 */
export function makeAge(arrivedMs) {
  const element = make("span", {}, UNKNOWN);
  setAge(element, arrivedMs);
  return element;
}

/**
 * Let an age count from another time.
 * @param {HTMLElement} element
 * @param {number|null|undefined} arrivedMs
 */
export function setAge(element, arrivedMs) {
  if (isKnown(arrivedMs)) element.dataset.arrivedMs = String(arrivedMs);
  else delete element.dataset.arrivedMs;
  showAge(element, serverNow());
}

/** Bring every age that is shown up to date. */
export function countAges() {
  const now = serverNow();
  for (const element of document.querySelectorAll("[data-arrived-ms]")) showAge(element, now);
}

/** Its one text is changed in place: an element whose children change is styled anew. */
function showAge({ dataset: { arrivedMs }, firstChild }, now) {
  const text = arrivedMs === undefined ? UNKNOWN : age(now - Number(arrivedMs));
  if (firstChild.data !== text) firstChild.data = text;
}
