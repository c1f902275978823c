// The page: sign-in, the selection (workflow, run, filters, sort), and the rows that match it.

import * as api from "./api.js";
import { SqlPanel } from "./asking.js";
import { Columns } from "./columns.js";
import { alert, count, counted, find, make, show, size, table } from "./dom.js";
import { ExportPanel } from "./exporting.js";
import { Filters } from "./filters.js";

const PAGE_SIZE = 25;
const TYPING_PAUSE_MILLISECONDS = 300;
const chosen = { workflow: null, runId: null, runs: [], sortBy: null, order: "asc", page: 1, total: null, fields: [] };

const filters = new Filters(() => { chosen.page = 1; refreshSoon(); exportPanel.update(); });
const columns = new Columns();
const sqlPanel = new SqlPanel(() => chosen);
const exportPanel = new ExportPanel(() => ({
  workflow: chosen.workflow, total: chosen.total, filters: filters.json(), words: words(),
  ...(chosen.runId && { runId: chosen.runId }), ...(chosen.sortBy && { sortBy: chosen.sortBy, order: chosen.order }),
}));

// The selection as a person would say it.
function words() {
  const sort = chosen.sortBy ? `, sorted by ${chosen.sortBy} ${chosen.order === "asc" ? "ascending" : "descending"}` : "";
  return `${chosen.workflow}, run ${chosen.runId}, ${filters.words() || "all rows"}${sort}`;
}

let timer;
let abort;

// Drops a refresh that is scheduled or under way, so that it cannot draw rows of an earlier selection.
function stopRefreshing() {
  clearTimeout(timer);
  abort?.abort();
}

function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, TYPING_PAUSE_MILLISECONDS);
}

function query() {
  const text = filters.json();
  return { runId: chosen.runId || undefined, filters: text === "[]" ? undefined : text };
}

async function reportErrors(work) {
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) return signOut(error.message);
    alert(error.message);
  }
}

async function signIn() {
  await reportErrors(async () => {
    const found = await api.workflows();
    alert();
    show("sign-in", false);
    show("explorer");
    show("sign-out");
    find("workflow").replaceChildren(...found.map(one => make("option", { value: one.workflowId }, one.name || one.workflowId)));
    if (found.length) await choose(found[0].workflowId);
    else alert("There are no workflows yet. Publish a run with: tailrace publish");
  });
}

function signOut(message) {
  stopRefreshing();
  exportPanel.clear();
  api.key.forget();
  find("key").value = "";
  show("explorer", false);
  show("sign-out", false);
  show("sign-in");
  alert(message);
  find("key").focus();
}

async function choose(workflow) {
  stopRefreshing();
  // Nobody can choose a run of the workflow before until those of this one are there.
  find("run").replaceChildren();
  const described = await api.describe(workflow);
  if (find("workflow").value !== workflow) return;
  Object.assign(chosen, { workflow, runs: described.runs, sortBy: null, order: "asc" });
  const finished = described.runs.filter(run => run.state === "FINISHED");
  find("run").replaceChildren(...described.runs.map(run => make("option", {
    value: run.runId, disabled: run.state !== "FINISHED",
  }, `${run.runId}${run.state === "FINISHED" ? "" : ` (${run.state.toLowerCase()})`}`)));
  const latest = described.latestRunId || finished[0]?.runId;
  sqlPanel.clear();
  if (!latest) {
    chosen.runId = null;
    exportPanel.update();
    find("run-note").textContent = "No finished run yet.";
    find("count").textContent = "";
    find("preview").replaceChildren();
    find("columns").replaceChildren();
    return;
  }
  find("run").value = latest;
  await chooseRun(latest);
}

async function chooseRun(runId) {
  stopRefreshing();
  Object.assign(chosen, { runId, page: 1, total: null });
  exportPanel.update();
  const run = chosen.runs.find(one => one.runId === runId);
  find("run-note").textContent = run
    ? `${counted(run.rowCount, "row")}, ${size(run.sizeBytes)} of Parquet, published ${run.publishedAt}` : "";
  const { schema } = await api.rows(chosen.workflow, { runId, limit: 1 });
  if (chosen.runId !== runId) return;
  chosen.fields = schema;
  if (!schema.some(field => sortPath(field) === chosen.sortBy)) chosen.sortBy = null;
  filters.use(schema);
  exportPanel.update();
  await refresh();
}

async function refresh() {
  stopRefreshing();
  abort = new AbortController();
  const { signal } = abort;
  find("count").textContent = "Counting …";
  try {
    const sort = chosen.sortBy ? { sortBy: chosen.sortBy, order: chosen.order } : {};
    const found = await api.rows(chosen.workflow, { ...query(), ...sort, page: chosen.page, limit: PAGE_SIZE }, signal);
    alert();
    filters.showError(null);
    draw(found);
    columns.use(chosen.workflow, query(), chosen.fields);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) return signOut(error.message);
    find("count").textContent = "";
    if (!filters.showError(error)) alert(error.message);
  }
}

function draw({ schema, data, pagination }) {
  chosen.total = pagination.totalCount;
  find("count").textContent = `${counted(pagination.totalCount, "row")} ${pagination.totalCount === 1 ? "matches" : "match"}`;
  find("page-number").textContent = `Page ${count(pagination.page)} of ${count(Math.max(1, pagination.totalPages))}`;
  find("previous").disabled = pagination.page <= 1;
  find("next").disabled = pagination.page >= pagination.totalPages;
  const head = field => {
    const path = sortPath(field);
    if (!path) return [field.name];
    const sorted = chosen.sortBy === path;
    const arrow = sorted ? (chosen.order === "asc" ? " ▲" : " ▼") : "";
    return [make("button", { type: "button", "aria-pressed": String(sorted), onclick: () => sort(path) }, field.name + arrow)];
  };
  find("preview").replaceChildren(table("Matching rows", schema, data, head));
}

// What sorts a column: its name, the amount of MONEY, or null if it has no order (other objects, arrays).
function sortPath(field) {
  if (field.sortable) return field.name;
  return field.type === "MONEY" ? `${field.name}.amount` : null;
}

function sort(path) {
  if (chosen.sortBy !== path) Object.assign(chosen, { sortBy: path, order: "asc" });
  else if (chosen.order === "asc") chosen.order = "desc";
  else chosen.sortBy = null;
  chosen.page = 1;
  exportPanel.update();
  refresh();
}

find("sign-in").addEventListener("submit", event => {
  event.preventDefault();
  api.key.set(find("key").value.trim());
  signIn();
});
find("sign-out").addEventListener("click", () => signOut());
find("workflow").addEventListener("change", event => reportErrors(() => choose(event.target.value)));
find("run").addEventListener("change", event => reportErrors(() => chooseRun(event.target.value)));
find("previous").addEventListener("click", () => { chosen.page--; refresh(); });
find("next").addEventListener("click", () => { chosen.page++; refresh(); });

// `make run` prints an address with the key in its fragment, which no server sees and which must not stay in sight.
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  api.key.set(given);
  history.replaceState(null, "", location.pathname);
}
if (api.key.get()) signIn();
else find("key").focus();
