// The three smaller charts of a symbol: running skill, calibration, error of the last day.

import { Chart, TIME_LABELS, baseOption, loadCharts, makeAxis, makeNote } from "../charts.js";
import { change, decimalsFor, plural, share, signed, timestamp } from "../format.js";
import { FEWEST_OUTCOMES, describeSkill } from "../skill_text.js";

const TOO_FEW = "Too few outcomes yet.\nThis fills as candles close.";
const SKILL_LATER = `Shown from ${FEWEST_OUTCOMES} outcomes on.\nThis fills as candles close.`;
const STILL = { disabled: true }; // the pointer changes nothing but the tooltip
const GRID = { left: 8, right: 12, top: 14, bottom: 4, containLabel: true };
const TONES = {
  good: "better than zero change",
  bad: "worse than zero change",
  muted: "not shown",
};

export class SideCharts {
  #isClosed = false;
  /** @type {Chart[]} */
  #charts = [];

  /**
   * @param {{skill: HTMLElement, calibration: HTMLElement, errors: HTMLElement}} elements
   * @param {import("./history.js").History} history
   */
  constructor(elements, history) {
    this.#open(elements, history);
  }

  async #open(elements, history) {
    const echarts = await loadCharts();
    if (this.#isClosed) return;
    const open = (name, makeOption) =>
      new Chart(echarts, elements[name], (palette) =>
        history[name].length < 2
          ? makeNote(palette, name === "skill" ? SKILL_LATER : TOO_FEW)
          : makeOption(palette, history[name]),
      );
    this.#charts = [
      open("skill", skillOption),
      open("calibration", calibrationOption),
      open("errors", errorOption),
    ];
  }

  update() {
    for (const chart of this.#charts) chart.draw();
  }

  close() {
    this.#isClosed = true;
    for (const chart of this.#charts) chart.close();
  }
}

function skillOption(palette, rows) {
  const points = (name) => rows.map((row) => [row.open_time_ms, toPercent(row[name])]);
  const band = rows.map((row) => [row.open_time_ms, toPercent(row.high - row.low)]);
  const edge = {
    type: "line",
    symbol: "none",
    emphasis: STILL,
    stack: "interval",
    stackStrategy: "all",
    lineStyle: { opacity: 0 },
    silent: true,
  };
  return {
    ...baseOption(palette),
    grid: GRID,
    xAxis: makeAxis(palette, { type: "time", axisLabel: TIME_LABELS, splitLine: { show: false } }),
    yAxis: makePercentAxis(
      palette,
      rows.flatMap((row) => [row.low, row.high]),
    ),
    tooltip: {
      ...baseOption(palette).tooltip,
      formatter: ([{ dataIndex }]) => describeSkillRow(rows[dataIndex]),
    },
    series: [
      { ...edge, data: points("low") },
      { ...edge, data: band, areaStyle: { color: palette["band-50"] } },
      {
        type: "line",
        symbol: "none",
        emphasis: STILL,
        data: points("value"),
        lineStyle: { color: palette.model, width: 2 },
        markLine: zeroLine(palette),
      },
    ],
  };
}

function describeSkillRow({ open_time_ms: time, value, low, high }) {
  const text = describeSkill({ value, low, high });
  return `${timestamp(time)} UTC\nskill ${change(value, 2)} ${text.interval}\n${TONES[text.tone]}`;
}

function calibrationOption(palette, bins) {
  const largest = Math.max(
    1e-6,
    ...bins.flatMap((bin) => [bin.low, bin.high, bin.predicted].map(Math.abs)),
  );
  const end = toPercent(largest * 1.1);
  const axis = {
    type: "value",
    min: -end,
    max: end,
    axisLabel: { formatter: percentFormat(largest), showMinLabel: false, showMaxLabel: false },
  };
  return {
    ...baseOption(palette),
    grid: { ...GRID, bottom: 20, right: 24 },
    xAxis: makeAxis(palette, {
      ...axis,
      name: "forecast",
      nameLocation: "middle",
      nameGap: 24,
      nameTextStyle: { color: palette.muted },
    }),
    yAxis: makeAxis(palette, axis),
    tooltip: {
      ...baseOption(palette).tooltip,
      trigger: "item",
      formatter: ({ dataIndex }) => describeBin(bins[dataIndex]),
    },
    series: [
      {
        type: "custom",
        silent: true,
        encode: { x: 0, y: [1, 2] },
        renderItem: makeErrorBar(palette),
        data: bins.map((bin) => [bin.predicted, bin.low, bin.high].map(toPercent)),
      },
      {
        type: "scatter",
        symbolSize: 9,
        itemStyle: { color: palette.model },
        data: bins.map((bin) => [bin.predicted, bin.realised].map(toPercent)),
        markLine: diagonal(palette, end),
      },
    ],
  };
}

function describeBin({ predicted, realised, low, high, n }) {
  const interval = `[${signed(low * 100, 3)}, ${signed(high * 100, 3)}]`;
  const followed = `followed by ${change(realised, 3)} ${interval}`;
  return `forecast ${change(predicted, 3)}\n${followed}\n${plural(n, "candle")}`;
}

function makeErrorBar(palette) {
  return (_params, api) => {
    const [x, low] = api.coord([api.value(0), api.value(1)]);
    const high = api.coord([api.value(0), api.value(2)])[1];
    return {
      type: "line",
      shape: { x1: x, x2: x, y1: low, y2: high },
      style: { stroke: palette.model, lineWidth: 1.5 },
    };
  };
}

/** The lead over zero change, summed up over the day: above zero the model was better. */
function errorOption(palette, rows) {
  let lead = 0;
  const points = rows.map((row) => [row.open_time_ms, (lead += toPercent(row.zero - row.model))]);
  const colour = lead >= 0 ? palette.good : palette.bad;
  return {
    ...baseOption(palette),
    grid: GRID,
    xAxis: makeAxis(palette, { type: "time", axisLabel: TIME_LABELS, splitLine: { show: false } }),
    yAxis: makePercentAxis(
      palette,
      points.map(([, value]) => value / 100),
    ),
    tooltip: {
      ...baseOption(palette).tooltip,
      formatter: ([{ dataIndex }]) => describeErrors(rows[dataIndex], points[dataIndex]),
    },
    series: [
      {
        type: "line",
        symbol: "none",
        emphasis: STILL,
        data: points,
        lineStyle: { color: colour, width: 2 },
        areaStyle: { color: colour, opacity: 0.12 },
        markLine: zeroLine(palette),
      },
    ],
  };
}

function describeErrors({ open_time_ms: time, model, zero }, [, lead]) {
  const errors = `error ${share(model, 3)}, of zero change ${share(zero, 3)}`;
  return `${timestamp(time)} UTC\n${errors}\nlead so far ${change(lead / 100, 3)}`;
}

function zeroLine(palette) {
  return {
    silent: true,
    symbol: "none",
    label: { show: false },
    lineStyle: { color: palette.muted, type: "solid", width: 1 },
    data: [{ yAxis: 0 }],
  };
}

function diagonal(palette, end) {
  return {
    silent: true,
    symbol: "none",
    label: { show: false },
    lineStyle: { color: palette.muted, type: "dashed" },
    data: [[{ coord: [-end, -end] }, { coord: [end, end] }]],
  };
}

/** Return an axis of percentages whose labels have the digits that these fractions need. */
function makePercentAxis(palette, fractions) {
  const largest = fractions.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return makeAxis(palette, { type: "value", axisLabel: { formatter: percentFormat(largest) } });
}

function percentFormat(largest) {
  const decimals = decimalsFor(toPercent(largest));
  return (value) => `${signed(value, decimals)} %`;
}

function toPercent(fraction) {
  return fraction * 100;
}
