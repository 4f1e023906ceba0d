// Elements without HTML strings: text from the log is never read as markup.

/**
 * Make an element.
 * @param {string} tag such as `td`
 * @param {Record<string, any>} [properties] attributes; `onclick` and the like are listeners;
 *   false, null and undefined are left out
 * @param {...(Node|string|number|null|undefined)} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) setProperty(element, name, value);
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element of a drawing.
 * @param {string} tag such as `path`
 * @param {Record<string, string|number>} attributes
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * Make a table; a cell that is no node becomes text.
 * @param {{text: string, title?: string, isNumber?: boolean}[]} headings
 * @param {(Node|string|number)[][]} rows
 * @param {string} caption read aloud only
 * @returns {HTMLElement} in a box that scrolls sideways where the table is too wide
 */
export function makeTable(headings, rows, caption) {
  const kind = ({ isNumber }) => (isNumber ? "number" : "");
  const head = headings.map((each) =>
    make("th", { scope: "col", title: each.title, class: kind(each) }, each.text),
  );
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell, i) => make("td", { class: kind(headings[i]) }, cell))),
  );
  const table = make(
    "table",
    {},
    make("caption", { class: "visually-hidden" }, caption),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...body),
  );
  return make(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": caption },
    table,
  );
}

function setProperty(element, name, value) {
  if (value === false || value === null || value === undefined) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else element.setAttribute(name, value === true ? "" : String(value));
}
