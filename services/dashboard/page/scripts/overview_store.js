// All symbols' newest values.

import { setServerTime } from "./clock.js";
import { Emitter } from "./emitter.js";

/**
 * @typedef {Record<string, any> & {symbol: string}} Row a symbol's values by column
 */

/**
 * Emits `rows` with `{add, update, remove}` and `summary`.
 */
export class OverviewStore extends Emitter {
  /** @type {Map<string, Row>} */
  rows = new Map();
  /** @type {Record<string, any>|null} */
  summary = null;
  #columns = [];

  /**
   * Replace everything.
   * @param {{columns: string[], rows: any[][], summary: object}} overview
   */
  replace(overview) {
    this.#columns = overview.columns;
    const before = this.rows;
    this.rows = new Map();
    const change = { add: [], update: [], remove: [] };
    for (const row of overview.rows.map((each) => this.#toRow(each))) {
      const old = before.get(row.symbol);
      if (old === undefined) change.add.push(row);
      else if (!this.#isSame(old, row)) change.update.push(row);
      this.rows.set(row.symbol, row);
    }
    change.remove = [...before.values()].filter((row) => !this.rows.has(row.symbol));
    this.#emit(change, overview.summary);
  }

  /**
   * Take over the rows that have changed. A row stays the same object: thousands of new ones at
   * every close would have to be cleared away again.
   * @param {{rows: any[][], summary: object}} update
   */
  apply(update) {
    const change = { add: [], update: [], remove: [] };
    for (const values of update.rows) {
      const known = this.rows.get(values[0]);
      const row = this.#toRow(values, known);
      if (known === undefined) this.rows.set(row.symbol, row);
      (known === undefined ? change.add : change.update).push(row);
    }
    this.#emit(change, update.summary);
  }

  /**
   * The log's time: open time of the newest candle that is predicted. Times in the log are compared
   * with it; with a simulator whose clock runs fast they are far from the server's.
   * @returns {number|null}
   */
  get logNow() {
    const times = [...this.rows.values()].map((row) => row.open_time_ms ?? 0);
    const newest = times.reduce((a, b) => Math.max(a, b), 0);
    return newest || null;
  }

  /** The symbol is the first column. @returns {Row} */
  #toRow(values, row = { symbol: "" }) {
    for (let i = 0; i < this.#columns.length; i++) row[this.#columns[i]] = values[i];
    return row;
  }

  #isSame(row, other) {
    return this.#columns.every((column) => row[column] === other[column]);
  }

  #emit(change, summary) {
    this.summary = summary;
    setServerTime(summary.time_ms);
    if (change.add.length + change.update.length + change.remove.length > 0)
      this.emit("rows", change);
    this.emit("summary", summary);
  }
}
