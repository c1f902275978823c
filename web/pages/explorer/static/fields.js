// Columns of a run: their paths, signs and orders, and filters on them as JSON text.

import { service } from "./api.js";
import { icon, make } from "./dom.js";

const TYPES = {
  STRING: ["Text", "Aa"], LINK: ["Link", "link"], IMAGE: ["Image", "image"], NUMBER: ["Number", "#"], BOOLEAN: ["True or false", "boolean"],
  DATE: ["Date", "date"], DATETIME: ["Date and time", "date"], MONEY: ["Money", "money"], OBJECT: ["Object", "{}"], ARRAY: ["List", "[]"],
};
const TEXT_SIGNS = new Set(["Aa", "#", "{}", "[]"]);

export const typeName = type => TYPES[type]?.[0] ?? type;

export function typeSign(type) {
  const sign = TYPES[type]?.[1] ?? "Aa";
  return make("span", { class: "sign", "aria-hidden": "true" }, TEXT_SIGNS.has(sign) ? sign : icon(sign));
}

// Columns and members of objects, with their dotted paths and the names that lead to them.
export function paths(fields, parents = []) {
  return fields.flatMap(field => [
    { ...field, parents, path: [...parents, field.name].join(".") },
    ...paths(field.members || [], [...parents, field.name]),
  ]);
}

// What sorts a column: its name, the amount of MONEY, or null if it has no order (other objects, lists).
export function sortPath(field) {
  if (field.sortable) return field.name;
  return field.type === "MONEY" ? `${field.name}.amount` : null;
}

// What a plot of the column is of.
export const plotPath = field => field.type === "MONEY" ? `${field.name}.amount` : field.name;

const isNumber = stored => /INT|DOUBLE|FLOAT|DECIMAL/.test(stored);

// JSON text rather than objects, so that long numbers keep their digits.
export function filtersJson(filters, known) {
  return `[${filters.map(filter => entry(filter, known.find(one => one.path === filter.field)?.storedAs ?? "")).join(",")}]`;
}

function entry({ field, operator, values }, stored) {
  const head = `{"field":${JSON.stringify(field)},"operator":${JSON.stringify(operator)}`;
  const scalar = text => {
    if (isNumber(stored) && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return text;
    if (stored.startsWith("BOOLEAN") && /^(true|false)$/.test(text)) return text;
    return JSON.stringify(text);
  };
  const first = values[0] ?? "";
  switch (service.operators[operator]) {
    case "none": return `${head}}`;
    case "array": return `${head},"value":[${values.map(scalar).join(",")}]}`;
    case "days": return `${head},"value":${/^\d+$/.test(first) ? first : JSON.stringify(first)}}`;
    case "text": case "date": return `${head},"value":${JSON.stringify(first)}}`;
    default: return `${head},"value":${scalar(first)}}`;
  }
}
