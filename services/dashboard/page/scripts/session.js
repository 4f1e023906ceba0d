// What every page shares: the newest values, the connection they come by, and the state in words.

import { Emitter } from "./emitter.js";
import { EventStream } from "./event_stream.js";
import { OverviewStore } from "./overview_store.js";
import { describeState } from "./page_state.js";
import { ServerError, fetchJson } from "./server.js";

const RETRY_MS = 2_000;
const HIDDEN_MS = 5_000;

/**
 * Emits `state`, `synchronised` (after each fetch of the overview), and the server's `symbol`,
 * `health` and `models`.
 */
export class Session extends Emitter {
  store = new OverviewStore();
  /** Symbols in the order of the table, for "previous" and "next". @type {string[]} */
  order = [];
  #stream = new EventStream();
  #isConnected = true; // until shown otherwise: the first answer takes a moment
  #fetches = 0;
  #closing = 0;
  /** @type {string|null} */
  #symbol = null;
  /** Updates that arrive while the overview is fetched; null when it is not. */
  #pending = null;

  constructor() {
    super();
    this.#stream.on("open", () => this.#synchronise());
    this.#stream.on("reset", () => this.#synchronise());
    this.#stream.on("overview", (update) => this.#onUpdate(update));
    this.#stream.on("lost", () => this.#setConnected(false));
    for (const name of ["symbol", "health", "models"]) {
      this.#stream.on(name, (data) => this.emit(name, data));
    }
    this.store.on("summary", () => this.emit("state", this.state));
    document.addEventListener("visibilitychange", () => this.#onVisibility());
  }

  /** Listen to the server. @param {string|null} symbol whose news is wanted too */
  listen(symbol) {
    this.#symbol = symbol;
    this.#stream.connect(symbol);
  }

  /**
   * Show what was fetched before the connection stood. It is fetched again when that stands: what
   * changed in between would be missed.
   * @param {Promise<object|null>|undefined} answer
   */
  async showEarly(answer) {
    const overview = await answer;
    if (overview && this.store.summary === null) this.store.replace(overview);
  }

  get state() {
    return describeState(this.store.summary, this.#isConnected);
  }

  /** Return all symbols, in the table's order where there is one. @returns {string[]} */
  symbols() {
    return this.order.length > 0 ? this.order : [...this.store.rows.keys()].sort();
  }

  /**
   * Fetch everything anew. Updates that arrive meanwhile are applied after it, in their order: one
   * that is older than the answer is followed by the newer one.
   */
  async #synchronise() {
    const fetch = ++this.#fetches;
    this.#pending = [];
    try {
      const overview = await fetchJson("/api/overview");
      if (fetch !== this.#fetches) return; // a later one has begun
      this.#setConnected(true);
      this.store.replace(overview);
      const pending = this.#pending;
      this.#pending = null;
      for (const update of pending) this.store.apply(update);
      this.emit("synchronised");
    } catch (error) {
      if (fetch !== this.#fetches) return;
      // A server that has only just started refuses, with its reason; that is not "disconnected".
      this.#setConnected(error instanceof ServerError);
      setTimeout(() => fetch === this.#fetches && this.#synchronise(), RETRY_MS);
    }
  }

  /**
   * Close the connection of a page that nobody sees: browsers open six to a server at most, over
   * all tabs, and the seventh tab would wait for ever.
   */
  #onVisibility() {
    clearTimeout(this.#closing);
    if (document.hidden) this.#closing = setTimeout(() => this.#stream.close(), HIDDEN_MS);
    else if (!this.#stream.isOpen) this.#stream.connect(this.#symbol);
  }

  #onUpdate(update) {
    if (this.#pending !== null) this.#pending.push(update);
    else this.store.apply(update);
  }

  #setConnected(isConnected) {
    this.#isConnected = isConnected;
    this.emit("state", this.state);
  }
}
