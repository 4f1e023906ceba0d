// A page that is one answer of the server, fetched again when the server says that it has changed.

import { make } from "./dom.js";
import { sentence } from "./format.js";
import { setPageKeys } from "./keys.js";
import { navigate } from "./router.js";
import { ServerError, fetchJson } from "./server.js";

const RETRY_MS = 3_000;

export class ReportView {
  #main;
  #path;
  #closers;
  #retry = 0;
  #isClosed = false;

  /**
   * @param {HTMLElement} main
   * @param {import("./session.js").Session} session
   * @param {{path: string, event: string, loading: string, everyMs?: number}} report where it is,
   *   which event tells that it has changed, what to say until it is there, and how often it is
   *   asked for besides
   */
  constructor(main, session, { path, event, loading, everyMs }) {
    this.#main = main;
    this.#path = path;
    main.append(make("p", { class: "empty-note" }, loading));
    setPageKeys({ Escape: () => navigate("/") });
    this.#closers = [
      session.on(event, () => this.#load()),
      session.on("synchronised", () => this.#load()),
    ];
    if (everyMs !== undefined) this.#loadEvery(everyMs);
    this.#load();
  }

  /**
   * Make the page of an answer.
   * @param {any} _report
   * @returns {Node[]}
   */
  render(_report) {
    return [];
  }

  /** Do what needs the nodes in the page. @param {any} _report */
  afterShow(_report) {}

  /** Leave the page. */
  close() {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    for (const close of this.#closers) close();
  }

  #loadEvery(everyMs) {
    const timer = setInterval(() => document.hidden || this.#load(), everyMs);
    this.#closers.push(() => clearInterval(timer));
  }

  async #load() {
    clearTimeout(this.#retry);
    try {
      const report = await fetchJson(this.#path);
      if (this.#isClosed) return;
      this.#show(this.render(report));
      this.afterShow(report);
    } catch (error) {
      if (this.#isClosed) return;
      // While the server does not answer, what is there stays: the state says that it is old.
      if (error instanceof ServerError)
        this.#show([make("p", { class: "empty-note" }, sentence(error.message))]);
      this.#retry = setTimeout(() => this.#load(), RETRY_MS);
    }
  }

  /** Replace the page, but keep what was unfolded and where the viewer was. */
  #show(nodes) {
    const open = new Set([...this.#main.querySelectorAll("details[open][id]")].map(({ id }) => id));
    const focused = document.activeElement?.id;
    this.#main.replaceChildren(...nodes);
    for (const details of this.#main.querySelectorAll("details[id]")) {
      if (open.has(details.id)) details.open = true;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
}
