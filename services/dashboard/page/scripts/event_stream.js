// Server-sent events: one connection, and a watch that notices when it has gone silent.

import { Emitter } from "./emitter.js";

const NAMES = ["overview", "symbol", "health", "models", "reset"];
const SILENCE_MS = 15_000; // the server sends something every 5 s
const RETRY_MS = 2_000;

/**
 * Emits `open`, `lost` and the server's events with their data.
 */
export class EventStream extends Emitter {
  /** @type {EventSource|null} */
  #source = null;
  #path = "";
  #watch = 0;
  #retry = 0;

  /**
   * Connect; a connection to something else is closed.
   * @param {string|null} symbol whose news is wanted besides the overview's
   */
  connect(symbol) {
    this.#path =
      symbol === null ? "/api/events" : `/api/events?symbol=${encodeURIComponent(symbol)}`;
    this.#open();
  }

  get isOpen() {
    return this.#source !== null;
  }

  /** Disconnect until `connect` is called again. */
  close() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#retry);
    clearTimeout(this.#watch);
  }

  #open() {
    this.close();
    this.#source = new EventSource(this.#path);
    this.#source.onopen = () => {
      this.#restartWatch();
      this.emit("open");
    };
    this.#source.onerror = () => this.#onError();
    for (const name of NAMES) this.#source.addEventListener(name, (event) => this.#on(name, event));
    this.#restartWatch();
  }

  #on(name, event) {
    this.#restartWatch();
    this.emit(name, event.data ? JSON.parse(event.data) : null);
  }

  #onError() {
    this.emit("lost");
    // The browser tries again by itself, except after an answer that is an error.
    if (this.#source?.readyState === EventSource.CLOSED) this.#openLater();
  }

  #openLater() {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(), RETRY_MS);
  }

  /** A connection whose other end has vanished gives no error: silence tells. */
  #restartWatch() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      this.emit("lost");
      this.#open();
    }, SILENCE_MS);
  }
}
