// What is shown, and its form in the address's fragment, which no server sees. The key is never part of it.

import { service } from "./api.js";

const DEFAULTS = {
  workflow: null, run: null, tab: "rows", filters: [], sort: null, order: "asc", columns: null, page: 1, size: 50, row: null, since: null, kind: null, changed: null,
};
// What is off on the service has no tab.
export const TAB_NAMES = ["rows", "columns", "changes", ...(service.sql ? ["sql"] : [])];
export const PAGE_SIZES = [25, 50, 100, 250, 1000];

export const view = { ...DEFAULTS };
const listeners = new Set();

// The listener gets the names of the members that have changed.
export const onChange = listener => listeners.add(listener);

// Values of filters are text, so that long numbers keep their digits: {field, operator, values: [text]}.
function write() {
  const parameters = new URLSearchParams();
  for (const name of ["workflow", "run", "tab", "sort", "order", "page", "size", "row", "since", "kind", "changed"]) {
    if (view[name] !== DEFAULTS[name]) parameters.set(name, view[name]);
  }
  for (const { field, operator, values } of view.filters) parameters.append("filter", JSON.stringify([field, operator, ...values]));
  if (view.columns) parameters.set("columns", JSON.stringify(view.columns));
  return parameters.size ? `#${parameters}` : "";
}

function texts(json) {
  try {
    const found = JSON.parse(json);
    return Array.isArray(found) && found.every(one => typeof one === "string") ? found : null;
  } catch {
    return null;
  }
}

function read(fragment) {
  const parameters = new URLSearchParams(fragment.slice(1));
  const number = (name, least) => Math.max(least, Number.parseInt(parameters.get(name), 10) || DEFAULTS[name]);
  const filters = parameters.getAll("filter").map(texts).filter(one => one?.length >= 2)
    .map(([field, operator, ...values]) => ({ field, operator, values }));
  const size = number("size", 1);
  return {
    ...DEFAULTS, filters, columns: texts(parameters.get("columns")), page: number("page", 1),
    size: PAGE_SIZES.includes(size) ? size : DEFAULTS.size,
    row: parameters.has("row") ? number("row", 1) : null,
    order: parameters.get("order") === "desc" ? "desc" : "asc",
    ...Object.fromEntries(["workflow", "run", "sort", "since", "kind", "changed"].map(name => [name, parameters.get(name) || null])),
    tab: TAB_NAMES.includes(parameters.get("tab")) ? parameters.get("tab") : DEFAULTS.tab,
  };
}

function apply(next) {
  const changed = new Set(Object.keys(next).filter(name => JSON.stringify(view[name]) !== JSON.stringify(next[name])));
  Object.assign(view, next);
  return changed;
}

const address = () => `${location.pathname}${location.search}${write()}`;

// A change that the back button undoes, unless it only completes the view; a quiet one tells nobody.
export function change(next, { replace = false, quiet = false } = {}) {
  const changed = apply(next);
  if (!changed.size) return;
  history[replace ? "replaceState" : "pushState"](null, "", address());
  if (quiet) return;
  for (const listener of listeners) listener(changed);
}

// Reads the address once at the start; returns the key if it has one, which must not stay in sight.
export function start() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  apply(read(location.hash));
  history.replaceState(null, "", address());
  addEventListener("popstate", () => {
    const changed = apply(read(location.hash));
    if (changed.size) for (const listener of listeners) listener(changed);
  });
  return key;
}

export const forget = () => {
  apply(DEFAULTS);
  history.replaceState(null, "", address());
};

export const link = () => new URL(address(), location.href).href;
