// The columns of the table of all symbols; their ids are those of the server.

import { make } from "../dom.js";
import * as format from "../format.js";
import { GLOSSARY } from "../glossary.js";
import { symbolPath } from "../server.js";
import { AgeCell } from "./age_cell.js";
import { RangeCell } from "./range.js";
import { SkillCell } from "./skill_cell.js";

const SMALLEST = 0.00005; // a change that is shown as 0.01 %

/** A class by a rule is set once; `cellClass` is taken off and set at every new value. */
const always = () => true;

const STANDING_SIGNS = { live: "●", late: "▲", halted: "■", ended: "□", waiting: "◌" };

/** Columns that a narrow window shows, in this order, and their widths. */
const NARROW = new Map([
  ["symbol", 98],
  ["close", 98],
  ["calibrated_change", 58],
  ["last_hit", 32],
  ["skill", 78],
]);

/**
 * @param {boolean} isNarrow
 * @returns {object[]} AG Grid's column definitions
 */
export function columnDefinitions(isNarrow) {
  const all = [
    symbolColumn(),
    standingColumn(),
    ...forecastColumns(isNarrow),
    ...scoreColumns(isNarrow),
    ...restColumns(),
  ];
  if (!isNarrow) return all.map((column) => ({ minWidth: column.width, ...column }));
  return [...NARROW].map(([id, width]) => {
    const column = all.find((each) => (each.colId ?? each.field) === id);
    return { ...column, width, minWidth: width, pinned: null };
  });
}

function symbolColumn() {
  return {
    field: "symbol",
    headerName: "Symbol",
    pinned: "left",
    width: 118,
    initialSort: "asc",
    filter: "agTextColumnFilter",
    lockPosition: true,
    getQuickFilterText: ({ value }) => value,
    // Out of the order of Tab: the table's own keys move through the cells, Enter opens.
    cellRenderer: ({ value }) => make("a", { href: symbolPath(value), tabindex: "-1" }, value),
  };
}

function standingColumn() {
  return {
    field: "standing",
    headerName: "Standing",
    headerTooltip: GLOSSARY.standing,
    width: 84,
    filter: "agTextColumnFilter",
    getQuickFilterText: ({ value }) => value,
    valueFormatter: ({ value }) => `${STANDING_SIGNS[value] ?? "?"} ${value}`,
    cellClassRules: {
      muted: ({ value }) => value === "ended" || value === "waiting",
      bad: ({ value }) => value === "late" || value === "halted",
    },
  };
}

function forecastColumns(isNarrow) {
  const formatForecast = (value) =>
    isNarrow ? format.signed(value * 100, 3) : format.change(value, 3);
  return [
    number("close", "Close", 100, format.price, { headerTooltip: GLOSSARY.close }),
    percentage("last_change", "Change", 74, (value) => format.change(value, 2), {
      headerTooltip: GLOSSARY.lastChange,
      cellClassRules: signRules(),
    }),
    percentage("calibrated_change", isNarrow ? "Next %" : "Forecast", 80, formatForecast, {
      headerTooltip: GLOSSARY.forecast,
      cellClassRules: { "model-cell": always },
      tooltipValueGetter: ({ data }) => `Next close ${format.price(data.calibrated_close)}`,
    }),
    boundsColumn(),
    flagColumn(),
  ];
}

function boundsColumn() {
  return {
    colId: "upper_change",
    headerName: "90 % bounds",
    headerTooltip: GLOSSARY.bounds,
    width: 156,
    filter: "agNumberColumnFilter",
    // Sorted and filtered by their width: how uncertain the next close is.
    valueGetter: ({ data }) =>
      format.isKnown(data.upper_change) ? (data.upper_change - data.lower_change) * 100 : null,
    // The forecast lies between the bounds, so a change of it alone draws the cell anew too.
    equals: () => false,
    cellRenderer: RangeCell,
    tooltipValueGetter: ({ data }) =>
      `Next close ${format.price(data.lower_close)} to ${format.price(data.upper_close)}`,
  };
}

