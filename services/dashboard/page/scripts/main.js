// The page's parts list: session, frame, router, and a view for each page.

import { initFrame, markPage } from "./frame.js";
import { HealthView } from "./health/view.js";
import { initKeys, setPageKeys } from "./keys.js";
import { ModelsView } from "./models/view.js";
import { OverviewView } from "./overview/view.js";
import { initRouter } from "./router.js";
import { Session } from "./session.js";
import { SymbolView } from "./symbol/view.js";

const VIEWS = {
  overview: OverviewView,
  symbol: SymbolView,
  models: ModelsView,
  health: HealthView,
};
const TITLES = { overview: "Overview", models: "Models", health: "Health" };

const session = new Session();
const main = document.getElementById("main");
let view = null;
/** @type {string|null|undefined} whose news the connection brings; undefined: there is none yet */
let listensTo;

function show({ page, symbol }) {
  view?.close();
  setPageKeys({});
  main.replaceChildren();
  main.className = `page-${page}`;
  markPage(page);
  document.title = `${symbol ?? TITLES[page]} · Updating LSTM`;
  view = new VIEWS[page](main, session, symbol);
  if (symbol !== listensTo) session.listen((listensTo = symbol));
}

initFrame(session);
initKeys({ "?": () => document.getElementById("help").showModal() });
initRouter(show);
