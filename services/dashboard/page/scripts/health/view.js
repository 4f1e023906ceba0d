// Health: what is wrong now, in words, with what to do; then the parts one by one.

import { makeTime, serverNow } from "../clock.js";
import { make, makeTable } from "../dom.js";
import { makeFacts } from "../facts.js";
import * as format from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { ReportView } from "../report_view.js";
import { symbolPath } from "../server.js";

const SEVERITIES = { error: "■ Error", warning: "▲ Warning" };

export class HealthView extends ReportView {
  /** @param {HTMLElement} main @param {import("../session.js").Session} session */
  constructor(main, session) {
    super(main, session, {
      path: "/api/health",
      event: "health",
      everyMs: 5_000, // lag and latencies change without an event
      loading: "Asking Kafka and the services how they are…",
    });
  }

  /** @override */
  render(health) {
    return [
      make("h1", {}, "Health"),
      makeProblems(health.problems ?? []),
      makeServices(health.services ?? []),
      makePartitions(health.partitions ?? []),
      makeSymbols(health.symbols ?? []),
      makeParts(health),
    ];
  }
}

function makeProblems(problems) {
  const errorsFirst = problems.toSorted((a, b) => a.severity.localeCompare(b.severity));
  const items = errorsFirst.map(({ severity, what, why, todo, since_ms: since }) =>
    make(
      "li",
      { class: `card problem problem-${severity}` },
      make(
        "p",
        { class: "problem-head" },
        make("span", { class: "bad" }, SEVERITIES[severity] ?? severity),
        make("strong", {}, what),
        makeSince(since),
      ),
      why ? make("p", {}, why) : null,
      todo ? make("p", {}, make("span", { class: "muted" }, "What to do: "), todo) : null,
    ),
  );
  const fine = make(
    "p",
    { class: "card all-well" },
    make("span", { class: "good" }, "● "),
    "Nothing is wrong now.",
  );
  return make(
    "section",
    { "aria-label": "What is wrong now", id: "problems" },
    items.length > 0 ? make("ul", { class: "problems" }, ...items) : fine,
  );
}

function makeSince(since) {
  if (!format.isKnown(since)) return null;
  const age = format.duration(serverNow() - since);
  return make("span", { class: "muted" }, `for ${age}, since `, makeTime(since));
}

function makeServices(services) {
  if (services.length === 0) {
    const hint = "No service is asked for its metrics. METRICS_URLS names them; `ulstm up` does.";
    return makeSection("Services", "", make("p", { class: "card-note muted" }, hint));
  }
  return makeSection("Services", "", make("div", { class: "cards" }, ...services.map(makeService)));
}

function makeService({ name, address, is_live: isLive, is_ready: isReady, reason, facts }) {
  const silent = isLive ? ["bad", "▲ not ready"] : ["bad", "■ does not answer"];
  const [tone, words] = isReady ? ["good", "● ready"] : silent;
  return make(
    "div",
    { class: "service" },
    make("h3", {}, name, " ", make("span", { class: tone }, words)),
    make("p", { class: "muted small" }, address),
    reason ? make("p", {}, reason) : null,
    makeMetrics(address, facts ?? {}),
  );
}

function makeMetrics(address, facts) {
  const names = Object.keys(facts).length;
  if (names === 0) return null;
  const summary = make("summary", { class: "muted" }, format.plural(names, "metric"));
  return make("details", { id: `metrics-${address}` }, summary, makeFacts(facts));
}

function makePartitions(partitions) {
  const headings = [
    { text: "Partition", isNumber: true, title: "A symbol group" },
    { text: "Symbols", isNumber: true },
    { text: "Replica", title: GLOSSARY.replicas },
    { text: "Committed", isNumber: true, title: "Offset that a predictor goes on from" },
    { text: "End", isNumber: true, title: "Offset that the next candle gets" },
    { text: "Lag", isNumber: true, title: GLOSSARY.lag },
    { text: "Oldest unread" },
  ];
  const rows = partitions.map((each) => [
    String(each.partition),
    format.count(each.symbols),
    each.replica ?? make("span", { class: "bad" }, "▲ nobody"),
    format.count(each.committed),
    format.count(each.end),
    make("span", { class: each.lag > each.symbols ? "bad" : "" }, format.count(each.lag)),
    each.oldest_unread_ms ? makeTime(each.oldest_unread_ms) : "",
  ]);
  return makeSection(
    "Symbol groups",
    "who predicts them, and how far behind",
    makeTable(headings, rows, "Symbol groups"),
  );
}

function makeSymbols(symbols) {
  if (symbols.length === 0)
    return makeSection(
      "Symbols",
      "",
      make("p", { class: "card-note" }, "All symbols are followed as they should."),
    );
  const headings = [
    { text: "Symbol" },
    { text: "Standing", title: GLOSSARY.standing },
    { text: "Since (UTC)" },
    { text: "Reason" },
  ];
  const rows = symbols.map((each) => [
    make("a", { href: symbolPath(each.symbol) }, each.symbol),
    make("span", { class: "bad" }, each.standing),
    makeTime(each.since_ms),
    each.reason ?? "",
  ]);
  return makeSection(
    "Symbols that are not fine",
    format.plural(symbols.length, "symbol"),
    makeTable(headings, rows, "Symbols that are not fine"),
  );
}

function makeParts({ feed, redis, kafka, recoveries }) {
  const parts = [
    ["Feed", feed, "The producer's connections to the exchange."],
    ["Kafka", kafka, ""],
    ["Redis", redis, "A copy of the state; it may be lost."],
    ["Recoveries", recoveries, "How predictors have found their state again."],
  ];
  const cards = parts.map(([title, facts, subtitle]) =>
    make(
      "section",
      { class: "card" },
      makeTitle(title, subtitle),
      facts
        ? makeFacts(facts)
        : make("p", { class: "card-note muted" }, "Not known: no service that tells is asked."),
    ),
  );
  return make("div", { class: "parts" }, ...cards);
}

function makeSection(title, subtitle, ...content) {
  return make("section", { class: "card" }, makeTitle(title, subtitle), ...content);
}

function makeTitle(title, subtitle) {
  return make(
    "h2",
    { class: "card-title" },
    title,
    subtitle ? make("span", { class: "muted small" }, ` ${subtitle}`) : null,
  );
}
