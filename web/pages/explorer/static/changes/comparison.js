// The changes tab: which rows were added, changed and removed since an older run, with the changed cells marked.

import * as api from "../api.js";
import { button, make } from "../dom.js";
import { filtersJson } from "../fields.js";
import { cell, textOf } from "../grid/cells.js";
import { isNumeric } from "../grid/table.js";
import { shown, visibleFields } from "../load.js";
import { change, view } from "../view.js";
import { count, counted, sentence } from "../words.js";
import { changedIn } from "./columns.js";
import { differs } from "./earlier.js";
import { olderRuns, sinceRun } from "./pairs.js";

const KINDS = [["changed", "Changed", "~"], ["added", "Added", "+"], ["removed", "Removed", "−"]];
const FEW = 10;
const MANY = 100;

// What is compared, the numbers of rows of each kind and those that are shown, and the columns that differ in some row.
const compared = { query: null, runs: null, counts: null, total: null, rows: [], differing: new Set() };
let abort;
const listeners = new Set();

const top = make("div", { class: "comparison" });
const content = make("div", { class: "comparison-rows" });
export const changesElement = make("section", { "aria-label": "Changes" }, top, content);
export const onCompared = listener => listeners.add(listener);

// The rows that an export of the tab has.
export function changedRows() {
  return { since: sinceRun(), total: compared.total, rows: compared.rows };
}

const only = (field, value) => value ? [{ field, operator: "EQUALS", values: [value] }] : [];

// The filters of the changes that are shown; of one column, they are changed rows.
export function changeFilters(kind = view.kind, column = view.changed) {
  return filtersJson([...view.filters, ...only("_change", kind), ...only("_changed", column)], shown.paths);
}

export function drawChanges() {
  if (view.tab !== "changes" || shown.state !== "ready") return;
  const since = sinceRun();
  const runs = JSON.stringify([view.workflow, shown.runId, since, view.filters]);
  const query = JSON.stringify([runs, view.columns, view.kind, view.changed]);
  if (query === compared.query) return drawTop(since);
  if (runs !== compared.runs) Object.assign(compared, { runs, counts: null, differing: new Set() });
  Object.assign(compared, { query, total: null });
  drawTop(since);
  if (since) compare(since);
  else content.replaceChildren(blank("No older run", "Changes are shown between two finished runs. This is the oldest that can be compared."));
}

const blank = (title, text, ...actions) => make("div", { class: "blank" }, make("h2", {}, title), make("p", {}, text), make("div", { class: "actions" }, ...actions));

function drawTop(since) {
  const focused = top.contains(document.activeElement) ? document.activeElement.value : null;
  const select = make("select", { class: "field", id: "since", onchange: () => change({ since: select.value, changed: null }) },
    ...olderRuns().map(run => make("option", { value: run.runId, selected: run.runId === since }, run.runId)));
  const kinds = make("fieldset", { class: "segments" }, make("legend", { class: "unseen" }, "Kind of change"),
    ...[[null, "All", ""], ...KINDS].map(([kind, label, sign]) => make("label", {},
      make("input", { type: "radio", name: "kind", value: kind ?? "all", checked: view.kind === kind, onchange: () => change({ kind, changed: null }) }),
      make("span", {}, sign ? make("b", { class: kind, "aria-hidden": "true" }, `${sign} `) : "", label,
        compared.counts ? ` ${count(kind ? compared.counts[kind] : changedTotal())}` : ""))));
  top.replaceChildren(make("label", { for: "since" }, "From"), select, make("span", {}, `to ${shown.runId}`), kinds,
    ...changedIn(since, compared.differing));
  if (focused) top.querySelector(`[value="${CSS.escape(focused)}"]`)?.focus();
}

const changedTotal = () => KINDS.reduce((sum, [name]) => sum + compared.counts[name], 0);

async function compare(since) {
  abort?.abort();
  abort = new AbortController();
  const { signal } = abort;
  content.setAttribute("aria-busy", "true");
  try {
    const kinds = KINDS.map(([kind]) => kind);
    const wanted = kinds.filter(kind => !view.kind || kind === view.kind);
    const [groups, counts] = await Promise.all([
      Promise.all(wanted.map(kind => rowsOf(kind, since, view.kind ? MANY : FEW, 1, signal))),
      compared.counts ?? countKinds(view.kind || view.changed ? kinds : [], since, signal),
    ]);
    signal.throwIfAborted();
    compared.counts = { ...counts, ...(!view.changed && Object.fromEntries(groups.map(group => [group.kind, group.total]))) };
    compared.total = groups.reduce((sum, group) => sum + group.total, 0);
    const pairs = groups.flatMap(group => group.rows);
    compared.rows = pairs.map(({ row }) => row);
    for (const { row, old } of pairs.filter(one => one.old)) {
      for (const { name } of shown.fields) if (differs(row, old, name)) compared.differing.add(name);
    }
    drawTop(since);
    drawGroups(groups, since);
  } catch (error) {
    if (error.name === "AbortError") return;
    content.replaceChildren(blank("These runs cannot be compared", sentence(error.message.replace(/^sinceRunId:? /, "")), button({ class: "button", onclick: () => { compared.query = null; drawChanges(); } }, "Try again")));
  } finally {
    if (!signal.aborted) {
      content.removeAttribute("aria-busy");
      for (const listener of listeners) listener();
    }
  }
}

