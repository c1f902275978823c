// Numbers, sizes, times and requests in words.

import { service } from "./api.js";

export const count = number => Number(number).toLocaleString("en");

export const counted = (number, noun) => `${count(number)} ${noun}${Number(number) === 1 ? "" : "s"}`;

export const sentence = text => text.slice(0, 1).toUpperCase() + text.slice(1);

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) [bytes, unit] = [bytes / 1000, unit + 1];
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

// Seconds as the two largest units: 23 h 58 min.
function span(seconds) {
  const units = [["day", 86400], ["h", 3600], ["min", 60]];
  const at = units.findIndex(([, length]) => seconds >= length);
  if (at < 0) return "less than a minute";
  const [name, length] = units[at];
  const whole = Math.floor(seconds / length);
  const rest = units[at + 1] && Math.floor(seconds % length / units[at + 1][1]);
  const first = name === "day" ? counted(whole, name) : `${whole} ${name}`;
  return rest && (name !== "day" || whole < 3) ? `${first} ${rest} ${units[at + 1][0]}` : first;
}

const secondsSince = moment => (Date.now() - Date.parse(moment)) / 1000;

export function age(moment) {
  const seconds = secondsSince(moment);
  return seconds < 60 ? "just now" : `${span(seconds).split(" ").slice(0, 2).join(" ")} ago`;
}

export function left(moment) {
  const seconds = -secondsSince(moment);
  return seconds <= 0 ? "expired" : `${span(seconds)} left`;
}

// A moment in UTC, without what breaks lines or says nothing.
export const moment = text => String(text).replace("T", " ").replace(/Z$/, "");

const OPERATORS = {
  EQUALS: "is", NOT_EQUALS: "is not", CONTAINS: "contains", NOT_CONTAINS: "does not contain", STARTS_WITH: "starts with",
  ENDS_WITH: "ends with", GREATER_THAN: "greater than", LESS_THAN: "less than", GREATER_THAN_OR_EQUAL: "at least",
  LESS_THAN_OR_EQUAL: "at most", IN: "is one of", NOT_IN: "is none of", IS_NULL: "is null", IS_NOT_NULL: "is not null",
  IS_EMPTY: "is empty", IS_NOT_EMPTY: "is not empty", BEFORE: "before", AFTER: "after", WITHIN_LAST_DAYS: "within the last",
};
const OF_DATES = {
  GREATER_THAN: "later than", LESS_THAN: "earlier than", GREATER_THAN_OR_EQUAL: "at or after", LESS_THAN_OR_EQUAL: "at or before",
};

export const operatorWords = (operator, type) =>
  (type?.startsWith("DATE") && OF_DATES[operator]) || OPERATORS[operator] || operator.toLowerCase().replaceAll("_", " ");

// A filter as [field, operator, value] in words.
export function filterParts({ field, operator, values }, type) {
  const shape = service.operators[operator];
  const shown = values.map(value => value === "" ? "(empty text)" : value);
  const value = shape === "none" ? "" : shape === "days" ? (values[0] === "1" ? "1 day" : `${values[0]} days`)
    : shown.length > 3 ? `${shown.slice(0, 2).join(", ")} and ${shown.length - 2} more` : shown.join(", ");
  return [field, operatorWords(operator, type), value];
}

export const filterWords = (filter, type) => filterParts(filter, type).filter(Boolean).join(" ");

const currencyDigits = new Map();

function digitsOf(currency) {
  if (!currencyDigits.has(currency)) {
    let digits = null;
    try {
      digits = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
    } catch {
      // Not the code of a currency.
    }
    currencyDigits.set(currency, digits);
  }
  return currencyDigits.get(currency);
}

// An amount in the currency's smallest unit as people write it: [3,056.48, EUR].
export function money(amount, currency) {
  const digits = digitsOf(currency);
  const whole = /^(-?)(\d+)$/.exec(String(amount));
  if (digits === null || !whole) return [String(amount), currency ?? ""];
  const padded = whole[2].padStart(digits + 1, "0");
  const units = padded.slice(0, padded.length - digits).replace(/\B(?=(\d{3})+$)/g, ",");
  return [`${whole[1]}${units}${digits ? `.${padded.slice(-digits)}` : ""}`, currency];
}
