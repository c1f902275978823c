// The export panel: choices, then one card with the progress or the file, then recent exports.

import { onCompared } from "../changes/comparison.js";
import { sinceRun } from "../changes/pairs.js";
import { button, find, icon, iconButton, make, roving } from "../dom.js";
import { shown } from "../load.js";
import { copy } from "../notices.js";
import { onResult } from "../sql/result.js";
import { view } from "../view.js";
import { count, counted, left, size } from "../words.js";
import { estimate } from "./estimate.js";
import { cancel, isStale, job, onJob, start } from "./job.js";
import { formatWords, optionsForm, sample, toExport, tooMany } from "./options.js";
import { drawRecent, recentExports } from "./recent.js";
import { snippets } from "./snippets.js";

const PHASES = { starting: "Starting", queued: "Waiting", running: "Writing" };
const subtitle = make("span", { class: "muted push" });
const form = make("form", { class: "options-form", onsubmit: event => { event.preventDefault(); start(); } });
const card = make("div", { class: "card", hidden: true });
const announcement = make("p", { class: "unseen", role: "status" });
const drawn = {};
let sizes = 0;
let tool = "pandas";

find("export").append(
  make("header", {}, make("h2", {}, "Export"), subtitle, iconButton("close", "Close", () => closeExport(), { title: "Close (Esc)" })),
  make("div", { class: "body" }, form, card, announcement, recentExports));

export const isExportOpen = () => !find("export").hidden;
const canExport = () => toExport().isReady && shown.state !== "failed" && shown.state !== "no-run" && navigator.onLine;

export function openExport() {
  find("export").hidden = false;
  find("open-export").setAttribute("aria-expanded", "true");
  updateExport();
  drawRecent();
  (form.querySelector("input:checked") ?? find("export").querySelector("button")).focus();
}

export function closeExport() {
  const hadFocus = find("export").contains(document.activeElement);
  find("export").hidden = true;
  find("open-export").setAttribute("aria-expanded", "false");
  if (hadFocus) find("open-export").focus();
}

// To be called after every change of the view: marks a finished export that no longer matches it.
export function updateExport() {
  find("open-export").disabled = !canExport() && !isExportOpen();
  find("open-export").title = view.tab === "sql" && !toExport().isReady ? "Run a statement first" : "";
  if (!isExportOpen()) return;
  const sort = view.sort && view.tab !== "sql" ? `, sorted by ${view.sort}` : "";
  const what = { changes: ` changed since ${sinceRun()}`, sql: " of the statement" }[view.tab] ?? "";
  subtitle.textContent = toExport().isReady ? `${rowsWords()}${what}${sort}` : "";
  drawForm();
  drawCard();
}

function rowsWords() {
  const { rows } = toExport();
  return rows === null ? "all rows" : counted(rows, "row");
}

// The size is known a moment after what it depends on; until then, the one before stays.
async function drawSize(element) {
  element.textContent = drawn.size ?? "";
  element.setAttribute("aria-busy", "true");
  const number = ++sizes;
  const found = toExport().isReady ? await estimate(sample()) : null;
  if (number !== sizes) return;
  drawn.size = [rowsWords(), found && `${found.isMost ? "at most " : ""}about ${size(Number(found.bytes.toPrecision(2)))}`].filter(Boolean).join(", ");
  element.textContent = drawn.size;
  element.removeAttribute("aria-busy");
}

function drawForm() {
  const focused = form.contains(document.activeElement) && document.activeElement;
  const content = optionsForm(updateExport).filter(Boolean);
  const key = focused && [focused.name, focused.value, focused.closest("label")?.textContent];
  const label = toExport().isReady ? `Export ${rowsWords()}` : "Export";
  const estimated = make("span", {});
  const hasLead = job.state === "idle" || job.state === "failed";
  const reason = tooMany();
  drawSize(estimated);
  form.replaceChildren(...content, make("p", { class: "estimate" }, make("span", { class: "muted" }, "File"), estimated), reason ? make("p", { class: "message", role: "status" }, reason) : "", make("div", { class: "actions" },
    make("button", { type: "submit", class: "button primary", hidden: !hasLead, disabled: !canExport() || reason !== null }, label)));
  if (!key) return;
  const same = [...form.querySelectorAll("input, select, summary, button")].find(one =>
    one.name ? one.name === key[0] && one.value === key[1] : one.closest("label")?.textContent === key[2] || one.tagName === focused.tagName && one.textContent === focused.textContent);
  same?.focus();
}

