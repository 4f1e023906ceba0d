// The chart of candles and predictions: zoom, the candle under the pointer, the chosen candle.

import { Chart, loadCharts } from "../charts.js";
import { Emitter } from "../emitter.js";
import { candleOption, pricesWidth } from "./candle_option.js";
import { Zoom } from "./zoom.js";

const CANDLE_PX = 12; // a comfortable width of a candle
const FEW_CANDLES = 40;
const PER_PREDICTION = 3; // candles that are seen at first for each prediction
const AHEAD_CANDLES = 3; // empty room behind the candle that is predicted

/** Emits `hover` and `select` with an open time or null. */
export class CandleChart extends Emitter {
  #element;
  #history;
  /** @type {Chart|null} */
  #chart = null;
  #zoom = new Zoom();
  #isClosed = false;
  /** Open time of the chosen candle. @type {number|null} */
  selected = null;

  /**
   * @param {HTMLElement} element
   * @param {import("./history.js").History} history with a candle at least
   */
  constructor(element, history) {
    super();
    this.#element = element;
    this.#history = history;
    this.#open();
  }

  async #open() {
    const echarts = await loadCharts();
    if (this.#isClosed) return;
    this.#zoom.reset(this.#span, this.#history.intervalMs, this.#candlesAtFirst());
    this.#chart = new Chart(echarts, this.#element, (palette) => this.#option(palette));
    this.#listen(this.#chart.instance);
    this.#describe();
  }

  /** As many as fit well, but no crowd of candles beside the first few predictions. */
  #candlesAtFirst() {
    const width = this.#element.clientWidth - pricesWidth(this.#history);
    const wanted = Math.max(FEW_CANDLES, PER_PREDICTION * this.#history.predictions.length);
    return Math.min(Math.floor(width / CANDLE_PX), wanted);
  }

  #listen(instance) {
    instance.on("datazoom", () => this.#onZoom());
    const canvas = instance.getZr();
    const timeAt = ({ offsetX, offsetY }) => this.#timeAt(offsetX, offsetY);
    canvas.on("mousemove", (event) => this.emit("hover", timeAt(event)));
    canvas.on("globalout", () => this.emit("hover", null));
    canvas.on("click", (event) => this.select(timeAt(event)));
  }

  /** Draw what has come. */
  update() {
    this.#zoom.follow(this.#span);
    this.#redraw();
  }

  /** Choose a candle; choosing it again ends that. @param {number|null} openTimeMs */
  select(openTimeMs) {
    this.selected = openTimeMs === this.selected ? null : openTimeMs;
    this.emit("select", this.selected);
    this.#redraw();
  }

  /** Choose the candle before or after, and bring it into sight. @param {-1|1} step */
  move(step) {
    const times = this.#history.candles.map((each) => each.open_time_ms);
    const i = this.selected === null ? times.length : times.indexOf(this.selected);
    const next = times[Math.min(times.length - 1, Math.max(0, i + step))];
    if (next === undefined || next === this.selected) return;
    this.#zoom.include(next, this.#span, this.#history.intervalMs);
    this.select(next);
  }

  /** Show more or less of the past. @param {boolean} isIn */
  zoom(isIn) {
    this.#zoom.step(isIn, this.#span, this.#history.intervalMs);
    this.#redraw();
  }

  close() {
    this.#isClosed = true;
    this.#chart?.close();
  }

  /** The time axis, from its first to its last moment. @returns {[number, number]} */
  get #span() {
    const [first, last] = this.#history.span;
    return [first, last + AHEAD_CANDLES * this.#history.intervalMs];
  }

  #option(palette) {
    const shown = [this.#zoom.from, this.#zoom.until];
    return candleOption(palette, this.#history, {
      span: this.#span,
      shown,
      selected: this.selected,
    });
  }

  #redraw() {
    this.#chart?.draw();
    this.#describe();
  }

  #onZoom() {
    const { startValue, endValue } = this.#chart.instance.getOption().dataZoom[0];
    this.#zoom.set(startValue, endValue, this.#span, this.#history.intervalMs);
    this.#describe();
  }

  /** Say what is drawn, for readers of the page that are programs. */
  #describe() {
    const { candles, newest } = this.#history;
    const [first, last] = this.#span;
    const toPercent = (ms) => (((ms - first) / (last - first)) * 100).toFixed(1);
    Object.assign(this.#element.dataset, {
      candles: candles.length,
      newestMs: newest?.open_time_ms ?? "",
      selectedMs: this.selected ?? "",
      zoom: `${toPercent(this.#zoom.from)},${toPercent(this.#zoom.until)}`,
    });
  }

  #timeAt(x, y) {
    const isInside = [0, 1].some((gridIndex) =>
      this.#chart.instance.containPixel({ gridIndex }, [x, y]),
    );
    if (!isInside) return null;
    const { intervalMs, candles } = this.#history;
    const ms = this.#chart.instance.convertFromPixel({ xAxisIndex: 0 }, x);
    const openTimeMs = Math.floor(ms / intervalMs) * intervalMs;
    const isThere = candles.some((each) => each.open_time_ms === openTimeMs);
    return isThere || this.#history.predictionAt(openTimeMs) !== null ? openTimeMs : null;
  }
}
