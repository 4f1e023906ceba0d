// Which page an address shows. Links within the page do not load it anew.

/**
 * @typedef {object} Route
 * @property {"overview"|"symbol"|"models"|"health"} page
 * @property {string|null} symbol
 */

/**
 * Return the route of a path; an unknown one is the overview's.
 * @param {string} path
 * @returns {Route}
 */
function routeOf(path) {
  const symbol = /^\/symbols\/([^/]+)\/?$/.exec(path)?.[1];
  if (symbol !== undefined) return { page: "symbol", symbol: decodeURIComponent(symbol) };
  const page = path === "/models" || path === "/health" ? path.slice(1) : "overview";
  return { page, symbol: null };
}

/**
 * Call `show` for this address and for each that follows.
 * @param {(route: Route) => void} show
 */
export function initRouter(show) {
  const showAddress = () => show(routeOf(location.pathname));
  addEventListener("popstate", showAddress);
  addEventListener("navigate-to", showAddress);
  document.addEventListener("click", (event) => {
    const path = pathOfClick(event);
    if (path === null) return;
    event.preventDefault();
    navigate(path);
  });
  showAddress();
}

/** Go to another page. @param {string} path */
export function navigate(path) {
  if (path !== location.pathname) history.pushState(null, "", path);
  dispatchEvent(new Event("navigate-to"));
}

/** Return the path of a plain click on a link of ours; null: leave it to the browser. */
function pathOfClick(event) {
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey);
  const link = event.target instanceof Element ? event.target.closest("a[href^='/']") : null;
  return isPlain && link !== null && !event.defaultPrevented ? link.getAttribute("href") : null;
}
