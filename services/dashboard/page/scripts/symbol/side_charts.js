// The three smaller charts of a symbol: running skill, calibration, error of the last day.

import { Chart, TIME_LABELS, baseOption, loadCharts, makeAxis } from "../charts.js";
import { change, plural, signed, timestamp } from "../format.js";
import { describeSkill } from "../skill_text.js";

const GRID = { left: 8, right: 12, top: 14, bottom: 4, containLabel: true };
const TONES = {
  good: "better than zero change",
  bad: "worse than zero change",
  muted: "not shown",
};
const percent = (value) => `${signed(value, 1)} %`;
const smallPercent = (value) => `${signed(value, 2)} %`;

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
    this.#charts = [
      new Chart(echarts, elements.skill, (palette) => skillOption(palette, history.skill)),
      new Chart(echarts, elements.calibration, (palette) =>
        calibrationOption(palette, history.calibration),
      ),
      new Chart(echarts, elements.errors, (palette) => errorOption(palette, history.errors)),
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
    stack: "interval",
    stackStrategy: "all",
    lineStyle: { opacity: 0 },
    silent: true,
  };
  return {
    ...baseOption(palette),
    grid: GRID,
    xAxis: makeAxis(palette, { type: "time", axisLabel: TIME_LABELS, splitLine: { show: false } }),
    yAxis: makeAxis(palette, { type: "value", axisLabel: { formatter: percent } }),
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
        data: points("value"),
        lineStyle: { color: palette.model, width: 2 },
        markLine: zeroLine(palette),
      },
    ],
  };
}

function describeSkillRow({ open_time_ms: time, value, low, high }) {
  const text = describeSkill(value, low, high);
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
    axisLabel: { formatter: smallPercent, showMinLabel: false, showMaxLabel: false },
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
    yAxis: makeAxis(palette, { type: "value", axisLabel: { formatter: smallPercent } }),
    tooltip: {
      ...baseOption(palette).tooltip,
      formatter: ([{ dataIndex }]) => describeErrors(rows[dataIndex], points[dataIndex]),
    },
    series: [
      {
        type: "line",
        symbol: "none",
        data: points,
        lineStyle: { color: colour, width: 2 },
        areaStyle: { color: colour, opacity: 0.12 },
        markLine: zeroLine(palette),
      },
    ],
  };
}

function describeErrors({ open_time_ms: time, model, zero }, [, lead]) {
  const errors = `error ${change(model, 3)}, of zero change ${change(zero, 3)}`;
  return `${timestamp(time)} UTC\n${errors}\nlead so far ${smallPercent(lead)}`;
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

function toPercent(fraction) {
  return fraction * 100;
}
