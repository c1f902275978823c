// The rows of the page as a grid: a head with signs, sorts and plots, and cells that the arrow keys reach.

import { button, find, icon, make } from "../dom.js";
import { plotPath, sortPath, typeName, typeSign } from "../fields.js";
import { shown, visibleFields } from "../load.js";
import { addFilters, newFilter } from "../toolbar/chips.js";
import { change, view } from "../view.js";
import { copy } from "../notices.js";
import { cell, textOf } from "./cells.js";
import { plot } from "./plots.js";
import { Profiles } from "./profiles.js";

const WIDTHS = { STRING: 200, LINK: 200, IMAGE: 88, NUMBER: 112, BOOLEAN: 104, DATE: 124, DATETIME: 192, MONEY: 148, OBJECT: 208, ARRAY: 208 };
const FIRST_WIDTH = 268;
const NUMBER_WIDTH = 56;
const LETTER_WIDTH = 8;
const PAGE_ROWS = 10;
const SEARCHING = new Set(["CONTAINS", "STARTS_WITH", "ENDS_WITH"]);

const head = make("thead", {});
const body = make("tbody", {});
const table = make("table", { class: "grid", role: "grid" }, make("caption", { class: "unseen" }, "Matching rows"), head, body);
const profiles = new Profiles();
let drawn = {};
// The cell with the tab stop; row -1 is the head.
let at = { row: 0, column: 0 };

export const gridElement = table;
const isNumeric = field => field.type === "NUMBER" || field.type === "MONEY";
const widthOf = (field, number) => Math.max(number ? WIDTHS[field.type] ?? 200 : FIRST_WIDTH, Math.min(320, 76 + field.name.length * LETTER_WIDTH));

// Draws the rows that are loaded. The head stays as long as its columns do.
export function drawGrid() {
  const fields = visibleFields();
  const columns = JSON.stringify([view.workflow, shown.runId, fields]);
  if (columns !== drawn.columns) drawHead(fields);
  drawSort(fields);
  const query = JSON.stringify([columns, view.filters]);
  if (query !== drawn.query) drawPlots(fields);
  drawRows(fields);
  drawn = { columns, query };
}

export function forgetGrid() {
  drawn = {};
  profiles.clear();
  head.replaceChildren();
  body.replaceChildren();
}

function drawHead(fields) {
  const widths = fields.map(widthOf);
  const width = NUMBER_WIDTH + widths.reduce((sum, one) => sum + one, 0);
  table.style.setProperty("--width", `${width}px`);
  const cells = fields.map((field, number) => {
    const path = sortPath(field);
    const content = [typeSign(field.type), make("span", { class: "name" }, field.name)];
    const title = `${typeName(field.type)} ${field.name}`;
    const element = make("th", { scope: "col", class: number ? null : "first", "data-name": field.name },
      path ? button({ class: "head", tabindex: -1, title: `${title}. Sort by it`, onclick: () => sortBy(path) }, ...content, make("span", { class: "sort" }, icon("descending")))
        : make("div", { class: "head", tabindex: -1, title: `${title}. It has no order` }, ...content),
      make("div", { class: "plot" }));
    element.style.width = `${widths[number]}px`;
    return element;
  });
  head.replaceChildren(make("tr", {}, make("th", { scope: "col", class: "row-number" }, make("span", { class: "unseen" }, "Row")), ...cells));
  at = { row: Math.min(at.row, 0), column: Math.min(at.column, fields.length - 1) };
}

function drawSort(fields) {
  for (const [number, field] of fields.entries()) {
    const element = head.rows[0].cells[number + 1];
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
    element: head.rows[0].cells[number + 1].querySelector(".plot"), path: plotPath(field),
    draw: profile => plot(profile, { currency: field.type === "MONEY" ? commonCurrency(field) : null }),
  })));
}

const needlesOf = field => view.filters.filter(filter => filter.field === field.name && SEARCHING.has(filter.operator)).map(filter => filter.values[0]);

