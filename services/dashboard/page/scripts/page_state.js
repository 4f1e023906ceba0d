// The state in words: what is so, and what happens next.

import { sentence, timeOfDay } from "./format.js";

/**
 * @typedef {object} PageState
 * @property {string} name of the state, as the server has it, or `disconnected`
 * @property {string} sign tells states apart without colours
 * @property {string} title
 * @property {string} reason
 * @property {string} next what happens next, or what to do
 */

const STATES = {
  loading: {
    sign: "◌",
    title: "Loading",
    next: "The page's server is reading the topics; values appear as it finds them.",
  },
  empty: {
    sign: "○",
    title: "No candles yet",
    next: "The first candle appears when the producer has written it: seconds after its close.",
  },
  waiting_for_model: {
    sign: "◔",
    title: "Waiting for a model",
    next: "The trainer promotes the first one when it has enough candles; nothing is to be done.",
  },
  live: { sign: "●", title: "Live", next: "" },
  stale: {
    sign: "▲",
    title: "Stale",
    next: "Nothing is lost: what is missing is filled in when the feed is back. Health says more.",
  },
  kafka_down: {
    sign: "■",
    title: "Kafka is down",
    next: "The values are the newest that were read; the page goes on when Kafka is back.",
  },
  disconnected: {
    sign: "✕",
    title: "Disconnected",
    next: "The page tries again every few seconds and then fetches everything anew.",
  },
};

/**
 * Describe the state.
 * @param {Record<string, any>|null} summary the newest of the server
 * @param {boolean} isConnected to the page's server
 * @returns {PageState}
 */
export function describeState(summary, isConnected) {
  if (!isConnected) return describe("disconnected", disconnectedReason(summary));
  if (summary === null) return describe("loading", "Connecting to the page's server.");
  const name = summary.state in STATES ? summary.state : "loading";
  return describe(name, sentence(summary.state_reason ?? ""));
}

function disconnectedReason(summary) {
  const reason = "The page's server does not answer.";
  if (summary === null) return `${reason} Is \`ulstm dashboard\` running?`;
  const time = timeOfDay(summary.time_ms, true);
  return `${reason} The values are those of ${time} UTC; their ages go on counting.`;
}

function describe(name, reason) {
  return { name, reason, ...STATES[name] };
}
