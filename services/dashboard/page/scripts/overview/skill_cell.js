// A cell that tells a skill and its interval.

import { make } from "../dom.js";
import { describeSkill, skillOf } from "../skill_text.js";

/** Tells `+1.2 % [+0.4, +2.0]`; a new value changes its texts. */
export class SkillCell {
  #value = make("span");
  #interval = make("span", { class: "muted small" });
  #cell = make("span", { class: "skill-cell" }, this.#value, this.#interval);

  /** @param {{data: import("../overview_store.js").Row}} cell */
  init(cell) {
    this.refresh(cell);
  }

  getGui() {
    return this.#cell;
  }

  refresh({ data }) {
    const { value, interval, tone } = describeSkill(skillOf(data));
    if (this.#value.className !== tone) this.#value.className = tone;
    this.#value.textContent = value;
    this.#interval.textContent = interval;
    return true;
  }
}
