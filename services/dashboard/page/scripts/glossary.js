// What the words on the page mean: shown on hover, and in the help.

/** @type {Record<string, string>} */
const TEXTS = {
  forecast:
    "How much the next close is expected to differ from the last one: the network's forecast, " +
    "shrunk to the share of it that has come true so far. Zero where no skill was shown.",
  bounds:
    "The next close should lie within these bounds 90 % of the time (the darker band: 50 %). " +
    "They are the honest part of a forecast: how wrong it may be.",
  actionable:
    'Yes where this symbol\'s forecasts have been better than "no change" beyond chance. No: do ' +
    "not act on the forecast; the bounds still hold.",
  skill:
    "How much smaller the squared error is than that of forecasting no change, over the newest " +
    "candles. The brackets hold the true value 95 % of the time. If they hold zero, " +
    "skill is not shown: it may be luck.",
  hitRate:
    "How often the forecast had the sign of the change that followed. 50 % is what a coin does.",
  coverage:
    "How often the close lay within the 90 % bounds. Near 90 % is right: more is too wide, less " +
    "too narrow.",
  lastHit:
    "The forecast before: ● its direction was right, ○ it was wrong, and ✕ where the close lay " +
    "outside the 90 % bounds.",
  version: "The model that the symbol's own weights started from when it was promoted.",
  steps: "How often the model has learnt from a candle of this symbol since its promotion.",
  age: "Time since the newest candle arrived at the producer.",
  closeToArrival: "From the close of the candle until the producer had it: exchange and network.",
  arrivalToReadable:
    "From the candle's arrival until its prediction could be read: what this system adds.",
  standing:
    "live: candles come as they should. late: its newest candle is missing. halted: the exchange " +
    "has stopped trading. ended: it is followed no more. waiting: candles, but no prediction yet.",
  predictionsPerHour: "How many predictions an hour these symbols should give, and gave.",
  pooledSkill:
    "Skill over all symbols together. Symbols move together, so this is counted by candle time, " +
    "not by prediction.",
  replicas: "Predictors that share the symbol groups (partitions), and who holds which.",
  repairs:
    "Gaps: candles that the exchange does not have. Fills: candles that came after all. " +
    "Amendments: candles that the exchange has changed.",
  deadLetters:
    "Records that could not be read, kept with the reason. `ulstm dead-letters list` shows them.",
  connections:
    "How often the feed was connected anew, and how many transactions Kafka has taken back. " +
    "Neither loses anything.",
  champion: "The model version whose predictions are published.",
  challenger: "A newer version that is measured against the champion on the same candles.",
  calibration:
    "Forecasts in groups by size, against the change that followed. On the diagonal, forecasts " +
    "are as large as what comes of them.",
  lead:
    "The absolute error of zero change less that of the forecast, in per cent of the close, " +
    "summed up over the newest day.",
  pValue: "The chance of at least this much skill if there were none.",
  lag: "Candles of the partition that no predictor has taken over yet.",
  close: "The newest close, in the quote currency.",
  lastChange: "The newest close against the one before.",
};

/** The texts; a number and its per cent sign stay on one line. @type {Record<string, string>} */
export const GLOSSARY = Object.fromEntries(
  Object.entries(TEXTS).map(([name, text]) => [name, text.replace(/(\d) %/g, "$1\u00a0%")]),
);

/** Keys, and what they do. */
export const KEYS = [
  ["/", "go to the filter of the overview"],
  ["↑ ↓ Space", "move in the table, choose a row"],
  ["Enter", "open the symbol"],
  ["Esc", "back to the overview"],
  ["[ ]", "previous, next symbol, in the table's order"],
  ["← →", "another candle (with the focus on the chart)"],
  ["+ −", "zoom"],
  ["O", "load older candles"],
  ["?", "this help"],
];

const TITLES = {
  forecast: "Forecast",
  bounds: "Bounds",
  actionable: "Actionable",
  skill: "Skill",
  hitRate: "Hit rate",
  coverage: "Coverage",
  lastHit: "Hit, miss",
  steps: "Steps",
  age: "Age",
  standing: "Standing",
  repairs: "Repairs",
  deadLetters: "Dead letters",
  champion: "Champion",
  challenger: "Challenger",
  calibration: "Calibration",
  lag: "Lag",
};

/** The words of the help, in its order. @type {[string, string][]} */
export const WORDS = Object.entries(TITLES).map(([name, title]) => [title, GLOSSARY[name]]);
