// The tabs: each has a panel in the middle of the page.

import { changesElement } from "./changes/comparison.js";
import { cardsElement } from "./columns/cards.js";
import { button, find, make, roving } from "./dom.js";
import { rowsTable } from "./grid/grid.js";
import { sqlElement } from "./sql/editor.js";
import { change, TAB_NAMES, view } from "./view.js";

const PANELS = { rows: ["Rows", rowsTable.element], columns: ["Columns", cardsElement], changes: ["Changes", changesElement], sql: ["SQL", sqlElement] };

export const showTab = tab => change({ tab, row: null });

find("tabs").append(...TAB_NAMES.map(name => button({
  role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, onclick: () => showTab(name),
}, PANELS[name][0])));
find("view").append(...TAB_NAMES.map(name =>
  make("div", { id: `panel-${name}`, class: "panel", role: "tabpanel", "aria-labelledby": `tab-${name}` }, PANELS[name][1])));
roving(find("tabs"), "button", { choose: one => one.click() });

export function drawTabs() {
  for (const name of TAB_NAMES) {
    const isShown = name === view.tab;
    find(`tab-${name}`).setAttribute("aria-selected", String(isShown));
    find(`tab-${name}`).tabIndex = isShown ? 0 : -1;
    find(`panel-${name}`).hidden = !isShown;
  }
}
