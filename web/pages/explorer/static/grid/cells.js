// The content of a cell by the type of its column. Everything is text, so no value is ever parsed as HTML.

import { ExactNumber } from "../api.js";
import { icon, make } from "../dom.js";
import { moment, money } from "../words.js";

const MAX_CELL_CHARACTERS = 300;
const SHOWN_ITEMS = 2;

// Whether the address asks for the variant of the page that may load images of other hosts.
export const thumbnails = () => new URLSearchParams(location.search).has("thumbnails");

const isPlain = value => typeof value !== "object" || value instanceof ExactNumber;

// A value as text, as it is copied.
export const textOf = value => value === null || value === undefined ? "" : isPlain(value) ? String(value) : JSON.stringify(value);

// needles: texts that filters look for; isFull: all of a value, in the detail of a row.
export function cell(field, value, { needles = [], isFull = false } = {}) {
  if (value === null || value === undefined) return [none("null")];
  if (value === "") return [none("empty text")];
  const text = textOf(value);
  const draw = DRAWN[field.type];
  if (draw && (isPlain(value) !== NESTED.has(field.type))) return draw(value, { needles, isFull, text });
  if (!isPlain(value)) return Array.isArray(value) ? list(value, { isFull }) : object(value, { isFull });
  return marked(isFull ? text : text.slice(0, MAX_CELL_CHARACTERS), needles);
}

const none = word => make("span", { class: "null" }, word);
const NESTED = new Set(["MONEY", "OBJECT", "ARRAY"]);
const DRAWN = {
  BOOLEAN: value => [make("span", { class: value === true || value === "true" ? "yes" : "no", title: String(value) },
    icon(value === true || value === "true" ? "check" : "dash"), make("span", { class: "unseen" }, String(value)))],
  DATE: value => [String(value)],
  DATETIME: (value, { isFull }) => [moment(value) + (isFull && /Z$/.test(value) ? " UTC" : "")],
  MONEY: value => {
    if (value.amount === null || value.amount === undefined) return [none("null")];
    const [amount, currency] = money(value.amount, value.currencyCode ?? "");
    return [amount, make("span", { class: "currency" }, currency)];
  },
  LINK: (value, options) => link(value, options),
  IMAGE: (value, options) => image(value, options),
  ARRAY: (value, options) => Array.isArray(value) ? list(value, options) : object(value, options),
  OBJECT: (value, options) => Array.isArray(value) ? list(value, options) : object(value, options),
};

// Only addresses of the web become links: what a javascript: address does is not ours to offer.
function webAddress(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:"].includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

const anchor = (url, label, ...content) => make("a", {
  href: url.href, target: "_blank", rel: "noopener noreferrer", referrerpolicy: "no-referrer", tabindex: -1, title: url.href, "aria-label": label,
}, ...content);

function link(text, { isFull, needles }) {
  const url = webAddress(text);
  if (!url) return marked(isFull ? text : text.slice(0, MAX_CELL_CHARACTERS), needles);
  if (isFull) return [anchor(url, null, text)];
  const last = url.pathname.split("/").filter(Boolean).pop();
  return [anchor(url, null, last ? `…/${decoded(last)}` : url.host)];
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function image(text, { isFull, needles }) {
  const url = webAddress(text);
  if (!url) return marked(text.slice(0, MAX_CELL_CHARACTERS), needles);
  const picture = thumbnails() && url.protocol === "https:"
    ? make("img", { src: url.href, alt: "", loading: "lazy", decoding: "async", referrerpolicy: "no-referrer", class: "thumbnail" })
    : make("span", { class: "thumbnail" }, icon("image"));
  return [anchor(url, `Image ${url.href}`, picture), isFull ? anchor(url, null, text) : ""];
}

function list(items, { isFull }) {
  if (!items.length) return [none("empty list")];
  if (!items.every(isPlain)) return object(items, { isFull });
  const shown = isFull ? items : items.slice(0, SHOWN_ITEMS);
  const rest = items.length - shown.length;
  return [...shown.map(item => make("span", { class: "pill" }, item === null ? none("null") : isFull ? String(item) : String(item).slice(0, 80))),
    rest ? make("span", { class: "pill" }, `+${rest}`) : ""];
}

function object(value, { isFull }) {
  if (isFull) return [make("pre", { class: "object" }, JSON.stringify(value, null, 2))];
  const members = Array.isArray(value) ? [`${value.length} items`]
    : Object.entries(value).map(([name, member]) => [`${name}: `, make("span", {}, member === null ? "null" : isPlain(member) ? String(member).slice(0, 40) : "{…}")]);
  return [make("span", { class: "object" }, "{", ...members.flatMap((member, at) => at ? [", ", ...member] : member), "}")];
}

// Text with what the filters look for underlined.
export function marked(text, needles) {
  const found = needles.map(needle => needle.toLowerCase()).filter(Boolean);
  if (!found.length) return [text];
  const lower = text.toLowerCase();
  // In a few scripts the lower case is longer, and positions would not fit.
  if (lower.length !== text.length) return [text];
  const parts = [];
  let at = 0;
  while (at < text.length) {
    const next = found.map(needle => [lower.indexOf(needle, at), needle.length]).filter(([start]) => start >= 0).sort((a, b) => a[0] - b[0])[0];
    if (!next) break;
    parts.push(text.slice(at, next[0]), make("mark", {}, text.slice(next[0], next[0] + next[1])));
    at = next[0] + next[1];
  }
  return [...parts, text.slice(at)];
}
