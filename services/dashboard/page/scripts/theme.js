// Light, dark, or as the system has it; the choice is remembered.

import { Emitter } from "./emitter.js";

const KEY = "theme";
const CHOICES = [
  { theme: null, sign: "◐", words: "Colours: as the system" },
  { theme: "light", sign: "☀", words: "Colours: light" },
  { theme: "dark", sign: "☾", words: "Colours: dark" },
];

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** Emits `change` when other colours hold: canvases have to be drawn again. */
export const themeEvents = new Emitter();

/**
 * Give the switch its function.
 * @param {HTMLButtonElement} button
 */
export function initThemeSwitch(button) {
  let choice = CHOICES.findIndex((each) => each.theme === storedTheme());
  show(button, CHOICES[choice]);
  button.addEventListener("click", () => {
    choice = (choice + 1) % CHOICES.length;
    storeTheme(CHOICES[choice].theme);
    show(button, CHOICES[choice]);
  });
  systemIsDark.addEventListener("change", () => show(button, CHOICES[choice]));
}

function show(button, { theme, sign, words }) {
  button.textContent = sign;
  button.title = words;
  button.setAttribute("aria-label", words);
  document.documentElement.dataset.theme = theme ?? (systemIsDark.matches ? "dark" : "light");
  themeEvents.emit("change");
}

function storedTheme() {
  try {
    const theme = localStorage.getItem(KEY);
    return CHOICES.some((each) => each.theme === theme) ? theme : null;
  } catch {
    return null; // storage may be forbidden
  }
}

function storeTheme(theme) {
  try {
    if (theme === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be forbidden; the choice then lasts until the page is closed.
  }
}
