// The filters as SQL: `matching`, the rows of `data` that they leave.

import { service } from "../api.js";
import { fieldAt } from "../load.js";
import { view } from "../view.js";

const COMPARISONS = {
  EQUALS: "=", GREATER_THAN: ">", LESS_THAN: "<", GREATER_THAN_OR_EQUAL: ">=", LESS_THAN_OR_EQUAL: "<=", BEFORE: "<", AFTER: ">",
};
const SEARCHES = { CONTAINS: "contains", STARTS_WITH: "starts_with", ENDS_WITH: "suffix" };
const NEGATIONS = { NOT_EQUALS: "EQUALS", NOT_CONTAINS: "CONTAINS", NOT_IN: "IN", IS_NOT_NULL: "IS_NULL", IS_NOT_EMPTY: "IS_EMPTY" };
const NUMBER = /^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const DATE = /^\d{4}-\d\d-\d\d/;

export const identifier = name => /^[a-z_][a-z0-9_]*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
const literal = text => `'${text.replaceAll("'", "''")}'`;

// A column, or a member of an object: "price"."amount".
function reference({ name, parents }) {
  return [...parents, name].map(one => `"${one.replaceAll('"', '""')}"`).join(".");
}

function typed(text, field) {
  if (field.type === "DATETIME" || (field.type === "DATE" && text.length > 10)) return `TIMESTAMPTZ ${literal(text.length > 10 ? text : `${text} 00:00:00Z`)}`;
  if (field.type === "DATE") return `DATE ${literal(text)}`;
  return field.type === "NUMBER" || field.type === "BOOLEAN" ? text : literal(text);
}

function condition({ operator, values }, x, field) {
  if (NEGATIONS[operator]) return `NOT coalesce(${condition({ operator: NEGATIONS[operator], values }, x, field)}, false)`;
  const isList = field.type === "ARRAY" && field.storedAs.endsWith("[]");
  const first = values[0] ?? "";
  if (operator === "IS_NULL") return `${x} IS NULL`;
  if (operator === "IS_EMPTY") return isList ? `(${x} IS NULL OR len(${x}) = 0)` : field.type === "STRING" || field.type === "LINK" || field.type === "IMAGE" ? `(${x} IS NULL OR ${x} = '')` : `${x} IS NULL`;
  if (isList) {
    const item = { type: /INT|DOUBLE|FLOAT|DECIMAL/.test(field.storedAs) ? "NUMBER" : field.storedAs.startsWith("BOOLEAN") ? "BOOLEAN" : "STRING", storedAs: field.storedAs.slice(0, -2) };
    return `coalesce(list_bool_or([${condition({ operator, values }, "item", item)} FOR item IN ${x}]), false)`;
  }
  if (SEARCHES[operator]) return `${SEARCHES[operator]}(lower(${x}), lower(${literal(first)}))`;
  if (operator === "IN") return `${x} IN (${values.map(value => typed(value, field)).join(", ")})`;
  if (service.operators[operator] === "days") return `${cast(x, field)} BETWEEN ((current_date - ${Number(first)})::TIMESTAMP AT TIME ZONE 'UTC') AND now()`;
  // On text, a number or a date compares the cells that can be read as one.
  const isOrder = operator !== "EQUALS" && field.type !== "NUMBER" && !field.type.startsWith("DATE");
  if (isOrder && NUMBER.test(first)) return `TRY_CAST(${x} AS DOUBLE) ${COMPARISONS[operator]} ${first}`;
  if (isOrder && DATE.test(first)) return `${cast(x, field)} ${COMPARISONS[operator]} ${typed(first, { type: "DATETIME" })}`;
  return `${x} ${COMPARISONS[operator]} ${typed(first, field)}`;
}

const cast = (x, field) => field.type === "DATETIME" ? x : field.type === "DATE" ? `(${x}::TIMESTAMP AT TIME ZONE 'UTC')` : `TRY_CAST(${x} AS TIMESTAMPTZ)`;

function matchingSql() {
  const conditions = view.filters.map(filter => [filter, fieldAt(filter.field)]).filter(([, field]) => field)
    .map(([filter, field]) => condition(filter, reference(field), field));
  return `SELECT * FROM data${conditions.length ? ` WHERE ${conditions.join(" AND ")}` : ""}`;
}

// The statement, with `matching` defined if it names it.
export function withMatching(statement) {
  if (!/\bmatching\b/i.test(statement)) return statement;
  const start = /^\s*WITH(\s+RECURSIVE)?\s/i.exec(statement);
  return start ? `WITH${start[1] ?? ""} matching AS (${matchingSql()}), ${statement.slice(start[0].length)}` : `WITH matching AS (${matchingSql()})\n${statement}`;
}
