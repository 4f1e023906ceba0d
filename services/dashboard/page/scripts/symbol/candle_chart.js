// Candles, predictions with their bounds, hits and misses: one time axis, UTC.

import { Chart, TIME_LABELS, baseOption, loadCharts, makeAxis } from "../charts.js";
import { Emitter } from "../emitter.js";
import { price, priceDecimals, shortVersion, decimal } from "../format.js";
import { makeBoundsShape, makeCandleShape, makeOutcomeShape } from "./candle_shapes.js";
import { Zoom } from "./zoom.js";

const RIGHT_PX = 86; // for the prices
const OUTCOMES_PX = 34;
const SLIDER_PX = 20;
const AHEAD_CANDLES = 2; // empty room behind the candle that is predicted

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
    const width = this.#element.clientWidth - RIGHT_PX;
    this.#zoom.reset(this.#span, this.#history.intervalMs, width);
    this.#chart = new Chart(echarts, this.#element, (palette) => this.#option(palette));
    this.#chart.instance.on("datazoom", () => this.#onZoom());
    const canvas = this.#chart.instance.getZr();
    canvas.on("mousemove", ({ offsetX, offsetY }) =>
      this.emit("hover", this.#timeAt(offsetX, offsetY)),
    );
    canvas.on("globalout", () => this.emit("hover", null));
    canvas.on("click", ({ offsetX, offsetY }) => this.select(this.#timeAt(offsetX, offsetY)));
    this.#describe();
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

  /** Choose the candle before or after. @param {-1|1} step */
  move(step) {
    const times = this.#history.candles.map((each) => each.open_time_ms);
    const i = this.selected === null ? times.length : times.indexOf(this.selected);
    const next = times[Math.min(times.length - 1, Math.max(0, i + step))];
    if (next !== undefined && next !== this.selected) this.select(next);
  }

  /** @param {boolean} isIn */
  zoom(isIn) {
    this.#zoom.step(isIn, this.#span, this.#history.intervalMs);
    this.#redraw();
  }

  close() {
    this.#isClosed = true;
    this.#chart?.close();
  }

  /** The time axis, from its first to its last moment. */
  get #span() {
    const [first, last] = this.#history.span;
    return [first, last + AHEAD_CANDLES * this.#history.intervalMs];
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
      zoom: `${toPercent(this.#zoom.from)},${toPercent(this.#zoom.until)}`,
    });
  }

  #timeAt(x, y) {
    if (!this.#chart.instance.containPixel({ gridIndex: [0, 1] }, [x, y])) return null;
    const ms = this.#chart.instance.convertFromPixel({ xAxisIndex: 0 }, x);
    const openTimeMs = Math.floor(ms / this.#history.intervalMs) * this.#history.intervalMs;
    const isThere = this.#history.candles.some((each) => each.open_time_ms === openTimeMs);
    return isThere || this.#history.predictionAt(openTimeMs) !== null ? openTimeMs : null;
  }

  #option(palette) {
    const { intervalMs } = this.#history;
    const shownTimes = { startValue: this.#zoom.from, endValue: this.#zoom.until };
    return {
      ...baseOption(palette),
      tooltip: { show: false }, // the line above the chart shows the candle's values
      grid: [
        { left: 8, right: RIGHT_PX, top: 24, bottom: OUTCOMES_PX + SLIDER_PX + 44 },
        { left: 8, right: RIGHT_PX, height: OUTCOMES_PX, bottom: SLIDER_PX + 30 },
      ],
      axisPointer: { link: [{ xAxisIndex: "all" }], label: { show: false } },
      xAxis: [this.#timeAxis(palette, 0), this.#timeAxis(palette, 1)],
      yAxis: [this.#priceAxis(palette), makeOutcomeAxis(palette)],
      dataZoom: [
        {
          type: "inside",
          xAxisIndex: [0, 1],
          minValueSpan: 8 * intervalMs,
          preventDefaultMouseMove: false,
          ...shownTimes,
        },
        { ...makeSlider(palette), minValueSpan: 8 * intervalMs, ...shownTimes },
      ],
      series: [
        this.#boundsSeries(palette),
        {
          ...this.#candleSeries(palette),
          markLine: this.#marks(palette),
          markArea: this.#areas(palette),
        },
        this.#outcomeSeries(palette),
      ],
    };
  }

  #timeAxis(palette, gridIndex) {
    const [min, max] = this.#span;
    return makeAxis(palette, {
      type: "time",
      gridIndex,
      min,
      max,
      axisLabel: gridIndex === 1 ? TIME_LABELS : { show: false },
      splitLine: { show: false },
      axisPointer: {
        show: true,
        type: "line",
        lineStyle: { color: palette["line-strong"] },
        triggerTooltip: false,
      },
    });
  }

  #priceAxis(palette) {
    const decimals = priceDecimals(this.#history.newest?.close);
    return makeAxis(palette, {
      type: "value",
      scale: true,
      position: "right",
      axisLabel: { formatter: (value) => decimal(value, decimals) },
      axisLine: { show: false },
    });
  }

  #boundsSeries(palette) {
    const middle = this.#history.intervalMs / 2;
    const next = this.#history.next;
    return {
      type: "custom",
      silent: true,
      clip: true,
      encode: { x: 0, y: [1, 2] },
      renderItem: makeBoundsShape(palette, this.#history.intervalMs),
      data: this.#history.predictions.map((each) => [
        each.open_time_ms + middle,
        each.lower_90,
        each.upper_90,
        each.lower_50,
        each.upper_50,
        each.calibrated_close,
        each === next ? 1 : 0,
      ]),
    };
  }

  #candleSeries(palette) {
    const middle = this.#history.intervalMs / 2;
    return {
      type: "custom",
      clip: true,
      encode: { x: 0, y: [3, 4] },
      renderItem: makeCandleShape(palette, this.#history.intervalMs),
      data: this.#history.candles.map((each) => [
        each.open_time_ms + middle,
        each.open,
        each.close,
        each.low,
        each.high,
        each.corrected ? 1 : 0,
      ]),
    };
  }

  #outcomeSeries(palette) {
    const middle = this.#history.intervalMs / 2;
    const known = this.#history.predictions.filter((each) => each.outcome_close !== null);
    return {
      type: "custom",
      silent: true,
      clip: true,
      xAxisIndex: 1,
      yAxisIndex: 1,
      encode: { x: 0, y: 1 },
      renderItem: makeOutcomeShape(palette, this.#history.intervalMs),
      data: known.map((each) => [
        each.open_time_ms + middle,
        each.hit === null ? 0 : each.hit ? 1 : -1,
        each.inside === false ? 1 : 0,
      ]),
    };
  }

  #marks(palette) {
    const { promotions, statuses, next, newest, intervalMs } = this.#history;
    const line = (xAxis, text, type) => ({
      xAxis,
      label: {
        formatter: text,
        color: palette.muted,
        position: "end",
        rotate: 0,
        fontSize: 11,
        opacity: 1,
      },
      lineStyle: { color: palette.muted, type },
    });
    const data = [
      ...promotions.map((each) =>
        line(each.open_time_ms, `◆ ${shortVersion(each.version)}`, "dashed"),
      ),
      ...statuses.map((each) => line(each.time_ms, each.status, "dotted")),
    ];
    const level = (yAxis, colour, text = price(yAxis)) => ({
      yAxis,
      label: {
        formatter: text,
        position: "end",
        color: palette.surface,
        backgroundColor: colour,
        width: RIGHT_PX - 20,
        align: "left",
        padding: [4, 5],
        borderRadius: 2,
        fontSize: 11,
      },
      lineStyle: { color: colour, type: "dotted" },
    });
    if (newest)
      data.push(level(newest.close, newest.close >= newest.open ? palette.good : palette.bad));
    if (this.selected !== null) data.push(line(this.selected + intervalMs / 2, "", "solid"));
    if (next && !newest) data.push(level(next.calibrated_close, palette.model));
    return { silent: true, symbol: "none", data };
  }

  #areas(palette) {
    const style = {
      color: palette.raised,
      borderColor: palette["line-strong"],
      borderWidth: 1,
      borderType: "dotted",
    };
    const label = { color: palette.muted, position: "insideBottom", fontSize: 11 };
    const data = this.#history.gaps.map(([from, until]) => [
      { name: "gap", xAxis: from, itemStyle: style, label },
      { xAxis: until },
    ]);
    return { silent: true, data };
  }
}

function makeOutcomeAxis(palette) {
  return makeAxis(palette, {
    type: "value",
    gridIndex: 1,
    position: "right",
    min: -1,
    max: 1,
    interval: 1,
    axisLabel: { formatter: (value) => ({ 1: "▮ hit", "-1": "▮ miss" })[value] ?? "" },
    axisLine: { show: false },
    splitLine: { show: true },
  });
}

function makeSlider(palette) {
  return {
    type: "slider",
    xAxisIndex: [0, 1],
    height: SLIDER_PX,
    bottom: 4,
    left: 8,
    right: RIGHT_PX,
    showDataShadow: false,
    showDetail: false,
    brushSelect: false,
    borderColor: palette.line,
    backgroundColor: palette.raised,
    fillerColor: palette.line,
    handleStyle: { color: palette.surface, borderColor: palette["line-strong"] },
    moveHandleStyle: { color: palette["line-strong"] },
  };
}
