// The SQL tab: a statement over the run, its columns at hand, and the result.

import * as api from "../api.js";
import { button, make } from "../dom.js";
import { typeSign } from "../fields.js";
import { shown } from "../load.js";
import { view } from "../view.js";
import { counted } from "../words.js";
import { remember, statements } from "./history.js";
import { identifier, withMatching } from "./matching.js";
import { forgetResult, result, resultTable, showResult } from "./result.js";

const MAX_ROWS = 1000;
let abort;
let drawn;
// The statement that was run last, as it was typed.
let asked;

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
const note = make("p", { class: "answer-note", role: "status" });
const answer = make("div", { class: "answer", role: "region", "aria-label": "Result", hidden: true }, resultTable.element);

export const sqlElement = make("section", { class: "sql", "aria-label": "SQL" },
  make("form", { onsubmit: event => { event.preventDefault(); ask(); } },
    make("p", { id: "sql-note", class: "muted" }, "One statement that reads. The table ", make("code", {}, "data"), " has the rows of the run, and ", make("code", {}, "matching"), " those that the filters leave. Ctrl+Enter runs it."),
    statement, names, make("div", { class: "actions" }, run, stop, earlier)),
  note, answer);

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
  if (next === drawn) {
    if (result.request && withMatching(asked) !== result.request.sql) note.textContent = "The filters are others now: these rows are of the earlier ones. Run the statement again.";
    return;
  }
  drawn = next;
  abort?.abort();
  note.textContent = "";
  answer.hidden = true;
  forgetResult();
  names.replaceChildren(...shown.fields.map(field => button({ class: "pill", title: field.storedAs, onclick: () => insert(identifier(field.name)) }, typeSign(field.type), field.name)));
}

function drawHistory() {
  const found = statements();
  earlier.hidden = !found.length;
  earlier.replaceChildren(make("option", { value: "" }, `Earlier statements (${found.length})`),
    ...found.map(one => make("option", { value: one }, one.replace(/\s+/g, " ").slice(0, 80))));
}

async function ask() {
  abort?.abort();
  abort = new AbortController();
  stop.hidden = false;
  run.disabled = true;
  answer.hidden = true;
  note.textContent = "Running …";
  forgetResult();
  remember(statement.value);
  drawHistory();
  try {
    asked = statement.value;
    const request = { sql: withMatching(asked), runId: shown.runId };
    const found = await api.sql(view.workflow, { ...request, limit: MAX_ROWS }, abort.signal);
    note.textContent = found.limitReached ? `The first ${counted(found.rowCount, "row")}. Export makes a file of all.` : counted(found.rowCount, "row");
    showResult(request, found);
    answer.hidden = false;
  } catch (error) {
    note.textContent = error.name === "AbortError" ? "Stopped." : error.message;
  } finally {
    stop.hidden = true;
    run.disabled = false;
  }
}
