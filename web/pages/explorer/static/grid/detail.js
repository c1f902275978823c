// The detail of a row beside the grid: all of its values, hidden columns too.

import { button, find, icon, iconButton, make } from "../dom.js";
import { typeName, typeSign } from "../fields.js";
import { shown, visibleFields } from "../load.js";
import { copy } from "../notices.js";
import { change, view } from "../view.js";
import { count } from "../words.js";
import { cell } from "./cells.js";
import { drawSelected, focusRow } from "./grid.js";

export function drawDetail() {
  const panel = find("row");
  const row = view.row === null || view.tab !== "rows" ? undefined : shown.rows?.[view.row - 1 - (view.page - 1) * view.size];
  const hadFocus = panel.contains(document.activeElement);
  const focused = hadFocus ? document.activeElement.getAttribute("aria-label") : null;
  drawSelected();
  panel.hidden = !row;
  if (!row) return;
  const visible = new Set(visibleFields().map(field => field.name));
  const hidden = shown.fields.filter(field => !visible.has(field.name)).map(field => field.name);
  const ordered = [...visibleFields(), ...shown.fields.filter(field => !visible.has(field.name))];
  panel.replaceChildren(
    make("header", {}, make("h2", {}, `Row ${count(view.row)}`), make("span", { class: "muted push" }, `of ${count(shown.matched)}`),
      iconButton("up", "Previous row", () => moveRow(-1), { disabled: view.row <= 1, "aria-keyshortcuts": "k" }),
      iconButton("down", "Next row", () => moveRow(1), { disabled: view.row >= shown.matched, "aria-keyshortcuts": "j" }),
      button({ class: "button small", onclick: () => copy(JSON.stringify(row, null, 2), "Row") }, icon("copy"), "Copy JSON"),
      iconButton("close", "Close", closeDetail, { title: "Close (Esc)" })),
    make("div", { class: "body", tabindex: 0, role: "region", "aria-label": "Values of the row" },
      make("dl", { class: "values" }, ...ordered.flatMap(field => [
        make("dt", { title: typeName(field.type) }, typeSign(field.type), make("span", { class: "choice" }, field.name)),
        make("dd", {}, ...tabbable(cell(field, row[field.name], { isFull: true }))),
      ])),
      hidden.length ? make("p", { class: "muted" }, `${hidden.join(", ")} ${hidden.length === 1 ? "is" : "are"} hidden in the grid.`) : null));
  if (hadFocus) (panel.querySelector(`[aria-label="${CSS.escape(focused ?? "")}"]:not(:disabled)`) ?? panel.querySelector(".body")).focus();
}

// Links in the detail are reached by Tab, unlike those of the grid.
function tabbable(nodes) {
  for (const node of nodes) if (node instanceof Element) node.removeAttribute("tabindex");
  return nodes;
}

// The row before or after, on another page if need be.
export function moveRow(step) {
  if (view.row === null) return;
  const row = Math.max(1, Math.min(view.row + step, shown.matched));
  change({ row, page: Math.ceil(row / view.size) }, { replace: true });
}

export function closeDetail() {
  const { row } = view;
  const hadFocus = find("row").contains(document.activeElement);
  change({ row: null }, { replace: true });
  if (hadFocus) focusRow(row);
}
