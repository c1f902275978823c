// The filter form: a column, one of its operators, and a value of the column's type.

import { find, make } from "./dom.js";

const SHAPES = Object.fromEntries(
  [...find("operators").content.querySelectorAll("option")].map(option => [option.value, option.dataset.shape]));

// Columns and members of objects, with their dotted paths.
export function paths(fields, prefix = "") {
  return fields.flatMap(field => [
    { ...field, path: prefix + field.name },
    ...paths(field.members || [], `${prefix}${field.name}.`),
  ]);
}

export class Filters {
  constructor(changed) {
    this.changed = changed;
    this.fields = [];
    find("add-filter").addEventListener("click", () => this.add());
  }

  // Keeps the filters whose column exists in the new run, and drops the others.
  use(fields) {
    const before = this.state();
    this.fields = paths(fields);
    find("add-filter").disabled = !this.fields.length;
    find("filters").replaceChildren();
    for (const one of before) if (this.fields.some(field => field.path === one.field)) this.add(one);
  }

  state() {
    return [...find("filters").children].map(row => ({
      field: row.querySelector(".field").value,
      operator: row.querySelector(".operator").value,
      text: row.querySelector(".value").value,
    }));
  }

  add(filter = {}) {
    const number = find("filters").children.length + 1;
    const field = make("select", { class: "field", "aria-label": `Column of filter ${number}` },
      ...this.fields.map(one => make("option", { value: one.path }, one.path)));
    const operator = make("select", { class: "operator", "aria-label": `Operator of filter ${number}` });
    const value = make("input", { class: "value", "aria-label": `Value of filter ${number}`, value: filter.text || "" });
    const remove = make("button", { type: "button", "aria-label": `Remove filter ${number}` }, "Remove");
    const row = make("div", { class: "filter", role: "group", "aria-label": `Filter ${number}` }, field, operator, value, remove);
    if (filter.field) field.value = filter.field;
    const showOperators = () => {
      const allowed = this.field(field.value).operators;
      const chosen = operator.value || filter.operator;
      const options = [...find("operators").content.querySelectorAll("option")];
      operator.replaceChildren(...options.filter(one => allowed.includes(one.value)).map(one => one.cloneNode(true)));
      if (allowed.includes(chosen)) operator.value = chosen;
      showValue();
    };
    const showValue = () => {
      value.hidden = SHAPES[operator.value] === "none";
      value.placeholder = {
        array: "values, separated by commas", date: "2026-11-23 or 2026-11-23T10:00:00Z", days: "days",
      }[SHAPES[operator.value]] || "value";
    };
    showOperators();
    field.addEventListener("change", () => { showOperators(); this.changed(); });
    operator.addEventListener("change", () => { showValue(); this.changed(); });
    value.addEventListener("input", () => this.changed());
    remove.addEventListener("click", () => { row.remove(); this.changed(); find("add-filter").focus(); });
    find("filters").append(row);
    field.focus();
  }

  field(path) {
    return this.fields.find(one => one.path === path);
  }

  // Filters without a value are not applied until they have one.
  applied() {
    return this.state().filter(one => SHAPES[one.operator] === "none" || one.text !== "");
  }

  words() {
    const labels = Object.fromEntries(
      [...find("operators").content.querySelectorAll("option")].map(option => [option.value, option.textContent]));
    return this.applied().map(({ field, operator, text }) =>
      `${field} ${labels[operator]}${SHAPES[operator] === "none" ? "" : ` "${text}"`}`).join(" and ");
  }

  // JSON text rather than objects, so that long numbers keep their digits.
  json() {
    const entries = this.applied().map(one => {
      const head = `{"field":${JSON.stringify(one.field)},"operator":"${one.operator}"`;
      return SHAPES[one.operator] === "none" ? `${head}}` : `${head},"value":${this.value(one)}}`;
    });
    return `[${entries.join(",")}]`;
  }

  value({ field, operator, text }) {
    const stored = this.field(field).storedAs;
    const scalar = part => {
      if (/INT|DOUBLE|FLOAT|DECIMAL/.test(stored) && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(part)) return part;
      if (stored.startsWith("BOOLEAN") && /^(true|false)$/.test(part)) return part;
      return JSON.stringify(part);
    };
    switch (SHAPES[operator]) {
      case "array": return `[${text.split(",").map(part => scalar(part.trim())).join(",")}]`;
      case "days": return /^\d+$/.test(text) ? text : JSON.stringify(text);
      case "text": case "date": return JSON.stringify(text);
      default: return scalar(text);
    }
  }

  // Shows the message of an error beside the filter that the error names. Returns whether it names one.
  showError(error) {
    for (const old of find("filters").querySelectorAll(".error")) old.remove();
    const entry = /^filters\[(\d+)\]$/.exec(error?.details?.entry || "");
    const filled = [...find("filters").children].filter(row =>
      row.querySelector(".value").hidden || row.querySelector(".value").value !== "");
    const row = entry && filled[Number(entry[1])];
    if (row) row.append(make("p", { class: "error", role: "alert" }, error.message));
    return Boolean(row);
  }
}
