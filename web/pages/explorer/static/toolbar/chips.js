// The filters as chips: a click edits one, the cross removes it.

import { button, find, icon, make } from "../dom.js";
import { fieldAt, shown } from "../load.js";
import { open } from "../popover.js";
import { change, view } from "../view.js";
import { filterParts, filterWords } from "../words.js";
import { filterForm } from "./filter_form.js";

export const setFilters = filters => change({ filters, page: 1, row: null });
export const addFilters = (...filters) => setFilters([...view.filters, ...filters]);

// Replaces what bounds a column, so that clicks on bars of a plot do not pile up.
export const replaceFilters = (field, operators, ...filters) =>
  setFilters([...view.filters.filter(one => one.field !== field || !operators.includes(one.operator)), ...filters]);

// The number of the filter that the service refuses, or -1.
const refused = () => Number(/^filters\[(\d+)\]/.exec(shown.error?.details?.entry ?? "")?.[1] ?? -1);

const add = button({ id: "add-filter", class: "button ghost small", "aria-haspopup": "dialog", "aria-keyshortcuts": "/", onclick: () => newFilter() }, icon("add"), make("span", {}, "Filter"));
let drawn;

export function drawChips() {
  add.disabled = !shown.fields.length;
  // What is drawn already stays, with the focus and the popover that may be on it.
  const next = JSON.stringify([view.filters.map(filter => [filter, fieldAt(filter.field)?.type]), refused()]);
  if (next === drawn) return;
  drawn = next;
  const chips = view.filters.map((filter, number) => {
    const type = fieldAt(filter.field)?.type;
    const [field, operator, value] = filterParts(filter, type);
    const words = filterWords(filter, type);
    const isWrong = number === refused();
    const edit = button({ class: "edit", "aria-haspopup": "dialog", "aria-label": `Edit filter: ${words}`, title: words, onclick: () => editFilter(number) },
      make("b", {}, field), ` ${operator} `, make("b", {}, value));
    return make("span", { class: `chip${isWrong ? " wrong" : ""}` }, isWrong ? make("span", { class: "wrong-sign", "aria-hidden": "true" }, "!") : null, edit,
      button({ class: "remove", "aria-label": `Remove filter: ${words}`, title: "Remove filter", onclick: () => remove(number) }, icon("close")));
  });
  find("chips").replaceChildren(...chips, add);
}

function remove(number) {
  setFilters(view.filters.filter((_, other) => other !== number));
  find("add-filter").focus();
}

export function editFilter(number) {
  const anchor = find("chips").querySelectorAll(".chip .edit")[number];
  const error = number === refused() ? shown.error : null;
  open(anchor, "Edit filter", filterForm(view.filters[number], {
    error, apply: filter => setFilters(view.filters.with(number, filter)), remove: () => remove(number),
  }));
}

export function newFilter(field) {
  const start = field ?? shown.paths[0]?.path;
  if (!start) return;
  open(find("add-filter"), "Add a filter", filterForm({ field: start, operator: null, values: [] }, { apply: filter => addFilters(filter) }));
}
