// Builds elements from text only, so no cell value is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

export const find = id => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

// A sign of page.html's symbols; whoever uses it alone adds a label.
export const icon = (name, attributes = {}) =>
  svg("svg", { class: "icon", "aria-hidden": "true", ...attributes }, svg("use", { href: `#i-${name}` }));

export const button = (attributes, ...children) => make("button", { type: "button", ...attributes }, ...children);

// A button with a sign and no text.
export const iconButton = (name, label, onclick, attributes = {}) =>
  button({ class: "button ghost square", "aria-label": label, title: label, onclick, ...attributes }, icon(name));

let labels = 0;

// An input below its label.
export function labelled(label, input) {
  input.id ||= `input-${++labels}`;
  return make("div", { class: "labelled" }, make("label", { for: input.id }, label), input);
}

// Moves the focus among elements by the arrow keys; one of them is a tab stop.
export function roving(container, selector, { choose } = {}) {
  container.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = [...container.querySelectorAll(selector)].filter(one => !one.disabled);
    const at = all.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = all[(at + step + all.length) % all.length];
    for (const one of all) one.tabIndex = one === next ? 0 : -1;
    next.focus();
    choose?.(next);
  });
}
