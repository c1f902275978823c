// The page: who is signed in, what is chosen, and what of it is shown.

import * as api from "./api.js";
import { Asking } from "./asking.js";
import { Columns } from "./columns.js";
import { alert, count, find, make, show, size, table } from "./dom.js";
import { Exporting } from "./exporting.js";
import { Filters } from "./filters.js";

const LIMIT = 25;
const WAIT_MILLISECONDS = 300;
const chosen = { workflow: null, runId: null, runs: [], sortBy: null, order: "asc", page: 1, total: null, fields: [] };

const filters = new Filters(() => { chosen.page = 1; later(); });
const columns = new Columns();
const asking = new Asking(() => chosen);
new Exporting(() => ({
  workflow: chosen.workflow, total: chosen.total, filters: filters.json(),
  ...(chosen.runId && { runId: chosen.runId }), ...(chosen.sortBy && { sortBy: chosen.sortBy, order: chosen.order }),
}));

let timer;
function later() {
  clearTimeout(timer);
  timer = setTimeout(refresh, WAIT_MILLISECONDS);
}

function query() {
  const text = filters.json();
  return { runId: chosen.runId || undefined, filters: text === "[]" ? undefined : text };
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) return signOut(error.message);
    alert(error.message);
  }
}

async function signIn() {
  await guarded(async () => {
    const found = await api.workflows();
    alert();
    show("sign-in", false);
    show("explorer");
    show("sign-out");
    find("workflow").replaceChildren(...found.map(one => make("option", { value: one.workflowId }, one.name || one.workflowId)));
    if (found.length) await choose(found[0].workflowId);
    else alert("There is no workflow yet: publish a run with tailrace publish.");
  });
}

function signOut(message) {
  api.key.forget();
  find("key").value = "";
  show("explorer", false);
  show("sign-out", false);
  show("sign-in");
  alert(message);
  find("key").focus();
}

async function choose(workflow) {
  const described = await api.describe(workflow);
  Object.assign(chosen, { workflow, runs: described.runs, sortBy: null, order: "asc" });
  const finished = described.runs.filter(run => run.state === "FINISHED");
  find("run").replaceChildren(...described.runs.map(run => make("option", {
    value: run.runId, disabled: run.state !== "FINISHED",
  }, `${run.runId}${run.state === "FINISHED" ? "" : ` (${run.state.toLowerCase()})`}`)));
  const latest = described.latestRunId || finished[0]?.runId;
  asking.clear();
  show("finished", false);
  if (!latest) {
    chosen.runId = null;
    find("run-note").textContent = "No run is finished yet.";
    find("preview").replaceChildren();
    find("columns").replaceChildren();
    return;
  }
  find("run").value = latest;
  await chooseRun(latest);
}

async function chooseRun(runId) {
  Object.assign(chosen, { runId, page: 1, total: null });
  const run = chosen.runs.find(one => one.runId === runId);
  find("run-note").textContent = run
    ? `${count(run.rowCount)} rows, ${size(run.sizeBytes)} of Parquet, published ${run.publishedAt}` : "";
  const { schema } = await api.rows(chosen.workflow, { runId, limit: 0 });
  chosen.fields = schema;
  filters.use(schema);
  await refresh();
}

let abort;
async function refresh() {
  clearTimeout(timer);
  abort?.abort();
  abort = new AbortController();
  const { signal } = abort;
  find("count").textContent = "Counting …";
  try {
    const sort = chosen.sortBy ? { sortBy: chosen.sortBy, order: chosen.order } : {};
    const found = await api.rows(chosen.workflow, { ...query(), ...sort, page: chosen.page, limit: LIMIT }, signal);
    alert();
    filters.wrong(null);
    draw(found);
    columns.use(chosen.workflow, query(), chosen.fields);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) return signOut(error.message);
    find("count").textContent = "";
    if (!filters.wrong(error)) alert(error.message);
  }
}

function draw({ schema, data, pagination }) {
  chosen.total = pagination.totalCount;
  find("count").textContent = `${count(pagination.totalCount)} rows match`;
  find("place").textContent = `Page ${count(pagination.page)} of ${count(Math.max(1, pagination.totalPages))}`;
  find("previous").disabled = pagination.page <= 1;
  find("next").disabled = pagination.page >= pagination.totalPages;
  const head = field => {
    const sorted = chosen.sortBy === field.name;
    const arrow = sorted ? (chosen.order === "asc" ? " ▲" : " ▼") : "";
    return [make("button", { type: "button", "aria-pressed": String(sorted), onclick: () => sort(field.name) }, field.name + arrow)];
  };
  find("preview").replaceChildren(table("Matching rows", schema, data, head));
}

function sort(name) {
  if (chosen.sortBy !== name) Object.assign(chosen, { sortBy: name, order: "asc" });
  else if (chosen.order === "asc") chosen.order = "desc";
  else chosen.sortBy = null;
  chosen.page = 1;
  refresh();
}

find("sign-in").addEventListener("submit", event => {
  event.preventDefault();
  api.key.set(find("key").value.trim());
  signIn();
});
find("sign-out").addEventListener("click", () => signOut());
find("workflow").addEventListener("change", event => guarded(() => choose(event.target.value)));
find("run").addEventListener("change", event => guarded(() => chooseRun(event.target.value)));
find("previous").addEventListener("click", () => { chosen.page--; refresh(); });
find("next").addEventListener("click", () => { chosen.page++; refresh(); });

if (api.key.get()) signIn();
else find("key").focus();
