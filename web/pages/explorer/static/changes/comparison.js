// The changes tab: which rows were added, changed and removed since an older run, with the changed cells marked.

import * as api from "../api.js";
import { button, make } from "../dom.js";
import { filtersJson } from "../fields.js";
import { cell } from "../grid/cells.js";
import { shown, visibleFields } from "../load.js";
import { change, view } from "../view.js";
import { count, counted, sentence } from "../words.js";
import { differs } from "./earlier.js";
import { olderRuns, sinceRun } from "./pairs.js";

const KINDS = [["changed", "Changed", "~"], ["added", "Added", "+"], ["removed", "Removed", "−"]];
const FEW = 10;
const MANY = 100;
const isNumeric = field => field.type === "NUMBER" || field.type === "MONEY";

// What is compared, and the numbers of rows of each kind once they are known.
const compared = { query: null, kind: null, counts: null };
let abort;
const listeners = new Set();

const top = make("div", { class: "comparison" });
const content = make("div", { class: "comparison-rows" });
export const changesElement = make("section", { "aria-label": "Changes" }, top, content);
export const onCompared = listener => listeners.add(listener);

// The rows that an export of the tab has.
export function changedRows() {
  const counts = compared.counts ?? {};
  const total = compared.kind ? counts[compared.kind] : KINDS.reduce((sum, [name]) => sum + (counts[name] ?? 0), 0);
  return { since: sinceRun(), kind: compared.kind, total: compared.counts ? total : null };
}

const kindFilter = kind => ({ field: "_change", operator: "EQUALS", values: [kind] });
export const changeFilters = kind => filtersJson([...view.filters, ...(kind ? [kindFilter(kind)] : [])], shown.paths);

export function drawChanges() {
  if (view.tab !== "changes" || shown.state !== "ready") return;
  const since = sinceRun();
  const query = JSON.stringify([view.workflow, shown.runId, since, view.filters, view.columns, compared.kind]);
  if (query === compared.query) return;
  compared.query = query;
  compared.counts = null;
  drawTop(since);
  if (since) compare(since);
  else content.replaceChildren(blank("No older run", "Changes are shown between two finished runs. This is the oldest that can be compared."));
}

const blank = (title, text, ...actions) => make("div", { class: "blank" }, make("h2", {}, title), make("p", {}, text), make("div", { class: "actions" }, ...actions));

function drawTop(since) {
  const select = make("select", { class: "field", id: "since", onchange: () => change({ since: select.value }) },
    ...olderRuns().map(run => make("option", { value: run.runId, selected: run.runId === since }, run.runId)));
  const kinds = make("fieldset", { class: "segments" }, make("legend", { class: "unseen" }, "Kind of change"),
    ...[[null, "All", ""], ...KINDS].map(([kind, label, sign]) => make("label", {},
      make("input", { type: "radio", name: "kind", value: kind ?? "all", checked: compared.kind === kind, onchange: () => { compared.kind = kind; drawChanges(); } }),
      make("span", {}, sign ? make("b", { class: kind, "aria-hidden": "true" }, `${sign} `) : "", label,
        compared.counts ? ` ${count(kind ? compared.counts[kind] : changedTotal())}` : ""))));
  top.replaceChildren(make("label", { for: "since" }, "From"), select, make("span", {}, `to ${shown.runId}`), kinds);
}

const changedTotal = () => KINDS.reduce((sum, [name]) => sum + compared.counts[name], 0);

async function compare(since) {
  abort?.abort();
  abort = new AbortController();
  const { signal } = abort;
  content.setAttribute("aria-busy", "true");
  try {
    const groups = await Promise.all(KINDS.map(([kind]) => rowsOf(kind, since, compared.kind === kind ? MANY : compared.kind ? 1 : FEW, 1, signal)));
    signal.throwIfAborted();
    compared.counts = Object.fromEntries(KINDS.map(([kind], at) => [kind, groups[at].total]));
    const focused = top.contains(document.activeElement) ? document.activeElement.value : null;
    drawTop(since);
    if (focused) top.querySelector(`[value="${CSS.escape(focused)}"]`)?.focus();
    drawGroups(groups.filter(group => !compared.kind || group.kind === compared.kind), since);
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

// Rows of a kind, each with its values in the older run if they were others.
async function rowsOf(kind, since, limit, page, signal) {
  const found = await api.rows(view.workflow, { runId: shown.runId, sinceRunId: since, filters: changeFilters(kind), limit, page }, signal);
  const ids = kind === "changed" ? found.data.map(row => row._row_id) : [];
  const before = ids.length ? (await api.rows(view.workflow, { runId: since, rowIds: ids, includeRowIds: true, limit: ids.length }, signal)).data : [];
  const older = new Map(before.map(row => [row._row_id, row]));
  return { kind, total: found.pagination.totalCount, rows: found.data.map(row => ({ row, old: older.get(row._row_id) })) };
}

function drawGroups(groups, since) {
  const fields = visibleFields();
  const some = groups.filter(group => group.total);
  if (!some.length) return content.replaceChildren(blank("No changes", `No row ${view.filters.length ? "that the filters leave " : ""}was added, changed or removed since ${since}.`));
  const head = make("thead", {}, make("tr", {}, make("th", { class: "kind", scope: "col" }, make("span", { class: "unseen" }, "Change")), make("th", { scope: "col" }, "Row id"),
    ...fields.map(field => make("th", { scope: "col", class: isNumeric(field) ? "number" : null }, field.name))));
  return content.replaceChildren(make("table", { class: "changes" }, make("caption", { class: "unseen" }, `Changes since ${since}`), head,
    ...some.map(group => body(group, fields, since))));
}

function body(group, fields, since) {
  const [, label, sign] = KINDS.find(([kind]) => kind === group.kind);
  const rows = group.rows.map(one => drawRow(one, group.kind, label, sign, fields));
  const isWhole = compared.kind === group.kind;
  let page = 1;
  const element = make("tbody", {});
  const rest = () => group.total - element.querySelectorAll("tr.change").length;
  const more = button({ class: "button small ghost", onclick: async () => {
    if (!isWhole) {
      compared.kind = group.kind;
      drawChanges();
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
