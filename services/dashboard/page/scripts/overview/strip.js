// The strip of figures over all symbols.

import { makeTime } from "../clock.js";
import { make } from "../dom.js";
import * as format from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { describeSkill } from "../skill_text.js";

/**
 * @typedef {object} Figure
 * @property {string} label
 * @property {Node|string} value
 * @property {(Node|string)[]} details
 * @property {string} title what it means
 * @property {string} [tone] good, bad or muted
 */

const wide = matchMedia("(min-width: 701px)");

/**
 * Make the strip. On a narrow window the second half is folded away.
 * @param {Record<string, any>} summary
 * @param {number|null} logNow the log's time, ms
 * @param {boolean} isOpen whether the second half is unfolded
 * @returns {HTMLElement}
 */
export function makeStrip(summary, logNow, isOpen) {
  const championNow = (each) => champion(each, logNow);
  const more = make(
    "details",
    { class: "strip-more", open: wide.matches || isOpen },
    make("summary", {}, "More figures"),
    makeList([replicas, repairs, deadLetters, connections, championNow, latencies], summary),
  );
  return make("div", {}, makeList([symbols, predictions, skill, coverage], summary), more);
}

function makeList(figures, summary) {
  return make("dl", { class: "strip" }, ...figures.map((each) => makeFigure(each(summary))));
}

/** @param {Figure} figure */
export function makeFigure({ label, value, details, title, tone }) {
  return make(
    "div",
    { class: "figure", title },
    make("dt", {}, label),
    make("dd", { class: `figure-value ${tone ?? ""}` }, value),
    make("dd", { class: "figure-details" }, ...details),
  );
}

/** @returns {Figure} */
function symbols({ symbols: counts }) {
  const names = counts.late_names ?? [];
  const rest = counts.late - names.length;
  const late = rest > 0 ? [...names, `and ${rest} more`] : names;
  const others = ["halted", "ended", "waiting"].filter((each) => counts[each] > 0);
  const words = others.map((each) => `${format.count(counts[each])} ${each}`);
  if (counts.late > 0) words.unshift(`▲ ${format.count(counts.late)} late: ${late.join(", ")}`);
  return {
    label: "Symbols live",
    value: format.count(counts.live),
    details: [words.join(" · ") || "none late or halted"],
    title: `${GLOSSARY.standing}${late.length > 0 ? `\n\nLate: ${late.join(", ")}` : ""}`,
    tone: counts.late > 0 ? "bad" : "",
  };
}

/** @returns {Figure} */
function predictions({ predictions_per_hour: perHour, predictions_last_hour: lastHour }) {
  return {
    label: "Predictions an hour",
    value: format.count(perHour),
    details: [`${format.count(lastHour)} in the last hour`],
    title: GLOSSARY.predictionsPerHour,
  };
}

/** @returns {Figure} */
function skill({ pooled_skill: pooled }) {
  const text = describeSkill(pooled);
  const p = text.interval ? `p ${format.probability(pooled.p)}` : null;
  const n = pooled ? `n ${format.count(pooled.n)}` : "no outcome yet";
  return {
    label: "Pooled skill",
    value: text.value,
    details: [[text.interval && `${text.interval} %`, p, n].filter(Boolean).join(" · ")],
    title: `${GLOSSARY.skill}\n\n${GLOSSARY.pooledSkill}`,
    tone: text.tone,
  };
}

/** @returns {Figure} */
function coverage({ coverage: bounds }) {
  const outer = bounds.find((each) => each.coverage === 90);
  const others = bounds.filter((each) => each !== outer);
  const texts = others.map((each) => `${each.coverage} %: ${format.share(each.share)}`);
  return {
    label: "90 % bounds held",
    value: format.share(outer?.share),
    details: [texts.length > 0 ? texts.join(" · ") : "no outcome yet"],
    title: GLOSSARY.coverage,
  };
}

/** @returns {Figure} */
function replicas({ replicas: members }) {
  const texts = members.map((each) => `${each.member}: ${each.partitions.join(" ") || "none"}`);
  return {
    label: "Replicas",
    value: format.count(members.length),
    details: [texts.join(" · ") || "no predictor is running"],
    title: [GLOSSARY.replicas, "", ...texts].join("\n"),
    tone: members.length === 0 ? "bad" : "",
  };
}

/** @returns {Figure} */
function repairs({ corrections: { gaps, fills, amendments }, counted_since_ms: since }) {
  return {
    label: "Gaps",
    value: format.count(gaps),
    details: [`${format.plural(fills, "fill")} · ${format.plural(amendments, "amendment")}`],
    title: `${GLOSSARY.repairs}\nCounted since ${format.timestamp(since)} UTC.`,
  };
}

/** @returns {Figure} */
function deadLetters({ dead_letters: letters, unreadable_records: unreadable }) {
  const words = letters.last_reason || "nothing was refused";
  const details = unreadable > 0 ? [`${words} · ${unreadable} unreadable`] : [words];
  const tone = letters.count > 0 ? "bad" : "";
  const title = `${GLOSSARY.deadLetters}${letters.last_reason ? `\n\n${letters.last_reason}` : ""}`;
  return { label: "Dead letters", value: format.count(letters.count), details, title, tone };
}

/** @returns {Figure} */
function connections({ reconnects, aborted_transactions: aborted }) {
  const title = GLOSSARY.connections;
  if (!format.isKnown(reconnects) && !format.isKnown(aborted)) {
    const details = ["not known: no metrics are read"];
    return { label: "Reconnects", value: format.UNKNOWN, details, title, tone: "muted" };
  }
  const details = [`${format.plural(aborted, "transaction")} taken back`];
  return { label: "Reconnects", value: format.count(reconnects), details, title };
}

/** @returns {Figure} */
function champion({ champion: model }, logNow) {
  const label = "Champion";
  if (!model)
    return {
      label,
      value: "none",
      details: ["no model yet"],
      title: GLOSSARY.champion,
      tone: "muted",
    };
  const version = make("a", { href: "/models", class: "mono" }, format.shortVersion(model.version));
  const isKnown = format.isKnown(model.since_ms) && logNow !== null;
  const age = isKnown ? `for ${format.duration(logNow - model.since_ms)}, ` : "";
  return {
    label,
    value: version,
    details: [age, "since ", makeTime(model.since_ms)],
    title: `${model.version}\n${GLOSSARY.champion}`,
  };
}

/** @returns {Figure} */
function latencies({ latency }) {
  const arrival = latency?.close_to_arrival_ms;
  const readable = latency?.arrival_to_readable_ms;
  const details = [`p99 ${format.latency(readable?.p99)}`];
  if (format.isKnown(arrival?.p50)) details.push(`; arrival ${format.latency(arrival.p50)}`);
  return {
    label: "Arrival to readable",
    value: format.latency(readable?.p50),
    details,
    title: `Medians.\n${GLOSSARY.arrivalToReadable}\n${GLOSSARY.closeToArrival}`,
  };
}
