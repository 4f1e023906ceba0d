// The overview: a strip of figures, and the table of all symbols.

import { make } from "../dom.js";
import { count, plural } from "../format.js";
import { setPageKeys } from "../keys.js";
import { SymbolGrid, loadGrid } from "./grid.js";
import { makeStrip } from "./strip.js";

const CHOICES = [
  ["all", "All", "Every symbol"],
  ["actionable", "Actionable", "Symbols whose forecasts have been better than no change"],
  ["attention", "Not live", "Symbols that are late, halted, ended or waiting"],
  ["chosen", "Chosen", "The rows that you have chosen"],
];

/** What was filtered when the page was last left; it is the same when one comes back. */
const left = { text: "", show: "all" };

export class OverviewView {
  #session;
  #closers = [];
  /** @type {SymbolGrid|null} */
  #grid = null;
  #isClosed = false;
  #strip = make("section", { "aria-label": "Figures over all symbols" });
  #count = make("span", { class: "muted", id: "row-count", "aria-live": "off" });
  #table = make("div", { class: "symbol-grid", id: "symbols" });
  #filter = make("input", {
    type: "search",
    id: "filter",
    placeholder: "Filter the symbols ( / )",
    "aria-label": "Filter the symbols",
    title: "By symbol, standing or version; press / to come here",
    value: left.text,
    oninput: () => this.#grid?.filter((left.text = this.#filter.value)),
    onkeydown: (event) => this.#onFilterKey(event),
  });

  /**
   * @param {HTMLElement} main
   * @param {import("../session.js").Session} session
   */
  constructor(main, session) {
    this.#session = session;
    main.append(
      make("h1", { class: "visually-hidden" }, "Overview"),
      this.#strip,
      make("div", { class: "toolbar" }, this.#filter, this.#makeChoices(), this.#count),
      this.#table,
    );
    setPageKeys({ "/": () => this.#filter.focus() });
    this.#closers = [session.store.on("summary", (summary) => this.#showStrip(summary))];
    if (session.store.summary !== null) this.#showStrip(session.store.summary);
    this.#openGrid();
  }

  close() {
    this.#isClosed = true;
    if (this.#grid) this.#session.order = this.#grid.order();
    this.#grid?.close();
    for (const close of this.#closers) close();
  }

  async #openGrid() {
    const library = await loadGrid();
    if (this.#isClosed) return;
    const onChange = () => this.#grid && this.#showCount();
    this.#grid = new SymbolGrid(library, this.#table, this.#session.store, onChange);
    this.#grid.filter(left.text);
    this.#grid.show(left.show);
    this.#showCount();
  }

  #showStrip(summary) {
    const isOpen = this.#strip.querySelector("details")?.open ?? false;
    const { logNow } = this.#session.store;
    this.#strip.replaceChildren(makeStrip(summary, logNow, isOpen));
  }

  #showCount() {
    const { shown, chosen } = this.#grid.describe();
    const all = plural(this.#session.store.rows.size, "symbol");
    const choice = chosen > 0 ? `, ${count(chosen)} chosen` : "";
    this.#count.textContent = `${count(shown)} of ${all}${choice}`;
  }

  #makeChoices() {
    const radios = CHOICES.map(([value, text, title]) => {
      const onchange = () => this.#grid?.show((left.show = value));
      const radio = make("input", {
        type: "radio",
        name: "show",
        value,
        checked: value === left.show,
        onchange,
      });
      return make("label", { title }, radio, make("span", {}, text));
    });
    return make(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": "Which symbols" },
      ...radios,
    );
  }

  #onFilterKey(event) {
    if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      this.#grid?.focus();
    }
    if (event.key === "Escape") this.#filter.blur();
  }
}
