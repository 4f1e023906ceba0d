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

  // The large library of this page is fetched beside our own modules rather than after them.
  const library = location.pathname.startsWith("/symbols/") ? "echart" : "aggrid";
  if (["/models", "/health"].includes(location.pathname)) return;
  const link = document.createElement("link");
  link.rel = "modulepreload";
  link.href = `/assets/vendor/${library}/index.js`;
  document.head.append(link);
})();
