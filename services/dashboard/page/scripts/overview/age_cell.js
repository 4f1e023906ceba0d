// A cell that tells how long ago a candle arrived, and goes on counting.

import { makeAge, setAge } from "../clock.js";

export class AgeCell {
  #age = makeAge(null);

  /** @param {{value: number|null}} cell */
  init(cell) {
    this.refresh(cell);
  }

  getGui() {
    return this.#age;
  }

  refresh({ value }) {
    setAge(this.#age, value);
    return true;
  }
}
