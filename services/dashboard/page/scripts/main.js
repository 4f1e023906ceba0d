// The page's parts list: session, frame, router, and a view for each page.

import { initFrame, markPage } from "./frame.js";
import { initKeys, setPageKeys } from "./keys.js";
import { initRouter } from "./router.js";
import { Session } from "./session.js";

/** Views are loaded when they are shown: each has parts that the others do not need. */
const VIEWS = {
  overview: async () => (await import("./overview/view.js")).OverviewView,
  symbol: async () => (await import("./symbol/view.js")).SymbolView,
  models: async () => (await import("./models/view.js")).ModelsView,
  health: async () => (await import("./health/view.js")).HealthView,
};
const TITLES = { overview: "Overview", models: "Models", health: "Health" };

const session = new Session();
const main = document.getElementById("main");
let view = null;
let shown = 0;
/** @type {string|null|undefined} whose news the connection brings; undefined: there is none yet */
let listensTo;

async function show({ page, symbol }) {
  const turn = ++shown;
  view?.close();
  view = null;
  setPageKeys({});
  markPage(page);
  document.title = `${symbol ?? TITLES[page]} · Updating LSTM`;
  if (symbol !== listensTo) session.listen((listensTo = symbol));
  const View = await VIEWS[page]();
  if (turn !== shown) return; // another page was chosen meanwhile
  main.replaceChildren();
  main.className = `page-${page}`;
  view = new View(main, session, symbol);
}

initFrame(session);
initKeys({ "?": () => document.getElementById("help").showModal() });
initRouter(show);
session.showEarly(globalThis.earlyOverview);
