// The choices of an export, and the request that they make with what the page shows.

import { bodyOf, service } from "../api.js";
import { changedRows, changeFilters } from "../changes/comparison.js";
import { labelled, make } from "../dom.js";
import { fieldAt, runShown, selection, shown, visibleFields } from "../load.js";
import { result } from "../sql/result.js";
import { view } from "../view.js";
import { count, counted, filterWords } from "../words.js";

const DAY = 86400;
const LIVES = [[3600, "1 hour"], [DAY, "1 day"], [7 * DAY, "7 days"], [30 * DAY, "30 days"]];
const DELIMITER_WORDS = { comma: "Comma", semicolon: "Semicolon", tab: "Tab" };
const FLAGS = [["bom", "Byte order mark"], ["formulaGuard", "Escape formulas"]];

const chosen = {
  format: "csv", compression: "none", columns: "shown", delimiter: "comma", bom: false, formulaGuard: false,
  includeRowIds: false, flatten: false, expiresIn: "",
};

const isSql = () => view.tab === "sql";
const isText = () => !service.formats[chosen.format].compressed;
export const formatWords = name => name === "parquet" ? "Parquet" : name.toUpperCase();

// What there is to export: whether it is loaded, and how many rows, if that is known.
export function toExport() {
  if (isSql()) return { isReady: result.request !== null, rows: result.request && !result.isCut ? result.rows.length : null };
  const rows = view.tab === "changes" ? changedRows().total : shown.matched;
  return { isReady: rows !== null, rows };
}

// What the size of the file is estimated from.
export function sample() {
  const fields = view.columns && chosen.columns === "shown" ? visibleFields() : shown.fields;
  const isChanges = view.tab === "changes";
  const added = isChanges ? [{ name: "_change" }, { name: "_row_id" }] : [];
  return {
    format: chosen.format, compression: isText() ? chosen.compression : "none", count: toExport().rows,
    ...(isSql() ? { fields: result.columns, allFields: result.columns, rows: result.rows, run: null }
      : { fields: [...added, ...fields], allFields: [...added, ...shown.fields], rows: isChanges ? changedRows().rows : shown.rows ?? [], run: runShown() }),
  };
}

// The request as it would be sent now. Two equal requests have equal bodies.
export function request() {
  if (isSql()) {
    const body = { ...result.request, ...fileOptions() };
    return { ...described(), isStatement: true, body: JSON.stringify(body), words: requestWords(body) };
  }
  const changes = view.tab === "changes" ? changedRows() : null;
  const { runId, filters } = changes ? { runId: view.run, filters: changeFilters() } : selection();
  const body = { runId, ...(changes && { sinceRunId: changes.since }), ...fileOptions() };
  if (view.sort) Object.assign(body, { sortBy: view.sort, order: view.order });
  if (view.columns && chosen.columns === "shown") body.fields = visibleFields().map(field => field.name);
  for (const name of ["includeRowIds", "flatten"]) if (chosen[name]) body[name] = true;
  return {
    ...described(), isStatement: false,
    body: bodyOf({ ...body, filters }),
    words: requestWords({ ...body, filters: view.filters, ...(changes && { kind: view.kind, changed: view.changed }) }, { workflow: view.workflow }),
  };
}

const described = () => ({
  workflow: view.workflow, matched: toExport().rows, format: chosen.format, delimiter: chosen.delimiter, hasLife: Boolean(chosen.expiresIn),
});

function fileOptions() {
  const options = { format: chosen.format };
  if (isText() && chosen.compression !== "none") options.compression = chosen.compression;
  if (chosen.format === "csv") {
    options.delimiter = chosen.delimiter;
    for (const [name] of FLAGS) if (chosen[name]) options[name] = true;
  }
  if (chosen.expiresIn) options.expiresIn = Number(chosen.expiresIn);
  return options;
}

