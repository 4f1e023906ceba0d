// One version: what it was measured to be worth, and its card.

import { makeTime } from "../clock.js";
import { make, makeTable } from "../dom.js";
import { makeFacts } from "../facts.js";
import * as format from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { describeSkill } from "../skill_text.js";

/**
 * Make a version that unfolds.
 * @param {Record<string, any>} version as the server has it
 * @param {boolean} isChampion
 * @returns {HTMLElement}
 */
export function makeVersion(version, isChampion) {
  const { card, skill, over_champion: over, decision, version: name, ...facts } = version;
  const { scores, ...rest } = card ?? {};
  return make(
    "details",
    { class: "version", id: `version-${name}` },
    make(
      "summary",
      {},
      make("span", { class: "mono" }, name),
      isChampion ? make("span", { class: "mark", title: GLOSSARY.champion }, "◆ champion") : null,
      make("span", { class: "muted" }, "published ", makeTime(version.published_ms)),
      makeSkill(skill),
    ),
    makeDecision(decision),
    over ? makeOver(over) : null,
    makeFacts(facts),
    makeForecasts(scores?.forecasts),
    makeBounds(scores?.intervals?.levels),
    Object.keys(rest).length > 0 ? makeRest(name, rest) : null,
  );
}

/**
 * Make the decision on a promotion.
 * @param {{promoted: boolean, reason: string}|null|undefined} decision
 * @returns {HTMLElement|null}
 */
export function makeDecision(decision) {
  if (!decision) return null;
  const [tone, words] = decision.promoted ? ["good", "◆ Promoted"] : ["muted", "◇ Not promoted"];
  const reason = `: ${format.sentence(decision.reason)}`;
  return make("p", { class: "card-note" }, make("strong", { class: tone }, words), reason);
}

/** Make the cells of a skill: value, interval, p. */
export function makeSkillCells(skill) {
  const { value, interval, tone } = describeSkill(skill);
  return [
    make("span", { class: tone }, value),
    interval ? `${interval} %` : format.UNKNOWN,
    format.probability(skill?.p),
  ];
}

function makeSkill(skill) {
  const { value, interval, tone } = describeSkill(skill);
  return make(
    "span",
    { title: GLOSSARY.skill },
    make("span", { class: "muted" }, "skill "),
    make("span", { class: tone }, value),
    make("span", { class: "muted" }, ` ${interval}`),
  );
}

function makeOver(over) {
  const [value, interval] = makeSkillCells(over);
  const label = make("span", { class: "muted" }, "over the champion of then: ");
  return make("p", { class: "card-note" }, label, value, ` ${interval}`);
}

function makeForecasts(forecasts) {
  if (!forecasts) return null;
  const headings = [
    { text: "Forecasts of the held-out candles" },
    { text: "Skill", title: GLOSSARY.skill },
    { text: "95 % interval" },
    { text: "p", isNumber: true, title: GLOSSARY.pValue },
    { text: "Directions right", isNumber: true, title: GLOSSARY.hitRate },
  ];
  const rows = Object.entries(forecasts).map(([name, { skill, hits }]) => [
    name,
    ...makeSkillCells(skill),
    hits?.moves > 0 ? format.share(hits.right / hits.moves) : format.UNKNOWN,
  ]);
  return makeTable(headings, rows, "Forecasts of the held-out candles");
}

function makeBounds(levels) {
  if (!levels) return null;
  const headings = [
    { text: "Bounds" },
    { text: "Held", isNumber: true, title: GLOSSARY.coverage },
    { text: "Mean width", isNumber: true },
    { text: "Least fitting symbol" },
  ];
  const rows = Object.entries(levels).map(([level, { covered, width, worst }]) => [
    `${level} %`,
    format.share(covered),
    format.share(width, 2),
    worst ? `${worst.symbol}: ${format.share(worst.covered)}` : format.UNKNOWN,
  ]);
  return makeTable(headings, rows, "How often the bounds held");
}

function makeRest(name, rest) {
  const summary = make("summary", { class: "muted" }, "The whole card");
  return make("details", { id: `card-${name}` }, summary, makeFacts(rest));
}
