// ECharts' option of the chart of candles: axes, zoom, and a series for each kind of shape.

import { TIME_LABELS, baseOption, makeAxis } from "../charts.js";
import { decimal, price, priceDecimals } from "../format.js";
import { makeGapAreas, makeMarkLines } from "./candle_marks.js";
import { makeBoundsShape, makeCandleShape, makeOutcomeShape } from "./candle_shapes.js";

const DIGIT_PX = 7;
const PRICES_MARGIN_PX = 22;
const LEFT_PX = 8;
const OUTCOMES_PX = 34;
const SLIDER_PX = 20;
const FEWEST_CANDLES = 8; // that one may zoom in to

/**
 * @typedef {object} View what is seen of the history
 * @property {[number, number]} span first and last moment of the time axis, ms
 * @property {number[]} shown the part of it that is seen
 * @property {number|null} selected open time of the chosen candle
 */

/**
 * Return the option.
 * @param {Record<string, string>} palette
 * @param {import("./history.js").History} history
 * @param {View} view
 */
export function candleOption(palette, history, { span, shown, selected }) {
  const right = pricesWidth(history);
  return {
    ...baseOption(palette),
    tooltip: { show: false }, // the line above the chart shows the candle's values
    grid: [
      { left: LEFT_PX, right, top: 24, bottom: OUTCOMES_PX + SLIDER_PX + 46 },
      { left: LEFT_PX, right, height: OUTCOMES_PX, bottom: SLIDER_PX + 30 },
    ],
    axisPointer: { link: [{ xAxisIndex: "all" }], label: { show: false } },
    xAxis: [makeTimeAxis(palette, span, 0), makeTimeAxis(palette, span, 1)],
    yAxis: [makePriceAxis(palette, history), makeOutcomeAxis(palette)],
    dataZoom: makeZooms(palette, history.intervalMs, shown, right),
    series: [
      boundsSeries(palette, history),
      {
        ...candleSeries(palette, history),
        markLine: makeMarkLines(palette, history, selected, right),
        markArea: makeGapAreas(palette, history),
      },
      outcomeSeries(palette, history),
    ],
  };
}

/**
 * Return the width of the prices at the right: small prices have many digits.
 * @param {import("./history.js").History} history
 */
export function pricesWidth({ newest }) {
  return price(newest?.close).length * DIGIT_PX + PRICES_MARGIN_PX;
}

function makeTimeAxis(palette, [min, max], gridIndex) {
  const lineStyle = { color: palette["line-strong"] };
  return makeAxis(palette, {
    type: "time",
    gridIndex,
    min,
    max,
    axisLabel: gridIndex === 1 ? TIME_LABELS : { show: false },
    splitLine: { show: false },
    axisPointer: { show: true, type: "line", lineStyle, triggerTooltip: false },
  });
}

function makePriceAxis(palette, { newest }) {
  const decimals = priceDecimals(newest?.close);
  return makeAxis(palette, {
    type: "value",
    scale: true,
    position: "right",
    axisLabel: { formatter: (value) => decimal(value, decimals) },
    axisLine: { show: false },
  });
}

function makeOutcomeAxis(palette) {
  const names = { 1: "hit", "-1": "miss" };
  return makeAxis(palette, {
    type: "value",
    gridIndex: 1,
    position: "right",
    min: -1,
    max: 1,
    interval: 1,
    axisLabel: { formatter: (value) => names[value] ?? "" },
    axisLine: { show: false },
  });
}

function makeZooms(palette, intervalMs, [startValue, endValue], right) {
  const shared = {
    xAxisIndex: [0, 1],
    minValueSpan: FEWEST_CANDLES * intervalMs,
    startValue,
    endValue,
  };
  // A finger that moves up or down scrolls the page.
  return [
    { ...shared, type: "inside", preventDefaultMouseMove: false },
    { ...shared, ...makeSlider(palette, right) },
  ];
}

function makeSlider(palette, right) {
  return {
    type: "slider",
    height: SLIDER_PX,
    bottom: 4,
    left: LEFT_PX,
    right,
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

function boundsSeries(palette, { predictions, next, intervalMs }) {
  return {
    type: "custom",
    silent: true,
    clip: true,
    encode: { x: 0, y: [1, 2] },
    renderItem: makeBoundsShape(palette, intervalMs),
    data: predictions.map((each) => [
      each.open_time_ms + intervalMs / 2,
      each.lower_90,
      each.upper_90,
      each.lower_50,
      each.upper_50,
      each.calibrated_close,
      each === next ? 1 : 0,
    ]),
  };
}

function candleSeries(palette, { candles, intervalMs }) {
  return {
    type: "custom",
    silent: true,
    clip: true,
    encode: { x: 0, y: [3, 4] },
    renderItem: makeCandleShape(palette, intervalMs),
    data: candles.map((each) => [
      each.open_time_ms + intervalMs / 2,
      each.open,
      each.close,
      each.low,
      each.high,
      each.corrected ? 1 : 0,
    ]),
  };
}

function outcomeSeries(palette, { predictions, intervalMs }) {
  const known = predictions.filter((each) => each.outcome_close !== null);
  return {
    type: "custom",
    silent: true,
    clip: true,
    xAxisIndex: 1,
    yAxisIndex: 1,
    encode: { x: 0, y: 1 },
    renderItem: makeOutcomeShape(palette, intervalMs),
    data: known.map((each) => [
      each.open_time_ms + intervalMs / 2,
      each.hit === null ? 0 : each.hit ? 1 : -1,
      each.inside === false ? 1 : 0,
    ]),
  };
}
