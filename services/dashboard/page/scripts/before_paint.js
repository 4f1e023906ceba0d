// A classic script that runs before the first paint: see index.html.
(() => {
  let choice = null;
  try {
    choice = localStorage.getItem("theme");
  } catch {
    // Storage may be forbidden; the system's colours are shown then.
  }
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = choice ?? (isDark ? "dark" : "light");

  // What this page will need is fetched beside our own modules rather than after them.
  const page = location.pathname.split("/")[1] || "overview";
  const modules = {
    overview: [
      "/assets/vendor/aggrid/index.js",
      "/assets/scripts/overview/view.js",
      "/assets/scripts/overview/grid.js",
      "/assets/scripts/overview/columns.js",
      "/assets/scripts/overview/range.js",
      "/assets/scripts/overview/strip.js",
      "/assets/scripts/skill_text.js",
    ],
    symbols: ["/assets/vendor/echart/index.js", "/assets/scripts/symbol/view.js"],
    models: ["/assets/scripts/models/view.js"],
    health: ["/assets/scripts/health/view.js"],
  };
  for (const href of modules[page] ?? []) {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = href;
    document.head.append(link);
  }
  if (page === "overview") {
    const answer = fetch("/api/overview").then((response) =>
      response.ok ? response.json() : null,
    );
    globalThis.earlyOverview = answer.catch(() => null); // whether it is reached, the session tells
  }
})();
