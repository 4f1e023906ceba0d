// One symbol's past, as far as it was read: pages of the past come before it, news after it.

/**
 * @typedef {object} CandleRow
 * @property {number} open_time_ms
 * @property {number} open
 * @property {number} high
 * @property {number} low
 * @property {number} close
 * @property {boolean} corrected
 */

/** The series that come in columns, each row known by its `open_time_ms`. */
const SERIES = ["candles", "predictions", "skill", "errors"];

/** What is kept at most; the oldest go when news comes. */
const MOST_ROWS = 20_000;

export class History {
  intervalMs = 0;
  isAtBeginning = false;
  /** @type {CandleRow[]} */
  candles = [];
  /** @type {Record<string, any>[]} of the candle that opens at `open_time_ms` */
  predictions = [];
  skill = [];
  errors = [];
  calibration = [];
  /** @type {[number, number][]} from, until (not part of it) */
  gaps = [];
  statuses = [];
  promotions = [];
  #predictionsByTime = new Map();

  /**
   * Add a page of the past, or what is new. What is there already takes over the newer values.
   * @param {Record<string, any>} part as the server has it
   * @param {"page"|"news"} kind
   */
  add(part, kind) {
    this.intervalMs = part.interval_ms;
    for (const name of SERIES) this[name] = merge(this[name], toRows(part[name]), byOpenTime);
    this.gaps = merge(this.gaps, part.gaps ?? [], ([from]) => from);
    this.statuses = merge(this.statuses, part.statuses ?? [], (each) => each.time_ms);
    this.promotions = merge(this.promotions, part.promotions ?? [], byOpenTime);
    // Both tell of the newest candles: a page of the past must not replace them.
    const isFirst = this.calibration.length === 0;
    if (part.calibration?.length > 0 && (kind === "news" || isFirst))
      this.calibration = part.calibration;
    if (kind === "page") this.isAtBeginning = part.at_beginning;
    else this.#forgetOldest();
    this.#predictionsByTime = new Map(this.predictions.map((each) => [each.open_time_ms, each]));
  }

  #forgetOldest() {
    if (this.candles.length > MOST_ROWS) this.isAtBeginning = false;
    for (const name of SERIES) this[name] = this[name].slice(-MOST_ROWS);
  }

  /** Return the prediction of the candle that opens then. @param {number} openTimeMs */
  predictionAt(openTimeMs) {
    return this.#predictionsByTime.get(openTimeMs) ?? null;
  }

  /** The newest candle, or null. @returns {CandleRow|null} */
  get newest() {
    return this.candles.at(-1) ?? null;
  }

  /** The newest prediction whose outcome is known, or null. */
  get newestOutcome() {
    return this.predictions.findLast((each) => each.outcome_close !== null) ?? null;
  }

  /** The prediction of the candle that is not closed yet, or null. */
  get next() {
    const prediction = this.predictions.at(-1);
    const isNext =
      prediction && (!this.newest || prediction.open_time_ms > this.newest.open_time_ms);
    return isNext ? prediction : null;
  }

  /** Open time of the first candle, and the end of the candle that is predicted. */
  get span() {
    const first = this.candles[0]?.open_time_ms ?? 0;
    const newest = this.newest?.open_time_ms ?? 0;
    return [first, Math.max(newest, this.predictions.at(-1)?.open_time_ms ?? 0) + this.intervalMs];
  }
}

function byOpenTime(row) {
  return row.open_time_ms;
}

/** Turn columns into rows. */
function toRows(columns) {
  if (!columns) return [];
  const names = Object.keys(columns);
  return columns.open_time_ms.map((_, i) =>
    Object.fromEntries(names.map((name) => [name, columns[name][i]])),
  );
}

/** Merge two sorted lists; the second one's rows replace those of the same key. */
function merge(rows, others, key) {
  if (others.length === 0) return rows;
  const isAfter = rows.length === 0 || key(others[0]) > key(rows.at(-1));
  if (isAfter) return [...rows, ...others];
  const all = new Map([...rows, ...others].map((row) => [key(row), row]));
  return [...all.values()].sort((a, b) => key(a) - key(b));
}