function drawCard() {
  const stale = isStale();
  const next = JSON.stringify([job.state, job.status, job.file?.url, job.message, stale, tool]);
  if (next === drawn.card) return;
  const hadFocus = card.contains(document.activeElement);
  const before = drawn.state;
  Object.assign(drawn, { card: next, state: job.state });
  card.hidden = job.state === "idle";
  card.replaceChildren(...({ idle: () => [], running, finished: () => finished(stale), failed })[job.state]());
  if (job.state !== before) announcement.textContent = { idle: "", running: "The export has started.", finished: "The export is finished.", failed: job.message }[job.state];
  if (hadFocus || (before === "running" && find("export").contains(document.activeElement) === false && document.activeElement === document.body)) card.querySelector("a, button")?.focus();
}

function running() {
  const { status, request: { matched, format } } = job;
  const bar = make("progress", { "aria-label": "Progress of the export", ...(matched && status.rows ? { max: matched, value: status.rows } : {}) });
  const title = status.phase === "queued" ? `Waiting${status.queuePlace ? `, position ${status.queuePlace}` : ""}`
    : `Exporting ${count(status.rows)}${matched ? ` of ${counted(matched, "row")}` : " rows"}`;
  const verb = PHASES[status.phase] ?? "Writing";
  return [make("div", { class: "inside" }, make("b", {}, title), bar,
    make("p", { class: "muted" }, `${verb} ${formatWords(format)}, ${size(status.bytes)} so far. You can close this panel; the export continues.`),
    make("div", { class: "actions" }, button({ class: "button small", onclick: cancel }, "Cancel")))];
}

function failed() {
  const wasCancelled = job.message === "The export was cancelled.";
  return [make("div", { class: "inside" }, make("b", {}, wasCancelled ? "Cancelled" : "The export failed"), make("p", { class: "muted", role: "alert" }, job.message))];
}

function finished(stale) {
  const { file } = job;
  const name = decodeURIComponent(new URL(file.url).pathname.split("/").pop());
  const facts = [
    make("span", {}, counted(file.rowCount, "row")), make("span", {}, size(file.sizeBytes)),
    hash(file),
    make("span", { title: `The link opens without a key until ${file.expiresAt}` }, `link: ${left(file.expiresAt)}`),
  ];
  return [
    stale ? make("div", { class: "stale" }, icon("clock"), make("span", { role: "status" }, "Of an earlier request: ", make("b", {}, `${job.request.words}, as ${formatWords(file.format)}.`)),
      button({ class: "button small primary", onclick: () => start() }, "Export again")) : null,
    make("div", { class: "inside" },
      make("div", { class: "file" }, icon("check", { class: "icon added" }), make("b", {}, name)), make("div", { class: "facts" }, ...facts),
      make("div", { class: "acts" },
        make("a", { class: stale ? "button" : "button primary", href: file.url, download: true }, icon("download"), stale ? "Download the earlier file" : "Download"),
        button({ class: "button", onclick: () => copy(file.url, "Link") }, icon("link"), "Copy link"))),
    snippetTabs(file, name),
  ].filter(Boolean);
}

// A large file that a cluster made has no sha256.
function hash(file) {
  const [name, value] = file.sha256 ? ["sha256", file.sha256] : ["crc64nvme", file.crc64nvme];
  return make("span", {}, `${name} `, button({ class: "mono", title: `Copy ${name}`, onclick: () => copy(value, name) }, value.length > 16 ? `${value.slice(0, 4)}…${value.slice(-4)}` : value));
}

function snippetTabs(file, name) {
  const found = snippets({ ...file, delimiter: job.request.delimiter });
  const short = `${new URL(file.url).origin}/…/${name}?…`;
  const [, text] = found.find(([title]) => title === tool);
  const tabs = make("div", { class: "tool-tabs", role: "tablist", "aria-label": "Open the file with" }, ...found.map(([title]) => button({
    role: "tab", id: `tool-${title.replace(" ", "-")}`, "aria-selected": String(title === tool), "aria-controls": "snippet", tabindex: title === tool ? 0 : -1,
    onclick: () => { tool = title; drawCard(); card.querySelector('.tool-tabs [aria-selected="true"]').focus(); },
  }, title)));
  roving(tabs, "button", { choose: one => one.click() });
  return make("div", { class: "snippet" }, tabs,
    make("div", { id: "snippet", role: "tabpanel", "aria-label": tool, tabindex: 0 }, make("pre", {}, make("code", {}, text.replaceAll(file.url, short))),
      iconButton("copy", "Copy snippet", () => copy(text, "Snippet"))));
}

onCompared(updateExport);
onResult(updateExport);
onJob(() => {
  if (job.state === "finished") drawRecent();
  updateExport();
});
find("open-export").addEventListener("click", () => isExportOpen() ? closeExport() : openExport());