function flagColumn() {
  return {
    field: "actionable",
    headerName: "Act.",
    headerTooltip: `Actionable: ${GLOSSARY.actionable}`,
    width: 56,
    cellDataType: "boolean",
    cellRenderer: null,
    valueFormatter: ({ value }) => (value === null ? format.UNKNOWN : value ? "◆ yes" : "no"),
    cellClassRules: {
      centre: always,
      good: ({ value }) => value === true,
      muted: ({ value }) => !value,
    },
  };
}

function scoreColumns(isNarrow) {
  return [
    percentage("skill", "Skill", 180, (value) => format.change(value, 1), {
      headerTooltip: GLOSSARY.skill,
      headerClass: "",
      cellClassRules: { number: () => false }, // value left, interval right
      cellRenderer: SkillCell,
      equals: () => false, // its interval may change while it does not
      tooltipValueGetter: ({ data }) => `Over ${format.plural(data.skill_n ?? 0, "candle")}`,
    }),
    percentage("hit_rate", "Hits", 60, (value) => format.share(value), {
      headerTooltip: `Hit rate: ${GLOSSARY.hitRate}`,
    }),
    percentage("coverage", "Inside", 64, (value) => format.share(value), {
      headerTooltip: `Coverage: ${GLOSSARY.coverage}`,
    }),
    {
      field: "last_hit",
      headerName: isNarrow ? "Hit" : "Last",
      headerTooltip: GLOSSARY.lastHit,
      width: 80,
      valueGetter: ({ data }) => describeLast(data),
      valueFormatter: ({ value }) => (isNarrow ? value[0] : value),
      cellClassRules: {
        good: ({ value }) => value.startsWith("●"),
        bad: ({ value }) => !value.startsWith("●") && value !== format.UNKNOWN,
      },
    },
  ];
}

function restColumns() {
  return [
    {
      field: "model_version",
      headerName: "Version",
      headerTooltip: GLOSSARY.version,
      width: 74,
      filter: "agTextColumnFilter",
      getQuickFilterText: ({ value }) => value ?? "",
      tooltipField: "model_version",
      cellClassRules: { mono: always },
      valueFormatter: ({ value }) => format.shortVersion(value),
    },
    number("steps", "Steps", 60, format.count, { headerTooltip: GLOSSARY.steps }),
    number("arrived_ms", "Age", 76, undefined, {
      cellRenderer: AgeCell,
      headerTooltip: GLOSSARY.age,
      tooltipValueGetter: ({ value }) => describeArrival(value),
    }),
    number("close_to_arrival_ms", "Arrival", 66, format.latency, {
      headerTooltip: GLOSSARY.closeToArrival,
    }),
    number("arrival_to_readable_ms", "Readable", 80, format.latency, {
      headerTooltip: GLOSSARY.arrivalToReadable,
    }),
  ];
}

function number(field, headerName, width, formatValue, { cellClassRules, ...rest } = {}) {
  return {
    field,
    headerName,
    width,
    headerClass: "ag-right-aligned-header",
    cellClassRules: { number: always, ...cellClassRules },
    filter: "agNumberColumnFilter",
    valueFormatter: formatValue && (({ value }) => formatValue(value)),
    ...rest,
  };
}

/** A fraction that is shown, and filtered, as a percentage. */
function percentage(field, headerName, width, formatValue, rest = {}) {
  const toPercent = ({ data }) => (format.isKnown(data[field]) ? data[field] * 100 : null);
  return number(field, headerName, width, formatValue, { filterValueGetter: toPercent, ...rest });
}

function signRules() {
  return { good: ({ value }) => value >= SMALLEST, bad: ({ value }) => value <= -SMALLEST };
}

function describeLast({ last_hit: hit, last_inside: inside }) {
  const direction = hit === true ? "● hit" : hit === false ? "○ miss" : format.UNKNOWN;
  return inside === false ? `${direction} ✕` : direction;
}

function describeArrival(arrivedMs) {
  return `Arrived ${format.timestamp(arrivedMs, true)} UTC\n${format.localTime(arrivedMs)}`;
}
