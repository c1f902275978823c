// The rows of the page: a grid whose heads sort and have plots.

import { button, find, icon, make } from "../dom.js";
import { plotPath, sortPath, typeName } from "../fields.js";
import { shown, visibleFields } from "../load.js";
import { addFilters, newFilter } from "../toolbar/chips.js";
import { change, view } from "../view.js";
import { textOf } from "./cells.js";
import { plot } from "./plots.js";
import { Profiles } from "./profiles.js";
import { headContent, Table } from "./table.js";

const SEARCHING = new Set(["CONTAINS", "STARTS_WITH", "ENDS_WITH"]);

const profiles = new Profiles();
let drawn = {};

export const rowsTable = new Table("Matching rows", {
  headOf, open: row => change({ row }, { replace: true }),
  keys: { s: field => sortPath(field) && sortBy(sortPath(field)), f: filterByCell },
});

function headOf(field) {
  const path = sortPath(field);
  const title = `${typeName(field.type)} ${field.name}`;
  return [
    path ? button({ class: "head", tabindex: -1, title: `${title}. Sort by it`, onclick: () => sortBy(path) }, ...headContent(field), make("span", { class: "sort" }, icon("descending")))
      : make("div", { class: "head", tabindex: -1, title: `${title}. It has no order` }, ...headContent(field)),
    make("div", { class: "plot" }),
  ];
}

// Draws the rows that are loaded. The head stays as long as its columns do.
export function drawGrid() {
  const fields = visibleFields();
  const columns = JSON.stringify([view.workflow, shown.runId, fields]);
  if (columns !== drawn.columns) rowsTable.drawHead(fields);
  drawSort(fields);
  const query = JSON.stringify([columns, view.filters]);
  const plots = query !== drawn.query;
  drawn = { columns, query };
  rowsTable.drawRows(shown.rows ?? [], { first: (view.page - 1) * view.size + 1, all: shown.matched ?? 0, needles: fields.map(needlesOf) });
  rowsTable.select(view.row);
  if (plots) drawPlots(fields);
}

export function forgetGrid() {
  drawn = {};
  profiles.clear();
  rowsTable.forget();
}

function drawSort(fields) {
  for (const [number, field] of fields.entries()) {
    const element = rowsTable.headCell(number);
    const isSorted = view.sort !== null && view.sort === sortPath(field);
    if (isSorted) element.setAttribute("aria-sort", view.order === "asc" ? "ascending" : "descending");
    else element.removeAttribute("aria-sort");
    element.querySelector(".sort use")?.setAttribute("href", isSorted && view.order === "asc" ? "#i-ascending" : "#i-descending");
  }
}

function sortBy(path) {
  if (view.sort !== path) change({ sort: path, order: "asc", page: 1, row: null });
  else if (view.order === "asc") change({ order: "desc", page: 1, row: null });
  else change({ sort: null, order: "asc", page: 1, row: null });
}

// Amounts are of one currency if those on the page are; of several, the smallest units are shown as they are.
export function commonCurrency(field) {
  const found = new Set((shown.rows ?? []).map(row => row[field.name]?.currencyCode).filter(Boolean));
  return found.size === 1 ? [...found][0] : null;
}

function drawPlots(fields) {
  profiles.show(fields.map((field, number) => ({
    element: rowsTable.headCell(number).querySelector(".plot"), path: plotPath(field),
    draw: profile => plot(profile, { currency: field.type === "MONEY" ? commonCurrency(field) : null }),
  })));
}

const needlesOf = field => view.filters.filter(filter => filter.field === field.name && SEARCHING.has(filter.operator)).map(filter => filter.values[0]);

// A filter for the value of the cell; for values that no filter equals, the form.
function filterByCell(field, value) {
  if (value === null) addFilters({ field: field.name, operator: "IS_NULL", values: [] });
  else if (value !== undefined && field.operators.includes("EQUALS") && !Array.isArray(value)) addFilters({ field: field.name, operator: "EQUALS", values: [textOf(value)] });
  else newFilter(field.type === "MONEY" ? `${field.name}.amount` : field.name);
}

find("view").addEventListener("scroll", () => rowsTable.element.classList.toggle("scrolled", find("view").scrollLeft > 4), { passive: true });
