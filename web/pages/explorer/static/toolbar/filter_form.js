// The form of one filter: a column, a condition that the column allows, and a value by its type.

import { service } from "../api.js";
import { button, labelled, make } from "../dom.js";
import { fieldAt, shown } from "../load.js";
import { close } from "../popover.js";
import { operatorWords, sentence } from "../words.js";
import { valueInput } from "./value_input.js";

// apply(filter) gets the finished filter. An error is of the service, about the filter as it was.
export function filterForm(filter, { apply, remove, error }) {
  const message = make("p", { class: "message", role: "alert", hidden: !error }, error ? plain(error.message) : "");
  const column = make("select", { class: "field", onchange: () => drawOperators(null) },
    ...shown.paths.map(one => make("option", { value: one.path }, one.path)));
  column.value = filter.field;
  const condition = make("select", { class: "field", onchange: () => drawValue(input.values().filter(Boolean)) });
  const place = make("div", {});
  let input;

  function drawOperators(wanted) {
    const field = fieldAt(column.value);
    condition.replaceChildren(...(field?.operators ?? []).map(name => make("option", { value: name }, operatorWords(name, field.type))));
    if (wanted && field?.operators.includes(wanted)) condition.value = wanted;
    else if (field?.operators.includes("CONTAINS")) condition.value = "CONTAINS";
    drawValue(column.value === filter.field ? filter.values : []);
  }

  function drawValue(values) {
    input = valueInput(fieldAt(column.value), condition.value, values);
    place.replaceChildren(...input.elements);
  }

  drawOperators(filter.operator);
  column.dataset.focus = "";
  return make("form", {
    class: "filter", onsubmit: event => {
      event.preventDefault();
      const wrong = input.problem();
      if (wrong) {
        message.textContent = wrong;
        message.hidden = false;
        place.querySelector("input, select")?.focus();
        return;
      }
      close();
      apply({ field: column.value, operator: condition.value, values: service.operators[condition.value] === "none" ? [] : input.values() });
    },
  },
  labelled("Column", column), labelled("Condition", condition), place, message,
  make("div", { class: "actions" }, remove ? button({ class: "button small ghost", onclick: () => { close(); remove(); } }, "Remove") : null,
    make("button", { type: "submit", class: "button small primary" }, "Apply")));
}

// The service names the place in the request, which nobody sees here.
export const plain = message => sentence(message.replace(/^filters\[\d+\](\.\w+)?: /, ""));
