// Keys that work on every page, and those of the page that is shown.

/** @type {Record<string, () => void>} */
let pageKeys = {};

/** Replace the keys of the page. @param {Record<string, () => void>} keys */
export function setPageKeys(keys) {
  pageKeys = keys;
}

/** Listen to keys. @param {Record<string, () => void>} keys of every page */
export function initKeys(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const act = pageKeys[event.key] ?? keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
}

function isTyping(target) {
  return target instanceof Element && target.matches("input, select, textarea, [contenteditable]");
}
