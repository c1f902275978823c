// The input for the value of a filter: a date picker, a number, true or false, a list, or text with suggestions.

import * as api from "../api.js";
import { button, icon, labelled, make } from "../dom.js";
import { selection } from "../load.js";
import { view } from "../view.js";
import { money } from "../words.js";

const NUMBER = /^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

// Returns its elements, its values as text, and what is wrong with them.
export function valueInput(field, operator, values) {
  const shape = api.service.operators[operator];
  const kind = kindOf(field, shape, values);
  return { none, flag, date, days, list, number, text }[kind](field, values);
}

function kindOf(field, shape, values) {
  if (shape === "none") return "none";
  if (shape === "days") return "days";
  if (shape === "array") return "list";
  if (field.type === "BOOLEAN") return "flag";
  if (field.type.startsWith("DATE") && values.every(value => pickable(field, value))) return "date";
  return field.type === "NUMBER" ? "number" : "text";
}

const one = (input, label, ...more) => [labelled(label, input), ...more];
const given = (input, problem) => ({ values: () => [input.value.trim()], problem });

const none = () => ({ elements: [], values: () => [], problem: () => null });

function flag(field, values) {
  const input = make("select", { class: "field" }, ...["true", "false"].map(value => make("option", { value }, value)));
  input.value = values[0] === "false" ? "false" : "true";
  return { elements: one(input, "Value"), ...given(input, () => null) };
}

// What the browser's picker can show without changing it.
const pickable = (field, value) => field.type === "DATE" ? /^\d{4}-\d\d-\d\d$/.test(value) : /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?Z)?$/.test(value);

function date(field, values) {
  const isDay = field.type === "DATE";
  const input = make("input", { class: "field", type: isDay ? "date" : "datetime-local", step: isDay ? null : 1 });
  const value = values[0] ?? "";
  input.value = isDay || value.includes("T") || !value ? value.replace("Z", "") : `${value}T00:00:00`;
  const wrong = () => input.value ? null : "Choose a date.";
  return {
    elements: one(input, isDay ? "Date" : "Date and time, UTC"), problem: wrong,
    values: () => input.value ? [isDay ? input.value : `${input.value}${input.value.length === 16 ? ":00" : ""}Z`] : [],
  };
}

function days(field, values) {
  const input = make("input", { class: "field", type: "number", min: 1, step: 1, value: values[0] ?? "7" });
  return { elements: one(input, "Days"), ...given(input, () => /^[1-9]\d*$/.test(input.value) ? null : "Give a number of days, 1 or more.") };
}

function number(field, values) {
  const input = make("input", { class: "field", inputmode: "decimal", autocomplete: "off", value: values[0] ?? "" });
  const isAmount = field.path.endsWith(".amount");
  const [example] = isAmount ? [make("p", { class: "muted" }, `In the currency's smallest unit: 1999 is ${money(1999, "EUR").join(" ")}.`)] : [null];
  return { elements: one(input, "Value", ...(example ? [example] : [])), ...given(input, () => NUMBER.test(input.value.trim()) ? null : "Give a number, such as 4 or 4.5.") };
}

function text(field, values) {
  const options = suggestions(field);
  const input = make("input", { class: "field", autocomplete: "off", spellcheck: "false", list: options.id, value: values[0] ?? "" });
  return { elements: one(input, "Value", options), values: () => [input.value], problem: () => null };
}

// Values are entered one at a time, so that they may have commas.
function list(field, values) {
  const chosen = [...values];
  const options = suggestions(field);
  const input = make("input", { class: "field", autocomplete: "off", spellcheck: "false", list: options.id, placeholder: "Enter adds a value" });
  const tags = make("ul", { class: "tags", "aria-label": "Values" });
  const draw = () => tags.replaceChildren(...chosen.map((value, at) => make("li", { class: "pill" }, value || "(empty text)",
    button({ "aria-label": `Remove ${value}`, onclick: () => { chosen.splice(at, 1); draw(); input.focus(); } }, icon("close")))));
  const add = (...found) => {
    for (const value of found) if (!chosen.includes(value)) chosen.push(value);
    input.value = "";
    draw();
  };
  input.addEventListener("keydown", event => {
    if (event.key !== "Enter" || !input.value) return;
    event.preventDefault();
    add(input.value);
  });
  input.addEventListener("paste", event => {
    const lines = event.clipboardData.getData("text").split(/\r?\n/).filter(Boolean);
    if (lines.length < 2) return;
    event.preventDefault();
    add(...lines);
  });
  draw();
  const all = () => input.value && !chosen.includes(input.value) ? [...chosen, input.value] : chosen;
  const wrong = () => {
    if (!all().length) return "Add at least one value.";
    return field.type === "NUMBER" && !all().every(value => NUMBER.test(value)) ? "Give numbers, such as 4 or 4.5." : null;
  };
  return { elements: [labelled("Values", input), options, tags], values: all, problem: wrong };
}

// The most frequent values of the column among the rows that the other filters leave.
function suggestions(field) {
  const options = make("datalist", { id: "suggestions" });
  api.column(view.workflow, { ...selection(view.filters.filter(filter => filter.field !== field.path)), field: field.path })
    .then(profile => options.append(...profile.topValues.map(({ value }) => make("option", { value }))))
    .catch(() => {
      // Suggestions are a help; the value can be typed without them.
    });
  return options;
}