function drawRows(fields) {
  const first = (view.page - 1) * view.size;
  const needles = fields.map(needlesOf);
  const rows = shown.rows ?? [];
  body.replaceChildren(...rows.map((row, number) => make("tr", { "data-row": first + number + 1 },
    make("th", { scope: "row", class: "row-number" }, String(first + number + 1)),
    ...fields.map((field, column) => {
      const value = row[field.name];
      return make("td", {
        tabindex: -1, class: [isNumeric(field) ? "number" : "", column ? "" : "first"].filter(Boolean).join(" ") || null,
        title: typeof value === "string" && value.length > 20 ? value.slice(0, 1000) : null,
      }, ...cell(field, value, { needles: needles[column] }));
    }))));
  table.setAttribute("aria-rowcount", String((shown.matched ?? 0) + 1));
  body.classList.remove("loading");
  at = { row: Math.min(at.row, rows.length - 1), column: at.column };
  stop(at)?.setAttribute("tabindex", "0");
  drawSelected();
}

export function drawSelected() {
  for (const row of body.rows) {
    if (Number(row.dataset.row) === view.row) row.setAttribute("aria-selected", "true");
    else row.removeAttribute("aria-selected");
  }
}

// Placeholders, if rows take longer than a moment.
export const drawLoading = () => body.classList.add("loading");

const stop = ({ row, column }) => row < 0 ? head.rows[0]?.cells[column + 1]?.querySelector(".head") : body.rows[row]?.cells[column + 1];

function moveTo(row, column) {
  const next = {
    row: Math.max(-1, Math.min(row, body.rows.length - 1)), column: Math.max(0, Math.min(column, (head.rows[0]?.cells.length ?? 2) - 2)),
  };
  const element = stop(next);
  if (!element) return;
  stop(at)?.setAttribute("tabindex", "-1");
  at = next;
  element.setAttribute("tabindex", "0");
  element.focus();
  element.scrollIntoView({ block: "nearest", inline: "nearest" });
}

export const focusRow = row => moveTo(row - 1 - (view.page - 1) * view.size, at.column);

const MOVES = {
  ArrowUp: () => [at.row - 1, at.column], ArrowDown: () => [at.row + 1, at.column],
  ArrowLeft: () => [at.row, at.column - 1], ArrowRight: () => [at.row, at.column + 1],
  Home: () => [at.row, 0], End: () => [at.row, Infinity],
  PageUp: () => [Math.max(0, at.row - PAGE_ROWS), at.column], PageDown: () => [at.row + PAGE_ROWS, at.column],
};

const rowOf = number => (view.page - 1) * view.size + number + 1;

table.addEventListener("keydown", event => {
  if (event.altKey || event.target.closest("a, .plot")) return;
  const field = visibleFields()[at.column];
  const hasControl = event.ctrlKey || event.metaKey;
  if (hasControl) {
    if (event.key.toLowerCase() === "c" && at.row >= 0 && !getSelection().toString()) copy(textOf(shown.rows[at.row][field.name]), "Cell");
    return;
  }
  const keys = {
    Enter: () => at.row >= 0 && change({ row: rowOf(at.row) }, { replace: true }),
    s: () => sortPath(field) && sortBy(sortPath(field)),
    f: () => filterByCell(field),
  };
  if (MOVES[event.key]) {
    event.preventDefault();
    moveTo(...MOVES[event.key]());
  } else if (keys[event.key] && !(event.key === "Enter" && at.row < 0)) {
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }
});

// A filter for the value of the cell; for values that no filter equals, the form.
function filterByCell(field) {
  const value = at.row < 0 ? undefined : shown.rows[at.row][field.name];
  if (value === null) addFilters({ field: field.name, operator: "IS_NULL", values: [] });
  else if (value !== undefined && field.operators.includes("EQUALS") && !Array.isArray(value)) addFilters({ field: field.name, operator: "EQUALS", values: [textOf(value)] });
  else newFilter(field.type === "MONEY" ? `${field.name}.amount` : field.name);
}

table.addEventListener("focusin", event => {
  const element = event.target.closest("td, .head");
  const row = event.target.closest("tr");
  if (!element || !row) return;
  stop(at)?.setAttribute("tabindex", "-1");
  at = { row: row.parentElement === head ? -1 : row.sectionRowIndex, column: element.closest("td, th").cellIndex - 1 };
  element.setAttribute("tabindex", "0");
});

body.addEventListener("click", event => {
  const row = event.target.closest("tr");
  if (row && !event.target.closest("a") && !getSelection().toString()) change({ row: Number(row.dataset.row) }, { replace: true });
});

find("view").addEventListener("scroll", () => table.classList.toggle("scrolled", find("view").scrollLeft > 4), { passive: true });
