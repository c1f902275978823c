// The detail of a row beside the grid: all of its values, hidden columns too.

import { differs, earlierRow } from "../changes/earlier.js";
import { previousRun } from "../changes/pairs.js";
import { button, find, icon, iconButton, make } from "../dom.js";
import { typeName, typeSign } from "../fields.js";
import { shown, visibleFields } from "../load.js";
import { result, resultTable } from "../sql/result.js";
import { copy } from "../notices.js";
import { change, view } from "../view.js";
import { count } from "../words.js";
import { cell } from "./cells.js";
import { rowsTable } from "./grid.js";

// The rows of the tab: their grid and columns, how many there are, and the one that is open if it is loaded.
function source() {
  if (view.tab === "sql") return { table: resultTable, visible: result.columns, fields: result.columns, total: result.rows.length, row: result.rows[view.row - 1] };
  const row = view.tab === "rows" ? shown.rows?.[view.row - 1 - (view.page - 1) * view.size] : undefined;
  return { table: rowsTable, visible: visibleFields(), fields: shown.fields, total: shown.matched, row };
}

export function drawDetail() {
  const panel = find("row");
  const { table, visible, fields, total, row } = source();
  const hadFocus = panel.contains(document.activeElement);
  const focused = hadFocus ? document.activeElement.getAttribute("aria-label") : null;
  table.select(view.row);
  panel.hidden = !row;
  if (!row) return;
  const rest = fields.filter(field => !visible.includes(field));
  const hidden = rest.map(field => field.name);
  const hasEarlier = view.tab === "rows" && previousRun() !== null;
  panel.replaceChildren(
    make("header", {}, make("h2", {}, `Row ${count(view.row)}`), make("span", { class: "muted push" }, `of ${count(total)}`),
      iconButton("up", "Previous row", () => moveRow(-1), { disabled: view.row <= 1, "aria-keyshortcuts": "k" }),
      iconButton("down", "Next row", () => moveRow(1), { disabled: view.row >= total, "aria-keyshortcuts": "j" }),
      button({ class: "button small", onclick: () => copy(JSON.stringify(row, null, 2), "Row") }, icon("copy"), "Copy JSON"),
      iconButton("close", "Close", closeDetail, { title: "Close (Esc)" })),
    make("div", { class: "body", tabindex: 0, role: "region", "aria-label": "Values of the row" },
      make("p", { class: "since muted", hidden: !hasEarlier }, "\u00a0"), make("dl", { class: "values" }, ...[...visible, ...rest].flatMap(field => [
        make("dt", { title: typeName(field.type) }, typeSign(field.type), make("span", { class: "choice" }, field.name)),
        make("dd", { "data-name": field.name }, ...tabbable(cell(field, row[field.name], { isFull: true }))),
      ])),
      hidden.length ? make("p", { class: "muted" }, `${new Intl.ListFormat("en-GB").format(hidden)} ${hidden.length === 1 ? "is" : "are"} hidden in the grid.`) : null));
  if (hasEarlier) drawEarlier(row, panel);
  if (hadFocus) (panel.querySelector(`[aria-label="${CSS.escape(focused ?? "")}"]:not(:disabled)`) ?? panel.querySelector(".body")).focus();
}

// What the row was in the run before, beside what changed.
async function drawEarlier(row, panel) {
  const note = panel.querySelector(".since");
  const found = await earlierRow(view.row);
  // By now another row may be shown, or the same one drawn anew.
  if (!found || !note?.isConnected || shown.rows?.[view.row - 1 - (view.page - 1) * view.size] !== row) return;
  const { old, since } = found;
  const fields = old ? shown.fields.filter(field => differs(row, old, field.name)) : [];
  note.textContent = !old ? `New since ${since}.` : fields.length ? `Changed since ${since}: ${fields.map(field => field.name).join(", ")}.` : `Not changed since ${since}.`;
  for (const field of fields) {
    panel.querySelector(`dd[data-name="${CSS.escape(field.name)}"]`).append(make("span", { class: "was changed" }, "was ", ...cell(field, old[field.name])));
  }
}

// Links in the detail are reached by Tab, unlike those of the grid.
function tabbable(nodes) {
  for (const node of nodes) if (node instanceof Element) node.removeAttribute("tabindex");
  return nodes;
}

// The row before or after, on another page if need be.
export function moveRow(step) {
  if (view.row === null) return;
  const row = Math.max(1, Math.min(view.row + step, source().total));
  change({ row, ...(view.tab === "rows" && { page: Math.ceil(row / view.size) }) }, { replace: true });
}

export function closeDetail() {
  const { row } = view;
  const hadFocus = find("row").contains(document.activeElement);
  change({ row: null }, { replace: true });
  if (hadFocus) source().table.focusRow(row);
}
