// The result of the last statement, as a grid like that of the rows. An export has all of its rows.

import { make } from "../dom.js";
import { typeName } from "../fields.js";
import { headContent, Table } from "../grid/table.js";
import { shown } from "../load.js";
import { change, view } from "../view.js";

const NONE = { request: null, columns: [], rows: [], isCut: false };

// isCut: the statement has more rows than these.
export const result = { ...NONE };
const listeners = new Set();

export const onResult = listener => listeners.add(listener);

export const resultTable = new Table("Result", {
  className: "result", open: row => change({ row }, { replace: true }),
  headOf: field => [make("div", { class: "head", tabindex: -1, title: `${typeName(field.type)} ${field.name}, stored as ${field.storedAs}` }, ...headContent(field))],
});

function become(next) {
  Object.assign(result, next);
  if (view.tab === "sql") change({ row: null }, { replace: true });
  for (const listener of listeners) listener();
}

export function forgetResult() {
  resultTable.forget();
  if (result.request) become(NONE);
}

// request: what was asked, {sql, runId}; found: the answer.
export function showResult(request, found) {
  const columns = found.columns.map(column => ({ ...column, type: typeOf(column) }));
  resultTable.drawHead(columns);
  resultTable.drawRows(found.rows);
  become({ request, columns, rows: found.rows, isCut: found.limitReached });
}

// SQL knows neither money nor links; a column of the run that is passed on is still what it was.
const typeOf = ({ name, type, storedAs }) => shown.fields.find(field => field.name === name && field.storedAs === storedAs)?.type ?? type;
