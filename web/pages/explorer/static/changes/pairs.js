// Which run came before the one that is shown, and how many rows changed since.

import * as api from "../api.js";
import { find, make } from "../dom.js";
import { shown } from "../load.js";
import { change, view } from "../view.js";
import { count, counted } from "../words.js";

let workflow = null;
let pairs = [];
const listeners = new Set();

export const onPairs = listener => listeners.add(listener);
const pairOf = run => pairs.find(pair => pair.runId === run);

// The run before the one that is shown, if their rows can be compared.
export const previousRun = () => pairOf(shown.runId)?.sinceRunId ?? null;

// How many of the changed rows differ in which column, as [{name, rows}]: known of whole runs that follow one another.
export const changedColumns = since => {
  const pair = pairOf(shown.runId);
  return pair?.sinceRunId === since && !view.filters.length ? pair.changedColumns ?? null : null;
};

// Finished runs that are older than the one that is shown; the newest first.
export function olderRuns() {
  const runs = shown.described?.runs.filter(run => run.state === "FINISHED") ?? [];
  return runs.slice(runs.findIndex(run => run.runId === shown.runId) + 1);
}

// The run to compare with: the chosen one, or the one before.
export const sinceRun = () => view.since ?? previousRun() ?? olderRuns()[0]?.runId ?? null;

export async function loadPairs() {
  if (workflow !== view.workflow) {
    workflow = view.workflow;
    pairs = [];
    try {
      const found = await api.changes(view.workflow);
      if (workflow !== view.workflow) return;
      pairs = found;
    } catch {
      // Without them there is no badge; the tab says what is wrong.
    }
    for (const listener of listeners) listener();
  }
  drawBadge();
}

const SIGNS = [["added", "+"], ["changed", "~"], ["removed", "−"]];

function drawBadge() {
  const pair = pairOf(shown.runId);
  const counts = pair?.differencesCounts;
  find("delta").hidden = !counts;
  find("tab-changes").querySelector(".number")?.remove();
  if (!counts) return;
  const words = SIGNS.map(([name]) => `${count(counts[name])} ${name}`).join(", ");
  find("delta").setAttribute("aria-label", `Changes since ${pair.sinceRunId}: ${words}`);
  find("delta").title = `Changes since ${pair.sinceRunId}: ${words}`;
  find("delta").replaceChildren(...SIGNS.map(([name, sign]) => make("span", { class: name }, `${sign}${count(counts[name])}`)));
  const all = counts.added + counts.changed + counts.removed;
  find("tab-changes").append(make("span", { class: "number", title: counted(all, "row") }, count(all)));
}

find("delta").addEventListener("click", () => change({ tab: "changes", since: pairOf(shown.runId).sinceRunId, kind: null, changed: null, filters: [], row: null, page: 1 }));
