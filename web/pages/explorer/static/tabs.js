// The tabs: each has a panel in the middle of the page.

import { changesElement } from "./changes/comparison.js";
import { cardsElement } from "./columns/cards.js";
import { button, find, make, roving } from "./dom.js";
import { gridElement } from "./grid/grid.js";
import { sqlElement } from "./sql/editor.js";
import { change, view } from "./view.js";

export const TABS = [["rows", "Rows", gridElement], ["columns", "Columns", cardsElement], ["changes", "Changes", changesElement], ["sql", "SQL", sqlElement]];
const names = TABS.map(([name]) => name);
export const tabShown = () => names.includes(view.tab) ? view.tab : "rows";

export const showTab = tab => change({ tab, row: null });

find("tabs").append(...TABS.map(([name, label]) => button({
  role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, onclick: () => showTab(name),
}, label)));
find("view").append(...TABS.map(([name, , element]) =>
  make("div", { id: `panel-${name}`, class: "panel", role: "tabpanel", "aria-labelledby": `tab-${name}` }, element)));
roving(find("tabs"), "button", { choose: one => one.click() });

export function drawTabs() {
  for (const name of names) {
    const isShown = name === tabShown();
    find(`tab-${name}`).setAttribute("aria-selected", String(isShown));
    find(`tab-${name}`).tabIndex = isShown ? 0 : -1;
    find(`panel-${name}`).hidden = !isShown;
  }
}
