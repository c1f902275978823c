// What is in place of rows that are not there: no matches, an error, no run, no workflow.

import * as api from "../api.js";
import { button, find, make } from "../dom.js";
import { fieldAt, load, runShown, selection, shown } from "../load.js";
import { askForKey } from "../session.js";
import { editFilter, setFilters } from "../toolbar/chips.js";
import { plain } from "../toolbar/filter_form.js";
import { view } from "../view.js";
import { counted, filterWords } from "../words.js";

const blank = (title, text, ...actions) =>
  make("div", { class: "blank" }, make("h2", {}, title), ...[text].flat().map(one => one instanceof Node ? one : make("p", {}, one)), make("div", { class: "actions" }, ...actions));

// Returns an element, or null if there are rows to show.
export function blankOf() {
  const failure = shown.error;
  if (shown.state === "failed") {
    const refused = Number(/^filters\[(\d+)\]/.exec(failure.details?.entry ?? "")?.[1] ?? -1);
    if (refused >= 0) {
      return blank("A filter does not fit its column", plain(failure.message), button({ class: "button primary", onclick: () => editFilter(refused) }, "Edit the filter"));
    }
    if (failure.status === 404) {
      return blank("Your key does not open this", "The workflow or run does not exist, or belongs to another team. Choose one that your key opens, or sign in with a key of that team.",
        button({ class: "button primary", onclick: () => find("workflow").click() }, "Choose a workflow"), button({ class: "button", onclick: () => askForKey() }, "Use another key"));
    }
    const request = failure.requestId ? ` Request ${failure.requestId}.` : "";
    return blank("These rows could not be read", `${plain(failure.message)} Nothing was changed.${request}`, button({ class: "button", onclick: load }, "Try again"));
  }
  if (shown.state === "no-workflow") return blank("There are no workflows yet", [make("p", {}, "Publish a run with ", make("code", {}, "tailrace publish"), ", then load this page again.")], button({ class: "button", onclick: () => { shown.workflows = null; load(); } }, "Look again"));
  if (shown.state === "no-run") return blank("No finished run yet", noRun(), button({ class: "button", onclick: () => { shown.described = null; load(); } }, "Look again"));
  if (shown.state !== "ready" || shown.matched) return null;
  if (!view.filters.length) return blank("This run has no rows", "It finished without any. Another run may have some.");
  const reason = make("p", { role: "status" }, `${counted(runShown()?.rowCount ?? 0, "row")} without filters.`);
  explain(reason);
  return blank("No rows match these filters", reason, button({ class: "button", onclick: () => setFilters([]) }, "Remove all filters"));
}

function noRun() {
  const failed = shown.described.runs[0];
  return failed ? `The newest run, ${failed.runId}, ${failed.state === "FAILED" ? "has failed" : `is ${failed.state.toLowerCase()}`}. This page shows rows as soon as a run finishes.`
    : "This page shows rows as soon as the first run finishes.";
}

// Which filter removes the last rows.
async function explain(element) {
  const filters = view.filters;
  const words = filters.map(filter => filterWords(filter, fieldAt(filter.field)?.type));
  try {
    for (let length = 1; length <= filters.length; length++) {
      const { pagination } = await api.rows(view.workflow, { ...selection(filters.slice(0, length)), limit: 1 });
      if (filters !== view.filters) return;
      if (pagination.totalCount) {
        element.textContent = `${words.slice(0, length).join(" and ")} leaves ${counted(pagination.totalCount, "row")}`;
      } else {
        element.textContent = length > 1 ? `${element.textContent}; ${words[length - 1]} leaves none.` : `${words[0]} leaves none of ${counted(runShown()?.rowCount ?? 0, "row")}.`;
        return;
      }
    }
  } catch {
    // The heading says enough.
  }
}