async function countKinds(kinds, since, signal) {
  const found = await Promise.all(kinds.map(kind => rowsOf(kind, since, 1, 1, signal, null)));
  return Object.fromEntries(found.map(({ kind, total }) => [kind, total]));
}

// Rows of a kind, each with its values in the older run if they were others.
async function rowsOf(kind, since, limit, page, signal, column = view.changed) {
  const found = await api.rows(view.workflow, { runId: shown.runId, sinceRunId: since, filters: changeFilters(kind, column), limit, page }, signal);
  const ids = kind === "changed" ? found.data.map(row => row._row_id) : [];
  const before = ids.length ? (await api.rows(view.workflow, { runId: since, rowIds: ids, includeRowIds: true, limit: ids.length }, signal)).data : [];
  const older = new Map(before.map(row => [row._row_id, row]));
  return { kind, total: found.pagination.totalCount, rows: found.data.map(row => ({ row, old: older.get(row._row_id) })) };
}

const nothing = since => blank("No changes", `No row ${view.filters.length ? "that the filters leave " : ""}was ${view.kind ?? "added, changed or removed"}${view.changed ? ` in ${view.changed}` : ""} since ${since}.`);

function drawGroups(groups, since) {
  const some = groups.filter(group => group.total);
  if (!some.length) return content.replaceChildren(nothing(since));
  const rows = groups.flatMap(group => group.rows);
  // The column that the row ids are values of says what they are; what changed stands beside it.
  const key = shown.fields.find(({ name }) => rows.every(({ row }) => textOf(row[name]) === row._row_id));
  const others = visibleFields().filter(field => field !== key);
  const fields = view.columns ? others : [...others.slice(0, 1), ...others.slice(1).sort((a, b) => compared.differing.has(b.name) - compared.differing.has(a.name))];
  const head = make("thead", {}, make("tr", {}, make("th", { class: "kind", scope: "col" }, make("span", { class: "unseen" }, "Change")), make("th", { scope: "col" }, key?.name ?? "Row id"),
    ...fields.map(field => make("th", { scope: "col", class: isNumeric(field) ? "number" : null }, field.name))));
  return content.replaceChildren(make("table", { class: "changes" }, make("caption", { class: "unseen" }, `Changes since ${since}`), head,
    ...some.map(group => body(group, fields, since))));
}

function body(group, fields, since) {
  const [, label, sign] = KINDS.find(([kind]) => kind === group.kind);
  const rows = group.rows.map(one => drawRow(one, group.kind, label, sign, fields));
  const isWhole = view.kind === group.kind;
  let page = 1;
  const element = make("tbody", {});
  const rest = () => group.total - element.querySelectorAll("tr.change").length;
  const more = button({ class: "button small ghost", onclick: async () => {
    if (!isWhole) {
      change({ kind: group.kind });
      return;
    }
    try {
      const next = await rowsOf(group.kind, since, MANY, ++page, abort.signal);
      element.append(...next.rows.map(one => drawRow(one, group.kind, label, sign, fields)));
      more.hidden = rest() <= 0;
    } catch (error) {
      if (error.name !== "AbortError") more.textContent = `${error.message} Try again`;
      page--;
    }
  } }, isWhole ? "Show more" : `Show all ${count(group.total)}`);
  element.append(make("tr", { class: "group" }, make("th", { scope: "rowgroup", colspan: fields.length + 2 },
    make("span", { class: group.kind }, label), ` ${counted(group.total, "row")} `, more)), ...rows);
  more.hidden = rest() <= 0;
  return element;
}

function drawRow({ row, old }, kind, label, sign, fields) {
  return make("tr", { class: `change ${kind}-row` }, make("td", { class: `kind ${kind}`, title: label }, sign, make("span", { class: "unseen" }, label)),
    make("th", { scope: "row", class: "id" }, kind === "removed" ? make("s", {}, row._row_id) : row._row_id),
    ...fields.map(field => {
      const tone = isNumeric(field) ? "number" : "";
      if (!old || !differs(row, old, field.name)) return make("td", { class: tone || null }, ...cell(field, row[field.name]));
      return make("td", { class: `different ${tone}` }, make("del", {}, ...cell(field, old[field.name])), make("span", { class: "arrow", role: "img", "aria-label": "changed to" }, "→"),
        make("ins", {}, ...cell(field, row[field.name])));
    }));
}
