// The figures of one symbol, from its row of the overview.

import { makeAge, makeTime } from "../clock.js";
import { make } from "../dom.js";
import * as format from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { makeFigure } from "../overview/strip.js";
import { describeSkill, skillOf } from "../skill_text.js";
import { describeNewestOutcome } from "./outcomes.js";

/**
 * Make the strip of a symbol.
 * @param {import("../overview_store.js").Row} row
 * @param {import("./history.js").History} history
 * @returns {HTMLElement}
 */
export function makeSymbolFigures(row, history) {
  const outcome = describeNewestOutcome(history);
  const list = make("dl", { class: "strip card" }, ...figuresOf(row).map(makeFigure));
  const newest = makeFigure({
    label: "Newest outcome",
    value: make(
      "span",
      { id: "newest-outcome", "data-hit": outcome.hit },
      outcome.text.split(",")[0],
    ),
    details: [outcomeDetails(history.newestOutcome)],
    title: GLOSSARY.lastHit,
    tone: outcome.tone,
  });
  list.insertBefore(newest, list.children[3] ?? null);
  return list;
}

function figuresOf(row) {
  const skill = describeSkill(skillOf(row));
  const width = format.isKnown(row.upper_change) ? row.upper_change - row.lower_change : null;
  return [
    {
      label: "Close",
      value: format.price(row.close),
      details: [`${format.change(row.last_change)} to the close before`],
      title: GLOSSARY.close,
    },
    {
      label: "Next close, forecast",
      value: format.price(row.calibrated_close),
      details: [
        `${format.change(row.calibrated_change, 3)} · ${describeActionable(row.actionable)}`,
      ],
      title: `${GLOSSARY.forecast}\n\nActionable: ${GLOSSARY.actionable}`,
      tone: "model",
    },
    {
      label: "90 % bounds of it",
      value: `± ${format.share(width === null ? null : width / 2, 2)}`,
      details: [`${format.price(row.lower_close)} to ${format.price(row.upper_close)}`],
      title: GLOSSARY.bounds,
    },
    {
      label: "Skill against zero change",
      value: skill.value,
      details: [`${skill.interval} · n ${format.count(row.skill_n)}`],
      title: GLOSSARY.skill,
      tone: skill.tone,
    },
    {
      label: "Hit rate",
      value: format.share(row.hit_rate),
      details: [`coverage ${format.share(row.coverage)}`],
      title: `${GLOSSARY.hitRate}\n\n${GLOSSARY.coverage}`,
    },
    {
      label: "Model",
      value: make("span", { class: "mono" }, format.shortVersion(row.model_version)),
      details: [`${format.plural(row.steps ?? 0, "step")} since its promotion`],
      title: `${row.model_version ?? ""}\n${GLOSSARY.steps}`,
    },
    {
      label: "Newest candle",
      value: make("span", { id: "age" }, makeAge(row.arrived_ms)),
      details: [`arrived `, makeTime(row.arrived_ms, { withDate: false, withSeconds: true })],
      title: GLOSSARY.age,
    },
  ];
}

function describeActionable(isActionable) {
  if (isActionable === null || isActionable === undefined) return "no prediction yet";
  return isActionable ? "◆ actionable" : "not actionable";
}

function outcomeDetails(outcome) {
  if (outcome === null) return "known at the next close";
  const change = format.change(outcome.outcome_close / outcome.base_close - 1);
  const bounds = outcome.inside ? "inside the bounds" : "✕ outside the bounds";
  return `${change}, ${bounds}`;
}
