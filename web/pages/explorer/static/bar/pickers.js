// The workflow and the run in the bar, and the lists to choose others from.

import { find, icon, make } from "../dom.js";
import { chooseRun, chooseWorkflow, runShown, shown } from "../load.js";
import { open } from "../popover.js";
import { view } from "../view.js";
import { age, counted } from "../words.js";
import { choiceList } from "./list.js";

const RUN_STATES = { FINISHED: ["check", "added"], FAILED: ["close", "removed"] };
const stateWords = state => state[0] + state.slice(1).toLowerCase();
const ageOf = run => age(run.executedAt ?? run.publishedAt);

const workflowName = () => shown.described?.name || view.workflow || "";

export function drawBar() {
  const latest = shown.described?.runs.find(run => run.runId === shown.described.latestRunId);
  const facts = latest ? `${counted(latest.rowCount, "row")} · ${ageOf(latest)}` : "";
  fill("workflow", `Workflow: ${workflowName()}`, make("b", {}, workflowName()), make("span", { class: "meta" }, facts));
  const run = runShown();
  const [sign, tone] = RUN_STATES[run?.state] ?? ["clock", ""];
  find("run").hidden = !view.run;
  fill("run", `Run: ${view.run}, ${run ? stateWords(run.state).toLowerCase() : "state unknown"}`,
    icon(sign, { class: `icon ${tone}` }), make("span", {}, view.run ?? ""),
    make("span", { class: "meta" }, run ? `${stateWords(run.state)} ${ageOf(run)}` : ""));
  document.title = [workflowName(), view.run, "Tailrace"].filter(Boolean).join(" · ");
}

function fill(id, label, ...content) {
  find(id).setAttribute("aria-label", label);
  find(id).title = label;
  find(id).replaceChildren(...content, icon("down"));
}

find("workflow").addEventListener("click", () => open(find("workflow"), "Workflows", choiceList("Find a workflow",
  (shown.workflows ?? []).map(one => ({
    text: one.name || one.workflowId, isChosen: one.workflowId === view.workflow,
    search: `${one.name} ${one.workflowId}`.toLowerCase(),
    notes: [one.totalRecords === undefined ? "" : counted(one.totalRecords, "row"), one.latestRunAt ? age(one.latestRunAt) : "no finished run"],
    choose: () => chooseWorkflow(one.workflowId),
  })))));

find("run").addEventListener("click", () => open(find("run"), "Runs", choiceList("Find a run",
  (shown.described?.runs ?? []).map(run => {
    const [sign, tone] = RUN_STATES[run.state] ?? ["clock", ""];
    const isFinished = run.state === "FINISHED";
    return {
      text: run.runId, isChosen: run.runId === shown.runId, isDisabled: !isFinished, sign: tone, icon: sign,
      search: run.runId.toLowerCase(), choose: () => chooseRun(run.runId),
      notes: [isFinished ? counted(run.rowCount, "row") : stateWords(run.state), run.runId === shown.described.latestRunId ? "latest" : ageOf(run)],
    };
  }))));
