// The dialog with words and keys.

import { make } from "./dom.js";
import { KEYS, WORDS } from "./glossary.js";

/**
 * Fill the dialog and give its button a function.
 * @param {HTMLDialogElement} dialog
 * @param {HTMLButtonElement} button
 */
export function initHelp(dialog, button) {
  const close = make("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.append(
    make("header", {}, make("h1", { id: "help-title" }, "Words and keys"), close),
    make("p", { class: "muted" }, "All times are UTC; hover over one for yours."),
    make("h2", {}, "Words"),
    makeList(WORDS),
    make("h2", {}, "Keys"),
    makeList(KEYS.map(([keys, does]) => [make("kbd", {}, keys), does])),
  );
  button.addEventListener("click", () => dialog.showModal());
}

function makeList(pairs) {
  const items = pairs.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]);
  return make("dl", {}, ...items);
}
