// A table of rows as a grid: a head with signs, and cells that the arrow keys reach. It is one tab stop.

import { make } from "../dom.js";
import { typeSign } from "../fields.js";
import { copy } from "../notices.js";
import { cell, textOf } from "./cells.js";

const WIDTHS = { STRING: 200, LINK: 200, IMAGE: 88, NUMBER: 112, BOOLEAN: 104, DATE: 124, DATETIME: 192, MONEY: 148, OBJECT: 208, ARRAY: 208 };
const FIRST_WIDTH = 268;
const NUMBER_WIDTH = 56;
const HEAD_WIDTH = 68;
const LETTER_WIDTH = 7.5;
const PAGE_ROWS = 10;

export const isNumeric = field => field.type === "NUMBER" || field.type === "MONEY";
export const headContent = field => [typeSign(field.type), make("span", { class: "name" }, field.name)];
const widthOf = (field, number) => Math.max(number ? WIDTHS[field.type] ?? 200 : FIRST_WIDTH, Math.min(320, HEAD_WIDTH + field.name.length * LETTER_WIDTH));

export class Table {
  // headOf(field): what the head of a column has, the first of it with the class head. open(number): opens a row, by its
  // number from 1. keys: what other keys do, by (field, value); value is undefined in the head.
  constructor(caption, { headOf, open, keys = {}, className = "" }) {
    Object.assign(this, { headOf, open, keys, fields: [], rows: [], first: 1 });
    this.head = make("thead", {});
    this.body = make("tbody", {});
    this.element = make("table", { class: `grid ${className}`.trim(), role: "grid" }, make("caption", { class: "unseen" }, caption), this.head, this.body);
    // The cell with the tab stop; row -1 is the head.
    this.at = { row: 0, column: 0 };
    this.element.addEventListener("keydown", event => this.press(event));
    this.element.addEventListener("focusin", event => this.enter(event));
    this.body.addEventListener("click", event => {
      const row = event.target.closest("tr");
      if (row && !event.target.closest("a") && !getSelection().toString()) this.open(Number(row.dataset.row));
    });
  }

  forget() {
    Object.assign(this, { fields: [], rows: [] });
    this.head.replaceChildren();
    this.body.replaceChildren();
  }

  drawHead(fields) {
    this.fields = fields;
    const widths = fields.map(widthOf);
    this.element.style.setProperty("--columns", fields.length);
    this.element.style.setProperty("--width", `${NUMBER_WIDTH + widths.reduce((sum, one) => sum + one, 0)}px`);
    const cells = fields.map((field, number) => {
      const element = make("th", { scope: "col", class: number ? null : "first", "data-name": field.name }, ...this.headOf(field));
      element.style.setProperty("--column", `${widths[number]}px`);
      return element;
    });
    this.head.replaceChildren(make("tr", {}, make("th", { scope: "col", class: "row-number" }, make("span", { class: "unseen" }, "Row")), ...cells));
    this.at = { row: Math.min(this.at.row, 0), column: Math.max(0, Math.min(this.at.column, fields.length - 1)) };
  }

  headCell(number) {
    return this.head.rows[0].cells[number + 1];
  }

  // first: the number of the first row, of all; needles: texts to underline, by column.
  drawRows(rows, { first = 1, all = rows.length, needles = [] } = {}) {
    Object.assign(this, { rows, first });
    this.body.replaceChildren(...rows.map((row, number) => make("tr", { "data-row": first + number },
      make("th", { scope: "row", class: "row-number" }, String(first + number)),
      ...this.fields.map((field, column) => {
        const value = row[field.name];
        return make("td", {
          tabindex: -1, class: [isNumeric(field) ? "number" : "", column ? "" : "first"].filter(Boolean).join(" ") || null,
          title: typeof value === "string" && value.length > 20 ? value.slice(0, 1000) : null,
        }, ...cell(field, value, { needles: needles[column] }));
      }))));
    this.element.setAttribute("aria-rowcount", String(all + 1));
    this.body.classList.remove("loading");
    this.at = { row: Math.min(this.at.row, rows.length - 1), column: this.at.column };
    this.stop(this.at)?.setAttribute("tabindex", "0");
  }

  // Placeholders, if rows take longer than a moment.
  drawLoading() {
    this.body.classList.add("loading");
  }

  select(number) {
    for (const row of this.body.rows) {
      if (Number(row.dataset.row) === number) row.setAttribute("aria-selected", "true");
      else row.removeAttribute("aria-selected");
    }
  }

  focusRow(number) {
    this.moveTo(number - this.first, this.at.column);
  }

  stop({ row, column }) {
    return row < 0 ? this.head.rows[0]?.cells[column + 1]?.querySelector(".head") : this.body.rows[row]?.cells[column + 1];
  }

  moveTo(row, column) {
    const next = { row: Math.max(-1, Math.min(row, this.rows.length - 1)), column: Math.max(0, Math.min(column, this.fields.length - 1)) };
    const element = this.stop(next);
    if (!element) return;
    this.stop(this.at)?.setAttribute("tabindex", "-1");
    this.at = next;
    element.setAttribute("tabindex", "0");
    element.focus();
    element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  press(event) {
    if (event.altKey || event.target.closest("a, .plot")) return;
    const { row, column } = this.at;
    const field = this.fields[column];
    const value = row < 0 ? undefined : this.rows[row]?.[field.name];
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() === "c" && row >= 0 && !getSelection().toString()) copy(textOf(value), "Cell");
      return;
    }
    const move = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [row, 0], End: [row, Infinity], PageUp: [Math.max(0, row - PAGE_ROWS), column], PageDown: [row + PAGE_ROWS, column],
    }[event.key];
    const act = event.key === "Enter" ? row >= 0 && (() => this.open(this.first + row)) : this.keys[event.key];
    if (!move && !act) return;
    event.preventDefault();
    if (move) return this.moveTo(...move);
    event.stopPropagation();
    return act(field, value);
  }

  enter(event) {
    const element = event.target.closest("td, .head");
    const row = event.target.closest("tr");
    if (!element || !row) return;
    this.stop(this.at)?.setAttribute("tabindex", "-1");
    this.at = { row: row.parentElement === this.head ? -1 : row.sectionRowIndex, column: element.closest("td, th").cellIndex - 1 };
    element.setAttribute("tabindex", "0");
  }
}
