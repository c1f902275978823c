// Shortcuts of the whole page, and the list of them. They are off while somebody types.

import { find, make } from "./dom.js";
import { closeExport, isExportOpen, openExport } from "./export/panel.js";
import { closeDetail, moveRow } from "./grid/detail.js";
import { isOpen, open } from "./popover.js";
import { showTab } from "./tabs.js";
import { newFilter } from "./toolbar/chips.js";
import { TAB_NAMES, view } from "./view.js";

const KEYS = {
  "/": ["Add a filter", () => newFilter()],
  w: ["Choose a workflow", () => find("workflow").click()],
  r: ["Choose a run", () => find("run").click()],
  e: ["Export", () => isExportOpen() ? closeExport() : openExport()],
  c: ["Choose columns", () => find("choose-columns").click()],
  j: ["Next row, in the detail of one", () => moveRow(1)],
  k: ["Previous row, in the detail of one", () => moveRow(-1)],
  "?": ["Show this list", () => find("shortcuts").click()],
};
const IN_GRID = [
  ["Arrow keys", "Move among cells"], ["Home, End", "First and last column"], ["Page Up, Page Down", "Ten rows"], ["Enter", "Open the row"],
  ["s", "Sort by the column"], ["f", "Filter by the cell"], ["Ctrl+C", "Copy the cell"],
];

const pressed = ([key, words]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, words)];

function help() {
  const rows = [...Object.entries(KEYS).map(([key, [words]]) => [key, words]), [`1–${TAB_NAMES.length}`, "Tabs"], ["Esc", "Close the topmost"]];
  return make("div", { class: "help" }, make("h2", {}, "Keyboard"), make("dl", {}, ...rows.flatMap(pressed)),
    make("h2", {}, "In the grid"), make("dl", {}, ...IN_GRID.flatMap(pressed)));
}

find("shortcuts").addEventListener("click", () => open(find("shortcuts"), "Keyboard shortcuts", help()));

const isTyping = element => element.closest("input, select, textarea, [contenteditable]") !== null && element.type !== "checkbox" && element.type !== "radio";

document.addEventListener("keydown", event => {
  if (find("explorer").hidden || event.defaultPrevented || isOpen()) return;
  if (event.key === "Escape") {
    if (isExportOpen()) closeExport();
    else if (view.row !== null) closeDetail();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const tab = TAB_NAMES[Number(event.key) - 1];
  if (!tab && !KEYS[event.key]) return;
  event.preventDefault();
  if (tab) showTab(tab);
  else KEYS[event.key][1]();
});
