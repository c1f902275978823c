// Builds elements from text only, so no cell value is ever parsed as HTML.

export const find = id => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

export function show(id, visible = true) {
  find(id).hidden = !visible;
}

export function alert(message) {
  find("alert").textContent = message || "";
  show("alert", Boolean(message));
  if (message) find("alert").scrollIntoView({ block: "nearest" });
}

export const count = number => Number(number).toLocaleString("en");

export const counted = (number, noun) => `${count(number)} ${noun}${Number(number) === 1 ? "" : "s"}`;

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) [bytes, unit] = [bytes / 1000, unit + 1];
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

// A table of rows; head(column) returns the content of its heading.
export function table(caption, columns, rows, head = column => [column.name]) {
  const cell = (column, value) => {
    if (value === null || value === undefined) return make("td", {}, make("span", { class: "null" }, "null"));
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return make("td", { class: kind(column) }, text.slice(0, 500));
  };
  const kind = column => column.type === "NUMBER" ? "number" : null;
  return make("table", {},
    make("caption", { class: "quiet" }, caption),
    make("thead", {}, make("tr", {}, ...columns.map(column => make("th", { scope: "col", class: kind(column) }, ...head(column))))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...columns.map(column => cell(column, row[column.name]))))));
}