// A request as a person would say it, from the page's filters or those of a finished export.
export function requestWords({ filters = [], sortBy, order, fields, rowIds, flatten, runId, sinceRunId, kind, changed, sql }, { workflow } = {}) {
  if (sql) return `SQL: ${sql}`;
  const rows = filters.map(filter => filterWords(
    { field: filter.field, operator: filter.operator, values: filter.values ?? (filter.value === undefined ? [] : [filter.value].flat().map(String)) },
    fieldAt(filter.field)?.type)).join(", ");
  return [
    workflow && `${workflow}, run ${runId}`, sinceRunId && `${changed ? `${changed} changed` : kind ? `${kind} rows` : "changes"} since ${sinceRunId}`, rows || (sinceRunId ? null : "all rows"),
    rowIds && counted(rowIds, "row id"), sortBy && `sorted by ${sortBy}${order === "desc" ? ", descending" : ""}`,
    fields && counted(fields.length, "column"), flatten && "objects as columns",
  ].filter(Boolean).join(", ");
}

// Choices side by side, of which one is chosen; native radio buttons, so the arrow keys work.
function segments(name, label, options, changed) {
  return make("fieldset", { class: "segments" }, make("legend", {}, label), ...options.map(([value, text]) => make("label", {},
    make("input", { type: "radio", name: `export-${name}`, value, checked: chosen[name] === value, onchange: () => { chosen[name] = value; changed(); } }),
    make("span", {}, text))));
}

function select(name, label, options, changed) {
  const input = make("select", { class: "field", onchange: () => { chosen[name] = input.value; changed(); } },
    ...options.map(([value, text]) => make("option", { value, selected: String(value) === chosen[name] }, text)));
  return labelled(label, input);
}

const check = (name, label, changed) => make("label", { class: "check" },
  make("input", { type: "checkbox", checked: chosen[name], onchange: event => { chosen[name] = event.target.checked; changed(); } }), label);

// Why the rows do not fit into a file of the format, or null.
export function tooMany() {
  const most = service.formats[chosen.format].maxRows;
  return most && toExport().rows > most ? `${formatWords(chosen.format)} has room for ${counted(most, "row")}. Filter them, or choose another format.` : null;
}

let isUnfolded = false;

// The form of the choices; changed() is called after each. Choices that a format does not have are not shown.
export function optionsForm(changed) {
  const all = shown.fields.length;
  const visible = visibleFields().length;
  const isCsv = chosen.format === "csv";
  const lives = LIVES.filter(([seconds]) => seconds < service.urlSeconds);
  const longest = service.urlSeconds % DAY ? `${count(Math.round(service.urlSeconds / 3600))} hours` : counted(service.urlSeconds / DAY, "day");
  const summary = [isCsv && `${DELIMITER_WORDS[chosen.delimiter]}, UTF-8`, ...(isSql() ? [] : [chosen.includeRowIds && "row ids", chosen.flatten && "objects as columns"])]
    .filter(Boolean).join(", ");
  return [
    segments("format", "Format", Object.keys(service.formats).map(name => [name, formatWords(name)]), changed),
    isText() ? segments("compression", "Compression", service.compressions.map(name => [name, name === "none" ? "None" : name]), changed) : null,
    view.columns && !isSql() ? segments("columns", "Columns", [["shown", `${count(visible)} shown`], ["all", `All ${count(all)}`]], changed) : null,
    make("details", { open: isUnfolded }, make("summary", { onclick: event => { isUnfolded = !event.currentTarget.parentElement.open; } }, "Options", make("span", { class: "muted" }, summary)),
      make("div", { class: "options" },
        isCsv ? select("delimiter", "Delimiter", service.delimiters.map(name => [name, DELIMITER_WORDS[name] ?? name]), changed) : null,
        select("expiresIn", "Link valid for", [["", longest], ...lives], changed),
        ...(isCsv ? FLAGS.map(([name, label]) => check(name, label, changed)) : []),
        ...(isSql() ? [] : [check("includeRowIds", "Row ids", changed), check("flatten", "Objects as columns", changed)]))),
  ];
}

