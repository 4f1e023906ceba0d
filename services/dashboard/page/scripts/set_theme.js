// A classic script that runs before the first paint: see index.html. theme.js does the rest.
(() => {
  let choice = null;
  try {
    choice = localStorage.getItem("theme");
  } catch {
    // Storage may be forbidden; the system's colours are shown then.
  }
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = choice ?? (isDark ? "dark" : "light");
})();
