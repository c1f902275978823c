// The SQL tab: a statement over the run, its columns at hand, and the result.

import * as api from "../api.js";
import { button, icon, make } from "../dom.js";
import { follow } from "../export/job.js";
import { formatWords } from "../export/options.js";
import { typeSign } from "../fields.js";
import { cell } from "../grid/cells.js";
import { shown } from "../load.js";
import { copy } from "../notices.js";
import { view } from "../view.js";
import { counted, size } from "../words.js";
import { remember, statements } from "./history.js";
import { identifier, withMatching } from "./matching.js";

const MAX_ROWS = 1000;
let abort;
let drawn;

const statement = make("textarea", { class: "field", rows: 6, spellcheck: "false", "aria-label": "Statement", "aria-describedby": "sql-note", "data-focus": "" });
statement.value = "SELECT count(*) AS rows FROM matching";
const names = make("div", { class: "names", role: "group", "aria-label": "Columns to insert" });
const run = make("button", { type: "submit", class: "button primary" }, "Run");
const stop = button({ class: "button", hidden: true, onclick: () => abort?.abort() }, "Stop");
const earlier = make("select", { class: "field", "aria-label": "Earlier statements", onchange: () => {
  if (earlier.value) statement.value = earlier.value;
  earlier.value = "";
  statement.focus();
} });
const format = make("select", { class: "field", "aria-label": "Format of the result" },
  ...Object.keys(api.service.formats).filter(name => name !== "xlsx").map(name => make("option", { value: name }, formatWords(name))));
const download = button({ class: "button", onclick: () => exportResult() }, icon("download"), "Download the result");
const file = make("p", { class: "actions", role: "status" });
const note = make("p", { class: "answer-note", role: "status" });
const answer = make("div", { class: "answer", tabindex: 0, role: "region", "aria-label": "Result", hidden: true });

export const sqlElement = make("section", { class: "sql", "aria-label": "SQL" },
  make("form", { onsubmit: event => { event.preventDefault(); ask(); } },
    make("p", { id: "sql-note", class: "muted" }, "One statement that reads. The table ", make("code", {}, "data"), " has the rows of the run, and ", make("code", {}, "matching"), " those that the filters leave. Ctrl+Enter runs it."),
    statement, names, make("div", { class: "actions" }, run, stop, earlier, make("span", { class: "push" }), format, download)),
  file, note, answer);

statement.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  ask();
});

function insert(text) {
  statement.setRangeText(text, statement.selectionStart, statement.selectionEnd, "end");
  statement.focus();
}

// Another run has other rows, so an answer about the one before goes.
export function drawSql() {
  drawHistory();
  const next = JSON.stringify([view.workflow, shown.runId, shown.fields]);
  if (next === drawn) return;
  drawn = next;
  abort?.abort();
  note.textContent = "";
  answer.hidden = true;
  names.replaceChildren(...shown.fields.map(field => button({ class: "pill", title: field.storedAs, onclick: () => insert(identifier(field.name)) }, typeSign(field.type), field.name)));
}

function drawHistory() {
  const found = statements();
  earlier.hidden = !found.length;
  earlier.replaceChildren(make("option", { value: "" }, `Earlier statements (${found.length})`),
    ...found.map(one => make("option", { value: one }, one.replace(/\s+/g, " ").slice(0, 80))));
}

const request = () => ({ sql: withMatching(statement.value), ...(view.run && { runId: view.run }) });

// All rows of the result as a file; the answer above has the first thousand.
async function exportResult() {
  const { workflow } = view;
  download.disabled = true;
  file.replaceChildren("Starting …");
  try {
    const { body } = await api.startSqlExport(workflow, { ...request(), format: format.value });
    const done = await follow(workflow, body, status => {
      file.replaceChildren(`${counted(status.rows, "row")}, ${size(status.bytes)} so far.`);
      return true;
    });
    file.replaceChildren(make("a", { class: "button primary", href: done.url, download: true }, icon("download"), `${formatWords(done.format)}, ${counted(done.rowCount, "row")}, ${size(done.sizeBytes)}`),
      button({ class: "button", onclick: () => copy(done.url, "Link") }, icon("link"), "Copy link of the result"));
  } catch (error) {
    file.replaceChildren(error.message);
  } finally {
    download.disabled = false;
  }
}

async function ask() {
  abort?.abort();
  abort = new AbortController();
  stop.hidden = false;
  run.disabled = true;
  answer.hidden = true;
  note.textContent = "Running …";
  file.replaceChildren();
  remember(statement.value);
  drawHistory();
  try {
    const found = await api.sql(view.workflow, { ...request(), limit: MAX_ROWS }, abort.signal);
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
