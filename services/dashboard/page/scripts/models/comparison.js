// The newest decided challenger against the champion of then, on the same candles.

import { Chart, TIME_LABELS, baseOption, loadCharts, makeAxis } from "../charts.js";
import { makeTime } from "../clock.js";
import { make, makeTable } from "../dom.js";
import * as format from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { makeDecision, makeSkillCells } from "./card.js";

const TITLE = "Challenger against champion";

/**
 * Make the comparison.
 * @param {Record<string, any>|null|undefined} comparison as the server has it
 * @returns {HTMLElement}
 */
export function makeComparison(comparison) {
  const title = make("h2", { class: "card-title", title: GLOSSARY.challenger }, TITLE);
  if (!comparison) {
    const note = "No challenger has been measured yet. That happens at the next training.";
    const text = make("p", { class: "card-note muted" }, note);
    return make("section", { class: "card" }, title, text);
  }
  return make(
    "section",
    { class: "card", "aria-label": TITLE },
    title,
    makeScope(comparison),
    makeSkills(comparison),
    makeDecision(comparison.decision),
    comparison.running
      ? make("div", { id: "chart-running", class: "side-chart", role: "img" })
      : null,
  );
}

/**
 * Draw the running skill of both, if the comparison has it.
 * @param {Record<string, any>|null|undefined} comparison
 * @returns {Promise<Chart|null>}
 */
export async function drawRunning(comparison) {
  if (!comparison?.running) return null;
  const echarts = await loadCharts();
  const element = document.getElementById("chart-running");
  if (element === null) return null; // the viewer has gone to another page
  element.setAttribute("aria-label", "Skill so far of challenger and champion");
  return new Chart(echarts, element, (palette) => runningOption(palette, comparison.running));
}

function makeScope({ candles, symbols, from_ms: from, through_ms: through }) {
  const counts = [
    "Measured on the same held-out candles",
    format.isKnown(symbols) ? format.plural(symbols, "symbol") : null,
    format.isKnown(candles) ? format.plural(candles, "candle time") : null,
  ];
  const isKnown = format.isKnown(from) && format.isKnown(through);
  const span = isKnown ? [", ", makeTime(from), " to ", makeTime(through), " UTC"] : [];
  return make("p", { class: "card-note muted" }, counts.filter(Boolean).join(", "), ...span);
}

function makeSkills({ challenger, champion, ...comparison }) {
  const headings = [
    { text: "Version" },
    { text: "Skill against zero change", title: GLOSSARY.skill },
    { text: "95 % interval" },
    { text: "p", isNumber: true, title: GLOSSARY.pValue },
  ];
  const rows = [[nameOf(challenger, "challenger"), ...makeSkillCells(comparison.skill_challenger)]];
  if (champion) {
    rows.push([nameOf(champion, "champion"), ...makeSkillCells(comparison.skill_champion)]);
    const over = make("strong", {}, "challenger over champion");
    rows.push([over, ...makeSkillCells(comparison.over_champion)]);
  }
  return makeTable(headings, rows, TITLE);
}

function nameOf(version, role) {
  const name = make("span", { class: "mono", title: version }, format.shortVersion(version));
  return make("span", {}, name, ` (${role})`);
}

function runningOption(palette, running) {
  const times = running.open_time_ms;
  const line = (name, values, color, type) => ({
    name,
    type: "line",
    symbol: "none",
    emphasis: { disabled: true },
    lineStyle: { color, width: 2, type },
    itemStyle: { color },
    data: times.map((time, i) => [time, values[i] === null ? null : values[i] * 100]),
  });
  const series = [line("challenger", running.challenger, palette.model, "solid")];
  const hasChampion = running.champion?.some((value) => value !== null);
  if (hasChampion) series.push(line("champion", running.champion, palette.good, "dashed"));
  const zero = { silent: true, symbol: "none", label: { show: false }, data: [{ yAxis: 0 }] };
  series[0].markLine = { ...zero, lineStyle: { color: palette.muted, type: "solid" } };
  return {
    ...baseOption(palette),
    grid: { left: 12, right: 16, top: 34, bottom: 6, containLabel: true },
    legend: { top: 4, left: 8, textStyle: { color: palette.muted }, itemHeight: 8 },
    xAxis: makeAxis(palette, { type: "time", axisLabel: TIME_LABELS, splitLine: { show: false } }),
    yAxis: makeAxis(palette, {
      type: "value",
      axisLabel: { formatter: (value) => `${format.signed(value, 1)} %` },
    }),
    tooltip: {
      ...baseOption(palette).tooltip,
      valueFormatter: (value) => `${format.signed(value, 2)} %`,
    },
    series,
  };
}
