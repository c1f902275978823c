// The page: signing in and out, and drawing what is loaded.

import * as api from "./api.js";
import { drawBar } from "./bar/pickers.js";
import { changedRows, drawChanges, onCompared } from "./changes/comparison.js";
import { loadPairs, onPairs } from "./changes/pairs.js";
import { drawCards } from "./columns/cards.js";
import { button, find, icon, make } from "./dom.js";
import { deleteNoted } from "./export/deletions.js";
import { updateExport } from "./export/panel.js";
import { blankOf } from "./grid/blank.js";
import { drawDetail } from "./grid/detail.js";
import { drawGrid, forgetGrid, rowsTable } from "./grid/grid.js";
import { drawPager } from "./grid/pager.js";
import "./keyboard.js";
import { load, onLoad, runShown, shown } from "./load.js";
import { copy } from "./notices.js";
import { followConnection } from "./offline.js";
import { close, open } from "./popover.js";
import { askForKey } from "./session.js";
import { drawSql } from "./sql/editor.js";
import { drawTabs } from "./tabs.js";
import { nextTheme, themeWords } from "./theme.js";
import { drawChips } from "./toolbar/chips.js";
import { drawColumnsButton } from "./toolbar/columns_menu.js";
import { forget, link, onChange, start, view } from "./view.js";
import { count } from "./words.js";

const LOADING_PAUSE_MILLISECONDS = 150;
const LOADED_BY = ["workflow", "run", "filters", "sort", "order", "page", "size"];
let loading;
let blank;

function signedIn() {
  find("sign-in").hidden = true;
  find("explorer").hidden = false;
  drawTabs();
  load();
  deleteNoted();
}

function showSignIn(message) {
  find("sign-in").hidden = false;
  find("sign-in-error").textContent = message;
  find("sign-in-error").hidden = !message;
  find("key").focus();
}

function signOut() {
  forget();
  askForKey();
}

function drawCount() {
  if (view.tab === "changes") {
    const { total } = changedRows();
    find("count").replaceChildren(...(total === null ? [] : [make("b", {}, count(total)), total === 1 ? " change" : " changes"]));
    return;
  }
  const total = runShown()?.rowCount;
  const words = shown.matched === null ? [] : total === undefined || total === shown.matched
    ? [make("b", {}, count(shown.matched)), shown.matched === 1 ? " row" : " rows"]
    : [make("b", {}, count(shown.matched)), make("span", { class: "of" }, ` of ${count(total)}`), total === 1 ? " row" : " rows"];
  find("count").replaceChildren(...words);
}

function drawAll() {
  clearTimeout(loading);
  if (shown.state === "failed" && shown.error.status === 401) return askForKey(shown.error.message);
  if (shown.state === "loading") {
    loading = setTimeout(() => rowsTable.drawLoading(), LOADING_PAUSE_MILLISECONDS);
    drawChips();
    return updateExport();
  }
  drawBar();
  drawChips();
  drawCount();
  drawColumnsButton();
  blank?.remove();
  // Rows of a moment ago are better than none while the service is away.
  const isLost = shown.error?.status === 0 && shown.rows !== null;
  blank = isLost ? null : blankOf();
  if (shown.rows && shown.state === "ready") drawGrid();
  if (!shown.fields.length) forgetGrid();
  if (blank) find("panel-rows").append(blank);
  find("panel-rows").classList.toggle("is-blank", Boolean(blank));
  drawPager();
  drawDetail();
  drawCards();
  drawChanges();
  drawSql();
  if (shown.state === "ready") loadPairs();
  return updateExport();
}

onLoad(drawAll);
onPairs(() => {
  drawChanges();
  drawDetail();
});
onCompared(drawCount);
onChange(changed => {
  if (LOADED_BY.some(name => changed.has(name))) {
    load();
  } else {
    if (changed.has("tab")) drawTabs();
    if (changed.has("columns") && shown.rows) {
      drawColumnsButton();
      drawGrid();
    }
    drawCards();
    drawChanges();
    drawDetail();
    if (shown.state === "ready") {
      drawCount();
      drawPager();
    }
  }
  drawTabs();
  find("view").dataset.tab = view.tab;
  updateExport();
});

find("sign-in").querySelector("form").addEventListener("submit", event => {
  event.preventDefault();
  api.key.set(find("key").value.trim());
  signedIn();
});
find("sign-out").addEventListener("click", signOut);
find("copy-view").addEventListener("click", () => copy(link(), "Link to this view"));
find("more").addEventListener("click", () => open(find("more"), "More", make("div", { class: "more" },
  button({ onclick: () => { close(); copy(link(), "Link to this view"); } }, icon("link"), "Copy link to view"),
  button({ onclick: event => { nextTheme(); event.target.lastChild.textContent = themeWords(); } }, icon("theme"), themeWords()),
  make("a", { href: "docs" }, "API reference"), button({ onclick: signOut }, "Sign out"))));

followConnection();
// `make run` prints an address with the key in its fragment, which no server sees and which must not stay in sight.
const message = history.state?.message ?? "";
const given = start();
if (given) api.key.set(given);
find("view").dataset.tab = view.tab;
if (api.key.get()) signedIn();
else showSignIn(message);
