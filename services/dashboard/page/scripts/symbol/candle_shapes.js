// The shapes of the candle chart, drawn by ECharts' custom series: all as wide as their candle.

/** @typedef {{coord: Function, size: Function, value: Function}} Api of ECharts */

const FILL = 0.7; // of the interval; the rest is the distance between candles

/**
 * Return what draws a candle: hollow if it rose, filled if it fell, so colours are not needed.
 * Values: open time (middle), open, close, low, high, corrected.
 */
export function makeCandleShape(palette, intervalMs) {
  return (_params, api) => {
    const [open, close, low, high] = [1, 2, 3, 4].map((i) =>
      api.coord([api.value(0), api.value(i)]),
    );
    const width = candleWidth(api, intervalMs);
    const isUp = api.value(2) >= api.value(1);
    const colour = isUp ? palette.good : palette.bad;
    const [top, bottom] = [Math.min(open[1], close[1]), Math.max(open[1], close[1])];
    const x = Math.round(open[0]) + 0.5;
    const line = (from, until) => ({
      type: "line",
      shape: { x1: x, x2: x, y1: from, y2: until },
      style: { stroke: colour, lineWidth: 1 },
    });
    const body = {
      type: "rect",
      shape: { x: x - width / 2, y: top, width, height: Math.max(1, bottom - top) },
      style: { fill: isUp ? palette.surface : colour, stroke: colour, lineWidth: 1 },
    };
    const children = [line(high[1], top), line(bottom, low[1]), body];
    if (api.value(5)) children.push(makeText("✎", x, high[1] - 8, palette.muted));
    return { type: "group", children };
  };
}

/**
 * Return what draws a prediction: both bounds, and the predicted close as a line.
 * Values: open time (middle), lower 90, upper 90, lower 50, upper 50, predicted close, is next.
 */
export function makeBoundsShape(palette, intervalMs) {
  return (_params, api) => {
    const width = api.size([intervalMs, 0])[0];
    const at = (i) => api.coord([api.value(0), api.value(i)]);
    const left = at(5)[0] - width / 2;
    const isNext = Boolean(api.value(6));
    const band = (lower, upper, fill) => {
      const [y, end] = [at(upper)[1], at(lower)[1]];
      // Half a pixel wider: the edges of neighbours must not show as lines.
      return {
        type: "rect",
        shape: { x: left, y, width: width + 0.5, height: end - y },
        style: { fill },
      };
    };
    const outer = band(1, 2, palette["band-90"]);
    if (isNext)
      Object.assign(outer.style, { stroke: palette.model, lineDash: [3, 3], lineWidth: 1 });
    const close = {
      type: "line",
      shape: { x1: left, x2: left + width, y1: at(5)[1], y2: at(5)[1] },
      style: { stroke: palette.model, lineWidth: isNext ? 2.5 : 1.2 },
    };
    const children = [outer, band(3, 4, palette["band-50"]), close];
    if (isNext) children.push(makeText("next", at(5)[0], at(2)[1] - 8, palette.model));
    return { type: "group", children };
  };
}

/**
 * Return what draws an outcome: a hit is a bar up, a miss a bar down, a cross lies outside the
 * bounds. Values: open time (middle), 1 | -1 | 0, is outside.
 */
export function makeOutcomeShape(palette, intervalMs) {
  return (params, api) => {
    const [x, middle] = api.coord([api.value(0), 0]);
    const half = params.coordSys.height / 2;
    const hit = api.value(1);
    const width = candleWidth(api, intervalMs);
    const bar = {
      type: "rect",
      shape: {
        x: x - width / 2,
        y: hit > 0 ? middle - half * 0.75 : middle,
        width,
        height: half * 0.75,
      },
      style: { fill: hit > 0 ? palette.good : palette.bad },
    };
    const children = hit === 0 ? [] : [bar];
    if (api.value(2))
      children.push(makeText("✕", x, middle + (hit < 0 ? -1 : 1) * half * 0.45, palette.bad));
    return { type: "group", children };
  };
}

function candleWidth(api, intervalMs) {
  return Math.max(1, Math.floor(api.size([intervalMs, 0])[0] * FILL));
}

function makeText(text, x, y, fill) {
  return {
    type: "text",
    style: { text, x, y, fill, align: "center", verticalAlign: "middle", fontSize: 10 },
  };
}
