// One symbol: its candles with what was and is predicted, and how good that has been.

import { make } from "../dom.js";
import { sentence } from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { setPageKeys } from "../keys.js";
import { navigate } from "../router.js";
import { ServerError, fetchJson, symbolPath } from "../server.js";
import { CandleChart } from "./candle_chart.js";
import { makeSymbolFigures } from "./figures.js";
import { History } from "./history.js";
import { makeOutcomeTable } from "./outcomes.js";
import { makeReadout } from "./readout.js";
import { SideCharts } from "./side_charts.js";

const PAGE_CANDLES = 288;
const OLDER_CANDLES = 1000;
const KEY_LINE = "Drag to move, wheel or + − to zoom, click or ← → to choose a candle, O for older";

export class SymbolView {
  #session;
  #symbol;
  #main;
  #history = new History();
  /** @type {CandleChart|null} */
  #chart = null;
  /** @type {SideCharts|null} */
  #sides = null;
  #isClosed = false;
  #closers;
  #hovered = null;
  #figures = make("section", { "aria-label": "Figures of the symbol" });
  #readout = make("p", { class: "readout", "aria-live": "off" });
  #older = make("button", { type: "button", onclick: () => this.#loadOlder() }, "Load older");
  #outcomes = make("div");
  #body = make(
    "div",
    { class: "symbol-body" },
    make("p", { class: "empty-note" }, "Reading the symbol's past from the log…"),
  );
  #neighbours = make("nav", { class: "neighbours", "aria-label": "Other symbols" });

  /**
   * @param {HTMLElement} main
   * @param {import("../session.js").Session} session
   * @param {string} symbol
   */
  constructor(main, session, symbol) {
    this.#main = main;
    this.#session = session;
    this.#symbol = symbol;
    main.append(this.#makeHead(), this.#figures, this.#body);
    setPageKeys(this.#keys());
    this.#closers = [
      session.store.on("rows", () => this.#showRow()),
      session.on("symbol", (part) => this.#onNews(part)),
      session.on("synchronised", () => this.#load()),
    ];
    this.#showRow();
    this.#load();
  }

  close() {
    this.#isClosed = true;
    this.#chart?.close();
    this.#sides?.close();
    for (const close of this.#closers) close();
  }

  #keys() {
    return {
      Escape: () => navigate("/"),
      "[": () => this.#goTo(-1),
      "]": () => this.#goTo(1),
      "+": () => this.#chart?.zoom(true),
      "-": () => this.#chart?.zoom(false),
      o: () => this.#loadOlder(),
      ArrowLeft: () => this.#chart?.move(-1),
      ArrowRight: () => this.#chart?.move(1),
    };
  }

  #makeHead() {
    const back = make(
      "a",
      { href: "/", class: "back", title: "Back to the overview (Esc)" },
      "← Overview",
    );
    return make(
      "div",
      { class: "symbol-head" },
      back,
      make("h1", {}, this.#symbol),
      this.#neighbours,
    );
  }

  async #load() {
    try {
      const page = await fetchJson(`/api${symbolPath(this.#symbol)}?candles=${PAGE_CANDLES}`);
      if (!this.#isClosed) this.#onPage(page);
    } catch (error) {
      // A server that does not answer is told by the state; the past is asked for again with it.
      if (!this.#isClosed && error instanceof ServerError) this.#showRefusal(error);
    }
  }

  #onPage(page) {
    const isFirst = this.#history.candles.length === 0;
    const wasAtBeginning = this.#history.isAtBeginning;
    this.#history.add(page, "page");
    if (!isFirst) this.#history.isAtBeginning = wasAtBeginning;
    if (isFirst && this.#history.newest !== null) this.#openCharts();
    else if (isFirst)
      this.#showNote("No candle of this symbol has been read yet. It appears here by itself.");
    else this.#update();
  }

  #onNews(part) {
    if (part === null || part.symbol !== this.#symbol) return;
    this.#history.add(part, "news");
    if (this.#chart === null && this.#history.newest !== null) this.#openCharts();
    else this.#update();
  }

  async #loadOlder() {
    if (this.#older.disabled || this.#chart === null) return;
    this.#older.disabled = true;
    const before = this.#history.candles[0].open_time_ms;
    const path = `/api${symbolPath(this.#symbol)}?candles=${OLDER_CANDLES}&before_ms=${before}`;
    try {
      this.#history.add(await fetchJson(path), "page");
    } catch (error) {
      this.#older.title = `Older candles could not be read: ${error.message}`;
    }
    if (!this.#isClosed) this.#update();
  }

  #openCharts() {
    const candles = make("div", { id: "candles", class: "candles", tabindex: "0", role: "img" });
    const [skill, calibration, errors] = ["skill", "calibration", "errors"].map((name) =>
      make("div", { class: "side-chart", id: `chart-${name}`, role: "img" }),
    );
    this.#body.replaceChildren(
      make(
        "section",
        { class: "card chart-card" },
        make("div", { class: "chart-head" }, this.#readout, this.#older),
        candles,
        makeLegend(),
      ),
      make(
        "div",
        { class: "side-charts" },
        makeSide(
          "Skill against zero change",
          "newest 288 candles, with its 95 % interval",
          GLOSSARY.skill,
          skill,
        ),
        makeSide(
          "Calibration",
          "change that followed, by forecast",
          GLOSSARY.calibration,
          calibration,
        ),
        makeSide(
          "Error of the last day",
          "lead over zero change, summed; above 0: better",
          GLOSSARY.lead,
          errors,
        ),
      ),
      make(
        "section",
        { class: "card" },
        make("h2", { class: "card-title" }, "Newest predictions"),
        this.#outcomes,
      ),
    );
    this.#chart = new CandleChart(candles, this.#history);
    this.#chart.on("hover", (time) => this.#showReadout((this.#hovered = time)));
    this.#chart.on("select", () => this.#showReadout(null));
    this.#sides = new SideCharts({ skill, calibration, errors }, this.#history);
    this.#update();
  }

  #update() {
    this.#showRow();
    if (this.#chart === null) return;
    this.#chart.update();
    this.#sides.update();
    this.#older.disabled = this.#history.isAtBeginning;
    this.#older.textContent = this.#history.isAtBeginning ? "Beginning of the log" : "Load older";
    this.#outcomes.replaceChildren(makeOutcomeTable(this.#history));
    this.#showReadout(this.#hovered);
    document.getElementById("candles").setAttribute("aria-label", this.#describeChart());
  }

  #describeChart() {
    const { candles, predictions } = this.#history;
    const what = `${candles.length} candles of ${this.#symbol}, ${predictions.length} predictions`;
    return `${what}; the table below has the newest ones in words`;
  }

  #showReadout(time) {
    this.#readout.replaceChildren(...makeReadout(this.#history, time ?? this.#chart.selected));
  }

  #showRow() {
    const row = this.#session.store.rows.get(this.#symbol);
    if (row !== undefined) this.#figures.replaceChildren(makeSymbolFigures(row, this.#history));
    const [before, after] = [-1, 1].map((step) => this.#neighbour(step));
    this.#neighbours.replaceChildren(
      make("a", { href: symbolPath(before), title: "Previous symbol ( [ )" }, `‹ ${before}`),
      make("a", { href: symbolPath(after), title: "Next symbol ( ] )" }, `${after} ›`),
    );
    this.#neighbours.hidden = before === this.#symbol;
  }

  #neighbour(step) {
    const symbols = this.#session.symbols();
    const i = symbols.indexOf(this.#symbol);
    return symbols.at((i + step) % symbols.length) ?? this.#symbol;
  }

  #goTo(step) {
    const symbol = this.#neighbour(step);
    if (symbol !== this.#symbol) navigate(symbolPath(symbol));
  }

  #showRefusal(error) {
    this.#showNote(sentence(error.message), make("a", { href: "/" }, "Back to the overview"));
  }

  #showNote(text, ...rest) {
    this.#body.replaceChildren(make("p", { class: "empty-note" }, text, " ", ...rest));
  }
}

function makeSide(title, subtitle, explanation, chart) {
  chart.setAttribute("aria-label", `${title}: ${subtitle}`);
  const head = make("h2", { title: explanation }, title);
  return make(
    "section",
    { class: "card side-card" },
    head,
    make("p", { class: "muted small" }, subtitle),
    chart,
  );
}

function makeLegend() {
  const item = (sign, tone, text) =>
    make("span", {}, make("span", { class: tone, "aria-hidden": "true" }, sign), ` ${text}`);
  return make(
    "p",
    { class: "legend muted small" },
    item("▯", "good", "rose"),
    item("▮", "bad", "fell"),
    item("━", "model", "predicted close"),
    item("▓", "model", "50 % bounds"),
    item("░", "model", "90 % bounds"),
    item("▀", "good", "direction right"),
    item("▄", "bad", "wrong"),
    item("✕", "bad", "close outside the 90 % bounds"),
    item("◆", "", "promotion"),
    make("span", { class: "legend-keys" }, KEY_LINE),
  );
}
