// The SQL tab: a statement over the run, its columns at hand, and the result.

import * as api from "../api.js";
import { button, make } from "../dom.js";
import { typeSign } from "../fields.js";
import { cell } from "../grid/cells.js";
import { shown } from "../load.js";
import { view } from "../view.js";
import { counted } from "../words.js";

const MAX_ROWS = 1000;
let abort;
let drawn;

const statement = make("textarea", { class: "field", rows: 6, spellcheck: "false", "aria-label": "Statement", "aria-describedby": "sql-note", "data-focus": "" });
statement.value = "SELECT count(*) AS rows FROM data";
const names = make("div", { class: "names", role: "group", "aria-label": "Columns to insert" });
const run = make("button", { type: "submit", class: "button primary" }, "Run");
const stop = button({ class: "button", hidden: true, onclick: () => abort?.abort() }, "Stop");
const note = make("p", { class: "answer-note", role: "status" });
const answer = make("div", { class: "answer", tabindex: 0, role: "region", "aria-label": "Result", hidden: true });

export const sqlElement = make("section", { class: "sql", "aria-label": "SQL" },
  make("form", { onsubmit: event => { event.preventDefault(); ask(); } },
    make("p", { id: "sql-note", class: "muted" }, "One statement that reads. The table ", make("code", {}, "data"), " has the rows of the run. Ctrl+Enter runs it."),
    statement, names, make("div", { class: "actions" }, run, stop)),
  note, answer);

statement.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  ask();
});

export const identifier = name => /^[a-z_][a-z0-9_]*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`;

function insert(text) {
  statement.setRangeText(text, statement.selectionStart, statement.selectionEnd, "end");
  statement.focus();
}

// Another run has other rows, so an answer about the one before goes.
export function drawSql() {
  const next = JSON.stringify([view.workflow, shown.runId, shown.fields]);
  if (next === drawn) return;
  drawn = next;
  abort?.abort();
  note.textContent = "";
  answer.hidden = true;
  names.replaceChildren(...shown.fields.map(field => button({ class: "pill", title: field.storedAs, onclick: () => insert(identifier(field.name)) }, typeSign(field.type), field.name)));
}

async function ask() {
  abort?.abort();
  abort = new AbortController();
  stop.hidden = false;
  run.disabled = true;
  answer.hidden = true;
  note.textContent = "Running …";
  try {
    const found = await api.sql(view.workflow, { sql: statement.value, limit: MAX_ROWS, ...(view.run && { runId: view.run }) }, abort.signal);
    note.textContent = `${counted(found.rowCount, "row")}${found.limitReached ? ", the maximum shown here" : ""}`;
    answer.replaceChildren(resultTable(found));
    answer.hidden = false;
  } catch (error) {
    note.textContent = error.name === "AbortError" ? "Stopped." : error.message;
  } finally {
    stop.hidden = true;
    run.disabled = false;
  }
}

function resultTable({ columns, rows }) {
  const tone = column => column.type === "NUMBER" || column.type === "MONEY" ? "number" : null;
  return make("table", { class: "grid result" }, make("caption", { class: "unseen" }, "Result"),
    make("thead", {}, make("tr", {}, ...columns.map(column => make("th", { scope: "col", class: tone(column) },
      make("div", { class: "head", title: column.storedAs }, typeSign(column.type), make("span", { class: "name" }, column.name)))))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...columns.map(column => make("td", { class: tone(column) }, ...cell(column, row[column.name])))))));
}
