// ECharts, loaded by the pages that draw, in the page's colours.

import { themeEvents } from "./theme.js";

/** Load ECharts. @returns {Promise<any>} */
export async function loadCharts() {
  return (await import("/assets/vendor/echart/index.js")).echarts;
}

/**
 * Return the page's colours as they are now: a canvas knows no variables.
 * @returns {Record<string, string>}
 */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["surface", "line", "line-strong", "text", "muted", "good", "bad", "model"];
  names.push("band-90", "band-50", "raised", "info-surface");
  return Object.fromEntries(
    names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}

/** Parts of an option that go when it names them no more. */
const PARTS = ["grid", "xAxis", "yAxis", "series", "title"];

/** A chart that fits its element and is drawn anew in other colours. */
export class Chart {
  #draw;
  #closers;

  /**
   * @param {any} echarts the library
   * @param {HTMLElement} element
   * @param {(palette: Record<string, string>) => object|null} draw returns ECharts' option
   */
  constructor(echarts, element, draw) {
    this.#draw = draw;
    this.instance = echarts.init(element, null, { renderer: "canvas" });
    const observer = new ResizeObserver(() => this.instance.resize({ silent: true }));
    observer.observe(element);
    this.#closers = [() => observer.disconnect(), themeEvents.on("change", () => this.draw())];
    this.draw();
  }

  /** Draw what is there now. */
  draw() {
    const option = this.#draw(colours());
    if (option !== null) this.instance.setOption(option, { replaceMerge: PARTS, lazyUpdate: true });
  }

  close() {
    for (const close of this.#closers) close();
    this.instance.dispose();
  }
}

/** Return the option of a chart that has nothing to draw, but says why. */
export function makeNote(palette, text) {
  const textStyle = { color: palette.muted, fontSize: 12, fontWeight: "normal", lineHeight: 18 };
  return { ...baseOption(palette), title: { text, textStyle, left: "center", top: "middle" } };
}

/** Return what all charts have in common. @param {Record<string, string>} palette */
export function baseOption(palette) {
  const fontFamily = getComputedStyle(document.body).fontFamily;
  return {
    animation: false, // values that move to their place are values that are not there yet
    useUTC: true,
    backgroundColor: "transparent",
    textStyle: { fontFamily, color: palette.muted },
    tooltip: {
      renderMode: "richText", // HTML would need inline styles, which the page forbids itself
      trigger: "axis",
      backgroundColor: palette.surface,
      borderColor: palette["line-strong"],
      textStyle: { color: palette.text, fontSize: 12, fontFamily, lineHeight: 18 },
    },
  };
}

/** Return an axis in the page's colours. */
export function makeAxis(palette, axis) {
  const { axisLabel, axisLine, splitLine, ...rest } = axis;
  return {
    axisLabel: { color: palette.muted, fontSize: 11, hideOverlap: true, ...axisLabel },
    axisLine: { lineStyle: { color: palette["line-strong"] }, ...axisLine },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: palette.line }, ...splitLine },
    ...rest,
  };
}

/** Labels of a time axis: days stand out, all in UTC. */
export const TIME_LABELS = {
  formatter: {
    year: "{yyyy}",
    month: "{MM}-{dd}",
    day: "{MM}-{dd}",
    hour: "{HH}:{mm}",
    minute: "{HH}:{mm}",
    second: "{HH}:{mm}:{ss}",
    none: "{HH}:{mm}",
  },
};
