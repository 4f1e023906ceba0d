// Models: the newest comparison, all versions with their cards, and the time line of promotions.

import { makeTime } from "../clock.js";
import { make } from "../dom.js";
import * as format from "../format.js";
import { ReportView } from "../report_view.js";
import { makeVersion } from "./card.js";
import { drawRunning, makeComparison } from "./comparison.js";

const NO_MODEL =
  "No model has been published yet. The trainer publishes the first one when it has enough " +
  "candles; it appears here by itself.";

export class ModelsView extends ReportView {
  /** @type {import("../charts.js").Chart|null} */
  #chart = null;
  #session;

  /** @param {HTMLElement} main @param {import("../session.js").Session} session */
  constructor(main, session) {
    super(main, session, {
      path: "/api/models",
      event: "models",
      loading: "Reading the versions from the topic `models`…",
    });
    this.#session = session;
  }

  /** @override */
  render({ versions = [], champion, promotions = [], comparison }) {
    const title = make("h1", {}, "Models");
    if (versions.length === 0) return [title, make("p", { class: "empty-note" }, NO_MODEL)];
    const { logNow } = this.#session.store;
    return [
      title,
      make(
        "div",
        { class: "model-columns" },
        make(
          "div",
          { class: "stack" },
          makeComparison(comparison),
          makeVersions(versions, champion),
        ),
        makeTimeLine(promotions, champion, logNow),
      ),
    ];
  }

  /** @override */
  async afterShow({ comparison }) {
    this.#chart?.close();
    this.#chart = null;
    this.#chart = await drawRunning(comparison);
  }

  /** @override */
  close() {
    this.#chart?.close();
    super.close();
  }
}

function makeVersions(versions, champion) {
  const newestFirst = versions.toSorted((a, b) => (b.published_ms ?? 0) - (a.published_ms ?? 0));
  const hint = make("span", { class: "muted small" }, "newest first; unfold one for its card");
  return make(
    "section",
    { class: "card", "aria-label": "Versions" },
    make("h2", { class: "card-title" }, "Versions", hint),
    ...newestFirst.map((each) => makeVersion(each, each.version === champion)),
  );
}

/** Times of promotions are the log's: see `OverviewStore.logNow`. */
function makeTimeLine(promotions, champion, logNow) {
  const newestFirst = promotions.toSorted((a, b) => b.time_ms - a.time_ms);
  const items = newestFirst.map((each, i) => {
    const isChampion = i === 0 && each.version === champion;
    return makeMoment(each, newestFirst[i - 1]?.time_ms ?? logNow, isChampion);
  });
  const empty = make("p", { class: "card-note muted" }, "No version has been promoted yet.");
  return make(
    "section",
    { class: "card time-line", "aria-label": "Promotions" },
    make("h2", { class: "card-title" }, "Promotions and rollbacks"),
    items.length > 0 ? make("ol", {}, ...items) : empty,
  );
}

function makeMoment({ version, kind, time_ms: time }, untilMs, isChampion) {
  const [tone, words] = kind === "rollback" ? ["bad", "↩ rollback"] : ["good", "◆ promotion"];
  const name = make("span", { class: "mono", title: version }, format.shortVersion(version));
  const held = format.isKnown(untilMs) ? format.duration(untilMs - time) : format.UNKNOWN;
  return make(
    "li",
    { class: isChampion ? "is-champion" : "" },
    make("p", {}, make("span", { class: tone }, words), " to ", name),
    make(
      "p",
      { class: "muted small" },
      makeTime(time),
      ` · ${isChampion ? "champion for" : "held"} ${held}`,
    ),
  );
}
