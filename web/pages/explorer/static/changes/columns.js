// The columns that changed, as buttons that narrow the list to the rows in which one did.

import { choiceList } from "../bar/list.js";
import { button, icon, make } from "../dom.js";
import { shown } from "../load.js";
import { open } from "../popover.js";
import { change, view } from "../view.js";
import { count, counted } from "../words.js";
import { changedColumns } from "./pairs.js";

const MAX_BUTTONS = 4;

const choose = name => change(name === view.changed ? { kind: null, changed: null } : { kind: "changed", changed: name });

// differing: names of columns in some row that is loaded. They have no numbers where publishing counted others.
export function changedIn(since, differing) {
  const counted = changedColumns(since) ?? shown.fields.filter(({ name }) => differing.has(name)).map(({ name }) => ({ name }));
  const known = counted.some(({ name }) => name === view.changed) || !view.changed ? counted : [{ name: view.changed }, ...counted];
  if (!known.length) return [];
  // The chosen one stays in sight.
  const at = known.findIndex(({ name }) => name === view.changed);
  const ordered = at < MAX_BUTTONS ? known : [known[at], ...known.toSpliced(at, 1)];
  const rest = known.length > MAX_BUTTONS + 1 ? ordered.slice(MAX_BUTTONS) : [];
  const shownOnes = ordered.slice(0, ordered.length - rest.length);
  return [make("div", { class: "changed-in", role: "group", "aria-label": "Changed in" }, make("span", { class: "muted" }, "Changed in"),
    ...shownOnes.map(oneButton), rest.length ? restButton(rest) : null)];
}

function oneButton({ name, rows }) {
  const isChosen = name === view.changed;
  return button({
    class: "button small", value: `column ${name}`, "aria-pressed": String(isChosen), onclick: () => choose(name),
    title: isChosen ? "Show all changes" : `Show the rows in which ${name} changed`,
  }, make("span", { class: "choice" }, name), rows === undefined ? null : make("span", { class: "dim" }, count(rows)));
}

function restButton(rest) {
  const more = button({
    class: "button small", value: "more columns", "aria-haspopup": "dialog", onclick: () => open(more, "Changed columns", choiceList("Find a column", rest.map(({ name, rows }) => ({
      text: name, search: name.toLowerCase(), notes: [rows === undefined ? "" : counted(rows, "row")], choose: () => choose(name),
    })))),
  }, `${count(rest.length)} more`, icon("down"));
  return more;
}
