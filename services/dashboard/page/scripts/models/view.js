// Models: the newest comparison, all versions with their cards, and the time line of promotions.

import { makeTime, serverNow } from "../clock.js";
import { make, makeTable } from "../dom.js";
import { makeFacts } from "../facts.js";
import * as format from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { ReportView } from "../report_view.js";
import { describeSkill } from "../skill_text.js";

const NO_MODEL =
  "No model has been published yet. The trainer publishes the first one when it has enough " +
  "candles; it appears here by itself.";

export class ModelsView extends ReportView {
  /** @param {HTMLElement} main @param {import("../session.js").Session} session */
  constructor(main, session) {
    super(main, session, {
      path: "/api/models",
      event: "models",
      loading: "Reading the versions from the topic `models`…",
    });
  }

  /** @override */
  render(models) {
    const title = make("h1", {}, "Models");
    const versions = models.versions ?? [];
    if (versions.length === 0) return [title, make("p", { class: "empty-note" }, NO_MODEL)];
    return [
      title,
      make(
        "div",
        { class: "model-columns" },
        make(
          "div",
          { class: "stack" },
          makeComparison(models.comparison),
          makeVersions(versions, models.champion),
        ),
        makeTimeLine(models.promotions ?? [], models.champion),
      ),
    ];
  }
}

function makeComparison(comparison) {
  const title = make("h2", { class: "card-title" }, "Challenger against champion");
  if (!comparison) {
    const note =
      "No challenger has been measured against a champion yet. That happens at the next training.";
    return make("section", { class: "card" }, title, make("p", { class: "card-note muted" }, note));
  }
  const { champion, challenger, candles, symbols, decision } = comparison;
  const headings = [
    { text: "Version" },
    { text: "Skill against zero change", title: GLOSSARY.skill },
    { text: "95 % interval" },
    { text: "p", isNumber: true, title: "Chance of at least this skill if there were none" },
  ];
  const rows = [
    makeSkillRow(versionName(challenger, "challenger"), comparison.skill_challenger),
    makeSkillRow(versionName(champion, "champion"), comparison.skill_champion),
    makeSkillRow(make("strong", {}, "challenger over champion"), comparison.over_champion),
  ];
  const scope = [
    "on the same candles",
    symbols && format.plural(symbols, "symbol"),
    candles && format.plural(candles, "candle"),
  ];
  return make(
    "section",
    { class: "card", "aria-label": "Challenger against champion" },
    title,
    make(
      "p",
      { class: "card-note muted" },
      scope.filter(Boolean).join(", "),
      ...makeRange(comparison),
    ),
    makeTable(headings, rows, "Challenger against champion"),
    makeDecision(decision),
  );
}

function makeRange({ from_ms: from, through_ms: through }) {
  return format.isKnown(from) && format.isKnown(through)
    ? [", ", makeTime(from), " to ", makeTime(through), " UTC"]
    : [];
}

function makeSkillRow(name, skill) {
  const { value, interval, tone } = describeSkill(skill?.value, skill?.low, skill?.high);
  const p = format.isKnown(skill?.p) ? format.decimal(skill.p, 3) : format.UNKNOWN;
  return [
    name,
    make("span", { class: tone }, value),
    interval ? `${interval} %` : format.UNKNOWN,
    p,
  ];
}

function makeDecision(decision) {
  if (!decision) return null;
  const [tone, words] = decision.promoted ? ["good", "◆ Promoted"] : ["muted", "◇ Not promoted"];
  return make(
    "p",
    { class: "card-note" },
    make("strong", { class: tone }, words),
    `: ${decision.reason}.`,
  );
}

function versionName(version, role) {
  return make(
    "span",
    {},
    make("span", { class: "mono", title: version ?? "" }, format.shortVersion(version)),
    ` (${role})`,
  );
}

function makeVersions(versions, champion) {
  const newestFirst = versions.toSorted((a, b) => (b.published_ms ?? 0) - (a.published_ms ?? 0));
  return make(
    "section",
    { class: "card", "aria-label": "Versions" },
    make(
      "h2",
      { class: "card-title" },
      "Versions",
      make("span", { class: "muted small" }, " newest first; unfold one for its card"),
    ),
    ...newestFirst.map((each) => makeVersion(each, each.version === champion)),
  );
}

function makeVersion(version, isChampion) {
  const skill = describeSkill(version.skill?.value, version.skill?.low, version.skill?.high);
  const mark = isChampion
    ? make("span", { class: "mark", title: GLOSSARY.champion }, "◆ champion")
    : null;
  const head = make(
    "summary",
    {},
    make("span", { class: "mono" }, version.version),
    mark,
    make("span", { class: "muted" }, "published ", makeTime(version.published_ms)),
    make(
      "span",
      { title: GLOSSARY.skill },
      make("span", { class: "muted" }, "skill "),
      make("span", { class: skill.tone }, skill.value),
      make("span", { class: "muted" }, ` ${skill.interval}`),
    ),
  );
  const {
    card,
    skill: _skill,
    over_champion: over,
    decision,
    version: _version,
    ...facts
  } = version;
  const rest =
    Object.keys(card ?? {}).length > 0
      ? make(
          "details",
          { id: `card-${version.version}` },
          make("summary", { class: "muted" }, "The whole card"),
          makeFacts(card),
        )
      : null;
  return make(
    "details",
    { class: "version", id: `version-${version.version}` },
    head,
    makeDecision(decision),
    over
      ? make(
          "p",
          { class: "card-note" },
          make("span", { class: "muted" }, "over the champion of then: "),
          ...makeSkillRow("", over)
            .slice(1, 3)
            .flatMap((each) => [each, " "]),
        )
      : null,
    makeFacts(facts),
    rest,
  );
}

function makeTimeLine(promotions, champion) {
  const newestFirst = promotions.toSorted((a, b) => b.time_ms - a.time_ms);
  const items = newestFirst.map((each, i) => {
    const until = newestFirst[i - 1]?.time_ms ?? serverNow();
    const isNow = i === 0 && each.version === champion;
    const isRollback = each.kind === "rollback";
    return make(
      "li",
      { class: isNow ? "is-champion" : "" },
      make(
        "p",
        {},
        make(
          "span",
          { class: isRollback ? "bad" : "good" },
          isRollback ? "↩ rollback" : "◆ promotion",
        ),
        " to ",
        make("span", { class: "mono", title: each.version }, format.shortVersion(each.version)),
      ),
      make(
        "p",
        { class: "muted small" },
        makeTime(each.time_ms),
        ` · ${isNow ? "champion for" : "held"} ${format.duration(until - each.time_ms)}`,
      ),
    );
  });
  const empty = make("p", { class: "card-note muted" }, "No version has been promoted yet.");
  return make(
    "section",
    { class: "card time-line", "aria-label": "Promotions" },
    make("h2", { class: "card-title" }, "Promotions and rollbacks"),
    items.length > 0 ? make("ol", {}, ...items) : empty,
  );
}
