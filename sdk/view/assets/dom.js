// Elements out of values. Text only ever becomes text: nothing here, and nothing in this page, parses markup.

const SVG = "http://www.w3.org/2000/svg";
const LONGEST = 240;
// Control characters, and those that override the direction of text: they would reach beyond their own element.
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

// Makes an element. `attributes`: `class`, `on` (listeners by event), `data-…`, properties by `.name`; null and false
// leave an attribute out. `children`: nodes, texts, arrays of them; null leaves a child out.
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true", focusable: "false" }, svg("use", { href: `#i-${name}` }));
}

// A title, an id or any other text that came from a catalog or a peer: its writing direction stays its own.
export function foreign(text) {
  return h("bdi", { class: "foreign" }, plain(text));
}

// Such a text without what could turn or break the text around it, and no longer than anybody reads.
export function plain(text) {
  const shown = String(text).replace(INVISIBLE, "\ufffd");
  return shown.length > LONGEST ? `${shown.slice(0, LONGEST)}…` : shown;
}

export function replace(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

export function toggleClass(element, name, on) {
  element.classList.toggle(name, Boolean(on));
}

let made = 0;

// An id that no other element of the page has.
export function freshId(stem) {
  made += 1;
  return `${stem}-${made}`;
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name.startsWith(".")) {
      element[name.slice(1)] = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}
