// What stands around every page: the state in words, the clock, the badge of problems.

import { countAges, everySecond, serverNow } from "./clock.js";
import { make } from "./dom.js";
import { localTime, timeOfDay } from "./format.js";
import { initHelp } from "./help.js";
import { initThemeSwitch } from "./theme.js";

const byId = (id) => document.getElementById(id);

/**
 * Bring the frame to life.
 * @param {import("./session.js").Session} session
 */
export function initFrame(session) {
  initThemeSwitch(byId("theme-switch"));
  initHelp(byId("help"), byId("help-button"));
  session.on("state", showState);
  session.store.on("summary", (summary) => showProblems(summary.problems));
  everySecond(showClock);
  everySecond(countAges);
  showState(session.state);
  showClock();
}

/**
 * Mark the page that is shown.
 * @param {string|null} page its name in the navigation
 */
export function markPage(page) {
  for (const link of document.querySelectorAll(".frame-nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showState({ name, sign, title, reason, next }) {
  document.documentElement.dataset.state = name;
  const pill = byId("state");
  const text = `${sign} ${title}`;
  // Written only when it changes: a screen reader speaks at each writing.
  if (pill.textContent !== text) pill.textContent = text;
  pill.title = reason;
  const banner = byId("state-banner");
  banner.hidden = name === "live";
  banner.replaceChildren(
    make("strong", {}, `${title}.`),
    " ",
    [reason, next].filter(Boolean).join(" "),
  );
}

function showProblems(problems) {
  const badge = byId("problem-count");
  badge.hidden = !problems;
  badge.textContent = String(problems ?? "");
  badge.setAttribute("aria-label", `, ${problems} problems`);
}

function showClock() {
  const now = serverNow();
  const clock = byId("utc-clock");
  clock.textContent = `${timeOfDay(now, true)} UTC`;
  clock.dateTime = new Date(now).toISOString();
  clock.title = localTime(now);
}
