// Which part of a time axis is seen. It is kept when candles come: the newest ones stay in sight
// where they were, and a part of the past stays where it is.

const FEWEST = 8; // candles that one may zoom in to
const STEP = 0.7;

export class Zoom {
  from = 0;
  until = 0;
  #isFollowing = true;

  /**
   * Show the newest candles.
   * @param {[number, number]} span of all candles, ms
   * @param {number} intervalMs
   * @param {number} candles how many
   */
  reset([first, last], intervalMs, candles) {
    this.until = last;
    this.from = Math.max(first, last - Math.max(FEWEST, candles) * intervalMs);
    this.#isFollowing = true;
  }

  /** Move on with the newest candle if it was in sight. @param {[number, number]} span */
  follow([, last]) {
    if (!this.#isFollowing) return;
    this.from += last - this.until;
    this.until = last;
  }

  /** Take over the part that the viewer has chosen. */
  set(from, until, [, last], intervalMs) {
    this.from = from;
    this.until = until;
    this.#isFollowing = until > last - intervalMs;
  }

  /** Move as far as needed to show the candle that opens then. */
  include(openTimeMs, span, intervalMs) {
    const before = Math.max(0, this.from - openTimeMs);
    const behind = Math.max(0, openTimeMs + intervalMs - this.until);
    const shift = behind - before;
    this.set(this.from + shift, this.until + shift, span, intervalMs);
  }

  /** Show more or less of the past; the right end stays. @param {boolean} isIn */
  step(isIn, [first, last], intervalMs) {
    const length = (this.until - this.from) * (isIn ? STEP : 1 / STEP);
    const from = this.until - Math.max(FEWEST * intervalMs, length);
    this.set(Math.max(first, from), this.until, [first, last], intervalMs);
  }
}
