// Loads what the view asks for: the workflows, the runs of one, and a page of rows.

import * as api from "./api.js";
import { filtersJson, paths, sortPath } from "./fields.js";
import { change, view } from "./view.js";

const POLL_MILLISECONDS = 5000;
const EMPTY = { described: null, runId: null, fields: [], paths: [], matched: null, rows: null, loadedAt: null };

// state: loading, ready, failed (with an error), no-workflow, no-run.
export const shown = { state: "loading", error: null, workflows: null, ...EMPTY };
const listeners = new Set();
// What the changes tab shows: other runs have others.
const NO_CHANGES = { since: null, kind: null, changed: null };
let abort;
let timer;

export const onLoad = listener => listeners.add(listener);

function become(state, rest = {}) {
  Object.assign(shown, { state, error: null, ...rest });
  for (const listener of listeners) listener();
}

export const runShown = () => shown.described?.runs.find(run => run.runId === (shown.runId ?? view.run));
export const visibleFields = () => view.columns
  ? view.columns.map(name => shown.fields.find(field => field.name === name)).filter(Boolean) : shown.fields;
export const fieldAt = path => shown.paths.find(one => one.path === path);

// The rows that match, as requests for rows, columns and exports name them.
export function selection(filters = view.filters) {
  return { runId: view.run || undefined, filters: filters.length ? filtersJson(filters, shown.paths) : undefined };
}

export const sorting = () => view.sort ? { sortBy: view.sort, order: view.order } : {};
const readRows = signal =>
  api.rows(view.workflow, { ...selection(), ...sorting(), page: view.page, limit: view.size }, signal);

const setFields = fields => Object.assign(shown, { fields, paths: paths(fields) });

export async function load() {
  abort?.abort();
  clearTimeout(timer);
  abort = new AbortController();
  const { signal } = abort;
  if (shown.described && shown.described.workflowId !== view.workflow) Object.assign(shown, EMPTY);
  become("loading");
  try {
    await read(signal);
  } catch (error) {
    if (error.name !== "AbortError" && !signal.aborted) become("failed", { error });
  }
}

async function read(signal) {
  shown.workflows ??= await api.workflows();
  signal.throwIfAborted();
  if (!view.workflow) {
    if (!shown.workflows.length) return become("no-workflow");
    const first = shown.workflows.find(one => one.latestRunId) ?? shown.workflows[0];
    change({ workflow: first.workflowId }, { replace: true });
    return undefined;
  }
  // The types of the columns are needed to write filters.
  const isKnown = shown.runId !== null && shown.runId === view.run;
  const hasRun = view.run || shown.workflows.find(one => one.workflowId === view.workflow)?.latestRunId;
  const early = hasRun && (isKnown || !view.filters.length) ? readRows(signal) : null;
  early?.catch(() => {});
  const described = shown.described ?? await api.describe(view.workflow, signal);
  signal.throwIfAborted();
  shown.described = described;
  if (!view.run && !described.latestRunId) {
    become("no-run");
    timer = setTimeout(() => { shown.described = null; load(); }, POLL_MILLISECONDS);
    return undefined;
  }
  if (!early) setFields(await schemaOf(view.run || described.latestRunId, signal));
  const page = await (early ?? readRows(signal));
  signal.throwIfAborted();
  setFields(page.schema);
  const pages = Math.max(1, page.pagination.totalPages);
  if (view.page > pages) return change({ page: pages }, { replace: true });
  const known = { runId: page.runId, rows: page.data, matched: page.pagination.totalCount, loadedAt: new Date() };
  Object.assign(shown, known);
  if (!view.run) change({ run: page.runId }, { replace: true, quiet: true });
  return become("ready");
}

async function schemaOf(runId, signal) {
  if (runId === shown.described.latestRunId) return shown.described.schema;
  return (await api.rows(view.workflow, { runId, limit: 1 }, signal)).schema;
}

export const chooseWorkflow = workflow =>
  change({ workflow, run: null, filters: [], sort: null, order: "asc", columns: null, page: 1, ...NO_CHANGES, row: null });

// Keeps the filters, the sort and the columns that the other run has, and drops the others.
export async function chooseRun(run) {
  const { signal } = abort;
  let fields;
  try {
    fields = await schemaOf(run, signal);
  } catch (error) {
    if (error.name !== "AbortError") become("failed", { error });
    return;
  }
  const known = new Set(paths(fields).map(one => one.path));
  const columns = view.columns?.filter(name => fields.some(field => field.name === name));
  const isSorted = fields.some(field => sortPath(field) === view.sort);
  change({
    run, page: 1, row: null, ...NO_CHANGES, columns: columns?.length ? columns : null,
    filters: view.filters.filter(filter => known.has(filter.field)),
    ...(!isSorted && { sort: null, order: "asc" }),
  });
}
