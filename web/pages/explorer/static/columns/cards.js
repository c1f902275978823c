// The columns tab: a card for each column and member with its statistics and a plot at full size.

import { make } from "../dom.js";
import { typeName, typeSign } from "../fields.js";
import { commonCurrency } from "../grid/grid.js";
import { plot } from "../grid/plots.js";
import { Profiles } from "../grid/profiles.js";
import { shown } from "../load.js";
import { view } from "../view.js";
import { count, counted } from "../words.js";

const TOP_VALUES = 8;
const profiles = new Profiles();
const list = make("ul", { class: "cards" });
let drawn;

export const cardsElement = make("section", { "aria-label": "Columns" }, list);

export function drawCards() {
  const query = JSON.stringify([view.workflow, shown.runId, view.filters, shown.paths]);
  if (query === drawn || view.tab !== "columns") return;
  drawn = query;
  const places = shown.paths.map(field => {
    const element = make("div", { class: "profile" });
    list.append(element);
    return { element, field, path: field.path, draw: profile => [facts(profile), ...plot(profile, { top: TOP_VALUES, currency: currencyOf(field) })].map(reachable) };
  });
  list.replaceChildren(...places.map(({ element, field }) => make("li", { "data-path": field.path },
    make("h2", {}, typeSign(field.type), make("span", { class: "choice" }, field.path)),
    make("p", { class: "muted choice", title: field.storedAs }, `${typeName(field.type)}, stored as ${field.storedAs}`), element)));
  profiles.show(places);
}

function currencyOf({ path }) {
  const money = shown.fields.find(field => field.type === "MONEY" && `${field.name}.amount` === path);
  return money ? commonCurrency(money) : null;
}

function facts({ rowCount, nullCount, distinctCount, distinctExact }) {
  const distinct = distinctCount === null ? "" : `, ${distinctExact ? "" : "about "}${count(distinctCount)} distinct`;
  return make("p", { class: "muted" }, `${count(nullCount)} of ${counted(rowCount, "row")} null${distinct}`);
}

// Here, unlike in the head of the grid, every part of a plot is reached by Tab.
function reachable(element) {
  for (const one of [element, ...element.querySelectorAll("button")]) if (one.tagName === "BUTTON") one.tabIndex = 0;
  for (const bin of element.tagName === "svg" ? element.querySelectorAll(".bin") : []) {
    bin.setAttribute("tabindex", "0");
    bin.setAttribute("role", "button");
    bin.setAttribute("aria-label", bin.querySelector("title").textContent);
    bin.addEventListener("keydown", event => { if (event.key === "Enter") bin.dispatchEvent(new MouseEvent("click")); });
  }
  if (element.tagName === "svg") element.setAttribute("role", "group");
  return element;
}
